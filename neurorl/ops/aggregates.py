"""Scores over several tasks: aggregates, profiles and their intervals.

Scores are a sequence of tasks, each an array of one normalised score per run.
Agarwal et al. (2021), https://arxiv.org/abs/2108.13264
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from neurorl.ops.statistics import interquartile_mean

Scores = Sequence[np.ndarray]

AGGREGATES = ("iqm", "median", "mean", "optimality_gap")


def aggregates(scores: Scores, target: float = 1.0) -> np.ndarray:
  """Sums up scores in the four ways of the paper.

  Args:
    scores: of the tasks, `[runs]` each.
    target: the score beyond which nothing is missing.

  Returns:
    `[4]`, as named in `AGGREGATES`: the interquartile mean over all runs; the
    median and the mean of the tasks' means; how far short of the target runs
    fall, in the mean.
  """
  pooled = np.concatenate(scores)
  means = [task.mean() for task in scores]
  gaps = [target - np.minimum(task, target).mean() for task in scores]
  return np.array(
    [
      interquartile_mean(pooled),
      np.median(means),
      np.mean(means),
      np.mean(gaps),
    ]
  )


def performance_profile(scores: Scores, thresholds: np.ndarray) -> np.ndarray:
  """Says what part of the runs scores above each threshold.

  Args:
    scores: of the tasks, `[runs]` each.
    thresholds: `[points]`.

  Returns:
    `[points]`: the mean over tasks of the part of their runs that is above.
  """
  parts = [(task[:, None] > thresholds).mean(axis=0) for task in scores]
  return np.mean(parts, axis=0)


def stratified_interval(
  scores: Scores,
  statistic: Callable[[Scores], np.ndarray],
  resamples: int = 2000,
  level: float = 0.95,
) -> tuple[np.ndarray, np.ndarray]:
  """Bootstraps a statistic of scores; runs are drawn anew within each task.

  Args:
    scores: of the tasks, `[runs]` each.
    statistic: scores to an array.
    resamples: how often.
    level: of the interval.

  Returns:
    Its lower and upper end, of the statistic's shape.
  """
  rng = np.random.default_rng(0)
  drawn = [
    statistic([rng.choice(task, size=task.size) for task in scores])
    for _ in range(resamples)
  ]
  tail = (1.0 - level) / 2.0
  low, high = np.quantile(drawn, [tail, 1.0 - tail], axis=0)
  return low, high
