"""Scores over seeds, tasks and thresholds, against plain loops."""

import numpy as np
import pytest

from neurorl.ops import aggregates, statistics


def test_the_interquartile_mean_by_hand():
  assert statistics.interquartile_mean([8, 1, 2, 100, 4]) == (2 + 4 + 8) / 3
  assert statistics.interquartile_mean([3, 1, 2]) == 2  # nothing to cut


def test_a_curve_is_its_points_one_by_one():
  scores = np.random.default_rng(0).normal(size=(7, 4))
  found = statistics.curve_interquartile_mean(scores)
  for i in range(4):
    assert found[i] == statistics.interquartile_mean(scores[:, i])


def test_a_curves_interval_is_that_of_each_point():
  scores = np.random.default_rng(1).normal(size=(5, 3)) * [1.0, 10.0, 0.0]
  low, high = statistics.curve_interval(scores, resamples=4000)
  for i in range(3):
    expected = statistics.bootstrap_interval(scores[:, [i]], resamples=4000)
    # Other draws of the same distribution.
    np.testing.assert_allclose([low[i], high[i]], expected, atol=0.5)
  assert low[2] == high[2] == 0.0


def test_an_interval_covers_the_truth_as_often_as_it_says():
  rng = np.random.default_rng(2)
  covered = 0
  for _ in range(200):
    low, high = aggregates.stratified_interval(
      [rng.normal(0.3, 1.0, 20), rng.normal(0.7, 1.0, 20)],
      lambda scores: np.mean([x.mean() for x in scores]),
      resamples=200,
    )
    covered += low <= 0.5 <= high
  assert 0.88 < covered / 200 < 0.99


def test_runs_are_drawn_within_their_task():
  """Each task's runs are alike: then every draw gives the same mean."""
  low, high = aggregates.stratified_interval(
    [np.full(4, 1.0), np.full(9, 5.0)], aggregates.aggregates, resamples=50
  )
  np.testing.assert_array_equal(low, high)
  assert low[1] == low[2] == 3.0


def _ordered_middle(scores):
  ordered = sorted(x for task in scores for x in task)
  cut = len(ordered) // 4
  middle = ordered[cut : len(ordered) - cut]
  return sum(middle) / len(middle)


def test_aggregates_equal_plain_loops():
  rng = np.random.default_rng(3)
  scores = [rng.normal(0.8, 0.5, size=n) for n in (4, 6, 5)]
  means = sorted(sum(task) / len(task) for task in scores)
  gaps = [sum(1.0 - min(x, 1.0) for x in task) / len(task) for task in scores]
  expected = [_ordered_middle(scores), means[1], sum(means) / 3, sum(gaps) / 3]
  np.testing.assert_allclose(aggregates.aggregates(scores), expected)
  assert aggregates.AGGREGATES == ("iqm", "median", "mean", "optimality_gap")


@pytest.mark.parametrize("sizes", [(5, 5, 5), (2, 7)])
def test_a_profile_equals_a_plain_loop(sizes):
  rng = np.random.default_rng(4)
  scores = [rng.integers(0, 4, size=n) / 2.0 for n in sizes]
  thresholds = np.array([-0.1, 0.0, 0.5, 0.6, 1.5])
  expected = []
  for threshold in thresholds:
    parts = []
    for task in scores:
      above = [x for x in task if x > threshold]
      parts.append(len(above) / len(task))
    expected.append(sum(parts) / len(parts))
  found = aggregates.performance_profile(scores, thresholds)
  np.testing.assert_allclose(found, expected)
  assert found[0] == 1.0 and found[-1] == 0.0
