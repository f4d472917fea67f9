"""Small arrays side by side, as one array for each dtype.

What is done to an array costs a fixed time beside that of its numbers, and of a
small one that is the most.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from neurorl.types import Tree

_SMALL = 2**14  # numbers


def pack(tree: Tree, most: int = _SMALL, batch_axes: int = 0) -> Tree:
  """Joins small arrays of one dtype.

  Args:
    tree: arrays `[*batch, ...]`.
    most: numbers of a small one, those of the batch not counted.
    batch_axes: leading axes that all arrays have, and that stay.

  Returns:
    `{'small': {dtype: [*batch, N]}, 'large': [[*batch, ...], ...]}`.
  """
  small, large = {}, []
  for x in jax.tree.leaves(tree):
    batch, shape = x.shape[:batch_axes], x.shape[batch_axes:]
    if math.prod(shape) <= most:
      flat = jnp.reshape(x, (*batch, math.prod(shape)))
      small.setdefault(str(x.dtype), []).append(flat)
    else:
      large.append(x)
  small = {dtype: jnp.concatenate(xs, axis=-1) for dtype, xs in small.items()}
  return {"small": small, "large": large}


def unpack(packed: Tree, like: Tree, most: int = _SMALL) -> Tree:
  """Undoes `pack`.

  Args:
    packed: what it made, with any batch axes.
    like: arrays `[...]` such as it was made of (or their shapes), without them.
    most: as it was packed.

  Returns:
    Arrays `[*batch, ...]`.
  """
  leaves, structure = jax.tree.flatten(like)
  sizes = {}
  for x in leaves:
    if x.size <= most:
      sizes.setdefault(str(x.dtype), []).append(x.size)
  parts = {
    dtype: iter(jnp.split(packed["small"][dtype], _ends(found), axis=-1))
    for dtype, found in sizes.items()
  }
  large = iter(packed["large"])

  def next_of(x):
    if x.size > most:
      return next(large)
    part = next(parts[str(x.dtype)])
    return part.reshape(*part.shape[:-1], *x.shape)

  return jax.tree.unflatten(structure, [next_of(x) for x in leaves])


def _ends(sizes: Sequence[int]) -> list[int]:
  return np.cumsum(sizes)[:-1].tolist()
