"""Runs as processes, a few at a time."""

from __future__ import annotations

import contextlib
import ctypes
import os
import pathlib
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

from neurorl.runs import locks

_POLL_SECONDS = 0.1
_LOCK_SECONDS = 60.0


class Task(NamedTuple):
  """One run to be made.

  Attributes:
    index: of its point.
    words: its command.
    run_dir: where it is made.
    log: where what it prints goes.
  """

  index: int
  words: Sequence[str]
  run_dir: pathlib.Path
  log: pathlib.Path


class InterruptedByError(Exception):
  """A signal ended the sweep; every run was told, and can go on.

  Attributes:
    number: of the signal.
  """

  def __init__(self, number: int):
    super().__init__(signal.Signals(number).name)
    self.number = number


def environments(jobs: int) -> list[Mapping[str, str]]:
  """Returns what each of some processes side by side has of the machine.

  Args:
    jobs: how many.

  Returns:
    For each, what is set in its environment: one GPU of those that
    CUDA_VISIBLE_DEVICES names, or its share of the cores.
  """
  devices = [
    d for d in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if d
  ]
  found: list[Mapping[str, str]] = []
  for i in range(jobs):
    env = {}
    if devices:
      env["CUDA_VISIBLE_DEVICES"] = devices[i % len(devices)]
      if jobs > len(devices):  # or the first takes nearly all of it
        env["XLA_PYTHON_CLIENT_PREALLOCATE"] = "false"
    elif jobs > 1:
      # XLA's own variable: threads of a process.
      env["NPROC"] = str(max((os.cpu_count() or 1) // jobs, 1))
    found.append(env)
  return found


def run(
  tasks: Iterator[Task],
  slots: Sequence[Mapping[str, str]],
  ended: Callable[[int, int], None],
) -> None:
  """Runs tasks until there are no more.

  Args:
    tasks: drawn one by one, whenever a slot is free.
    slots: the environment of each process side by side.
    ended: is told the index of a task, and its exit code.

  Raises:
    InterruptedByError: if a signal came; the processes have ended.
  """
  running: dict[int, tuple[int, subprocess.Popen]] = {}
  with _signals() as came:
    more = True
    while more or running:
      for slot in range(len(slots)):
        if slot in running or not more or came:
          continue
        task = next(tasks, None)
        more = task is not None
        if task is not None:
          running[slot] = task.index, _start(task, slots[slot])
      for slot, (index, process) in list(running.items()):
        if process.poll() is not None:
          del running[slot]
          ended(index, process.returncode)
      if came:
        _stop([process for _, process in running.values()])
        raise InterruptedByError(came[0])
      time.sleep(_POLL_SECONDS)


def _start(task: Task, env: Mapping[str, str]) -> subprocess.Popen:
  _wait_until_free(task.run_dir)
  with task.log.open("a") as log:
    return subprocess.Popen(
      task.words,
      env={**os.environ, **env},
      stdin=subprocess.DEVNULL,
      stdout=log,
      stderr=subprocess.STDOUT,
      preexec_fn=_end_with_parent if sys.platform == "linux" else None,
      start_new_session=True,  # signals reach it through `_stop` alone
    )


def _end_with_parent() -> None:
  """Has the kernel send SIGTERM to this process when its parent is gone."""
  set_parent_death_signal = 1
  ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGTERM)


def _wait_until_free(run_dir: pathlib.Path) -> None:
  """Waits for the run of a sweep that was killed: it saves before it ends."""
  until = time.monotonic() + _LOCK_SECONDS
  while run_dir.exists() and time.monotonic() < until:
    try:
      locks.take(run_dir).close()
      return
    except ValueError:
      time.sleep(_POLL_SECONDS)


def _stop(processes: Sequence[subprocess.Popen]) -> None:
  """Asks for an early end, and waits for it."""
  for process in processes:
    process.terminate()
  for process in processes:
    process.wait()


@contextlib.contextmanager
def _signals() -> Iterator[list[int]]:
  """Collects the signals that ask for an end."""
  came: list[int] = []
  before = {
    number: signal.signal(number, lambda number, frame: came.append(number))
    for number in (signal.SIGINT, signal.SIGTERM)
  }
  try:
    yield came
  finally:
    for number, handler in before.items():
      signal.signal(number, handler)
