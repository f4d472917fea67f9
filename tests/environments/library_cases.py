"""What any adapter must keep, whatever the library behind it."""

import jax
import jax.numpy as jnp
import numpy as np

from neurorl import environments
from neurorl.training import contracts
from neurorl.types import TimeStep

WRAPPERS = (
  environments.flatten_observation,
  environments.observation_action_reward,
  lambda environment: environments.limit_episode(environment, 3),
)


def play(environment, actions, seed=0):
  """Timesteps of one episode and beyond its end, and the last state."""
  step = jax.jit(environment.step)
  state, timestep = jax.jit(environment.reset)(jax.random.key(seed))
  timesteps = [timestep]
  for t, action in enumerate(actions):
    action = jnp.asarray(action, environment.spec.action.dtype)
    state, timestep = step(jax.random.key(100 + t), state, action)
    timesteps.append(timestep)
  stacked = jax.tree.map(lambda *xs: np.stack(xs), *timesteps)
  return stacked, state


def check_shapes(environment):
  """Its spec is the truth, through every wrapper."""
  contracts.check_environment(environment)
  for wrap in WRAPPERS:
    contracts.check_environment(wrap(environment))


def check_batch(environment, steps, num_envs=2):
  """Episodes of a batch begin anew after they end; returns the timesteps."""
  batched = environments.batch(environment)
  actions = environment.spec.actions.num_actions

  @jax.jit
  def run(key):
    start = batched.reset(jax.random.split(key, num_envs))

    def step(carry, key):
      act_key, key = jax.random.split(key)
      action = jax.random.randint(act_key, (num_envs,), 0, actions)
      if environment.invalid_actions is not None:
        invalid = jax.vmap(environment.invalid_actions)(carry[0])
        logits = jnp.where(invalid, -jnp.inf, 0.0)
        action = jax.random.categorical(act_key, logits)
      keys = jax.random.split(key, (num_envs, 2))
      carry = batched.step(keys, *carry, action)
      return carry, carry[1]

    _, after = jax.lax.scan(step, start, jax.random.split(key, steps))
    return start[1], after

  first, after = run(jax.random.key(0))
  timesteps: TimeStep = jax.tree.map(
    lambda x, xs: np.concatenate([x[None], xs]), first, after
  )
  assert timesteps.first[0].all()
  np.testing.assert_array_equal(timesteps.first[1:], timesteps.last[:-1])
  assert timesteps.last.any()
  np.testing.assert_array_equal(timesteps.reward[timesteps.first], 0.0)
  np.testing.assert_array_equal(timesteps.discount[~timesteps.last], 1.0)
  return timesteps


def check_picture(environment):
  """A state has a picture that a person can see."""
  state, _ = jax.jit(environment.reset)(jax.random.key(0))
  picture = environment.render(state)
  assert picture.dtype == np.uint8 and picture.ndim == 3
  assert picture.shape[2] == 3 and max(picture.shape) >= 100
  assert len(np.unique(picture.reshape(-1, 3), axis=0)) > 1
