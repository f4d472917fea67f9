"""A slow reset happens only where an episode ended, to the same end."""

import jax
import jax.numpy as jnp
import numpy as np

from neurorl import environments
from tests.environments import test_batching

KEYS = jax.random.split(
  jax.random.key(5), (test_batching.T, test_batching.B, 2)
)


def _timesteps(environment, keys, actions):
  batched = environments.batch(environment)

  def step(carry, xs):
    carry = batched.step(xs[0], *carry, xs[1])
    return carry, carry[1]

  start = batched.reset(keys[0, :, 0])
  return start[1], jax.lax.scan(step, start, (keys, actions))[1]


def test_timesteps_are_those_of_resetting_every_row():
  plain = test_batching.walk()
  actions = jnp.asarray(test_batching.ACTIONS)
  expected = _timesteps(plain, KEYS, actions)
  slow = _timesteps(plain._replace(slow_reset=True), KEYS, actions)
  assert expected[1].last.any()
  jax.tree.map(np.testing.assert_array_equal, slow, expected)


def test_so_they_are_along_a_seeds_axis():
  slow = test_batching.walk()._replace(slow_reset=True)
  keys = jnp.stack([KEYS, KEYS[::-1]])
  actions = jnp.stack([jnp.asarray(test_batching.ACTIONS)] * 2)
  both = jax.vmap(lambda k, a: _timesteps(slow, k, a))(keys, actions)
  alone = [_timesteps(slow, keys[i], actions[i]) for i in range(2)]
  expected = jax.tree.map(lambda *xs: jnp.stack(xs), *alone)
  jax.tree.map(np.testing.assert_array_equal, both, expected)


def test_wrappers_pass_it_on():
  slow = test_batching.walk()._replace(slow_reset=True)
  assert environments.limit_episode(slow, 2).slow_reset
  assert environments.flatten_observation(slow).slow_reset
  assert environments.observation_action_reward(slow).slow_reset
