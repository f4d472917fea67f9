"""Sums of priorities in three levels, so that a draw passes over few of them.

Of a million priorities some hundreds are read for a draw, and as few summed up
again when some change: each level is about the root of the one below. Sums are
always taken anew from what they sum, so that no rounding error stays.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import jax
import jax.numpy as jnp

from neurorl.types import Array, Key

# Numbers of an array that takes longer to copy than some to be written singly.
_LARGE = 100_000
_GROUP = 32  # columns among which one is drawn at once


class Sums(NamedTuple):
  """Priorities, and what may be drawn of them, summed up.

  Attributes:
    priorities: `[slots, num_envs]` float32, not negative.
    by_slot: `[blocks, width]` float32, of each slot; 0 where it is not drawn.
    by_block: `[blocks]` float32.
  """

  priorities: Array
  by_slot: Array
  by_block: Array


def make(priorities: Array) -> Sums:
  """Sums up priorities, all of which may be drawn.

  Args:
    priorities: `[slots, num_envs]`.

  Returns:
    The sums.
  """
  slots = priorities.shape[0]
  width = math.isqrt(slots - 1) + 1
  if width > _GROUP:
    width += -width % _GROUP  # whole groups
  blocks = -(-slots // width)
  by_slot = jnp.pad(priorities.sum(axis=1), (0, blocks * width - slots))
  by_slot = by_slot.reshape(blocks, width)
  return Sums(priorities, by_slot, by_slot.sum(axis=1))


def set_priorities(
  sums: Sums, slots: Array, envs: Array, priorities: Array, counts: Array
) -> Sums:
  """Changes some priorities; of a place named twice the greatest counts.

  Args:
    sums: of what is there.
    slots: `[n]` int32.
    envs: `[n]` int32.
    priorities: `[n]` float32.
    counts: `[n]` bool, whether each slot may be drawn.

  Returns:
    The sums.
  """
  same = (slots[:, None] == slots) & (envs[:, None] == envs)
  priorities = jnp.max(jnp.where(same, priorities, 0.0), axis=1)
  changed = _write(sums.priorities, slots, envs, priorities)
  return refresh(sums._replace(priorities=changed), slots, counts)


def _write(array: Array, rows: Array, columns: Array, values: Array) -> Array:
  if jax.default_backend() != "cpu" or array.size < _LARGE:
    return array.at[rows, columns].set(values)

  # On a CPU a scatter copies all of the array first.
  def write(i, array):
    place = (rows[i], columns[i])
    return jax.lax.dynamic_update_slice(array, values[i, None, None], place)

  return jax.lax.fori_loop(0, len(rows), write, array)


def refresh(sums: Sums, slots: Array, counts: Array) -> Sums:
  """Sums up some slots again.

  Args:
    sums: whose priorities have changed.
    slots: `[n]` int32, which.
    counts: `[n]` bool, whether each may be drawn.

  Returns:
    The sums.
  """
  totals = jnp.where(counts, sums.priorities[slots].sum(axis=1), 0.0)
  block, column = jnp.divmod(slots, sums.by_slot.shape[1])
  by_slot = _write(sums.by_slot, block, column, totals)
  by_block = sums.by_block.at[block].set(by_slot[block].sum(axis=1))
  return Sums(sums.priorities, by_slot, by_block)


def draw(key: Key, sums: Sums, batch_size: int) -> tuple[Array, Array, Array]:
  """Draws slots and environments in proportion to their priorities.

  A rounding error is one of hundreds and not of millions of addends; a place
  of priority 0 is never drawn.

  Args:
    key: a random key.
    sums: somewhere positive.
    batch_size: how many to draw, with replacement.

  Returns:
    Slots, environments and their probabilities, `[batch_size]` each.
  """
  width, num_envs = sums.by_slot.shape[1], sums.priorities.shape[1]
  choices = sum(map(_choices, (len(sums.by_block), width, num_envs)))
  # All at once: each call of the generator costs as much as a choice.
  numbers = iter(jax.random.uniform(key, (choices, batch_size, 1)))
  block = _draw_columns(numbers, sums.by_block[None], batch_size)
  column = _draw_columns(numbers, sums.by_slot[block], batch_size)
  slots = block * width + column
  rows = sums.priorities[slots]
  envs = _draw_columns(numbers, rows, batch_size)
  chosen = jnp.take_along_axis(rows, envs[:, None], axis=1)[:, 0]
  return slots, envs, chosen / sums.by_block.sum()


def _choices(columns: int) -> int:
  """How many numbers it takes to draw one of so many columns."""
  return 1 if columns <= _GROUP else 1 + _choices(-(-columns // _GROUP))


def _draw_columns(
  numbers: Iterator[Array], weights: Array, batch_size: int
) -> Array:
  """Draws a column from each row, or all from the only row."""
  rows, columns = weights.shape
  if columns <= _GROUP:
    weights = jnp.broadcast_to(weights, (batch_size, columns))
    return _draw_few(next(numbers), weights)
  # A group of columns first: running sums are slow on a CPU, groups' are not.
  padded = jnp.pad(weights, ((0, 0), (0, -columns % _GROUP)))
  groups = padded.reshape(rows, -1, _GROUP)
  group = _draw_columns(numbers, groups.sum(axis=2), batch_size)
  row = jnp.minimum(jnp.arange(batch_size), rows - 1)
  return group * _GROUP + _draw_columns(numbers, groups[row, group], batch_size)


def _draw_few(uniform: Array, weights: Array) -> Array:
  """Draws a column from each row `[B, n]` by numbers `[B, 1]` in [0, 1)."""
  num_places = weights.shape[1]
  upper = jnp.triu(jnp.ones((num_places, num_places)))
  cumulative = jnp.matmul(weights, upper, precision="highest")
  places = jnp.arange(num_places)
  has_weight = weights > 0
  beyond = (cumulative > uniform * cumulative[:, -1:]) & has_weight
  first = jnp.min(jnp.where(beyond, places, num_places), axis=1)
  # Rounding may carry the target past the last place with any weight.
  last = jnp.max(jnp.where(has_weight, places, 0), axis=1)
  return jnp.minimum(first, last)
