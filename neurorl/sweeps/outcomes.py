"""What came out of the runs of a sweep, as tables."""

from __future__ import annotations

import csv
import io
import json
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np

from neurorl.ops import statistics
from neurorl.sweeps.points import NUM_SEEDS, SEED, Point
from neurorl.sweeps.sweep_file import Sweep

# What a configuration is the same without.
_SEEDS = (SEED, NUM_SEEDS)

State = Literal["done", "failed", "to do"]


class Outcome(NamedTuple):
  """One run.

  Attributes:
    point: what it was.
    state: whether it has ended, and how.
    scores: the metric's last value, of each seed; empty if there is none.
    environment_steps: that it took.
    seconds: that it took.
    run_dir: where it is.
  """

  point: Point
  state: State
  scores: tuple[float, ...]
  environment_steps: int | None
  seconds: float | None
  run_dir: pathlib.Path

  @property
  def score(self) -> float | None:
    """The mean over seeds."""
    return float(np.mean(self.scores)) if self.scores else None


def read(
  sweep: Sweep, point: Point, run_dir: pathlib.Path, failed: bool
) -> Outcome:
  """Reads what a run has left.

  Args:
    sweep: whose metric is read.
    point: what the run was.
    run_dir: where it is.
    failed: whether its process ended in failure.

  Returns:
    The outcome.
  """
  summary = run_dir / "summary.json"
  done = summary.exists()
  about: Mapping[str, Any] = json.loads(summary.read_text()) if done else {}
  state: State = "done" if done else "failed" if failed else "to do"
  scores = _last(run_dir / "metrics.csv", sweep.metric) if done else ()
  return Outcome(
    point,
    state,
    scores,
    about.get("environment_steps"),
    about.get("seconds"),
    run_dir,
  )


def _last(path: pathlib.Path, metric: str) -> tuple[float, ...]:
  """The last value of a column, of each seed."""
  last: dict[str, float] = {}
  if not path.exists():
    return ()
  with path.open(newline="") as file:
    for row in csv.DictReader(file):
      if row.get(metric):
        last[row["seed"]] = float(row[metric])
  return tuple(last.values())


def runs_table(sweep: Sweep, outcomes: Sequence[Outcome]) -> str:
  """Returns a CSV table with a row per run, in the sweep's order."""
  names = _names(sweep, outcomes)
  about = ["state", sweep.metric, "environment_steps", "seconds", "run_dir"]
  rows = [
    [
      *(outcome.point[name] for name in names),
      outcome.state,
      _text(outcome.score),
      _text(outcome.environment_steps),
      _text(outcome.seconds),
      outcome.run_dir,
    ]
    for outcome in outcomes
  ]
  return _csv([*names, *about], rows)


def _names(sweep: Sweep, outcomes: Sequence[Outcome]) -> list[str]:
  """The parameters, and what batched seeds have beside them."""
  return list(outcomes[0].point) if outcomes else list(sweep.parameters)


def configurations(
  sweep: Sweep, outcomes: Sequence[Outcome]
) -> list[tuple[Point, np.ndarray]]:
  """Groups the runs that differ in nothing but the seed, best first.

  Args:
    sweep: whose goal says what is best.
    outcomes: of its runs; those without a score are left out.

  Returns:
    What each configuration is, and its scores `[seeds]`.
  """
  groups: dict[str, tuple[Point, list[float]]] = {}
  # What is drawn may be drawn again: the same run is one.
  for outcome in {repr(x.point): x for x in outcomes}.values():
    if not outcome.scores:
      continue
    point = {k: v for k, v in outcome.point.items() if k not in _SEEDS}
    _, scores = groups.setdefault(repr(point), (point, []))
    scores += outcome.scores
  found = [(point, np.asarray(scores)) for point, scores in groups.values()]
  sign = -1.0 if sweep.maximize else 1.0
  found.sort(key=lambda x: sign * statistics.interquartile_mean(x[1]))
  return found


def configurations_table(sweep: Sweep, outcomes: Sequence[Outcome]) -> str:
  """Returns a CSV table with a row per configuration, best first.

  Its columns are the parameters but the seed, the number of seeds, and of the
  metric the interquartile mean over seeds, its 95 % bootstrap interval, and
  each seed's.
  """
  names = [name for name in sweep.parameters if name not in _SEEDS]
  rows = []
  for point, scores in configurations(sweep, outcomes):
    low, high = statistics.bootstrap_interval(scores[:, None])
    rows.append(
      [
        *(point[name] for name in names),
        len(scores),
        _text(statistics.interquartile_mean(scores)),
        _text(low),
        _text(high),
        " ".join(map(_text, scores)),
      ]
    )
  columns = ["seeds", sweep.metric, "ci95_low", "ci95_high", "per_seed"]
  return _csv([*names, *columns], rows)


def as_text(table: str) -> str:
  """Lays a CSV table out for a terminal."""
  rows = list(csv.reader(io.StringIO(table)))
  widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
  lines = [
    "  ".join(
      cell.ljust(width) for cell, width in zip(row, widths, strict=True)
    ).rstrip()
    for row in rows
  ]
  return "\n".join(lines)


def _csv(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
  text = io.StringIO()
  writer = csv.writer(text, lineterminator="\n")
  writer.writerow(header)
  writer.writerows(rows)
  return text.getvalue()


def _text(value: float | None) -> str:
  return "" if value is None else f"{value:.6g}"
