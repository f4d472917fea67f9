import jax
import jax.numpy as jnp
import numpy as np

from neurorl import environments
from neurorl.training import collect
from neurorl.types import Actor, ActorOutput, Agent, Progress

NUM_ENVS, UNROLL = 6, 7
PROGRESS = Progress(jnp.float32(0.0), jnp.int32(0))
IDLE = Agent(
  None, lambda params, batch: jnp.zeros(batch, jnp.int32), None, None
)


def _step(params, key, timestep, env_state, agent_state, state, progress):
  """Always right; the agent's state counts steps, the extra is its double."""
  ones = jnp.ones(timestep.last.shape, jnp.int32)
  extras = {"double": 2 * agent_state, "unread": agent_state}
  return ActorOutput(ones, extras, agent_state + 1, state + 1)


ACTOR = Actor(lambda key, num_envs: jnp.zeros(num_envs, jnp.int32), _step)


def rollouts(kind, count=1, extras=("double",), peeks=False):
  environment = environments.batch(environments.probe(kind))
  acting = collect.init(
    environment, IDLE, ACTOR, (), NUM_ENVS, jax.random.key(0)
  )
  run = jax.jit(collect.make(environment, ACTOR, UNROLL, extras, peeks))
  found = []
  for i in range(count):
    acting, steps, tally = run((), acting, jax.random.key(i), PROGRESS)
    found.append((steps, tally))
  return found


def test_what_is_recorded():
  (first, _), (second, _) = rollouts("discounting", 2)
  assert set(first.extras) == {"double"}
  time = np.arange(UNROLL)[:, None] + np.zeros((1, NUM_ENVS), int)
  # The state before the step, carried from one rollout to the next.
  np.testing.assert_array_equal(first.agent_state, time)
  np.testing.assert_array_equal(second.agent_state, time + UNROLL)
  np.testing.assert_array_equal(first.extras["double"], 2 * time)
  # Episodes of three transitions: a first, two in the middle, a last.
  np.testing.assert_array_equal(first.timestep.first, time % 4 == 0)
  np.testing.assert_array_equal(first.timestep.last, time % 4 == 3)
  np.testing.assert_array_equal(second.timestep.last, (time + UNROLL) % 4 == 3)


def test_episodes_are_tallied_over_rollouts():
  (_, first), (_, second) = rollouts("discounting", 2)
  # 7 slots reach steps 1 to 7: episodes end at 3 and 7; slots 3 start none.
  assert int(first.episodes) == 2 * NUM_ENVS
  assert int(first.lengths) == 6 * NUM_ENVS
  assert float(first.returns) == 2.0 * NUM_ENVS
  assert int(first.transitions) == 6 * NUM_ENVS
  # Steps 8 to 14: one ends, at 11.
  assert int(second.episodes) == NUM_ENVS
  assert int(second.lengths) == 3 * NUM_ENVS


def test_environments_have_keys_of_their_own():
  ((steps, _),) = rollouts("timeout_is_not_death")
  last = np.asarray(steps.timestep.last)
  assert any((last[:, 0] != last[:, i]).any() for i in range(1, NUM_ENVS))
  ((steps, _),) = rollouts("reward_from_observation")
  cues = np.asarray(steps.timestep.observation[..., 1])
  # Even steps begin an episode, each with a cue of its own.
  assert any(abs(row.mean()) < 1.0 for row in cues[2::2])


def test_a_peek_is_the_step_that_the_next_rollout_begins_with():
  (first, tally), (second, _) = rollouts("discounting", 2, peeks=True)
  assert first.action.shape == (UNROLL + 1, NUM_ENVS)
  last = jax.tree.map(lambda x: x[-1], first)
  begins = jax.tree.map(lambda x: x[0], second)
  jax.tree.map(np.testing.assert_array_equal, last, begins)
  # Nothing moved by it: as many transitions as without.
  ((_, plain),) = rollouts("discounting")
  assert jax.tree.map(int, tally) == jax.tree.map(int, plain)
