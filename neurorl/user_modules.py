"""Users' own modules, beside a gin file or on the Python path."""

from __future__ import annotations

import importlib
import pathlib
import sys

from neurorl.bindings import Place
from neurorl.gin_files import ConfigError


def load(module: str, folder: pathlib.Path, place: Place) -> list[pathlib.Path]:
  """Imports a module that a gin file names.

  Args:
    module: its dotted name.
    folder: where the gin file lies; sought before the Python path.
    place: of the import, for messages.

  Returns:
    The files and packages in that folder that have been imported, this module
    and what it imports in turn: what a run must keep to run again.

  Raises:
    ConfigError: if there is no such module, it fails, or another of its name
      has been imported.
  """
  if str(folder) not in sys.path:
    sys.path.insert(0, str(folder))
  try:
    importlib.import_module(module)
  except Exception as error:
    missing = isinstance(error, ModuleNotFoundError) and error.name
    if missing and f"{module}.".startswith(f"{missing}."):
      raise ConfigError(
        f"{place}: no module '{module}', neither beside the gin file nor on "
        "the Python path"
      ) from None
    raise ConfigError(
      f"{place}: import {module} failed: {type(error).__name__}: {error}"
    ) from error
  _check_origin(module, folder, place)
  return _loaded_from(folder)


def _check_origin(module: str, folder: pathlib.Path, place: Place) -> None:
  """Refuses a module that lies beside the file when another was loaded."""
  top = module.partition(".")[0]
  loaded = getattr(sys.modules[module], "__file__", None)
  beside = [folder / top, folder / f"{top}.py"]
  lies_beside = any(path.exists() for path in beside)
  if loaded and lies_beside and folder not in pathlib.Path(loaded).parents:
    raise ConfigError(
      f"{place}: '{module}' is {loaded}, not the one in {folder}; rename one"
    )


def _loaded_from(folder: pathlib.Path) -> list[pathlib.Path]:
  """The files and packages of a folder that have been imported."""
  found = set()
  for module in list(sys.modules.values()):
    file = getattr(module, "__file__", None)
    path = pathlib.Path(file) if isinstance(file, str) else None
    ours = module.__name__.partition(".")[0] in ("neurorl", "__main__")
    if ours or not path or "site-packages" in path.parts:
      continue
    if folder in path.parents:
      top = folder / path.relative_to(folder).parts[0]
      package = top.is_dir() and module.__name__.partition(".")[0] == top.name
      if package or top.suffix == ".py":
        found.add(top)
  return sorted(found)
