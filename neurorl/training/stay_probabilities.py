"""How often a first choice is repeated, from a record of the two-step task."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

# Of the trial before: its reward, and the transition of its choice.
CONDITIONS = (
  "rewarded common",
  "rewarded rare",
  "unrewarded common",
  "unrewarded rare",
)
_FIRST, _A, _B = range(3)


class Stay(NamedTuple):
  """Stay probabilities, in the order of `CONDITIONS`.

  Attributes:
    subjects: `[S]`.
    by_subject: `[S, 4]`; NaN where a subject never was in a condition.
    mean: `[4]`, over subjects.
    low: `[4]`, the lower end of the mean's 95 % bootstrap interval; NaN of one
      subject.
    high: `[4]`, its upper end.
    trials: `[4]`, how many trials of all subjects each is of.
  """

  subjects: np.ndarray
  by_subject: np.ndarray
  mean: np.ndarray
  low: np.ndarray
  high: np.ndarray
  trials: np.ndarray


def stay_probabilities(columns: Mapping[str, np.ndarray]) -> Stay:
  """Computes stay probabilities by the trial before.

  Who learns from rewards alone stays after rewarded trials; who knows which
  choice leads where stays after rewarded common and unrewarded rare ones.

  Daw et al. (2011), https://doi.org/10.1016/j.neuron.2011.02.027

  Args:
    columns: of a record of `@two_step()`, as `records.read` reads them.

  Returns:
    The probabilities.

  Raises:
    ValueError: if it is a record of another task.
  """
  stage = _stages(columns)
  last = columns["last"] > 0
  chose = np.flatnonzero((stage[:, _FIRST] > 0) & ~last)
  if not chose.size or chose[-1] + 2 >= len(stage) or last[chose + 1].any():
    raise ValueError(
      "the record is none of the two-step task: no choice is followed by a "
      "second stage and what it brought"
    )
  choice, second, brought = chose, chose + 1, chose + 2
  common = columns["action"][choice] == stage[second, _B]
  rewarded = columns["reward"][brought] > 0
  condition = 2 * ~rewarded + ~common
  # A trial is followed by another of the same episode, or by none.
  follows = ~last[brought[:-1]]
  actions = columns["action"][choice]
  stays = (actions[1:] == actions[:-1])[follows]
  condition = condition[:-1][follows]
  of = columns["subject"][choice][:-1][follows]
  subjects = np.unique(of).astype(int)
  by_subject = np.array(
    [
      [_mean(stays[(of == s) & (condition == c)]) for c in range(4)]
      for s in subjects
    ]
  )
  low, high = _interval(by_subject)
  return Stay(
    subjects,
    by_subject,
    by_subject.mean(axis=0),
    low,
    high,
    np.bincount(condition, minlength=4),
  )


def _stages(columns: Mapping[str, np.ndarray]) -> np.ndarray:
  """The one-hot of first stage, A and B, `[R, 3]`."""
  for name in ("observation_observation", "observation"):
    found = [x for n, x in columns.items() if n[: n.rfind("_")] == name]
    if len(found) in (3, 4):  # fixation comes before them
      return np.stack(found[-3:], axis=-1)
  raise ValueError(
    "the record is none of the two-step task: it has no columns observation_0 "
    "to 2, nor observation_observation_0 to 2"
  )


def _mean(values: np.ndarray) -> float:
  return float(values.mean()) if values.size else np.nan


def _interval(
  by_subject: np.ndarray, resamples: int = 10_000
) -> tuple[np.ndarray, np.ndarray]:
  """Bootstraps the mean over subjects."""
  count = len(by_subject)
  if count == 1:
    return np.full(4, np.nan), np.full(4, np.nan)
  chosen = np.random.default_rng(0).integers(count, size=(resamples, count))
  means = by_subject[chosen].mean(axis=1)
  low, high = np.quantile(means, [0.025, 0.975], axis=0)
  return low, high
