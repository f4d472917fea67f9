"""Replay of sequences in proportion to the errors they last made."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp

from neurorl.buffers import ring as ring_lib
from neurorl.buffers import sums as sums_lib
from neurorl.buffers.replay_settings import ReplaySettings
from neurorl.ops import schedules
from neurorl.registry import component
from neurorl.types import Array, Batch, Buffer, BufferRecipe, Schedule, Step

# Keeps a sequence without error from never being drawn again.
_LEAST_PRIORITY = 1e-6


class PrioritizedState(NamedTuple):
  """State of prioritized replay.

  Attributes:
    ring: the steps.
    sums: of priority ** exponent, over whole sequences.
    greatest: `[]` float32, the greatest priority given so far.
  """

  ring: ring_lib.RingState
  sums: sums_lib.Sums
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
  settings = ReplaySettings(
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
      sums = sums_lib.make(jnp.zeros((ring.slots, num_envs)))
      return PrioritizedState(ring.init(), sums, jnp.float32(1.0))

    def add(state, steps):
      after = ring.add(state.ring, steps)
      new = state.greatest**priority_exponent
      sums = _after_add(ring, state.ring, after, state.sums, new)
      return state._replace(ring=after, sums=sums)

    def sample(state, key, progress):
      slots, envs, probability = sums_lib.draw(key, state.sums, batch_size)
      exponent = schedules.as_schedule(importance_exponent)(progress)
      count = ring.num_valid(state.ring) * num_envs
      weights = (count * probability) ** -exponent
      steps = ring.gather(state.ring, slots, envs)
      indices = slots * num_envs + envs
      return Batch(steps, weights / jnp.max(weights), indices), state

    def update(state, indices, errors, mask):
      priority = mixed_priority(errors, mask, max_error_weight)
      slots, envs = jnp.divmod(indices, num_envs)
      sums = sums_lib.set_priorities(
        state.sums,
        slots,
        envs,
        priority**priority_exponent,
        ring.is_whole(state.ring, slots),
      )
      greatest = jnp.maximum(state.greatest, jnp.max(priority))
      return state._replace(sums=sums, greatest=greatest)

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


def _after_add(
  ring: ring_lib.Ring,
  before: ring_lib.RingState,
  after: ring_lib.RingState,
  sums: sums_lib.Sums,
  priority: Array,
) -> sums_lib.Sums:
  """Gives written slots a priority, and has whole sequences alone be drawn."""
  begin, end = before.position, before.position + ring.unroll_length
  written = ring.slots_of(begin, end)
  # They lie side by side: one slice is written, in place.
  most = len(written)
  first = jnp.minimum(written[0], ring.slots - most)
  old = jax.lax.dynamic_slice_in_dim(sums.priorities, first, most)
  is_new = jnp.isin(first + jnp.arange(most), written)
  new = jnp.where(is_new[:, None], priority, old)
  priorities = jax.lax.dynamic_update_slice_in_dim(
    sums.priorities, new, first, axis=0
  )
  # And those whose last step was among what was written.
  ended = ring.slots_of(begin - ring.length + 1, end - ring.length + 1)
  changed = jnp.concatenate([written, ended])
  changed = jnp.where(changed < ring.slots, changed, 0)  # 0 is summed up again
  return sums_lib.refresh(
    sums._replace(priorities=priorities), changed, ring.is_whole(after, changed)
  )


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
