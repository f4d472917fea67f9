"""Small arrays as one vector.

An optimizer takes about ten operations for every array of the parameters, and
for a small one each costs more than its numbers do.
"""

from __future__ import annotations

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
import optax

from neurorl.types import Tree

_SMALL = 2**14  # numbers
# Transforms that treat every number alike, or read the norm of all of them: to
# these it does not matter which array a number is in. Known by their updates.
_BLIND_TO_ARRAYS = {
  f"{name}.<locals>.update_fn"
  for name in (
    "add_decayed_weights",
    "clip",
    "clip_by_global_norm",
    "ema",
    "scale",
    "scale_by_adam",
    "scale_by_lion",
    "scale_by_rms",
    "scale_by_rss",
    "scale_by_stddev",
    "scale_by_yogi",
    "trace",
  )
}


def suits(transforms: Sequence[optax.GradientTransformation]) -> bool:
  """Whether transforms do the same to packed arrays."""
  updates = [transform.update for transform in transforms]
  return all(
    update.__qualname__ in _BLIND_TO_ARRAYS
    and update.__module__.startswith("optax.")
    for update in updates
  )


def pack(tree: Tree) -> Tree:
  """Joins small arrays of one dtype.

  Args:
    tree: arrays of any shapes.

  Returns:
    `{'small': {dtype: [N]}, 'large': [array, ...]}`.
  """
  small, large = _sort(jax.tree.leaves(tree))
  return {
    "small": {
      dtype: jnp.concatenate([x.reshape(-1) for x in arrays])
      for dtype, arrays in small.items()
    },
    "large": large,
  }


def unpack(packed: Tree, like: Tree) -> Tree:
  """Undoes `pack`.

  Args:
    packed: what it made.
    like: a tree such as it was made of.
  """
  leaves, structure = jax.tree.flatten(like)
  parts = {
    dtype: iter(jnp.split(packed["small"][dtype], _ends(arrays)))
    for dtype, arrays in _sort(leaves)[0].items()
  }
  large = iter(packed["large"])
  found = [
    next(parts[str(x.dtype)]).reshape(x.shape) if _is_small(x) else next(large)
    for x in leaves
  ]
  return jax.tree.unflatten(structure, found)


def _is_small(x) -> bool:
  return x.size <= _SMALL


def _sort(leaves: Sequence) -> tuple[dict[str, list], list]:
  """Small arrays by dtype, and the large ones."""
  small = {}
  for x in leaves:
    if _is_small(x):
      small.setdefault(str(x.dtype), []).append(x)
  return small, [x for x in leaves if not _is_small(x)]


def _ends(arrays: Sequence) -> list[int]:
  return np.cumsum([x.size for x in arrays])[:-1].tolist()
