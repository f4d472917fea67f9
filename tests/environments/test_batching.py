import jax
import jax.numpy as jnp
import numpy as np

from neurorl import environments
from neurorl.types import DiscreteActions, Environment, EnvironmentSpec

T, B = 24, 4


def walk():
  """Walks by the action; an episode takes one to four steps, by its key.

  The observation is (place, steps to go), the reward the action.
  """

  def reset(key):
    state = jnp.stack([jnp.int32(0), jax.random.randint(key, (), 1, 5)])
    return state, environments.restart(state)

  def step(key, state, action):
    del key
    state = state + jnp.stack([action, jnp.int32(-1)])
    return state, environments.transition(state, action, state[1] <= 0, False)

  spec = EnvironmentSpec(
    "walk",
    jax.ShapeDtypeStruct((2,), jnp.int32),
    jax.ShapeDtypeStruct((), jnp.int32),
    DiscreteActions(3),
  )
  return Environment(reset, step, spec)


def keys_of(seed):
  return jax.random.split(jax.random.key(seed), (T, B, 2))


def play(keys, actions):
  """Timesteps `[T + 1, B]` of a batch, as NumPy arrays."""
  return jax.tree.map(np.asarray, _play(keys, actions))


@jax.jit
def _play(keys, actions):
  environment = environments.batch(walk())

  def step(carry, xs):
    keys, actions = xs
    state, timestep = environment.step(keys, *carry, actions)
    return (state, timestep), timestep

  start = environment.reset(keys[0, :, 0])
  _, after = jax.lax.scan(step, start, (keys, actions))
  return jax.tree.map(
    lambda x, xs: jnp.concatenate([x[None], xs]), start[1], after
  )


ACTIONS = np.random.default_rng(0).integers(1, 3, (T, B))


def test_a_first_step_follows_a_last_one_and_nothing_else():
  timesteps = play(keys_of(0), ACTIONS)
  assert timesteps.first[0].all()
  np.testing.assert_array_equal(timesteps.first[1:], timesteps.last[:-1])
  assert (timesteps.last.sum(axis=0) > 3).all()
  # Rows end at different times: the test would see one that resets them all.
  assert (timesteps.last.any(axis=1) & ~timesteps.last.all(axis=1)).sum() > 3


def test_a_first_step_is_a_fresh_one():
  timesteps = play(keys_of(0), ACTIONS)
  first = timesteps.first
  np.testing.assert_array_equal(timesteps.reward[first], 0.0)
  np.testing.assert_array_equal(timesteps.discount[first], 1.0)
  np.testing.assert_array_equal(timesteps.observation[first][:, 0], 0)
  lengths = timesteps.observation[first][:, 1]
  assert set(lengths) == {1, 2, 3, 4}  # every episode draws its own


def test_within_an_episode_actions_are_followed():
  timesteps = play(keys_of(0), ACTIONS)
  moves = ~timesteps.first[1:]
  np.testing.assert_array_equal(timesteps.reward[1:][moves], ACTIONS[moves])
  walked = np.diff(timesteps.observation[..., 0], axis=0)
  np.testing.assert_array_equal(walked[moves], ACTIONS[moves])


def test_the_final_observation_is_the_true_one():
  timesteps = play(keys_of(0), ACTIONS)
  np.testing.assert_array_equal(timesteps.observation[timesteps.last][:, 1], 0)
  assert (timesteps.observation[timesteps.last][:, 0] > 0).all()


def test_the_action_at_a_last_step_is_ignored():
  timesteps = play(keys_of(0), ACTIONS)
  other = np.where(timesteps.last[:-1], 3 - ACTIONS, ACTIONS)
  assert (other != ACTIONS).any()
  again = play(keys_of(0), other)
  jax.tree.map(np.testing.assert_array_equal, timesteps, again)
  # And that at any other step is not.
  changed = play(keys_of(0), 3 - ACTIONS)
  assert (changed.reward != timesteps.reward).any()


def test_rows_are_independent():
  keys = keys_of(0)
  together = play(keys, ACTIONS)
  for b in range(B):
    alone = play(keys[:, b : b + 1], ACTIONS[:, b : b + 1])
    jax.tree.map(
      np.testing.assert_array_equal,
      jax.tree.map(lambda x, b=b: x[:, b : b + 1], together),
      alone,
    )


def test_the_spec_is_that_of_one_environment():
  assert environments.batch(walk()).spec == walk().spec
