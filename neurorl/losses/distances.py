"""Distances: how far what a head puts out is from a scalar, `[T, B]`."""

from __future__ import annotations

from collections.abc import Callable

import jax.numpy as jnp
import optax

from neurorl.head_types import Codec
from neurorl.registry import component
from neurorl.types import Array

# (codec, raw [T, B, *codec.shape], target [T, B] in the network's units)
Distance = Callable[[Codec, Array, Array], Array]


@component
def squared_error() -> Distance:
  """Half the squared difference.

  Returns:
    The distance.
  """
  return lambda codec, raw, target: 0.5 * jnp.square(codec.read(raw) - target)


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
  return lambda codec, raw, target: optax.huber_loss(
    codec.read(raw) - target, delta=delta
  )


@component
def cross_entropy() -> Distance:
  """How unlikely the target is by the distribution that a head predicts.

  Returns:
    The distance; its head's codec must be a distribution, such as `two_hot`.
  """

  def distance(codec: Codec, raw: Array, target: Array) -> Array:
    if codec.cross_entropy is None:
      raise ValueError(
        "cross_entropy needs a head whose codec is a distribution; bind its "
        "codec = @two_hot(), or distance = @squared_error()"
      )
    return codec.cross_entropy(raw, target)

  return distance
