"""Learning curves: seeds that were measured at different times, summed up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from neurorl import registry
from neurorl.ops import statistics
from neurorl.plots.groups import Group
from neurorl.plots.run_folders import RunError

EVALUATION, TRAINING = "evaluation/episode_return", "training/episode_return"
_POINTS = 300  # more than a column of print can show


class Curve(NamedTuple):
  """What seeds came to, over steps or time.

  Attributes:
    x: `[points]`.
    middle: their interquartile mean, `[points]`.
    low: of its interval, `[points]`; NaN where there is but one seed.
    high: likewise.
    seeds: how many of them there are at each point, `[points]`.
  """

  x: np.ndarray
  middle: np.ndarray
  low: np.ndarray
  high: np.ndarray
  seeds: np.ndarray


def default_metric(groups: Sequence[Group], least: int) -> str:
  """Chooses between the returns of evaluation and of training.

  Args:
    groups: to be compared, and so by one metric.
    least: evaluations that a group must have.

  Returns:
    That of evaluation, unless a group has fewer.
  """
  for group in groups:
    counts = [
      points(columns, "environment_steps", EVALUATION)[0].size
      for columns in group.seeds.values()
    ]
    if max(counts) < least:
      return TRAINING
  return EVALUATION


def points(
  columns: Mapping[str, np.ndarray], x: str, metric: str
) -> tuple[np.ndarray, np.ndarray]:
  """Finds where a seed was measured.

  Args:
    columns: of its metrics, `[rows]`.
    x: the column of steps or time.
    metric: the column of values.

  Returns:
    Steps or time, ascending, and values; empty cells left out.
  """
  if metric not in columns:
    return np.zeros(0), np.zeros(0)
  at, values = columns[x], columns[metric]
  there = np.isfinite(at) & np.isfinite(values)
  order = np.argsort(at[there], kind="stable")
  return at[there][order], values[there][order]


def of_seeds(
  group: Group, x: str, metric: str
) -> list[tuple[np.ndarray, np.ndarray]]:
  """Finds where the seeds of a group were measured.

  Args:
    group: of seeds.
    x: the column of steps or time.
    metric: the column of values.

  Returns:
    As of `points`, for each seed that was measured at all.

  Raises:
    RunError: if none was.
  """
  found = [points(columns, x, metric) for columns in group.seeds.values()]
  found = [(at, values) for at, values in found if at.size]
  if not found:
    raise RunError(_missing(group, metric))
  return found


def curve(group: Group, x: str, metric: str) -> Curve:
  """Sums up the seeds of a group.

  Between two measurements a seed lies on the line between them; beyond its
  last one it holds for as long as there was between its last two, since seeds
  count their steps a little apart. Further on the curve is of the seeds left.

  Args:
    group: of seeds.
    x: the column of steps or time.
    metric: the column of values.

  Returns:
    The curve.

  Raises:
    RunError: if no seed has a value.
  """
  measured = [_thinned(*found) for found in of_seeds(group, x, metric)]
  grid = np.unique(np.concatenate([at for at, _ in measured]))
  if grid.size > _POINTS and len(measured) > 1:
    grid = np.linspace(grid[0], grid[-1], _POINTS)
  values = np.stack([_at(grid, *found) for found in measured])
  return _summed_up(grid, values)


def _thinned(at: np.ndarray, values: np.ndarray):
  """Averages neighbours until no more points are left than can be seen."""
  size = -(-at.size // _POINTS)
  starts = np.arange(0, at.size, size)
  counts = np.diff([*starts, at.size])
  means = [np.add.reduceat(a, starts) / counts for a in (at, values)]
  return means[0], means[1]


def _at(grid: np.ndarray, at: np.ndarray, values: np.ndarray) -> np.ndarray:
  """Values of a seed on the grid; NaN where it was not yet or no more."""
  first = at[0] - (at[1] - at[0] if at.size > 1 else 0.0)
  last = at[-1] + (at[-1] - at[-2] if at.size > 1 else 0.0)
  found = np.interp(grid, at, values)
  return np.where((grid >= first) & (grid <= last), found, np.nan)


def _summed_up(grid: np.ndarray, values: np.ndarray) -> Curve:
  there = np.isfinite(values)
  middle, low, high = (np.full(grid.size, np.nan) for _ in range(3))
  # Points with the same seeds at once.
  for seeds in np.unique(there.T, axis=0):
    here = (seeds == there.T).all(axis=1)
    if not seeds.any():
      continue
    scores = values[seeds][:, here]
    middle[here] = statistics.curve_interquartile_mean(scores)
    if len(scores) > 1:
      low[here], high[here] = statistics.curve_interval(scores)
  some = there.any(axis=0)
  found = (grid, middle, low, high, there.sum(axis=0))
  return Curve(*(array[some] for array in found))


def _missing(group: Group, metric: str) -> str:
  run = group.runs[0]
  if metric in run.columns:
    return f"{run.path}: '{metric}' has no value yet"
  near = registry.nearest(metric, run.columns)
  return f"{run.path}: no metric is called '{metric}'{near}"
