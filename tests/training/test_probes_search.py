"""Planning agents learn the known values of each probe environment."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from neurorl import environments, training
from neurorl.environments.probes import KINDS
from tests import small

GAMMA = 0.9
LEARN = """
train.unroll_length = 3
train.discount = 0.9
optimizer.learning_rate = 3e-3
TOTAL_STEPS = 24_000
train.environment = @probe()
uniform_replay:
  capacity = 3_000
  min_size = 240
  batch_size = 32
  sequence_length = 6
  period = 3
  updates_per_add = 1
"""


def _watch(kind, environment, agent, params, cue):
  """Values and likeliest actions along one episode whose cue is known."""
  state, timestep = environment.reset(jax.random.key(0))
  state = state._replace(cue=cue)
  shows_cue = (kind == KINDS.index("reward_from_observation")) | (
    kind == KINDS.index("memory_matters")
  )
  seen = timestep.observation
  seen = seen.at[1].set(jnp.where(shows_cue, cue, seen[1]))
  timestep = timestep._replace(observation=seen)
  memory = agent.initial_state(params, 1)
  found = []
  for _ in range(3):
    batched = jax.tree.map(lambda x: x[None], timestep)
    outputs, memory = agent.step(
      params, jax.random.key(0), batched, memory, "evaluating"
    )
    action = jnp.argmax(outputs["policy"]["mean"][0]).astype(jnp.int32)
    found.append((outputs["value"]["mean"][0], action))
    state, timestep = environment.step(jax.random.key(0), state, action)
  return jax.tree.map(lambda *xs: jnp.stack(xs), *found)


@pytest.fixture(scope="module", params=["alphazero.gin", "muzero.gin"])
def learned(request):
  base = small.load(request.param, LEARN).call()

  def run(kind, key):
    environment = environments.probe(kind)
    experiment = dataclasses.replace(base, environment=environment)
    program = training.build(experiment)
    warm_up = program.warm_up_iterations
    state, _ = program.run_chunk(program.init(key), warm_up, False)
    iterations = experiment.iterations - warm_up
    state, _ = program.run_chunk(state, iterations, True)
    params = state.learning.params["agent"]
    seen = [
      _watch(kind, environment, program.agent, params, cue)
      for cue in (-1.0, 1.0)
    ]
    return jax.tree.map(lambda *xs: jnp.stack(xs), *seen)

  keys = jax.random.split(jax.random.key(7), len(KINDS))
  values, actions = jax.jit(jax.vmap(run))(jnp.arange(len(KINDS)), keys)
  pairs = zip(np.asarray(values), np.asarray(actions), strict=True)
  return dict(zip(KINDS, pairs, strict=True))


def test_constant_reward(learned):
  values, _ = learned["constant_reward"]
  np.testing.assert_allclose(values[:, 0], 1.0, atol=0.1)


def test_reward_from_observation(learned):
  values, _ = learned["reward_from_observation"]
  np.testing.assert_allclose(values[:, 0], [-1.0, 1.0], atol=0.1)


def test_discounting(learned):
  values, _ = learned["discounting"]
  np.testing.assert_allclose(values[0], [GAMMA**2, GAMMA, 1.0], atol=0.1)


def test_action_matters(learned):
  values, actions = learned["action_matters"]
  np.testing.assert_array_equal(actions[:, 0], 1)
  np.testing.assert_allclose(values[:, 0], 1.0, atol=0.2)


def test_memory_matters(learned):
  values, actions = learned["memory_matters"]
  np.testing.assert_array_equal(actions[:, 1], [0, 1])
  np.testing.assert_allclose(values[:, 1], 1.0, atol=0.2)


def test_timeout_is_not_death(learned):
  values, _ = learned["timeout_is_not_death"]
  np.testing.assert_allclose(values[0], 1.0 / (1.0 - GAMMA), rtol=0.1)
