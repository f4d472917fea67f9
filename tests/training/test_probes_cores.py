"""Every core remembers, whatever algorithm trains it."""

import numpy as np
import pytest

from neurorl import config
from tests import probes, small
from tests.training import test_probes, test_probes_policies

SIZES = {
  "ctrnn": "ctrnn.hidden_size = 16",
  "gru": "gru.hidden_size = 16",
  "gtrxl": "gtrxl.hidden_size = 16\ngtrxl.memory_size = 4",
  "linear_attention": "linear_attention.hidden_size = 16",
  "lru": "lru.hidden_size = 16\nlru.state_size = 16",
  "lstm": "lstm.hidden_size = 16",
  "min_gru": "min_gru.hidden_size = 16",
  "rnn": "rnn.hidden_size = 16",
  "s5": "s5.hidden_size = 16\ns5.state_size = 16",
}
_, *QLEARNING = test_probes.ALGORITHMS["qlearning"]
_, *PQN = test_probes.ALGORITHMS["pqn"]
ALGORITHMS = {
  "qlearning.gin": ("q", [test_probes.LEARN, *QLEARNING]),
  "recurrent_pqn.gin": ("q", [test_probes.LEARN, *PQN]),
  "recurrent_ppo.gin": (
    "policy",
    [
      test_probes_policies.LEARN,
      test_probes_policies.FILES["recurrent_ppo.gin"],
    ],
  ),
  "alphazero.gin": (
    "policy",
    [test_probes_policies.LEARN, test_probes_policies.SEARCH],
  ),
}


def _with_core(file, core, bindings):
  lines = "\n".join([small.sizes(file), *bindings]).splitlines()
  sizes = ("lstm.hidden_size", "gru.hidden_size", "agent.core")
  text = "\n".join(line for line in lines if not line.startswith(sizes))
  environment = "train.environment = @probe()"
  core = f"agent.core = @{core}()\n{SIZES[core]}"
  return config.load([file], [text, environment, core]).call()


@pytest.mark.thorough
@pytest.mark.parametrize("file", ALGORITHMS)
@pytest.mark.parametrize("core", SIZES)
def test_the_cue_is_remembered(core, file, optimised):
  head, bindings = ALGORITHMS[file]
  found = probes.learn(_with_core(file, core, bindings), head)
  seen = found["memory_matters"][head][:, 1]
  np.testing.assert_array_equal(seen.argmax(axis=-1), [0, 1])
  if head == "q":
    np.testing.assert_allclose(seen, [[1.0, -1.0], [-1.0, 1.0]], atol=0.25)
  else:
    values = found["memory_matters"]["value"][:, 1]
    np.testing.assert_allclose(values, 1.0, atol=0.25)
