"""The run directory: what was run, with which configuration and versions."""

from __future__ import annotations

import importlib.metadata
import json
import pathlib
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence

import jax

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
)


def create(path: str | None, name: str) -> pathlib.Path:
  """Makes a folder for a run.

  Args:
    path: where the user wants it; None for a fresh name under `runs/`.
    name: begins a fresh name.

  Returns:
    The folder, empty.

  Raises:
    ValueError: if the folder holds anything or cannot be made.
  """
  try:
    if path is None:
      return _fresh(name)
    run_dir = pathlib.Path(path).expanduser()
    run_dir.mkdir(parents=True, exist_ok=True)
    taken = next(run_dir.iterdir(), None)
    if taken is not None:
      raise ValueError(
        f"--run_dir={path} is in use (it holds '{taken.name}'); name another "
        "folder, or leave the flag out for a fresh one under runs/"
      )
    probe = run_dir / ".writable"
    probe.touch()
    probe.unlink()
  except OSError as error:
    raise ValueError(
      f"cannot write to --run_dir={path or 'runs/'}: {error.strerror}; name a "
      "folder that you may write to"
    ) from None
  return run_dir


def _fresh(name: str) -> pathlib.Path:
  stamp = time.strftime("%Y%m%d-%H%M%S")
  for i in range(1000):
    suffix = f"-{i}" if i else ""
    run_dir = pathlib.Path("runs") / f"{name}-{stamp}{suffix}"
    try:
      run_dir.mkdir(parents=True)
    except FileExistsError:
      continue
    return run_dir
  raise ValueError(f"no free name like runs/{name}-{stamp}")


def describe(
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
  """
  (run_dir / "config.gin").write_text(config_text)
  quoted = " ".join(_quote(word) for word in command)
  (run_dir / "command.txt").write_text(quoted + "\n")
  (run_dir / "versions.json").write_text(json.dumps(_versions(), indent=2))
  for module in modules:
    if module.is_dir():
      ignore = shutil.ignore_patterns("__pycache__", "*.pyc")
      shutil.copytree(module, run_dir / module.name, ignore=ignore)
    else:
      shutil.copy2(module, run_dir / module.name)


def _quote(word: str) -> str:
  plain = all(c.isalnum() or c in "-_./=:," for c in word)
  return word if plain and word else "'" + word.replace("'", "'\\''") + "'"


def _versions() -> dict[str, object]:
  versions: dict[str, object] = {"python": platform.python_version()}
  for package in _PACKAGES:
    try:
      versions[package] = importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
      versions[package] = None
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
