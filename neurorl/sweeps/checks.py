"""What is wrong with a sweep's command, found before a run is begun."""

from __future__ import annotations

import os
import pathlib
import shutil
import subprocess
import sys
from collections.abc import Sequence


def check(words: Sequence[str], train: pathlib.Path) -> None:
  """Refuses a command that could do nothing.

  Where it calls this project's training, that reads its configuration, which
  takes a second; what others' programs make of their flags is not known.

  Args:
    words: the command of one point.
    train: the program that trains.

  Raises:
    ValueError: if there is no such program, or it refuses its configuration.
  """
  if shutil.which(words[0]) is None:
    raise ValueError(f"command: no program '{words[0]}' was found")
  called = words[1] if words[0] == sys.executable and words[1:] else words[0]
  if called.endswith(".py") and not os.path.isfile(called):
    raise ValueError(
      f"command: there is no file '{called}' here; program names it, unless "
      "command does"
    )
  if _trains(called, train):
    _check_configuration(words)


def _trains(called: str, train: pathlib.Path) -> bool:
  script = os.path.isfile(called) and train.samefile(called)
  return script or pathlib.Path(called).name == "neurorl-train"


def _check_configuration(words: Sequence[str]) -> None:
  done = subprocess.run(
    [*words, "--print_config"],
    stdin=subprocess.DEVNULL,
    capture_output=True,
    text=True,
    check=False,
  )
  if done.returncode == 2:
    _, _, told = done.stderr.rpartition("error: ")
    raise ValueError(f"its first run is refused: {told.strip()}")
