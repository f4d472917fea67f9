import jax
import jax.numpy as jnp
import numpy as np
import pytest

from neurorl import environments
from neurorl.types import (
  ContinuousActions,
  DiscreteActions,
  Environment,
  EnvironmentSpec,
)


def counting(length, actions=None, timeout=False):
  """Counts to `length`; its reward is ten times the count."""
  actions = actions or DiscreteActions(3)

  def observe(count):
    return {
      "b": jnp.full((2, 2), count, jnp.int32),
      "a": jnp.float32(-count),
    }

  def reset(key):
    del key
    count = jnp.int32(0)
    return count, environments.restart(observe(count))

  def step(key, count, action):
    del key, action
    count = count + 1
    over = count >= length
    return count, environments.transition(
      observe(count), 10.0 * count, over & (not timeout), over & timeout
    )

  if isinstance(actions, DiscreteActions):
    action = jax.ShapeDtypeStruct((), jnp.int32)
  else:
    action = jax.ShapeDtypeStruct(actions.low.shape, jnp.float32)
  observation = jax.eval_shape(observe, 0)
  spec = EnvironmentSpec("counting", observation, action, actions)
  return Environment(reset, step, spec)


def play(environment, steps, action=0):
  """Returns the timesteps of an episode, stacked over time."""
  state, timestep = environment.reset(jax.random.key(0))
  timesteps = [timestep]
  for t in range(steps):
    state, timestep = environment.step(
      jax.random.key(t),
      state,
      jnp.asarray(action, environment.spec.action.dtype),
    )
    timesteps.append(timestep)
  return jax.tree.map(lambda *xs: jnp.stack(xs), *timesteps)


def assert_same_but(timesteps, others, *fields):
  for field in set(timesteps._fields) - set(fields):
    jax.tree.map(
      np.testing.assert_array_equal,
      getattr(timesteps, field),
      getattr(others, field),
    )


def wrappers():
  return {
    "flatten_observation": environments.flatten_observation,
    "scale_reward": lambda e: environments.scale_reward(e, 2.0),
    "clip_reward": lambda e: environments.clip_reward(e, -15.0, 15.0),
    "time_limit_is_terminal": environments.time_limit_is_terminal,
    "limit_episode": lambda e: environments.limit_episode(e, 2),
    "observation_action_reward": environments.observation_action_reward,
  }


@pytest.mark.parametrize("name", wrappers())
def test_every_wrapper_keeps_the_contract(name):
  wrapped = wrappers()[name](counting(3))
  state, timestep = wrapped.reset(jax.random.key(0))
  after, arrived = wrapped.step(jax.random.key(0), state, jnp.int32(1))
  for x, y in [(state, after), (timestep, arrived)]:
    assert jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), x) == (
      jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), y)
    )
  seen = jax.tree.map(
    lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), arrived.observation
  )
  assert seen == wrapped.spec.observation
  assert wrapped.spec.actions == DiscreteActions(3)
  assert bool(timestep.first) and not bool(arrived.first)
  assert float(timestep.reward) == 0.0 and float(timestep.discount) == 1.0


@pytest.mark.parametrize("name", wrappers())
def test_every_wrapper_runs_in_a_batched_scan(name):
  environment = environments.batch(wrappers()[name](counting(3)))
  keys = jax.random.split(jax.random.key(0), 2)

  def step(carry, _):
    carry = environment.step(
      keys[:, None].repeat(2, 1), *carry, jnp.zeros(2, jnp.int32)
    )
    return carry, carry[1]

  _, timesteps = jax.lax.scan(step, environment.reset(keys), length=8)
  period = 2 if name == "limit_episode" else 3
  expected = (np.arange(1, 9) % (period + 1)) == period
  np.testing.assert_array_equal(timesteps.last[:, 0], expected)
  np.testing.assert_array_equal(timesteps.last[:, 1], expected)


def test_flatten_observation_joins_leaves_in_order():
  plain = counting(3)
  flat = environments.flatten_observation(plain)
  timesteps = play(flat, 3)
  expected = np.arange(4)[:, None] * np.array([-1, 1, 1, 1, 1])
  np.testing.assert_array_equal(timesteps.observation, expected)
  assert timesteps.observation.dtype == jnp.float32
  assert flat.spec.observation == jax.ShapeDtypeStruct((5,), jnp.float32)
  assert_same_but(timesteps, play(plain, 3), "observation")


