import jax
import jax.numpy as jnp
import numpy as np
import pytest

from neurorl.actors import thompson
from neurorl.types import (
  Agent,
  DiscreteActions,
  Environment,
  EnvironmentSpec,
  Progress,
  Task,
  TimeStep,
)

M, A = 5, 7
SPEC = EnvironmentSpec(
  "Toy",
  jax.ShapeDtypeStruct((), jnp.float32),
  jax.ShapeDtypeStruct((), jnp.int32),
  DiscreteActions(A),
)


def agent(heads=("q",)):
  """Member i of an ensemble prefers action i, and next to it i + 1."""

  def step(params, key, timestep, state, mode):
    assert mode == "acting"
    q = jnp.eye(M, A) + 0.5 * jnp.eye(M, A, 1)
    q = jnp.broadcast_to(q, (*timestep.reward.shape, M, A))
    head = {"mean": q.mean(axis=1), "members": {"mean": q}}
    return dict.fromkeys(heads, head), state + 1

  return Agent(None, None, step, None)


TOY = agent()


def build(recipe=None, agent=TOY, invalid=None):
  environment = Environment(None, None, SPEC, invalid)
  return (recipe or thompson())(agent, Task(environment, 0.9))


def act(actor, state, first, seed=0, env_state=()):
  first = jnp.asarray(first)
  zeros = jnp.zeros(first.shape)
  timestep = TimeStep(zeros, zeros, zeros, first, first)
  progress = Progress(jnp.float32(0), jnp.int32(0))
  return actor.step(
    None,
    jax.random.split(jax.random.key(seed)),
    timestep,
    env_state,
    0,
    state,
    progress,
  )


def test_a_member_acts_for_a_whole_episode():
  actor = build()
  first = jnp.ones(1000, bool)
  output = act(actor, actor.init(jax.random.key(0), 1000), first)
  member = np.asarray(output.action)
  # All members, equally often: 200 each, with a deviation of 13.
  assert np.abs(np.bincount(member, minlength=M) - 200).max() < 60
  for seed in (1, 2):
    output = act(actor, output.actor_state, ~first, seed)
    np.testing.assert_array_equal(output.action, member)
  # Only where an episode begins another is drawn, and not by all alike.
  first = jnp.arange(1000) < 500
  output = act(actor, output.actor_state, first, 3)
  np.testing.assert_array_equal(output.action[500:], member[500:])
  assert np.mean(np.asarray(output.action)[:500] != member[:500]) > 0.6
  assert len(set(np.asarray(output.action)[:500])) == M


def test_what_is_recorded():
  actor = build()
  output = act(actor, actor.init(jax.random.key(0), 3), jnp.ones(3, bool))
  names = {"q", "log_prob", "probabilities", "learning"}
  assert set(output.extras) == names
  said = np.asarray(output.extras["probabilities"])
  np.testing.assert_array_equal(said, np.eye(A)[np.asarray(output.action)])
  assert output.extras["q"].shape == (3, A)
  np.testing.assert_array_equal(output.extras["log_prob"], np.zeros(3))
  np.testing.assert_array_equal(output.extras["learning"], np.ones((3, M)))
  assert output.agent_state == 1


def test_members_learn_by_chance_each_for_itself():
  actor = build(thompson(learning=0.3))
  first = jnp.ones(4000, bool)
  learning = act(actor, actor.init(jax.random.key(0), 4000), first).extras
  learning = np.asarray(learning["learning"])
  assert set(np.unique(learning)) == {0.0, 1.0}
  np.testing.assert_allclose(learning.mean(axis=0), np.full(M, 0.3), atol=0.03)
  correlation = np.corrcoef(learning.T) - np.eye(M)
  assert np.abs(correlation).max() < 0.08


def test_invalid_actions_are_not_taken():
  # What the member prefers is invalid: next to it is what it prefers else.
  actor = build(invalid=lambda state: jnp.arange(A) == state)
  first = jnp.zeros(3, bool)
  state = jnp.array([0, 3, 4])
  output = act(actor, state, first, env_state=jnp.array([0, 2, 4]))
  np.testing.assert_array_equal(output.action, [1, 3, 5])


def test_what_is_wrong_is_refused():
  for learning in (0.0, 1.1):
    with pytest.raises(ValueError, match=r"learning must be in \(0, 1\], got"):
      thompson(learning=learning)
  actor = build(agent=agent(("other",)))
  with pytest.raises(ValueError, match="thompson reads head 'q', but"):
    act(actor, jnp.zeros(1, jnp.int32), jnp.ones(1, bool))
