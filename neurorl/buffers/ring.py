"""A ring of steps per environment, in lockstep: rows are times.

Sequences may begin at every `period`-th row (a *slot*), where the agent's
state is kept. Rows are a multiple of what one add writes, so a write is one
contiguous slice, in place when the state is donated.
"""

from __future__ import annotations

import dataclasses
import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp

from neurorl.ops import packing
from neurorl.types import Array, Step, Tree

# Numbers of a step: to read more takes longer than to begin to read them.
_SMALL = 64


class Stored(NamedTuple):
  """Steps as a ring keeps them; several devices split the environments.

  Attributes:
    packed: `[rows, num_envs, ...]`, by `packing.pack`: a read of rows here and
      there costs a fixed time for each array.
    agent_state: `[slots, num_envs, ...]`, at the beginnings of sequences.
  """

  packed: Tree
  agent_state: Tree


class RingState(NamedTuple):
  """Contents of a ring.

  Attributes:
    steps: what was added.
    position: `[]` int32, the row that the next add writes first.
    size: `[]` int32, rows filled.
    lossy: `[]` int32, adds that `store_as` changed.
  """

  steps: Stored
  position: Array
  size: Array
  lossy: Array


@dataclasses.dataclass(frozen=True)
class Ring:
  """Sizes of a ring, checked against each other.

  Attributes:
    step: shapes of one environment's step.
    rows: times stored per environment.
    num_envs: environments.
    length: steps of a sequence.
    period: rows between the beginnings of sequences.
    unroll_length: rows per add.
    store_as: dtype name in which observations are kept; None for their own.
  """

  step: Step
  rows: int
  num_envs: int
  length: int
  period: int
  unroll_length: int
  store_as: str | None

  @property
  def num_sequences(self) -> int:
    """Sequences that begin somewhere in the full ring."""
    return self.slots * self.num_envs

  @property
  def slots(self) -> int:
    """Rows where a sequence may begin."""
    return self.rows // self.period

  def init(self) -> RingState:
    """Makes an empty ring."""

    def zeros(rows, tree):
      return jax.tree.map(
        lambda x: jnp.zeros((rows, self.num_envs, *x.shape), x.dtype), tree
      )

    packed = jax.eval_shape(lambda step: _pack(step, 0), self._narrow_step)
    steps = Stored(
      zeros(self.rows, packed), zeros(self.slots, self.step.agent_state)
    )
    # Three arrays: a buffer cannot be donated twice.
    return RingState(steps, *(jnp.zeros((), jnp.int32) for _ in range(3)))

  @functools.cached_property
  def _narrow_step(self) -> Step:
    """Shapes of a step as it is kept, without the agent's state."""
    step = self.step._replace(agent_state=())
    return jax.eval_shape(lambda: self._narrow(_zeros(step))[0])

  def add(self, state: RingState, steps: Step) -> RingState:
    """Writes `[unroll_length, num_envs, ...]` over the oldest rows."""
    narrow, lossy = self._narrow(steps._replace(agent_state=()))
    position = state.position
    written = jax.tree.map(
      lambda ring, x: _write(ring, x, position),
      state.steps.packed,
      _pack(narrow, 2),
    )
    agent_state = self._add_agent_state(state, steps.agent_state)
    return RingState(
      steps=Stored(written, agent_state),
      position=(position + self.unroll_length) % self.rows,
      size=jnp.minimum(state.size + self.unroll_length, self.rows),
      lossy=state.lossy + lossy,
    )

  def _add_agent_state(self, state: RingState, new: Tree) -> Tree:
    """Keeps the agent's states of the slots among the new rows."""
    ring = state.steps.agent_state
    slot = state.position // self.period
    if self.unroll_length % self.period == 0:
      kept = jax.tree.map(lambda x: x[:: self.period], new)
    else:  # several adds fill a slot: only the first of them begins one
      begins = state.position % self.period == 0
      kept = jax.tree.map(
        lambda r, x: jnp.where(
          begins, x[:1], jax.lax.dynamic_slice_in_dim(r, slot, 1)
        ),
        ring,
        new,
      )
    return jax.tree.map(lambda r, x: _write(r, x, slot), ring, kept)

  def num_valid(self, state: RingState) -> Array:
    """Counts the slots, per environment, where a whole sequence begins."""
    rows = state.size - self.length - self._offset(state)
    return jnp.where(rows >= 0, rows // self.period + 1, 0)

  def nth_slot(self, state: RingState, n: Array) -> Array:
    """Returns the slot of the n-th oldest whole sequence."""
    row = self._oldest(state) + self._offset(state) + n * self.period
    return (row % self.rows) // self.period

  def is_whole(self, state: RingState, slots: Array) -> Array:
    """Says of slots `[n]` whether a whole sequence begins there."""
    oldest = self._oldest(state) + self._offset(state)
    n = (slots * self.period - oldest) % self.rows // self.period
    return (slots < self.slots) & (n < self.num_valid(state))

  def slots_of(self, begin: Array, end: Array) -> Array:
    """Returns the slots whose first row is in `[begin, end)`, one add's rows.

    Args:
      begin: `[]` int32; rows below 0 are counted from the last.
      end: `[]` int32, `unroll_length` rows later.

    Returns:
      `[n]` int32; those that there are not are `self.slots`.
    """
    most = -(-self.unroll_length // self.period)
    slots = -(-begin // self.period) + jnp.arange(most)
    return jnp.where(slots * self.period < end, slots % self.slots, self.slots)

  def _oldest(self, state: RingState) -> Array:
    return jnp.where(state.size < self.rows, 0, state.position)

  def _offset(self, state: RingState) -> Array:
    """Rows from the oldest to the first slot after it."""
    return -self._oldest(state) % self.period

  def gather(self, state: RingState, slots: Array, envs: Array) -> Step:
    """Reads sequences.

    Args:
      state: the ring.
      slots: `[B]` int32, where they begin.
      envs: `[B]` int32.

    Returns:
      Steps `[length, B, ...]`, with the agent's state of the first, `[B, ...]`.
    """
    rows = slots * self.period + jnp.arange(self.length)[:, None]
    rows = rows % self.rows
    stored = state.steps
    read = jax.tree.map(lambda x: x[rows, envs[None]], stored.packed)
    agent_state = jax.tree.map(lambda x: x[slots, envs], stored.agent_state)
    steps = self._widen(packing.unpack(read, self._narrow_step, _SMALL))
    return steps._replace(agent_state=agent_state)

  def _narrow(self, steps: Step) -> tuple[Step, Array]:
    """Casts observations to `store_as`; says whether that changed any."""
    if self.store_as is None:
      return steps, jnp.int32(0)
    observation = steps.timestep.observation
    packed = jax.tree.map(lambda x: x.astype(self.store_as), observation)
    changed = [
      jnp.any(x != y.astype(x.dtype))
      for x, y in zip(
        jax.tree.leaves(observation), jax.tree.leaves(packed), strict=True
      )
    ]
    timestep = steps.timestep._replace(observation=packed)
    lossy = jnp.any(jnp.asarray(changed)).astype(jnp.int32)
    return steps._replace(timestep=timestep), lossy

  def _widen(self, steps: Step) -> Step:
    """Casts observations back to the environment's dtypes."""
    timestep = steps.timestep
    observation = jax.tree.map(
      lambda x, spec: x.astype(spec.dtype),
      timestep.observation,
      self.step.timestep.observation,
    )
    return steps._replace(timestep=timestep._replace(observation=observation))


def _zeros(spec: Tree) -> Tree:
  return jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), spec)


def _pack(steps: Step, batch_axes: int) -> Tree:
  return packing.pack(steps, _SMALL, batch_axes)


def _write(ring: Array, new: Array, row: Array) -> Array:
  return jax.lax.dynamic_update_slice_in_dim(ring, new, row, axis=0)


def metrics(ring: Ring, state: RingState) -> dict[str, Array]:
  """Returns how full the ring is, in steps, and what `store_as` has spoilt."""
  return {
    "buffer/size": state.size * ring.num_envs,
    "buffer/lossy_adds": state.lossy,
  }