def test_scale_reward():
  timesteps = play(environments.scale_reward(counting(3), 0.5), 3)
  np.testing.assert_array_equal(timesteps.reward, [0, 5, 10, 15])
  assert_same_but(timesteps, play(counting(3), 3), "reward")


def test_clip_reward():
  timesteps = play(environments.clip_reward(counting(3), -1.0, 25.0), 3)
  np.testing.assert_array_equal(timesteps.reward, [0, 10, 20, 25])
  assert_same_but(timesteps, play(counting(3), 3), "reward")
  timesteps = play(environments.clip_reward(counting(3)), 3)
  np.testing.assert_array_equal(timesteps.reward, [0, 1, 1, 1])


def test_clip_reward_leaves_the_first_step_without_a_reward():
  timesteps = play(environments.clip_reward(counting(3), 15.0, 25.0), 3)
  np.testing.assert_array_equal(timesteps.reward, [0, 15, 20, 25])


def test_clip_reward_checks_its_bounds():
  with pytest.raises(ValueError, match=r"low = 1\.0 exceeds .*high = -1\.0"):
    environments.clip_reward(counting(3), low=1.0, high=-1.0)


@pytest.mark.parametrize("timeout", [True, False])
def test_time_limit_is_terminal(timeout):
  plain = counting(2, timeout=timeout)
  before = play(plain, 2)
  np.testing.assert_array_equal(before.discount, [1, 1, float(timeout)])
  after = play(environments.time_limit_is_terminal(plain), 2)
  np.testing.assert_array_equal(after.discount, [1, 1, 0])
  assert_same_but(after, before, "discount")


@pytest.mark.parametrize(
  ("length", "last", "discount"),
  [
    (9, [0, 0, 1], [1, 1, 1]),  # cut off by the limit
    (2, [0, 0, 1], [1, 1, 0]),  # terminates as time runs out: no bootstrap
    (1, [0, 1, 1], [1, 0, 0]),  # terminates before
  ],
)
def test_limit_episode(length, last, discount):
  timesteps = play(environments.limit_episode(counting(length), 2), 2)
  np.testing.assert_array_equal(timesteps.last, np.array(last, bool))
  np.testing.assert_array_equal(timesteps.discount, discount)
  assert_same_but(timesteps, play(counting(length), 2), "last")


def test_limit_episode_counts_anew_after_a_reset():
  environment = environments.limit_episode(counting(9), 2)
  for _ in range(2):
    timesteps = play(environment, 2)
    np.testing.assert_array_equal(timesteps.last, [False, False, True])


def test_limit_episode_needs_a_step():
  with pytest.raises(ValueError, match="max_steps must be >= 1, got 0"):
    environments.limit_episode(counting(3), 0)


def test_observation_action_reward_shows_what_led_here():
  environment = environments.observation_action_reward(counting(3))
  state, timestep = environment.reset(jax.random.key(0))
  np.testing.assert_array_equal(timestep.observation["action"], [0, 0, 0])
  assert float(timestep.observation["reward"]) == 0.0
  for action, one_hot, reward in [(2, [0, 0, 1], 10), (0, [1, 0, 0], 20)]:
    state, timestep = environment.step(
      jax.random.key(1), state, jnp.int32(action)
    )
    np.testing.assert_array_equal(timestep.observation["action"], one_hot)
    assert float(timestep.observation["reward"]) == reward
    assert float(timestep.reward) == reward
  np.testing.assert_array_equal(timestep.observation["observation"]["b"], 2)


def test_observation_action_reward_takes_continuous_actions():
  box = ContinuousActions(np.full(2, -1.0), np.full(2, 1.0))
  environment = environments.observation_action_reward(counting(3, box))
  assert environment.spec.observation["action"].shape == (2,)
  timesteps = play(environment, 2, action=[0.5, -0.25])
  np.testing.assert_array_equal(
    timesteps.observation["action"], [[0, 0], [0.5, -0.25], [0.5, -0.25]]
  )
