"""Each algorithm learns the known values of each probe environment."""

import numpy as np
import pytest

from tests import probes, small

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
FAST = "epsilon_greedy.epsilon = 0.3\npolyak.step_size = 0.02\n"
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
  "c51": (
    "c51.gin",
    "uniform_replay:" + REPLAY,
    FAST + "two_hot.low = -4\ntwo_hot.high = 12\ntwo_hot.num_bins = 33",
  ),
  "iqn": (
    "iqn.gin",
    "uniform_replay:" + REPLAY,
    FAST + "implicit_quantile_q_head.num_samples = 8\n"
    "implicit_quantile_q_head.hidden_sizes = (16,)",
  ),
  "pqn": (
    "recurrent_pqn.gin",
    "train.unroll_length = 12",
    "gru.hidden_size = 16\nepsilon_greedy.epsilon = 0.3",
  ),
  "munchausen": ("munchausen_dqn.gin", "uniform_replay:" + REPLAY, FAST),
  "retrace": (
    "retrace.gin",
    "prioritized_replay:" + REPLAY + "  sequence_length = 6\n  period = 3\n",
    FAST,
  ),
}
WITHOUT_CORE = ("dqn", "c51", "iqn", "munchausen")
# An action far from the best costs as much, beside the reward for it.
MUNCHAUSEN = -0.9


def _learn(files_and_bindings):
  file, *bindings = files_and_bindings
  base = small.load(
    file,
    LEARN,
    *bindings,
    "train.environment = @probe()",
    core="gru" if "@gru()" in bindings[-1] else "lstm",
  ).call()
  return {kind: seen["q"] for kind, seen in probes.learn(base, "q").items()}


# What shares its parts with another one is left to `pytest -m thorough`.
THOROUGH = ("gru_n_step", "c51", "iqn", "munchausen", "retrace")


@pytest.mark.parametrize(
  "name",
  [
    pytest.param(name, marks=[pytest.mark.thorough] * (name in THOROUGH))
    for name in ALGORITHMS
  ],
)
def test_values(name, optimised):
  q = _learn(ALGORITHMS[name])
  np.testing.assert_allclose(q["constant_reward"][:, 0], 1.0, atol=0.1)

  found = q["reward_from_observation"][:, 0]
  np.testing.assert_allclose(found[0], -1.0, atol=0.1)
  np.testing.assert_allclose(found[1], 1.0, atol=0.1)

  found = q["discounting"][0].max(axis=-1)
  np.testing.assert_allclose(found, [GAMMA**2, GAMMA, 1.0], atol=0.1)

  worst = -1.0 + (MUNCHAUSEN if name == "munchausen" else 0.0)
  found = q["action_matters"][0, 0]
  np.testing.assert_allclose(found, [worst, 1.0], atol=0.15)

  found = q["memory_matters"][:, 1]
  if name in WITHOUT_CORE:  # the cue is forgotten, and neither action pays
    # What luck makes the worse one costs with Munchausen's term.
    least = -0.5 + (MUNCHAUSEN if name == "munchausen" else 0.0)
    assert found.max() < 0.5
    assert found.min() > least
  else:
    np.testing.assert_allclose(found, [[1.0, -1.0], [-1.0, 1.0]], atol=0.2)

  found = q["timeout_is_not_death"][0].max(axis=-1)
  np.testing.assert_allclose(found, 1.0 / (1.0 - GAMMA), rtol=0.1)
