"""What no loss reads is not computed."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from neurorl import losses, training
from neurorl.loss_types import LossInputs, TermOutput
from neurorl.training import loss_contracts, overview, own_code
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


@pytest.mark.parametrize(
  ("file", "core", "reads"),
  [
    ("dqn.gin", None, False),
    ("double_dqn.gin", None, False),
    ("bootstrapped_dqn.gin", None, False),
    ("munchausen_dqn.gin", None, True),  # the policy where a transition begins
    ("dqn.gin", "gru", True),  # its memory begins there
  ],
)
def test_the_targets_first_prediction_is_left_out_if_nothing_reads_it(
  monkeypatch, file, core, reads
):
  found = _watch(monkeypatch)
  binding = f"agent.core = @{core}()" if core else ""
  training.build(small.load(file, binding).call())
  assert found[-1].target_first == reads


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
  found = _watch(
    monkeypatch, online_last=True, target_last=True, target_first=True
  )
  everything = train()
  assert not found[-1].online_last
  assert found[-1].target_first == (file == "ppo.gin")
  jax.tree.map(
    lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-4, atol=1e-5),
    less,
    everything,
  )


def test_quantiles_of_the_last_step_are_read(monkeypatch):
  """Their number, 6, is divisible by 3, the steps of a probe of shapes."""
  found = _watch(monkeypatch)
  training.build(
    small.load(
      "pqn.gin",
      "agent.heads = {'q': @quantile_q_head()}\n"
      "quantile_q_head.num_quantiles = 6\n"
      "losses.prepare = {}\n"
      "losses.terms = {'q': @quantile_td()}\n"
      "quantile_td.policy = @online_greedy()",
    ).call()
  )
  assert found[-1].online_last and found[-1].target_last


def _last_value(inputs: LossInputs) -> TermOutput:
  """Reads the last step in a way that no shape shows."""
  last = inputs.online["q"]["mean"][-1].mean()
  zeros = jnp.zeros_like(inputs.mask)
  return TermOutput(last + zeros, zeros, {})


def test_a_users_term_is_given_everything(monkeypatch):
  found = _watch(monkeypatch)
  experiment = small.load("dqn.gin").call()
  terms = {"q": _last_value}
  loss = losses.losses(terms)
  training.build(dataclasses.replace(experiment, loss=loss))
  assert found[-1].online_last and found[-1].target_last


def test_own_code_is_found_wherever_it_is_held():
  assert not own_code.has_own_code(losses.regression)
  inner = functools.partial(_last_value)

  def made(parts):
    return losses.losses({"q": parts})

  for part in (_last_value, inner, losses.losses({"q": inner})):
    assert own_code.has_own_code(part)
  assert own_code.has_own_code(made(_last_value))


@pytest.mark.parametrize(
  ("file", "core", "warned"),
  [
    ("dqn.gin", "@gru()", True),
    ("dqn.gin", "None", False),
    ("qlearning.gin", "@lstm()", False),
    ("ppo.gin", "@lstm()", True),
    ("recurrent_ppo.gin", "@gru()", False),
  ],
)
def test_a_memory_that_single_transitions_train_is_told(file, core, warned):
  experiment = small.load(file, f"agent.core = {core}").call()
  text = overview.describe(experiment, training.build(experiment))
  assert ("single transitions" in text) == warned


@pytest.mark.parametrize(
  ("file", "binding", "message"),
  [
    (
      "ppo.gin",
      "target_value.head = 'policy'",
      "target_value reads one number for every step of head 'policy', which "
      "predicts 3 for every step; bind @scalar_head",
    ),
    (
      "dqn.gin",
      "agent.heads = {'q': @scalar_head()}",
      "action_value reads one number for every step and action of head 'q', "
      "which predicts one for every step; bind @q_head",
    ),
    (
      "dqn.gin",
      "agent.heads = {'q': @policy_head()}",
      "action_value reads 'raw' of head 'q', which predicts logits, mean",
    ),
  ],
)
def test_a_head_of_the_wrong_kind_is_named(file, binding, message):
  experiment = small.load(file, binding).call()
  with pytest.raises(ValueError, match=message):
    training.build(experiment)


def test_a_divergence_from_nothing_is_refused():
  experiment = small.load("vmpo.gin").call()
  with pytest.raises(ValueError, match=r"bind train\.target_params"):
    training.build(dataclasses.replace(experiment, target_params=None))
