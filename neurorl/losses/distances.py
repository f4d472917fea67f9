"""Distances between a prediction and its target, elementwise `[T, B]`."""

from __future__ import annotations

from collections.abc import Callable

import jax.numpy as jnp
import optax

from neurorl.registry import component
from neurorl.types import Array

Distance = Callable[[Array, Array], Array]


@component
def squared_error() -> Distance:
  """Half the squared difference.

  Returns:
    The distance.
  """
  return lambda prediction, target: 0.5 * jnp.square(prediction - target)


@component
def huber(delta: float = 1.0) -> Distance:
  """Half the squared difference where it is small, linear where it is not.

  Huber (1964), https://doi.org/10.1214/aoms/1177703732

  Args:
    delta: where it becomes linear, above 0.

  Returns:
    The distance.

  Raises:
    ValueError: if delta is not positive.
  """
  if delta <= 0:
    raise ValueError(f"huber.delta must be above 0, got {delta}")
  return lambda prediction, target: optax.huber_loss(
    prediction - target, delta=delta
  )
