import jax
import jax.numpy as jnp
import numpy as np
import pytest

from neurorl import losses
from neurorl.ops import outputs
from neurorl.ops.codecs import SCALAR
from tests.sequences import loss_inputs, timesteps

STEPS = timesteps("fmtf", "fmof", reward=np.arange(8.0).reshape(4, 2))
NOVELTY = jnp.asarray(np.random.default_rng(0).uniform(size=(4, 2)))


def case(novelty=NOVELTY):
  """What was recorded on acting, as preparing a rollout sees it."""
  recorded = outputs.Recorded({"novelty": novelty, "value": jnp.ones((4, 2))})
  return loss_inputs(STEPS, 0.5, online=recorded, target=recorded)


def test_the_bonus_of_a_transition_is_that_of_where_it_arrives():
  found = losses.intrinsic_rewards("novelty", 3.0)(case())
  np.testing.assert_allclose(found, 3 * NOVELTY[1:], rtol=1e-6)


def test_a_bonus_has_no_gradient_and_nothing_beyond_the_end_has_one():
  gradient = jax.grad(
    lambda x: losses.intrinsic_rewards("novelty")(case(x)).sum()
  )(NOVELTY)
  np.testing.assert_array_equal(gradient, 0)
  absorbing = jnp.zeros((3, 2)).at[2, 0].set(1.0)
  inputs = case()._replace(absorbing=absorbing)
  found = losses.intrinsic_rewards("novelty")(inputs)
  np.testing.assert_array_equal(found == 0, absorbing == 1)


def test_sums_go_into_returns():
  rewards = losses.sum_of(
    [losses.rewards(), losses.intrinsic_rewards("novelty", 2.0)]
  )
  mixed = np.asarray(STEPS.reward + 2 * NOVELTY)[1:]
  np.testing.assert_allclose(rewards(case()), mixed, rtol=1e-6)
  returns = losses.lambda_returns(losses.target_value(), 1.0, rewards)
  found = returns(case())
  # The termination's bonus counts, and nothing behind it.
  terminated = [mixed[0, 0] + 0.5 * mixed[1, 0], mixed[1, 0]]
  timed_out = [mixed[0, 1] + 0.5 * (mixed[1, 1] + 0.5), mixed[1, 1] + 0.5]
  np.testing.assert_allclose(found[:2, 0], terminated, rtol=1e-6)
  np.testing.assert_allclose(found[:2, 1], timed_out, rtol=1e-6)


def test_low_values_trains_a_head_by_what_it_predicts():
  term = losses.low_values(losses.scalar("novelty"))

  def loss(novelty):
    inputs = loss_inputs(
      STEPS,
      0.5,
      online={"novelty": {"raw": novelty, "mean": novelty}},
      codecs={"novelty": SCALAR},
    )
    return (term(inputs).loss * inputs.mask).sum()

  expected = np.array([[1, 1], [1, 1], [0, 0], [0, 0]])
  np.testing.assert_array_equal(jax.grad(loss)(NOVELTY), expected)


def test_what_is_refused():
  with pytest.raises(ValueError, match=r"sum_of\.sources is empty"):
    losses.sum_of([])
  with pytest.raises(ValueError, match="intrinsic_rewards reads head 'novlty'"):
    losses.intrinsic_rewards("novlty")(case())
