"""Invertible transforms that squash values of any scale for a network."""

from __future__ import annotations

import jax.numpy as jnp

from neurorl.head_types import Transform
from neurorl.registry import component


@component
def signed_hyperbolic(epsilon: float = 1e-3) -> Transform:
  """Squashes values by about a square root, and stays invertible.

  h(x) = sign(x) (sqrt(|x| + 1) - 1) + epsilon x

  Pohlen et al. (2018), https://arxiv.org/abs/1805.11593

  Args:
    epsilon: slope at infinity, above 0.

  Returns:
    The transform.

  Raises:
    ValueError: if epsilon is not positive.
  """
  if epsilon <= 0:
    raise ValueError(
      f"signed_hyperbolic.epsilon must be above 0, got {epsilon}"
    )
  import rlax

  return Transform(
    apply=lambda x: rlax.signed_hyperbolic(x, epsilon),
    invert=lambda x: rlax.signed_parabolic(x, epsilon),
  )


@component
def scaled(factor: float) -> Transform:
  """Multiplies values, so that a network predicts numbers near 1.

  Args:
    factor: the network's units per unit of the task, above 0.

  Returns:
    The transform.

  Raises:
    ValueError: if the factor is not positive.
  """
  if not factor > 0:
    raise ValueError(f"scaled.factor must be above 0, got {factor}")
  return Transform(apply=lambda x: factor * x, invert=lambda x: x / factor)


IDENTITY = Transform(apply=jnp.asarray, invert=jnp.asarray)
