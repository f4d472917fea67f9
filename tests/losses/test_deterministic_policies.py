import jax
import jax.numpy as jnp
import numpy as np
import pytest

from neurorl import losses
from neurorl.ops import distributions
from neurorl.types import ContinuousActions
from tests.losses import test_soft_actor_critic as soft

# A policy whose mode is the squashed `'loc'`.
BOUNDED = distributions.squashed_gaussian(
  ContinuousActions(np.array([-1.0]), np.array([1.0]))
)


def inputs(loc=soft.LOC, target_loc=soft.LOG_PROB, **settings):
  case = soft.continuous(**settings)
  policies = [
    {"loc": jnp.asarray(x)[..., None], "scale": jnp.ones((*x.shape, 1))}
    for x in (loc, target_loc)
  ]
  return case._replace(
    online={**case.online, "policy": policies[0]},
    target={**case.target, "policy": policies[1]},
    agent=case.agent._replace(distributions={"policy": BOUNDED}),
  )


def least(loc):
  action = np.tanh(loc)
  return np.minimum(*(soft.TARGET_STATE + s * action for s in soft.TARGET))


def test_values_of_the_targets_policy_by_hand():
  """The online policy has no say."""
  found = losses.smoothed_value(noise=0.0)(inputs())
  np.testing.assert_allclose(found, least(soft.LOG_PROB), rtol=1e-5)
  target = losses.one_step_returns(losses.smoothed_value(noise=0.0))(inputs())
  np.testing.assert_allclose(
    soft.valid_only(target),
    soft.valid_only(soft.one_step(least(soft.LOG_PROB))),
    rtol=1e-5,
  )


def test_noise_is_clipped():
  sharp = losses.smoothed_value(noise=1e6, clip=0.3)(inputs())
  both = [least(soft.LOG_PROB + sign * 0.3) for sign in (-1.0, 1.0)]
  distance = np.abs(np.asarray(sharp) - both).min(axis=0)
  np.testing.assert_allclose(distance, 0.0, atol=1e-5)
  little = losses.smoothed_value(noise=0.01)(inputs())
  moved = np.abs(little - least(soft.LOG_PROB))
  assert (moved > 0).all() and moved.max() < 0.2


def test_policies_climb_the_first_critic():
  term = losses.deterministic_policy_gradient()
  value = soft.STATE + soft.ONLINE[0] * np.tanh(soft.LOC)
  np.testing.assert_allclose(term(inputs()).loss, -value[:-1], rtol=1e-5)

  def loss(loc, state, params):
    return term(inputs(loc, state=state, params=params)).loss.sum()

  by_action, *others = jax.grad(loss, (0, 1, 2))(
    jnp.asarray(soft.LOC), jnp.asarray(soft.STATE), jnp.asarray(soft.ONLINE)
  )
  slope = soft.ONLINE[0] * (1 - np.tanh(soft.LOC) ** 2)
  np.testing.assert_allclose(by_action[:-1], -slope[:-1], rtol=1e-4)
  assert not by_action[-1].any()
  for gradient in others:
    assert not np.any(gradient)


@pytest.mark.parametrize(
  "settings, message",
  [
    ({"noise": -0.1}, "smoothed_value.noise must be >= 0"),
    ({"clip": 0.0}, "smoothed_value.clip must be above 0"),
  ],
)
def test_bad_arguments(settings, message):
  with pytest.raises(ValueError, match=message):
    losses.smoothed_value(**settings)


@pytest.mark.parametrize(
  "part, name",
  [
    (losses.smoothed_value(), "smoothed_value"),
    (losses.deterministic_policy_gradient(), "deterministic_policy_gradient"),
  ],
)
def test_a_missing_critic_is_named(part, name):
  case = inputs()
  agent = case.agent._replace(evaluate_action=None)
  with pytest.raises(ValueError, match=f"{name} reads head 'q'.*read actions"):
    part(case._replace(agent=agent))
