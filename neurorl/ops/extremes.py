"""The least and the greatest entry, with a gradient that is always finite.

The gradient of `jnp.max` divides by how many entries equal the maximum. A
compiler may compute the entries twice, and round them differently: then none
does, and the gradient is 0 / 0.
"""

import jax.numpy as jnp

from neurorl.types import Array


def least(x: Array, axis: int, keepdims: bool = False) -> Array:
  """Finds the least entry; its gradient goes to the first of them.

  Args:
    x: any array.
    axis: what to look along.
    keepdims: whether the axis stays, with one entry.

  Returns:
    `x` without the axis, or with one entry there.
  """
  index = x.argmin(axis, keepdims=True)
  found = jnp.take_along_axis(x, index, axis=axis)
  return found if keepdims else found.squeeze(axis)


def greatest(x: Array, axis: int, keepdims: bool = False) -> Array:
  """Finds the greatest entry, as `least` does the least."""
  return -least(-x, axis, keepdims)
