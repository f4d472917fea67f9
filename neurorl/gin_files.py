"""Gin files on disk: where they are sought, and what is said if one is not."""

from __future__ import annotations

import contextlib
import pathlib
from collections.abc import Sequence

from neurorl import registry
from neurorl.bindings import Place


class ConfigError(ValueError):
  """A mistake in a gin file or on the command line, told in a line or two."""


def gin_configs() -> pathlib.Path:
  """Returns the folder of shipped gin files, in a checkout or a wheel."""
  package = pathlib.Path(__file__).resolve().parent
  inside = package / "gin_configs"
  return inside if inside.is_dir() else package.parent / "gin_configs"


def user_file() -> pathlib.Path | None:
  """Returns the user's own gin file, `gin_configs/user.gin`, if there is one.

  It is sought in the current directory, then beside the shipped files.
  """
  folders = [pathlib.Path.cwd() / "gin_configs", gin_configs()]
  paths = [folder / "user.gin" for folder in folders]
  return next((path for path in paths if path.is_file()), None)


def short(path: pathlib.Path) -> str:
  """The path as a user would write it."""
  for folder in (pathlib.Path.cwd(), gin_configs()):
    with contextlib.suppress(ValueError):
      return str(path.relative_to(folder))
  return str(path)


def read_text(path: pathlib.Path) -> str:
  """Reads a gin file, or raises `ConfigError` with the reason."""
  try:
    return path.read_text(encoding="utf-8-sig")
  except OSError as error:
    raise ConfigError(
      f"cannot read gin file '{short(path)}': {error.strerror}"
    ) from None
  except UnicodeDecodeError as error:
    line = path.read_bytes()[: error.start].count(b"\n") + 1
    raise ConfigError(
      f"{short(path)}:{line}: byte 0x{error.object[error.start]:02x} is not "
      "UTF-8; save the file as UTF-8 text"
    ) from None


def find_file(
  name: str, folders: Sequence[pathlib.Path], place: Place | None
) -> pathlib.Path:
  """Finds a gin file.

  Args:
    name: as the user wrote it.
    folders: where to look, in order.
    place: where it was written, if in a file.

  Returns:
    Its path.

  Raises:
    ConfigError: if no folder has it; says where it was sought.
  """
  at = f"{place}: " if place else ""
  paths = [(f / pathlib.Path(name).expanduser()).resolve() for f in folders]
  for path in paths:
    if path.is_file():
      return path
  if any(path.is_dir() for path in paths):
    raise ConfigError(f"{at}'{name}' is a folder, not a gin file")
  known = {path.name for f in folders for path in f.glob("*.gin")}
  sought = ", ".join(dict.fromkeys(map(str, folders)))
  raise ConfigError(
    f"{at}no gin file '{name}'{registry.nearest(name, known)}\n"
    f"  sought in {sought}"
  )
