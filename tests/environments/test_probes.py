import jax
import jax.numpy as jnp
import numpy as np
import pytest

from neurorl import environments
from neurorl.environments.probes import KINDS


def key_of(cue):
  """A key that draws a cue."""
  remembering = environments.probe("memory_matters")
  for seed in range(20):
    key = jax.random.key(seed)
    if float(remembering.reset(key)[1].observation[1]) == cue:
      return key
  raise AssertionError(f"no key draws {cue}")


def play(kind, cue, actions):
  """Rewards, discounts, flags and observations of an episode as lists."""
  environment = environments.probe(kind)
  state, timestep = environment.reset(key_of(cue))
  timesteps = [timestep]
  for action in actions:
    state, timestep = environment.step(
      jax.random.key(0), state, jnp.int32(action)
    )
    timesteps.append(timestep)
  return jax.tree.map(lambda *xs: np.stack(xs).tolist(), *timesteps)


# kind: cue, actions -> observations (1, cue, go), rewards, ends
EPISODES = [
  ("constant_reward", 1, [0], [(0, 0), (0, 0)], [1], "t"),
  ("constant_reward", -1, [1], [(0, 0), (0, 0)], [1], "t"),
  ("reward_from_observation", 1, [0], [(1, 0), (1, 0)], [1], "t"),
  ("reward_from_observation", -1, [1], [(-1, 0), (-1, 0)], [-1], "t"),
  (
    "discounting",
    1,
    [0, 1, 0],
    [(-1, 0), (0, 0), (1, 0), (2, 0)],
    [0, 0, 1],
    "mmt",
  ),
  ("action_matters", 1, [0], [(0, 0), (0, 0)], [-1], "t"),
  ("action_matters", -1, [1], [(0, 0), (0, 0)], [1], "t"),
  ("memory_matters", 1, [0, 1], [(1, 0), (0, 1), (0, 0)], [0, 1], "mt"),
  ("memory_matters", 1, [1, 0], [(1, 0), (0, 1), (0, 0)], [0, -1], "mt"),
  ("memory_matters", -1, [1, 0], [(-1, 0), (0, 1), (0, 0)], [0, 1], "mt"),
  ("memory_matters", -1, [0, 1], [(-1, 0), (0, 1), (0, 0)], [0, -1], "mt"),
  ("timeout_is_not_death", 1, [0, 1, 0], [(0, 0)] * 4, [1, 1, 1], None),
]


@pytest.mark.parametrize(
  ("kind", "cue", "actions", "observations", "rewards", "ends"), EPISODES
)
def test_episodes_by_hand(kind, cue, actions, observations, rewards, ends):
  timesteps = play(kind, cue, actions)
  if ends is None:  # the clock strikes at random, and always by this key or not
    struck = timesteps.last[1]
    ends = ("o" if struck else "m") * len(actions)
  assert timesteps.observation == [[1, *seen] for seen in observations]
  assert timesteps.reward == [0, *rewards]
  assert timesteps.first == [True] + [False] * len(actions)
  assert timesteps.last == [False] + [end in "to" for end in ends]
  assert timesteps.discount == [1] + [float(end != "t") for end in ends]


def test_every_kind_is_in_the_table():
  assert {kind for kind, *_ in EPISODES} == set(KINDS)


def test_cues_are_drawn_evenly():
  keys = jax.random.split(jax.random.key(0), 1000)
  environment = environments.probe("reward_from_observation")
  _, timesteps = jax.vmap(environment.reset)(keys)
  assert abs(float(timesteps.observation[:, 1].mean())) < 0.1


def test_timeouts_come_at_random_and_are_no_deaths():
  environment = environments.probe("timeout_is_not_death")
  state, _ = environment.reset(jax.random.key(0))
  keys = jax.random.split(jax.random.key(1), 2000)
  step = jax.vmap(lambda key: environment.step(key, state, jnp.int32(0))[1])
  timesteps = step(keys)
  assert abs(float(timesteps.last.mean()) - 0.3) < 0.05
  assert float(timesteps.discount.min()) == 1.0


def test_all_kinds_run_in_one_program():
  def episode(kind, key):
    environment = environments.probe(kind)
    carry = environment.reset(key)

    def step(carry, action):
      carry = environment.step(key, carry[0], action)
      return carry, carry[1]

    return jax.lax.scan(step, carry, jnp.array([0, 1, 1]))[1]

  together = jax.jit(jax.vmap(episode, in_axes=(0, None)))(
    jnp.arange(len(KINDS)), key_of(1)
  )
  for code, kind in enumerate(KINDS):
    if kind == "timeout_is_not_death":  # plays by keys that `play` does not
      continue
    alone = play(kind, 1, [0, 1, 1])
    for field in ("observation", "reward", "discount", "first", "last"):
      np.testing.assert_array_equal(
        getattr(together, field)[code], getattr(alone, field)[1:]
      )


def test_the_spec_tells_the_truth():
  environment = environments.probe("discounting")
  _, timestep = environment.reset(jax.random.key(0))
  spec = environment.spec
  assert timestep.observation.shape == spec.observation.shape
  assert timestep.observation.dtype == spec.observation.dtype
  assert spec.actions.num_actions == 2


def test_an_unknown_kind_names_the_nearest():
  with pytest.raises(ValueError, match="did you mean 'memory_matters'"):
    environments.probe("memory_mattters")
