"""Matrix products in fewer bits; all else stays in float32."""

from __future__ import annotations

from collections.abc import Callable

import haiku as hk
import jax.numpy as jnp

# What modules here call the matrices that they give to `ops/products`.
_MATRICES = ("w", "w_i", "w_h")


def check(name: str, dtype: str | None) -> None:
  """Raises `ValueError` unless there is such a precision."""
  if dtype not in (None, "bfloat16"):
    raise ValueError(f"{name} must be None or 'bfloat16', got {dtype!r}")


def computed_in(function: Callable, dtype: str | None) -> Callable:
  """Has modules multiply in another precision; within `hk.transform`.

  They see their matrices in it, and a product is made in the precision of its
  matrix. Parameters are kept, and all else is computed, in float32.

  Args:
    function: calls modules.
    dtype: of the products' operands; None for float32.

  Returns:
    The same function.
  """
  if dtype is None:
    return function

  def lower(next_getter, value, context):
    matrix = context.name in _MATRICES
    return next_getter(value.astype(jnp.dtype(dtype)) if matrix else value)

  def call(*arguments):
    with hk.custom_getter(lower):
      return function(*arguments)

  return call
