"""What a run was: configuration, command line, versions."""

from __future__ import annotations

import importlib.metadata
import json
import pathlib
import platform
import shutil
import subprocess
import sys
from collections.abc import Sequence

import jax

from neurorl.runs.files import write_whole

_PACKAGES = (
  "neurorl",
  "jax",
  "jaxlib",
  "dm-haiku",
  "optax",
  "rlax",
  "mctx",
  "chex",
  "gin-config",
  "gymnax",
  "numpy",
  "orbax-checkpoint",
)
# Written down where an extra has installed them.
_LIBRARIES = ("craftax", "navix", "pgx", "xminigrid")


def write(
  run_dir: pathlib.Path,
  config_text: str,
  command: Sequence[str],
  modules: Sequence[pathlib.Path],
) -> None:
  """Writes what is needed to run this again.

  Args:
    run_dir: the folder.
    config_text: the configuration as one gin file.
    command: the command line.
    modules: users' modules that lay beside a gin file; copied.

  Raises:
    ValueError: if it cannot be written.
  """
  try:
    _write(run_dir, config_text, command, modules)
  except OSError as error:
    raise ValueError(f"cannot write to {run_dir}: {error.strerror}") from error


def _write(run_dir, config_text, command, modules) -> None:
  write_whole(run_dir / "config.gin", config_text)
  quoted = " ".join(_quote(word) for word in command)
  with (run_dir / "command.txt").open("a") as file:  # a line per beginning
    file.write(quoted + "\n")
  write_whole(run_dir / "versions.json", json.dumps(_versions(), indent=2))
  for module in modules:
    copy = run_dir / module.name
    if copy.exists() and copy.samefile(module):
      continue  # the run's own configuration is run
    if module.is_dir():
      ignore = shutil.ignore_patterns("__pycache__", "*.pyc")
      shutil.copytree(
        module, run_dir / module.name, ignore=ignore, dirs_exist_ok=True
      )
    else:
      shutil.copy2(module, run_dir / module.name)


def library_versions() -> dict[str, str | None]:
  """Returns what a checkpoint is written by: a change may change numbers."""
  return {name: _version(name) for name in ("neurorl", "jax", "jaxlib")}


def _version(package: str) -> str | None:
  try:
    return importlib.metadata.version(package)
  except importlib.metadata.PackageNotFoundError:
    return None


def _quote(word: str) -> str:
  plain = all(c.isalnum() or c in "-_./=:," for c in word)
  return word if plain and word else "'" + word.replace("'", "'\\''") + "'"


def _versions() -> dict[str, object]:
  versions: dict[str, object] = {"python": platform.python_version()}
  versions |= {package: _version(package) for package in _PACKAGES}
  versions |= {name: found for name in _LIBRARIES if (found := _version(name))}
  versions["devices"] = [str(device) for device in jax.devices()]
  versions["machine"] = platform.platform()
  versions["executable"] = sys.executable
  versions["git_revision"] = _git_revision()
  return versions


def _git_revision() -> str | None:
  """The revision of neurorl, where it is a checkout and not a wheel."""
  folder = pathlib.Path(__file__).resolve().parents[2]
  if not (folder / ".git").exists():
    return None
  command = ["git", "-C", str(folder), "describe", "--always", "--dirty"]
  try:
    found = subprocess.run(
      command, capture_output=True, text=True, timeout=5, check=False
    )
  except (OSError, subprocess.TimeoutExpired):
    return None
  return found.stdout.strip() or None
