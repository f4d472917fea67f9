"""Scores over seeds and episodes: interquartile mean and its interval.

Agarwal et al. (2021), https://arxiv.org/abs/2108.13264
"""

from __future__ import annotations

import numpy as np


def interquartile_mean(scores: np.ndarray) -> float:
  """Averages the middle half.

  Args:
    scores: any shape, not empty.

  Returns:
    The mean of what is left when the lowest and the highest quarter are cut.
  """
  ordered = np.sort(np.asarray(scores, np.float64), axis=None)
  cut = ordered.size // 4
  return float(ordered[cut : ordered.size - cut].mean())


def bootstrap_interval(
  scores: np.ndarray, resamples: int = 1000, level: float = 0.95
) -> tuple[float, float]:
  """Bootstraps the interquartile mean over seeds and episodes.

  Seeds are resampled, and episodes within each: so the interval covers what
  another set of seeds would have given. With one seed only episodes are.

  Args:
    scores: `[seeds, episodes]`.
    resamples: how often.
    level: of the interval.

  Returns:
    Its lower and upper end.
  """
  scores = np.asarray(scores, np.float64)
  seeds, episodes = scores.shape
  rng = np.random.default_rng(0)
  estimates = np.empty(resamples)
  for i in range(resamples):
    chosen = rng.integers(seeds, size=(seeds, 1))
    drawn = scores[chosen, rng.integers(episodes, size=(seeds, episodes))]
    estimates[i] = interquartile_mean(drawn)
  tail = (1.0 - level) / 2.0
  low, high = np.quantile(estimates, [tail, 1.0 - tail])
  return float(low), float(high)


def curve_interval(
  scores: np.ndarray, resamples: int = 1000, level: float = 0.95
) -> tuple[np.ndarray, np.ndarray]:
  """Bootstraps the interquartile mean over seeds at every point of a curve.

  Args:
    scores: `[seeds, points]`; a seed is drawn with all of its points.
    resamples: how often.
    level: of the interval.

  Returns:
    Its lower and upper ends, `[points]`.
  """
  scores = np.asarray(scores, np.float64)
  seeds = scores.shape[0]
  rng = np.random.default_rng(0)
  estimates = np.stack(
    [
      curve_interquartile_mean(scores[rng.integers(seeds, size=seeds)])
      for _ in range(resamples)
    ]
  )
  tail = (1.0 - level) / 2.0
  low, high = np.quantile(estimates, [tail, 1.0 - tail], axis=0)
  return low, high


def curve_interquartile_mean(scores: np.ndarray) -> np.ndarray:
  """Averages the middle half of the seeds at every point of a curve.

  Args:
    scores: `[seeds, points]`.

  Returns:
    `[points]`.
  """
  ordered = np.sort(np.asarray(scores, np.float64), axis=0)
  cut = len(ordered) // 4
  return ordered[cut : len(ordered) - cut].mean(axis=0)


def summarise(scores: np.ndarray) -> dict[str, object]:
  """Summarises scores as `summary.json` has them.

  Args:
    scores: `[seeds, episodes]`.

  Returns:
    `per_seed` means, `mean`, `iqm` and its bootstrap interval `ci95`.
  """
  scores = np.asarray(scores, np.float64)
  return {
    "per_seed": [float(x) for x in scores.mean(axis=1)],
    "mean": float(scores.mean()),
    "iqm": interquartile_mean(scores),
    "ci95": list(bootstrap_interval(scores)),
  }
