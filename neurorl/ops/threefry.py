"""JAX's random generator, Threefry, with its rounds written out."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from neurorl.types import Array

_ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))
_PARITY = np.uint32(0x1BD11BDA)


def rounds(
  key_0: Array, key_1: Array, x_0: Array, x_1: Array
) -> tuple[Array, Array]:
  """Encrypts pairs of words by Threefry-2x32 in 20 rounds.

  Salmon et al. (2011), https://doi.org/10.1145/2063384.2063405

  Args:
    key_0: `[...]` uint32, the key's first word; all are broadcast together.
    key_1: `[...]` uint32, its second.
    x_0: `[...]` uint32, first words of the pairs.
    x_1: `[...]` uint32, second words.

  Returns:
    The encrypted words, `[...]` uint32 each.
  """
  key_0, key_1, x_0, x_1 = jnp.broadcast_arrays(key_0, key_1, x_0, x_1)
  keys = (key_0, key_1, key_0 ^ key_1 ^ _PARITY)
  x_0, x_1 = x_0 + keys[0], x_1 + keys[1]
  for group in range(5):
    for distance in _ROTATIONS[group % 2]:
      x_0 = jax.lax.add(x_0, x_1)
      x_1 = jax.lax.bitwise_xor(_rotated(x_1, distance), x_0)
    x_0 = x_0 + keys[(group + 1) % 3]
    x_1 = x_1 + keys[(group + 2) % 3] + np.uint32(group + 1)
  return x_0, x_1


def _rotated(x: Array, distance: int) -> Array:
  # By `lax`, which is traced sooner: every program that draws has this.
  left = jax.lax.shift_left(x, jax.lax.full_like(x, distance))
  right = jax.lax.shift_right_logical(x, jax.lax.full_like(x, 32 - distance))
  return jax.lax.bitwise_or(left, right)
