import jax.numpy as jnp
import numpy as np
import pytest

from neurorl.ops import episodes
from tests.sequences import timesteps

# middle, termination, (reset), middle, time-out, (reset); and one that goes on
STEPS = timesteps("fmtfmof", "mmmmmmm")


def test_transitions_from_a_last_step_do_not_count():
  mask = episodes.valid_transitions(STEPS)
  np.testing.assert_array_equal(mask[:, 0], [1, 1, 0, 1, 1, 0])
  np.testing.assert_array_equal(mask[:, 1], np.ones(6))
  assert mask.dtype == jnp.float32


def test_discounts_are_zero_at_terminations_and_gamma_at_timeouts():
  discounts = episodes.discounts(STEPS, 0.9)
  np.testing.assert_allclose(
    discounts[:, 0], np.array([0.9, 0, 0.9, 0.9, 0.9, 0.9]), rtol=1e-6
  )
  np.testing.assert_allclose(discounts[:, 1], np.full(6, 0.9), rtol=1e-6)


def test_traces_are_cut_on_arrival_at_either_end():
  traces = episodes.traces(STEPS, 0.8)
  np.testing.assert_allclose(
    traces[:, 0], np.array([0.8, 0, 0.8, 0.8, 0, 0.8]), rtol=1e-6
  )
  np.testing.assert_allclose(traces[:, 1], np.full(6, 0.8), rtol=1e-6)


def test_lambda_may_differ_between_transitions():
  lambda_ = np.arange(1.0, 13.0).reshape(6, 2)
  traces = episodes.traces(STEPS, lambda_)
  np.testing.assert_array_equal(traces[:, 0], [1, 0, 5, 7, 0, 11])
  np.testing.assert_array_equal(traces[:, 1], lambda_[:, 1])


def test_flags_that_are_not_booleans_are_refused():
  wrong = STEPS._replace(last=STEPS.last.astype(jnp.float32))
  with pytest.raises(AssertionError):
    episodes.valid_transitions(wrong)
