"""The types by which the host tells loggers what happened."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

# One line of metrics: of one chunk and one seed.
Row = Mapping[str, float | int]


@dataclasses.dataclass(frozen=True)
class RunInfo:
  """What a logger is told when a run begins.

  Attributes:
    run_dir: the run's folder; it exists.
    columns: every name that a row may have, in order.
    total_steps: environment steps to come, per seed.
    seeds: that are trained at once.
    settings: the configuration, flat, name to value; empty where the run is not
      described by gin files.
    resumed_at: budget steps of the checkpoint that the run goes on from; 0 if
      it begins.
  """

  run_dir: pathlib.Path
  columns: tuple[str, ...]
  total_steps: int
  seeds: tuple[int, ...]
  settings: Mapping[str, Any] = dataclasses.field(default_factory=dict)
  resumed_at: int = 0


class Logger(NamedTuple):
  """Where metrics go.

  Attributes:
    write: takes the rows of one chunk, one per seed.
    finish: takes the summary of the run.
    warn: takes a sentence that somebody should read; None if nobody would.
    interrupt: is called where the run ends early, in place of `finish`; None if
      there is nothing to be done.
  """

  write: Callable[[Sequence[Row]], None]
  finish: Callable[[Mapping[str, Any]], None]
  warn: Callable[[str], None] | None = None
  interrupt: Callable[[], None] | None = None


LoggerRecipe = Callable[[RunInfo], Logger]
