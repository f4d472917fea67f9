"""Loggers that may fail: a full disk or a folder that is gone end no run."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from neurorl.logging_types import LoggerRecipe, Row, RunInfo


def say(text: str) -> None:
  """Prints what a run says of itself; goes on if nobody reads it."""
  try:
    print(text, flush=True)
  except BrokenPipeError:
    _give_up_broken_output()


def _give_up_broken_output() -> None:
  """Writes to nowhere what nobody reads any more, as when `tee` has ended."""
  try:
    sys.stdout.flush()
  except BrokenPipeError:
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


class Told:
  """A run's loggers; what one cannot write is kept, and tried again."""

  def __init__(self, recipes: Sequence[LoggerRecipe], info: RunInfo):
    """Builds the loggers.

    Args:
      recipes: of them.
      info: of the run.
    """
    self._loggers = [recipe(info) for recipe in recipes]
    self._owed: list[list[Row]] = [[] for _ in recipes]
    self._complained: set[int] = set()

  def write(self, rows: Sequence[Row]) -> None:
    """Hands on the rows of a chunk, and those that are owed."""
    for i, logger in enumerate(self._loggers):
      self._owed[i] += rows
      owed = self._owed[i]
      if owed and self._try(i, lambda: logger.write(owed)):  # noqa: B023
        self._owed[i] = []

  def warn(self, message: str) -> None:
    """Hands on a sentence that somebody should read."""
    warning = [x for x in enumerate(self._loggers) if x[1].warn is not None]
    for i, logger in warning:
      self._try(i, lambda: logger.warn(message))  # noqa: B023
    if not warning:
      print(message, file=sys.stderr, flush=True)

  def finish(self, summary: Mapping[str, Any]) -> None:
    """Hands on the summary, and what is owed."""
    self.write([])
    for i, logger in enumerate(self._loggers):
      self._try(i, lambda: logger.finish(summary))  # noqa: B023

  def interrupt(self) -> None:
    """Says that the run ends early, once what is owed is handed on."""
    self.write([])
    for i, logger in enumerate(self._loggers):
      if logger.interrupt is not None:
        self._try(i, logger.interrupt)

  def _try(self, i: int, function) -> bool:
    try:
      function()
    except OSError as error:
      _give_up_broken_output()
      if i not in self._complained:
        self._complained.add(i)
        print(
          f"warning: a logger cannot write ({error}); training goes on, and "
          "what it could not write is tried again",
          file=sys.stderr,
          flush=True,
        )
      return False
    return True
