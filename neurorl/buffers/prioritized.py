"""Replay of sequences in proportion to the errors they last made."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp

from neurorl.buffers import ring as ring_lib
from neurorl.ops import schedules
from neurorl.registry import component
from neurorl.types import Array, Batch, Buffer, BufferRecipe, Schedule, Step

# Keeps a sequence without error from never being drawn again.
_LEAST_PRIORITY = 1e-6


class PrioritizedState(NamedTuple):
  """State of prioritized replay.

  Attributes:
    ring: the steps.
    scaled: `[slots, num_envs]` float32, priority ** exponent.
    greatest: `[]` float32, the greatest priority given so far.
  """

  ring: ring_lib.RingState
  scaled: Array
  greatest: Array


@component
def prioritized_replay(
  capacity: int,
  batch_size: int,
  sequence_length: int,
  burn_in: int = 0,
  period: int = 1,
  min_size: int = 0,
  updates_per_add: int = 1,
  store_as: str | None = None,
  priority_exponent: float = 0.6,
  importance_exponent: float | Schedule = 0.4,
  max_error_weight: float = 0.9,
) -> BufferRecipe:
  """First-in first-out replay of sequences in proportion to their errors.

  A sequence's priority is a mix of its greatest and its mean absolute error;
  new ones get the greatest priority so far. Drawn with probability P among N
  sequences, one weighs (N P) ** -importance_exponent, relative to the batch's
  greatest weight.

  Schaul et al. (2016), https://arxiv.org/abs/1511.05952
  Kapturowski et al. (2019), https://openreview.net/forum?id=r1lyTjAqYX

  Args:
    capacity: steps stored, over all environments; rounded down to whole adds.
    batch_size: sequences per sample.
    sequence_length: transitions per sequence that are learned from.
    burn_in: steps before them that only warm up the agent's state.
    period: steps between the beginnings of sequences; the agent's state is
      stored there alone.
    min_size: steps stored, over all environments, before the first sample.
    updates_per_add: updates after each rollout.
    store_as: dtype in which observations are kept, such as 'uint8'; it must
      lose nothing (training stops if it does). None keeps their own.
    priority_exponent: 0 draws uniformly, 1 in proportion; not negative.
    importance_exponent: 0 corrects nothing, 1 fully; a number or a schedule.
    max_error_weight: the greatest error's part in the priority, the mean
      error having the rest; in [0, 1].

  Returns:
    The buffer's recipe.

  Raises:
    ValueError: if a number is out of range or does not fit the others.
  """
  settings = ring_lib.ReplaySettings(
    "prioritized_replay",
    capacity,
    batch_size,
    sequence_length,
    burn_in,
    period,
    min_size,
    updates_per_add,
    store_as,
  )
  settings.check()
  _check(priority_exponent, max_error_weight)
  name = "prioritized_replay.importance_exponent"
  schedules.check(name, importance_exponent, 0.0, 1.0)

  def build(step: Step, num_envs: int, unroll_length: int) -> Buffer:
    ring = settings.ring(step, num_envs, unroll_length)

    def init():
      zeros = jnp.zeros((ring.slots, num_envs))
      return PrioritizedState(ring.init(), zeros, jnp.float32(1.0))

    def add(state, steps):
      written = _written_slots(ring, state.ring.position)
      new = state.greatest**priority_exponent
      scaled = jnp.where(written[:, None], new, state.scaled)
      return state._replace(ring=ring.add(state.ring, steps), scaled=scaled)

    def sample(state, key, progress):
      count = ring.num_valid(state.ring)
      valid = ring.age(state.ring) < count
      scaled = jnp.where(valid[:, None], state.scaled, 0.0)
      slots, envs, probability = draw(key, scaled, batch_size)
      exponent = schedules.as_schedule(importance_exponent)(progress)
      weights = (count * num_envs * probability) ** -exponent
      steps = ring.gather(state.ring, slots, envs)
      indices = slots * num_envs + envs
      return Batch(steps, weights / jnp.max(weights), indices), state

    def update(state, indices, errors, mask):
      priority = mixed_priority(errors, mask, max_error_weight)
      scaled = state.scaled.reshape(-1)
      # Zeroed, then raised: the result does not depend on the order in which a
      # sequence drawn twice is written.
      scaled = scaled.at[indices].set(0.0)
      scaled = scaled.at[indices].max(priority**priority_exponent)
      greatest = jnp.maximum(state.greatest, jnp.max(priority))
      return state._replace(
        scaled=scaled.reshape(state.scaled.shape), greatest=greatest
      )

    return Buffer(
      init=init,
      add=add,
      sample=sample,
      update=update,
      metrics=lambda state: ring_lib.metrics(ring, state.ring),
      num_sequences=ring.num_sequences,
      burn_in=burn_in,
      updates_per_add=updates_per_add,
      min_steps=settings.min_steps(ring),
    )

  return build


def mixed_priority(
  errors: Array, mask: Array, max_error_weight: float
) -> Array:
  """Mixes the greatest and the mean absolute error of each sequence.

  Args:
    errors: `[T, B]`.
    mask: `[T, B]`, the transitions that count.
    max_error_weight: the greatest error's part.

  Returns:
    `[B]`, finite and above 0.
  """
  magnitude = jnp.where(mask > 0, jnp.abs(errors), 0.0)
  mean = magnitude.sum(axis=0) / jnp.maximum(mask.sum(axis=0), 1.0)
  mixed = max_error_weight * magnitude.max(axis=0)
  mixed += (1.0 - max_error_weight) * mean
  # One NaN or infinity would poison the sum over all sequences.
  mixed = jnp.where(jnp.isfinite(mixed), mixed, 0.0)
  return jnp.maximum(mixed, _LEAST_PRIORITY)


def draw(key, scaled: Array, batch_size: int) -> tuple[Array, Array, Array]:
  """Draws slots and environments in proportion to their scaled priorities.

  The sum is taken in two levels, slots and then environments, so that a
  rounding error is one of thousands and not of millions of addends; a place
  of priority 0 is never drawn.

  Args:
    key: a random key.
    scaled: `[slots, num_envs]`, not negative, somewhere positive.
    batch_size: how many to draw, with replacement.

  Returns:
    Slots, environments and their probabilities, `[batch_size]` each.
  """
  slot_key, env_key = jax.random.split(key)
  per_slot = scaled.sum(axis=1)
  slots = _draw_rows(slot_key, per_slot[None], batch_size)
  rows = scaled[slots]
  envs = _draw_rows(env_key, rows, batch_size)
  chosen = jnp.take_along_axis(rows, envs[:, None], axis=1)[:, 0]
  return slots, envs, chosen / per_slot.sum()


def _draw_rows(key, weights: Array, batch_size: int) -> Array:
  """Draws a column from each row, or all from the only row."""
  # Parallel sums round each prefix in its own way: without the maximum, places
  # without weight rise now and then, and others fall.
  sums = jnp.cumsum(weights, axis=-1)
  cumulative = jax.lax.cummax(
    jnp.where(weights > 0, sums, 0.0), axis=weights.ndim - 1
  )
  target = jax.random.uniform(key, (batch_size, 1)) * cumulative[:, -1:]
  if weights.shape[0] == 1:
    columns = jnp.searchsorted(cumulative[0], target[:, 0], side="right")
  else:
    columns = jnp.sum(cumulative <= target, axis=-1)
  # Rounding may carry the target past the last place with any weight.
  places = jnp.arange(weights.shape[-1])
  last = jnp.max(jnp.where(weights > 0, places, 0), axis=-1)
  return jnp.minimum(columns, last).astype(jnp.int32)


def _written_slots(ring: ring_lib.Ring, position: Array) -> Array:
  """Marks the slots whose first row the next add writes, `[slots]`."""
  rows = jnp.arange(ring.slots) * ring.period
  return (rows >= position) & (rows < position + ring.unroll_length)


def _check(priority_exponent: float, max_error_weight: float) -> None:
  if priority_exponent < 0:
    raise ValueError(
      "prioritized_replay.priority_exponent must be >= 0, got "
      f"{priority_exponent}"
    )
  if not 0.0 <= max_error_weight <= 1.0:
    raise ValueError(
      "prioritized_replay.max_error_weight must be in [0, 1], got "
      f"{max_error_weight}"
    )
