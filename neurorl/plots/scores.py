"""Final scores: a row for each curve, and aggregates over environments."""

from __future__ import annotations

import csv
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from neurorl.ops import aggregates, statistics
from neurorl.plots import curves
from neurorl.plots.groups import Group
from neurorl.plots.run_folders import RunError

_PROFILE_POINTS = 101


class Score(NamedTuple):
  """The last measurement of each seed of a group.

  Attributes:
    environment: of the group.
    label: of the group.
    per_seed: the values, `[seeds]`.
    steps: environment steps at which they were measured, the least of them.
    finished: whether all of its runs came to their ends.
  """

  environment: str
  label: str
  per_seed: np.ndarray
  steps: int
  finished: bool


class Aggregate(NamedTuple):
  """What an algorithm's normalised scores come to over environments.

  Attributes:
    label: of the algorithm.
    values: as named in `aggregates.AGGREGATES`, `[4]`.
    low: of their intervals; NaN if there is one seed in each environment.
    high: likewise.
    thresholds: of the profile, `[points]`.
    profile: part of the runs that score above each, `[points]`.
    profile_low: of its interval.
    profile_high: likewise.
  """

  label: str
  values: np.ndarray
  low: np.ndarray
  high: np.ndarray
  thresholds: np.ndarray
  profile: np.ndarray
  profile_low: np.ndarray
  profile_high: np.ndarray


def final_score(
  group: Group, metric: str, warn: Callable[[str], None]
) -> Score:
  """Finds what the seeds of a group ended with.

  Args:
    group: of seeds.
    metric: the column of values.
    warn: takes a sentence about seeds that have none.

  Returns:
    The score of the seeds that have one.

  Raises:
    RunError: if none has.
  """
  found = curves.of_seeds(group, "environment_steps", metric)
  missing = len(group.seeds) - len(found)
  if missing:
    warn(
      f"{group.label} in {group.environment}: {missing} of {len(group.seeds)} "
      f"seeds have no '{metric}' yet, and no score"
    )
  return Score(
    group.environment,
    group.label,
    np.array([values[-1] for _, values in found]),
    int(min(at[-1] for at, _ in found)),
    all(run.finished for run in group.runs),
  )


def row(score: Score) -> dict[str, object]:
  """Writes a score as the row of a table.

  Args:
    score: of a group.

  Returns:
    Its cells by name.
  """
  low, high = statistics.bootstrap_interval(score.per_seed[:, None])
  one = score.per_seed.size == 1  # an interval over one seed says nothing
  return {
    "environment": score.environment,
    "algorithm": score.label,
    "seeds": score.per_seed.size,
    "environment_steps": score.steps,
    "finished": "yes" if score.finished else "no",
    "iqm": statistics.interquartile_mean(score.per_seed),
    "ci95_low": "" if one else low,
    "ci95_high": "" if one else high,
    "mean": float(score.per_seed.mean()),
    "per_seed": " ".join(f"{x:.6g}" for x in score.per_seed),
  }


def read_normalisation(path: str) -> dict[str, tuple[float, float]]:
  """Reads which scores are 0 and 1.

  Args:
    path: of a CSV file with the columns environment, low and high.

  Returns:
    Environments to the two scores.

  Raises:
    RunError: if it is not such a file.
  """
  try:
    with pathlib.Path(path).expanduser().open(newline="") as file:
      rows = list(csv.DictReader(file))
  except (OSError, UnicodeDecodeError) as error:
    why = getattr(error, "strerror", None) or "it is no text"
    raise RunError(f"{path} cannot be read: {why}") from None
  found = {}
  for i, cells in enumerate(rows, start=2):
    try:
      low, high = float(cells["low"]), float(cells["high"])
      environment = cells["environment"]
    except (KeyError, ValueError, TypeError):
      raise RunError(
        f"{path}:{i}: a row has environment, low and high, of which the last "
        "two are numbers"
      ) from None
    if not low < high:
      raise RunError(f"{path}:{i}: low = {low:g} is not below high = {high:g}")
    found[environment] = (low, high)
  if not found:
    raise RunError(f"{path} has no rows; it needs environment, low and high")
  return found


def over_environments(
  scores: Sequence[Score],
  bounds: Mapping[str, tuple[float, float]] | None,
  warn: Callable[[str], None],
) -> list[Aggregate]:
  """Sums up algorithms over the environments that all of them were run in.

  Args:
    scores: final ones, of every algorithm and environment.
    bounds: the scores that are 0 and 1; None for the least and the greatest
      of any seed in that environment.
    warn: takes a sentence about what is left out.

  Returns:
    One for each algorithm that was run in every environment; none if there are
    fewer than two environments.
  """
  environments = list(dict.fromkeys(score.environment for score in scores))
  if len(environments) < 2:
    return []
  bounds = _bounds(scores) if bounds is None else bounds
  for environment in environments:
    if environment not in bounds:
      warn(
        f"{environment or 'an environment'} has no two scores to normalise "
        "by: left out of the aggregates"
      )
  environments = [name for name in environments if name in bounds]
  if len(environments) < 2:
    return []
  found: dict[str, dict[str, np.ndarray]] = {}
  for score in scores:
    if score.environment in bounds:
      low, high = bounds[score.environment]
      normalised = (score.per_seed - low) / (high - low)
      found.setdefault(score.label, {})[score.environment] = normalised
  whole = {}
  for label, tasks in found.items():
    missing = [name for name in environments if name not in tasks]
    if missing:
      warn(f"{label} has no run in {missing[0]}: left out of the aggregates")
    else:
      whole[label] = [tasks[name] for name in environments]
  if not whole:
    return []
  everything = np.concatenate([np.concatenate(x) for x in whole.values()])
  thresholds = np.linspace(
    min(0.0, everything.min()), max(1.0, everything.max()), _PROFILE_POINTS
  )
  return [_aggregate(label, x, thresholds) for label, x in whole.items()]


def _bounds(scores: Sequence[Score]) -> dict[str, tuple[float, float]]:
  pooled: dict[str, list[float]] = {}
  for score in scores:
    pooled.setdefault(score.environment, []).extend(score.per_seed)
  return {
    name: (float(min(values)), float(max(values)))
    for name, values in pooled.items()
    if min(values) < max(values)
  }


def _aggregate(
  label: str, scores: aggregates.Scores, thresholds: np.ndarray
) -> Aggregate:
  def profile(drawn):
    return aggregates.performance_profile(drawn, thresholds)

  low, high = aggregates.stratified_interval(scores, aggregates.aggregates)
  if all(task.size == 1 for task in scores):  # nothing to draw from
    low, high = np.full_like(low, np.nan), np.full_like(high, np.nan)
  profile_low, profile_high = aggregates.stratified_interval(scores, profile)
  return Aggregate(
    label,
    aggregates.aggregates(scores),
    low,
    high,
    thresholds,
    profile(scores),
    profile_low,
    profile_high,
  )
