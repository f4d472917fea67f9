"""Codecs: how what a head puts out means a scalar.

A codec is bound once, at the head; losses and search take it from the agent.
"""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
import optax

from neurorl.head_types import Codec, Transform
from neurorl.ops.transforms import IDENTITY
from neurorl.registry import component
from neurorl.types import Array

SCALAR = Codec((), jnp.asarray, IDENTITY, None, -math.inf, math.inf)


@component
def scalar_codec(transform: Transform | None = None) -> Codec:
  """A scalar as itself, or transformed.

  Args:
    transform: the task's units to those that the network predicts in; None for
      the same.

  Returns:
    The codec.
  """
  return SCALAR._replace(transform=transform or IDENTITY)


@component
def two_hot(
  low: float, high: float, num_bins: int, transform: Transform | None = None
) -> Codec:
  """A scalar as the mean of a categorical distribution over equal steps.

  A scalar target is spread over the two nearest steps so that its mean is
  exact, and clipped to the support. The distribution itself may be learned too,
  by `categorical_td`.

  Schrittwieser et al. (2020), https://arxiv.org/abs/1911.08265, appendix F

  Args:
    low: the least scalar of the support, in the network's units: after the
      transform.
    high: the greatest, above `low`.
    num_bins: steps of the support, at least 2.
    transform: the task's units to those that the network predicts in; None for
      the same.

  Returns:
    The codec.

  Raises:
    ValueError: if the support is empty.
  """
  if not -math.inf < low < high < math.inf:
    raise ValueError(
      f"two_hot.low = {low} must be below two_hot.high = {high}, both finite"
    )
  if num_bins < 2:
    raise ValueError(f"two_hot.num_bins must be >= 2, got {num_bins}")

  def atoms() -> Array:
    return jnp.linspace(low, high, num_bins)

  def read(raw: Array) -> Array:
    # Not a matrix product, which a GPU may do at half the precision.
    return jnp.sum(jax.nn.softmax(raw) * atoms(), axis=-1)

  def cross_entropy(raw: Array, scalar: Array) -> Array:
    import rlax

    wanted = rlax.transform_to_2hot(scalar, low, high, num_bins)
    return optax.softmax_cross_entropy(raw, wanted)

  shape = (num_bins,)
  return Codec(
    shape, read, transform or IDENTITY, cross_entropy, low, high, atoms
  )


@component
def bernoulli() -> Codec:
  """A scalar within [0, 1] as a probability: that an episode goes on, say.

  Returns:
    The codec.
  """

  def cross_entropy(raw: Array, scalar: Array) -> Array:
    return optax.sigmoid_binary_cross_entropy(raw, jnp.clip(scalar, 0.0, 1.0))

  return Codec((), jax.nn.sigmoid, IDENTITY, cross_entropy, 0.0, 1.0)
