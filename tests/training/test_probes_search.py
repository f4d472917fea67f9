"""Planning agents learn the known values of each probe environment."""

import numpy as np
import pytest

from tests import probes, small

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


@pytest.fixture(scope="module", params=["alphazero.gin", "muzero.gin"])
def learned(request):
  found = probes.learn(small.load(request.param, LEARN).call(), "policy")
  return {
    kind: (seen["value"], seen["policy"].argmax(axis=-1))
    for kind, seen in found.items()
  }


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
