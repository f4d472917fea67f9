"""What no loss reads is not computed."""

import dataclasses

import jax
import numpy as np
import pytest

from neurorl import training
from neurorl.training import loss_contracts
from tests import small

DOUBLE = "one_step_returns.bootstrap = @double_q()"
# File, more bindings, and whether the last predictions of the learned and of
# the target parameters are read.
CASES = [
  ("dqn.gin", "", False, True),
  ("dqn.gin", DOUBLE, True, True),
  ("c51.gin", "", False, True),
  ("alphazero.gin", "", False, True),
  ("ppo.gin", "", False, False),
  ("impala.gin", "", True, True),
]


def _watch(monkeypatch, **changes):
  """Records what builds find that a loss needs; perhaps they are told more."""
  found = []
  check = loss_contracts.check_loss

  def watch(*arguments):
    found.append(check(*arguments))
    return found[-1]._replace(**changes)

  monkeypatch.setattr(loss_contracts, "check_loss", watch)
  return found


@pytest.mark.parametrize(("file", "binding", "online", "target"), CASES)
def test_last_predictions_that_nothing_reads_are_left_out(
  monkeypatch, file, binding, online, target
):
  found = _watch(monkeypatch)
  training.build(small.load(file, binding).call())
  assert (found[-1].online_last, found[-1].target_last) == (online, target)


def test_without_a_target_network_both_are_read(monkeypatch):
  found = _watch(monkeypatch)
  experiment = small.load("dqn.gin").call()
  training.build(dataclasses.replace(experiment, target_params=None))
  assert (found[-1].online_last, found[-1].target_last) == (True, True)


@pytest.mark.parametrize("file", ["dqn.gin", "ppo.gin"])
def test_leaving_them_out_changes_nothing(monkeypatch, file):
  experiment = small.load(file).call()

  def train():
    program = training.build(experiment)
    state = jax.jit(program.init)(jax.random.key(0))
    run_chunk = jax.jit(program.run_chunk)
    state, _ = run_chunk(state, program.warm_up_iterations, False)
    return run_chunk(state, 2, True)[0].learning.params

  less = train()
  found = _watch(monkeypatch, online_last=True, target_last=True)
  everything = train()
  assert not found[-1].online_last
  jax.tree.map(
    lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-4, atol=1e-5),
    less,
    everything,
  )
