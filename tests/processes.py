"""The training binary as a process of its own, started in no time.

A server imports the library once and forks for every call, so a process costs
what it does, not what it imports. Nothing there has touched a device.
"""

import multiprocessing
import os
import pathlib
import runpy
import sys
import typing

TRAIN = pathlib.Path(__file__).resolve().parent.parent / "binaries" / "train.py"
_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(
  ["neurorl", "neurorl.command_line", "neurorl.training.host"]
)


class Done(typing.NamedTuple):
  """How a process ended, as `subprocess.CompletedProcess` says it."""

  returncode: int
  stdout: str
  stderr: str


def train(*arguments, cwd) -> Done:
  """Runs binaries/train.py."""
  paths = [cwd / ".stdout", cwd / ".stderr"]
  process = _CONTEXT.Process(target=_run, args=(arguments, cwd, paths))
  process.start()
  process.join(60)
  if process.is_alive():
    process.kill()
    raise TimeoutError(arguments)
  texts = [path.read_text() for path in paths]
  for path in paths:
    path.unlink()
  return Done(process.exitcode, *texts)


def _run(arguments, cwd, paths) -> None:
  for number, path in enumerate(paths, start=1):
    with path.open("w") as file:
      os.dup2(file.fileno(), number)
  os.chdir(cwd)
  os.environ["XDG_CACHE_HOME"] = str(cwd)
  sys.argv = [str(TRAIN), *arguments]
  sys.path[0] = str(TRAIN.parent)
  try:
    runpy.run_path(str(TRAIN), run_name="__main__")
  finally:
    sys.stdout.flush()
    sys.stderr.flush()
