import jax
import jax.numpy as jnp
import numpy as np
import pytest

from neurorl import actors, environments
from neurorl.types import Agent, Progress, Task

TASK = Task(environments.collect_objects(((1.0, 0.0),)), 0.9)
# The first policy's features are best to the left, the second's to the right;
# both at once are had in between.
PSI = np.array(
  [
    [[3.0, 0.0], [2.0, 0.0], [2.0, 1.5], [0.0, 0.0]],
    [[0.0, 0.0], [1.5, 2.0], [0.0, 2.0], [0.0, 3.0]],
  ]
)
POLICIES = np.eye(2)


def act(recipe, w):
  """The action by a head that says `PSI`, for a task."""

  def step(params, key, timestep, state, mode):
    del params, key, timestep
    assert mode == "evaluating"
    psi = jnp.asarray(PSI)[None]
    values = jnp.sum(psi * jnp.asarray(w), axis=-1).max(axis=1)
    policies = jnp.asarray(POLICIES)[None]
    return {
      "successor": {"mean": values, "psi": psi, "policies": policies}
    }, state

  agent = Agent(None, None, step, None)
  env_state, timestep = jax.vmap(TASK.environment.reset)(
    jax.random.key(0)[None]
  )
  progress = Progress(jnp.float32(1.0), jnp.int32(0))
  actor = recipe(agent, TASK)
  decided = actor.step((), (None, None), timestep, env_state, (), (), progress)
  assert decided.action.dtype == jnp.int32
  assert set(decided.extras) == {"successor", "probabilities"}
  said = np.asarray(decided.extras["probabilities"])
  np.testing.assert_array_equal(said, np.eye(4)[np.asarray(decided.action)])
  return int(decided.action[0])


@pytest.mark.parametrize("w", [(1, 0), (1, 1), (-2, 1)])
def test_a_policy_acts_for_its_own_task_whatever_is_seen(w):
  assert act(actors.single_policy(0), w) == 0
  assert act(actors.single_policy(1), w) == 3


# The greatest of both policies: 3 0, 3.5 1, ... by hand.
@pytest.mark.parametrize(
  "w, action", [((1, 0), 0), ((0, 1), 3), ((1, 1), 1), ((1, -1), 0)]
)
def test_greedy_actions_improve_upon_all_policies(w, action):
  assert act(actors.greedy("successor"), w) == action


def test_what_is_refused():
  with pytest.raises(ValueError, match="index must be >= 0, got -1"):
    actors.single_policy(-1)
  with pytest.raises(ValueError, match="index = 2, but head 'successor' has 2"):
    act(actors.single_policy(2), (1, 0))
