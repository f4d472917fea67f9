"""Matrix products of rows, whose gradients are as fast as they are.

On a CPU, XLA has a fast kernel for a product that sums over the last axis of
its left operand, and slow ones for the rest. The gradient of `x @ w` by `w`
sums over rows: the operand with fewer columns is transposed for it first.
"""

from __future__ import annotations

import jax

from neurorl.types import Array


@jax.custom_vjp
def matmul(x: Array, w: Array) -> Array:
  """Multiplies rows with a matrix.

  Gradients are those of reverse mode; forward mode is not defined.

  Args:
    x: `[..., D]`.
    w: `[D, E]`.

  Returns:
    `[..., E]`.
  """
  return (_rows(x) @ w).reshape(*x.shape[:-1], w.shape[1])


def _save(x, w):
  return matmul(x, w), (x, w)


def _back(saved, by_product):
  x, w = saved
  by_x = (_rows(by_product) @ w.T).reshape(x.shape)
  return by_x, by_matrix(x, by_product)


matmul.defvjp(_save, _back)


def by_matrix(x: Array, by_product: Array) -> Array:
  """The gradient of `w` in `x @ w`, summed over all rows.

  Args:
    x: `[..., D]`.
    by_product: `[..., E]`, the gradient of the product.

  Returns:
    `[D, E]`.
  """
  x, by_product = _rows(x), _rows(by_product)
  if x.shape[1] <= by_product.shape[1]:
    return transpose(x) @ by_product
  return _as_it_stands(transpose(by_product) @ x).T


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
  # As rows: XLA copies the operands of a product over two leading axes.
  return x.reshape(-1, x.shape[-1])
