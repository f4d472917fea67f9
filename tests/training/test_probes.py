"""Each algorithm learns the known values of each probe environment."""

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
TOTAL_STEPS = 60_000
"""
REPLAY = """
  capacity = 3_000
  min_size = 240
  batch_size = 32
  updates_per_add = 1
"""
ALGORITHMS = {
  "qlearning": (
    "qlearning.gin",
    "prioritized_replay:" + REPLAY + "  sequence_length = 6\n  period = 3\n",
    "epsilon_greedy.epsilon = 0.3\npolyak.step_size = 0.02",
  ),
  "dqn": (
    "dqn.gin",
    "uniform_replay:" + REPLAY,
    "epsilon_greedy.epsilon = 0.3\npolyak.step_size = 0.02",
  ),
  "gru_n_step": (
    "qlearning.gin",
    "prioritized_replay:" + REPLAY + "  sequence_length = 6\n  period = 3\n",
    "agent.core = @gru()\n"
    "regression.target = @n_step_returns()\nn_step_returns.n = 2\n"
    "n_step_returns.bootstrap = @double_q()\n"
    "q_head.codec = @scalar_codec()\n"
    "scalar_codec.transform = @signed_hyperbolic()\n"
    "epsilon_greedy.epsilon = 0.3\npolyak.step_size = 0.02",
  ),
}


def _watch(kind, environment, agent, params, cue):
  """Greedy action values along one episode whose cue is known, [3, A]."""
  state, timestep = environment.reset(jax.random.key(0))
  state = state._replace(cue=cue)
  shows_cue = (kind == KINDS.index("reward_from_observation")) | (
    kind == KINDS.index("memory_matters")
  )
  seen = timestep.observation
  seen = seen.at[1].set(jnp.where(shows_cue, cue, seen[1]))
  timestep = timestep._replace(observation=seen)
  memory = agent.initial_state(params, 1)
  values = []
  for _ in range(3):
    batched = jax.tree.map(lambda x: x[None], timestep)
    outputs, memory = agent.step(
      params, jax.random.key(0), batched, memory, "evaluating"
    )
    q = outputs["q"]["mean"][0]
    values.append(q)
    state, timestep = environment.step(
      jax.random.key(0), state, jnp.argmax(q).astype(jnp.int32)
    )
  return jnp.stack(values)


def _learn(files_and_bindings):
  file, *bindings = files_and_bindings
  base = small.load(
    file,
    LEARN,
    *bindings,
    "train.environment = @probe()",
    core="gru" if "@gru()" in bindings[-1] else "lstm",
  ).call()

  def run(kind, key):
    environment = environments.probe(kind)
    experiment = dataclasses.replace(base, environment=environment)
    program = training.build(experiment)
    warm_up = program.warm_up_iterations
    state, _ = program.run_chunk(program.init(key), warm_up, False)
    iterations = experiment.iterations - warm_up
    state, _ = program.run_chunk(state, iterations, True)
    params = state.learning.params["agent"]
    return jnp.stack(
      [
        _watch(kind, environment, program.agent, params, cue)
        for cue in (-1.0, 1.0)
      ]
    )

  keys = jax.random.split(jax.random.key(7), len(KINDS))
  q = np.asarray(jax.jit(jax.vmap(run))(jnp.arange(len(KINDS)), keys))
  return dict(zip(KINDS, q, strict=True))


@pytest.fixture(scope="module", params=sorted(ALGORITHMS))
def learned(request):
  return request.param, _learn(ALGORITHMS[request.param])


def test_constant_reward(learned):
  _, q = learned
  np.testing.assert_allclose(q["constant_reward"][:, 0], 1.0, atol=0.1)


def test_reward_from_observation(learned):
  _, q = learned
  np.testing.assert_allclose(q["reward_from_observation"][0, 0], -1.0, atol=0.1)
  np.testing.assert_allclose(q["reward_from_observation"][1, 0], 1.0, atol=0.1)


def test_discounting(learned):
  _, q = learned
  expected = np.array([GAMMA**2, GAMMA, 1.0])
  np.testing.assert_allclose(
    q["discounting"][0].max(axis=-1), expected, atol=0.1
  )


def test_action_matters(learned):
  _, q = learned
  np.testing.assert_allclose(q["action_matters"][0, 0], [-1.0, 1.0], atol=0.15)


def test_memory_matters(learned):
  name, q = learned
  if name == "dqn":  # no core: the cue is forgotten, and neither action pays
    assert np.abs(q["memory_matters"][:, 1]).max() < 0.5
    return
  wanted = [[1.0, -1.0], [-1.0, 1.0]]
  np.testing.assert_allclose(q["memory_matters"][:, 1], wanted, atol=0.2)


def test_timeout_is_not_death(learned):
  _, q = learned
  values = q["timeout_is_not_death"][0].max(axis=-1)
  np.testing.assert_allclose(values, 1.0 / (1.0 - GAMMA), rtol=0.1)
