"""First-in first-out replay of sequences, all equally likely."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from neurorl.buffers import ring as ring_lib
from neurorl.buffers.replay_settings import ReplaySettings
from neurorl.registry import component
from neurorl.types import Batch, Buffer, BufferRecipe, Step


@component
def uniform_replay(
  capacity: int,
  batch_size: int,
  sequence_length: int,
  burn_in: int = 0,
  period: int = 1,
  min_size: int = 0,
  updates_per_add: int = 1,
  store_as: str | None = None,
) -> BufferRecipe:
  """First-in first-out replay of sequences, all equally likely.

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

  Returns:
    The buffer's recipe.

  Raises:
    ValueError: if a number is out of range or does not fit the others.
  """
  settings = ReplaySettings(
    "uniform_replay",
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

  def build(step: Step, num_envs: int, unroll_length: int) -> Buffer:
    ring = settings.ring(step, num_envs, unroll_length)

    def sample(state, key, progress):
      del progress
      ends = jnp.stack([ring.num_valid(state), jnp.int32(num_envs)])
      n, envs = jax.random.randint(key, (2, batch_size), 0, ends[:, None])
      slots = ring.nth_slot(state, n)
      steps = ring.gather(state, slots, envs)
      indices = slots * num_envs + envs
      return Batch(steps, jnp.ones(batch_size), indices), state

    return Buffer(
      init=ring.init,
      add=ring.add,
      sample=sample,
      update=lambda state, indices, errors, mask: state,
      metrics=lambda state: ring_lib.metrics(ring, state),
      num_sequences=ring.num_sequences,
      burn_in=burn_in,
      updates_per_add=updates_per_add,
      min_steps=settings.min_steps(ring),
    )

  return build
