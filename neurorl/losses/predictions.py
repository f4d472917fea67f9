"""Predictions: which head is read, and at which action."""

from __future__ import annotations

from collections.abc import Callable

import jax.numpy as jnp

from neurorl.ops import outputs as outputs_lib
from neurorl.registry import component
from neurorl.types import Array, LossInputs

# inputs -> [T+1, B], by the parameters being learned
Prediction = Callable[[LossInputs], Array]


@component
def action_value(head: str = "q") -> Prediction:
  """The value of the action that was taken.

  Args:
    head: a head of action values, `'mean'` `[T+1, B, A]`.

  Returns:
    The prediction.
  """

  def prediction(inputs: LossInputs) -> Array:
    q = outputs_lib.read(inputs.online, head, "action_value")
    return select(q, inputs.steps.action)

  return prediction


def select(q: Array, action: Array) -> Array:
  """Picks the value of an action.

  Args:
    q: `[..., A]`.
    action: `[...]` int32.

  Returns:
    `[...]`.
  """
  return jnp.take_along_axis(q, action[..., None], axis=-1)[..., 0]
