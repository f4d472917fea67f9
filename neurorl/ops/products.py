"""Matrix products of rows, whose gradients are as fast as they are.

On a CPU, XLA has a fast kernel for a product that sums over the last axis of
its left operand, and slow ones for the rest. The gradient of `x @ w` by `w`
sums over rows: the operand with fewer columns is transposed for it first.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from neurorl.ops import placing
from neurorl.types import Array


@jax.custom_vjp
def matmul(x: Array, w: Array) -> Array:
  """Multiplies rows with a matrix, in the precision of the matrix.

  Gradients are those of reverse mode; forward mode is not defined.

  Args:
    x: `[..., D]` float32.
    w: `[D, E]`, float32 or in fewer bits.

  Returns:
    `[..., E]` float32.
  """
  return dot(_rows(x), w).reshape(*x.shape[:-1], w.shape[1])


def dot(x: Array, w: Array) -> Array:
  """Multiplies as `matmul` does, with the gradients that JAX gives it.

  Args:
    x: `[..., D]` float32.
    w: `[D, E]`, float32 or in fewer bits.

  Returns:
    `[..., E]` float32.
  """
  return jnp.matmul(x.astype(w.dtype), w, preferred_element_type=jnp.float32)


def _save(x, w):
  return matmul(x, w), (x, w)


def _back(saved, by_product):
  x, w = saved
  by_x = dot(_rows(by_product), w.T).reshape(x.shape)
  return by_x, by_matrix(x, by_product, w.dtype)


matmul.defvjp(_save, _back)


def by_matrix(x: Array, by_product: Array, dtype: jnp.dtype) -> Array:
  """The gradient of `w` in `x @ w`, summed over all rows.

  Args:
    x: `[..., D]`.
    by_product: `[..., E]`, the gradient of the product.
    dtype: of the matrix, and so of what is multiplied here.

  Returns:
    `[D, E]` in that dtype.
  """
  x, by_product = _rows(x), _rows(by_product)
  if x.ndim > 2:
    axes = tuple(range(x.ndim - 1))
    return jnp.tensordot(
      x.astype(dtype),
      by_product.astype(dtype),
      (axes, axes),
      preferred_element_type=jnp.float32,
    ).astype(dtype)
  narrow = x.shape[1] <= by_product.shape[1]
  one, other = (x, by_product) if narrow else (by_product, x)
  product = dot(transpose(one), other.astype(dtype)).astype(dtype)
  return product if narrow else _as_it_stands(product).T


def transpose(x: Array) -> Array:
  """Transposes `[M, N]`; on a CPU in memory, before the product that reads it.

  Within a product, the compiler would have it done by a slow kernel; within a
  loop, at every step.
  """
  return _as_it_stands(x.T)


def _as_it_stands(x: Array) -> Array:
  """Keeps the compiler from making a transpose part of a product."""
  if jax.default_backend() != "cpu":
    return x
  return jax.lax.optimization_barrier(x)


def _rows(x: Array) -> Array:
  if placing.batch_is_split():
    return x
  # As rows: XLA copies the operands of a product over two leading axes.
  return x.reshape(-1, x.shape[-1])
