"""Helpers over trees of arrays."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp

from neurorl.types import Array, Tree


def where(condition: Array, x: Tree, y: Tree) -> Tree:
  """Selects between two trees along their leading axes.

  Args:
    condition: `[...]` bool; a prefix of every leaf's shape.
    x: taken where the condition holds.
    y: taken elsewhere.

  Returns:
    A tree like both.
  """

  def select(a, b):
    extra = a.ndim - condition.ndim
    return jnp.where(condition.reshape(condition.shape + (1,) * extra), a, b)

  return jax.tree.map(select, x, y)


def zeros_like_result(function: Callable[..., Tree], *arguments: Tree) -> Tree:
  """Makes zeros of the shapes and dtypes of what a function returns.

  Args:
    function: is traced, not run.
    *arguments: its arguments; only shapes are read, no key is consumed.

  Returns:
    A tree like the function's result.
  """
  shapes = jax.tree.map(
    lambda x: jax.ShapeDtypeStruct(jnp.shape(x), jnp.result_type(x)), arguments
  )
  result = jax.eval_shape(function, *shapes)
  return jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), result)


def size_in_bytes(tree: Tree) -> int:
  """Adds up the memory of a tree of arrays or shapes."""
  # A key's dtype knows its size, as other dtypes do.
  return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(tree))


def masked_mean(values: Array, mask: Array) -> Array:
  """Averages what the mask lets through; 0 where it lets nothing.

  Args:
    values: `[...]`; not read where the mask is 0, so that nothing there reaches
      the result, nor a gradient if it is finite.
    mask: `[...]` float32, zeros and ones.

  Returns:
    `[]`.
  """
  return jnp.sum(jnp.where(mask > 0, values, 0.0)) / jnp.maximum(mask.sum(), 1)


def masked_means(values: Mapping[str, Array], mask: Array) -> dict[str, Array]:
  """Averages several arrays in one pass, as `masked_mean` does each.

  Args:
    values: `[...]` each.
    mask: `[...]` float32, zeros and ones.

  Returns:
    `[]` each.
  """
  if not values:
    return {}
  stacked = jnp.stack([x.astype(mask.dtype) for x in values.values()])
  sums = jnp.sum(jnp.where(mask > 0, stacked, 0.0), axis=range(1, stacked.ndim))
  means = sums / jnp.maximum(mask.sum(), 1)
  return dict(zip(values, means, strict=True))
