"""Small arrays of a step side by side, as columns of one array.

A read of rows here and there costs a fixed time for each array that is read,
whatever its width; so the small ones are one array for each width of number.
"""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

from neurorl.types import Array, Tree

# Bytes of a step: of more, what is read takes longer than to begin to read it.
_SMALL = 256


@dataclasses.dataclass(frozen=True)
class Columns:
  """Where the arrays of a step are.

  Attributes:
    step: shapes and dtypes of one step, a tree.
  """

  step: Tree

  def join(self, tree: Tree) -> Tree:
    """Puts small arrays side by side.

    Args:
      tree: `[..., *shape]`, one array for each of `step`.

    Returns:
      `{'small': {'uint32': [..., N]}, 'large': [[..., *shape], ...]}`.
    """
    leaves, specs = jax.tree.leaves(tree), jax.tree.leaves(self.step)
    small, large = {}, []
    for x, spec in zip(leaves, specs, strict=True):
      if not _is_small(spec):
        large.append(x)
        continue
      lead = x.shape[: x.ndim - len(spec.shape)]
      bits = _to_bits(x).reshape(*lead, -1)
      small.setdefault(str(bits.dtype), []).append(bits)
    small = {k: jnp.concatenate(v, axis=-1) for k, v in small.items()}
    return {"small": small, "large": large}

  def part(self, joined: Tree) -> Tree:
    """Undoes `join`.

    Args:
      joined: what it made, with any leading axes.

    Returns:
      `[..., *shape]`, a tree like `step`.
    """
    specs, structure = jax.tree.flatten(self.step)
    large = iter(joined["large"])
    widths = {}
    for spec in specs:
      if _is_small(spec):
        widths.setdefault(_bits(spec.dtype), []).append(spec.size)
    small = {
      k: iter(jnp.split(joined["small"][k], np.cumsum(v)[:-1], axis=-1))
      for k, v in widths.items()
    }
    leaves = [
      _from_bits(next(small[_bits(spec.dtype)]), spec)
      if _is_small(spec)
      else next(large)
      for spec in specs
    ]
    return jax.tree.unflatten(structure, leaves)


def _is_small(spec: jax.ShapeDtypeStruct) -> bool:
  """Whether an array is joined: few real numbers of whole bytes."""
  dtype = spec.dtype
  if jnp.issubdtype(dtype, jnp.integer) or jnp.issubdtype(dtype, jnp.floating):
    whole = jnp.iinfo if jnp.issubdtype(dtype, jnp.integer) else jnp.finfo
    if whole(dtype).bits % 8:
      return False
  elif dtype != jnp.bool_:
    return False  # complex numbers, random keys
  return 0 < spec.size * dtype.itemsize <= _SMALL


def _bits(dtype: np.dtype) -> str:
  return f"uint{8 * dtype.itemsize}"


def _to_bits(x: Array) -> Array:
  if x.dtype == bool:
    return x.astype(jnp.uint8)
  return jax.lax.bitcast_convert_type(x, _bits(x.dtype))


def _from_bits(x: Array, spec: jax.ShapeDtypeStruct) -> Array:
  x = x.reshape(*x.shape[:-1], *spec.shape)
  if spec.dtype == bool:
    return x.astype(bool)
  return jax.lax.bitcast_convert_type(x, spec.dtype)
