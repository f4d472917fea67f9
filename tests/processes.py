"""The training binary as a process of its own, started in no time.

A server imports the library once and forks for every call, so a process costs
what it does, not what it imports. Nothing there has touched a device.
"""

import multiprocessing
import os
import pathlib
import resource
import runpy
import signal
import sys
import threading
import typing

BINARIES = pathlib.Path(__file__).resolve().parent.parent / "binaries"
_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(
  [
    "neurorl",
    "neurorl.command_line",
    "neurorl.training.host",
    # A run ends with a picture.
    "matplotlib.figure",
    "matplotlib.backends.backend_agg",
    "matplotlib.backends.backend_svg",
  ]
)


class Done(typing.NamedTuple):
  """How a process ended, as `subprocess.CompletedProcess` says it."""

  returncode: int
  stdout: str
  stderr: str


class Running:
  """A binary that runs."""

  def __init__(
    self, binary, arguments, cwd, file_size=None, reads=None, env=None
  ):
    self._paths = [cwd / ".stdout", cwd / ".stderr"]
    self._process = _CONTEXT.Process(
      target=_run,
      args=(binary, arguments, cwd, self._paths, file_size, reads, env or {}),
    )
    self._process.start()

  def send(self, number: signal.Signals) -> None:
    """Sends it a signal."""
    os.kill(self._process.pid, number)

  def ended(self) -> bool:
    """Says whether it is over."""
    return not self._process.is_alive()

  def wait(self) -> Done:
    """Returns how it ended."""
    self._process.join(60)
    if self._process.is_alive():
      self._process.kill()
      raise TimeoutError(self._paths)
    # Killed at once it has made none.
    texts = [path.read_text() if path.exists() else "" for path in self._paths]
    for path in self._paths:
      path.unlink(missing_ok=True)
    return Done(self._process.exitcode, *texts)


def train(*arguments, cwd, file_size=None, reads=None, env=None) -> Done:
  """Runs binaries/train.py.

  Args:
    *arguments: of its command line.
    cwd: where.
    file_size: bytes that no file it writes may exceed.
    reads: lines after which nobody reads what it prints any more.
    env: what is set in its environment.

  Returns:
    How it ended.
  """
  return Running("train", arguments, cwd, file_size, reads, env).wait()


def evaluate(*arguments, cwd) -> Done:
  """Runs binaries/evaluate.py."""
  return Running("evaluate", arguments, cwd).wait()


def run(binary, *arguments, cwd, env=None) -> Done:
  """Runs another of the binaries, by its name."""
  return Running(binary, arguments, cwd, env=env).wait()


def _print_to_one_who_leaves(lines: int) -> None:
  reading, writing = os.pipe()
  os.dup2(writing, 1)
  os.close(writing)

  def read() -> None:
    with os.fdopen(reading) as file:
      for _ in range(lines):
        file.readline()

  threading.Thread(target=read, daemon=True).start()


def _run(binary, arguments, cwd, paths, file_size, reads, env) -> None:
  for number, path in enumerate(paths, start=1):
    with path.open("w") as file:
      os.dup2(file.fileno(), number)
  if reads is not None:
    _print_to_one_who_leaves(reads)
  if file_size is not None:
    _, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (file_size, most))
  os.chdir(cwd)
  os.environ["XDG_CACHE_HOME"] = str(cwd)
  os.environ.update(env)
  path = str(BINARIES / f"{binary}.py")
  sys.argv = [path, *arguments]
  sys.path[0] = str(BINARIES)
  try:
    runpy.run_path(path, run_name="__main__")
  finally:
    sys.stdout.flush()
    sys.stderr.flush()
