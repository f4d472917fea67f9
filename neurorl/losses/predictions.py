"""Predictions: which head is read, and at which action."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from neurorl.head_types import Codec
from neurorl.loss_types import LossInputs
from neurorl.ops import outputs as outputs_lib
from neurorl.ops.selection import select
from neurorl.registry import component
from neurorl.types import Array


class Predicted(NamedTuple):
  """Scalars as a head predicts them.

  Attributes:
    raw: `[T, B, *codec.shape]` or a step more, what the head puts out.
    codec: what that means.
  """

  raw: Array
  codec: Codec


# inputs -> Predicted, by the parameters being learned
Prediction = Callable[[LossInputs], Predicted]


@component
def action_value(head: str = "q") -> Prediction:
  """The value of the action that was taken.

  Args:
    head: a head of action values, `'raw'` `[T+1, B, A, ...]`.

  Returns:
    The prediction.
  """

  def prediction(inputs: LossInputs) -> Predicted:
    codecs = inputs.agent.codecs
    raw = outputs_lib.read_action_values(
      inputs.online, head, "action_value", codecs
    )
    transitions = len(inputs.mask)
    taken = select(raw[:transitions], inputs.steps.action[:transitions])
    return Predicted(taken, codecs[head])

  return prediction


@component
def scalar(head: str = "value") -> Prediction:
  """What a head says of the state: its value, or a reward.

  Args:
    head: a head of scalars, `'raw'` `[T+1, B, ...]`.

  Returns:
    The prediction.
  """

  def prediction(inputs: LossInputs) -> Predicted:
    codecs = inputs.agent.codecs
    raw = outputs_lib.read_value(inputs.online, head, "scalar", codecs)
    return Predicted(raw, codecs[head])

  return prediction
