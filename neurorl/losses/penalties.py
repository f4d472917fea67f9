"""Penalties: terms that hold action values down."""

from __future__ import annotations

import jax

from neurorl.loss_types import LossInputs, Term, TermOutput
from neurorl.losses.predictions import Prediction
from neurorl.ops import outputs as outputs_lib
from neurorl.ops.selection import select
from neurorl.registry import component


@component
def conservative(head: str = "q") -> Term:
  """How far the values of all actions exceed that of the action taken: CQL.

  log sum_a exp(q_a) - q of the action, for use beside a regression.

  Kumar et al. (2020), https://arxiv.org/abs/2006.04779

  Args:
    head: a head of action values, `'mean'` `[T+1, B, A]`.

  Returns:
    The term.
  """

  def term(inputs: LossInputs) -> TermOutput:
    q = outputs_lib.read_action_values(inputs.online, head, "conservative")
    q = q[: len(inputs.mask)]
    taken = select(q, inputs.steps.action[: len(inputs.mask)])
    excess = jax.nn.logsumexp(q, axis=-1) - taken
    return TermOutput(excess, excess, {})

  return term


@component
def low_values(prediction: Prediction) -> Term:
  """A prediction itself: a value pays for its size, beside a regression.

  DQNReg, a loss that evolution found, is 0.1 q + (target - q) ** 2.

  Co-Reyes et al. (2021), https://arxiv.org/abs/2101.03958

  Args:
    prediction: what is to be low, such as `@action_value()`.

  Returns:
    The term.
  """

  def term(inputs: LossInputs) -> TermOutput:
    raw, codec = prediction(inputs)
    value = codec.decode(raw[: len(inputs.mask)])
    return TermOutput(value, value, {})

  return term
