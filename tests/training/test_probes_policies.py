"""Agents with a policy learn the known values and actions of each probe."""

import numpy as np
import pytest

from tests import probes, small

GAMMA = 0.9
LEARN = """
train.discount = 0.9
train.environment = @probe()
"""
REPLAY = """
train.unroll_length = 3
uniform_replay:
  capacity = 3_000
  min_size = 240
  batch_size = 32
  sequence_length = 6
  period = 3
  updates_per_add = 1
"""
SEARCH = f"""{REPLAY}
optimizer.learning_rate = 3e-3
TOTAL_STEPS = 24_000
"""
GRU = """
LEARNING_RATE = 3e-3
TOTAL_STEPS = 60_000
agent.core = @gru()
gru.hidden_size = 16
"""
DISCRETE_SAC = f"""{REPLAY}{GRU}
polyak.step_size = 0.02
entropy_constraint.target_entropy = 0.05
"""
ROLLOUT = f"""{GRU}
train.unroll_length = 12
rollout.chunk_length = None
"""
FILES = {
  "alphazero.gin": SEARCH,
  "muzero.gin": SEARCH,
  "discrete_sac.gin": DISCRETE_SAC,
  "vmpo.gin": ROLLOUT,
  "recurrent_ppo.gin": ROLLOUT + "rollout.num_minibatches = 2",
  "impala.gin": ROLLOUT.replace("gru", "lstm"),
}


def _learn(file):
  found = probes.learn(small.load(file, LEARN, FILES[file]).call(), "policy")
  return {
    kind: (
      seen["q"].max(axis=-1) if "q" in seen else seen["value"],
      seen["policy"].argmax(axis=-1),
    )
    for kind, seen in found.items()
  }


# What shares its parts with another one is left to `pytest -m thorough`.
THOROUGH = ("muzero.gin", "discrete_sac.gin", "vmpo.gin", "impala.gin")


@pytest.mark.parametrize(
  "file",
  [
    pytest.param(file, marks=[pytest.mark.thorough] * (file in THOROUGH))
    for file in FILES
  ],
)
def test_values_and_actions(file, optimised):
  learned = _learn(file)
  values, _ = learned["constant_reward"]
  np.testing.assert_allclose(values[:, 0], 1.0, atol=0.1)

  values, _ = learned["reward_from_observation"]
  np.testing.assert_allclose(values[:, 0], [-1.0, 1.0], atol=0.1)

  values, _ = learned["discounting"]
  np.testing.assert_allclose(values[0], [GAMMA**2, GAMMA, 1.0], atol=0.1)

  values, actions = learned["action_matters"]
  np.testing.assert_array_equal(actions[:, 0], 1)
  np.testing.assert_allclose(values[:, 0], 1.0, atol=0.2)

  values, actions = learned["memory_matters"]
  np.testing.assert_array_equal(actions[:, 1], [0, 1])
  np.testing.assert_allclose(values[:, 1], 1.0, atol=0.2)

  values, _ = learned["timeout_is_not_death"]
  np.testing.assert_allclose(values[0], 1.0 / (1.0 - GAMMA), rtol=0.1)
