"""A ring of steps per environment, in lockstep: rows are times.

Sequences may begin at every `period`-th row (a *slot*), where the agent's
state is kept. Rows are a multiple of what one add writes, so a write is one
contiguous slice, in place when the state is donated.
"""

from __future__ import annotations

import dataclasses
import math
from typing import NamedTuple

import jax
import jax.numpy as jnp

from neurorl.types import Array, Step, Tree


class RingState(NamedTuple):
  """Contents of a ring.

  Attributes:
    steps: `[rows, num_envs, ...]`; the agent's state `[slots, num_envs, ...]`.
    position: `[]` int32, the row that the next add writes first.
    size: `[]` int32, rows filled.
    lossy: `[]` int32, adds that `store_as` changed.
  """

  steps: Step
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

    stored = jax.eval_shape(lambda: self._pack(_zeros(self.step))[0])
    steps = zeros(self.rows, stored._replace(agent_state=()))
    steps = steps._replace(agent_state=zeros(self.slots, stored.agent_state))
    # Three arrays: a buffer cannot be donated twice.
    return RingState(steps, *(jnp.zeros((), jnp.int32) for _ in range(3)))

  def add(self, state: RingState, steps: Step) -> RingState:
    """Writes `[unroll_length, num_envs, ...]` over the oldest rows."""
    packed, lossy = self._pack(steps)
    position = state.position
    agent_state = self._add_agent_state(state, packed.agent_state)
    written = jax.tree.map(
      lambda ring, x: _write(ring, x, position),
      state.steps._replace(agent_state=()),
      packed._replace(agent_state=()),
    )
    return RingState(
      steps=written._replace(agent_state=agent_state),
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
    steps = jax.tree.map(
      lambda x: x[rows, envs[None]], state.steps._replace(agent_state=())
    )
    agent_state = jax.tree.map(
      lambda x: x[slots, envs], state.steps.agent_state
    )
    return self._unpack(steps._replace(agent_state=agent_state))

  def _pack(self, steps: Step) -> tuple[Step, Array]:
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

  def _unpack(self, steps: Step) -> Step:
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


def _write(ring: Array, new: Array, row: Array) -> Array:
  return jax.lax.dynamic_update_slice_in_dim(ring, new, row, axis=0)


@dataclasses.dataclass(frozen=True)
class ReplaySettings:
  """What every replay buffer is told; checked without and with the loop.

  Attributes:
    name: of the component, for messages.
    capacity: steps stored, over all environments.
    batch_size: sequences per sample.
    sequence_length: transitions per sequence that are learned from.
    burn_in: steps before them that only warm up the agent's state.
    period: steps between the beginnings of sequences.
    min_size: steps stored before the first sample.
    updates_per_add: samples after each add.
    store_as: dtype name in which observations are kept.
  """

  name: str
  capacity: int
  batch_size: int
  sequence_length: int
  burn_in: int
  period: int
  min_size: int
  updates_per_add: int
  store_as: str | None

  @property
  def length(self) -> int:
    """Steps of a sequence."""
    return self.burn_in + self.sequence_length + 1

  def check(self) -> None:
    """Raises `ValueError` for numbers that fit no loop."""
    least_one = ["capacity", "batch_size", "sequence_length", "period"]
    for field in [*least_one, "updates_per_add"]:
      if getattr(self, field) < 1:
        raise ValueError(
          f"{self.name}.{field} must be >= 1, got {getattr(self, field)}"
        )
    for field in ["burn_in", "min_size"]:
      if getattr(self, field) < 0:
        raise ValueError(
          f"{self.name}.{field} must be >= 0, got {getattr(self, field)}"
        )
    if self.min_size > self.capacity:
      raise ValueError(
        f"{self.name}.min_size = {self.min_size} exceeds {self.name}.capacity "
        f"= {self.capacity}: training would never start"
      )
    if self.store_as is not None:
      self._check_dtype()

  def _check_dtype(self) -> None:
    allowed = ("bool", "uint8", "int8", "int16", "int32", "float16", "bfloat16")
    if self.store_as not in allowed:
      raise ValueError(
        f"{self.name}.store_as = '{self.store_as}': allowed are "
        f"{', '.join(allowed)}"
      )

  def ring(self, step: Step, num_envs: int, unroll_length: int) -> Ring:
    """Fits a ring to the loop.

    Args:
      step: shapes of one environment's step.
      num_envs: environments that add.
      unroll_length: rows per add.

    Returns:
      The ring.

    Raises:
      ValueError: if the numbers do not fit each other.
    """
    if unroll_length % self.period and self.period % unroll_length:
      raise ValueError(
        f"{self.name}.period = {self.period} and train.unroll_length = "
        f"{unroll_length}: one must be a multiple of the other"
      )
    block = math.lcm(unroll_length, self.period)
    rows = self.capacity // num_envs // block * block
    needed = self.length + max(self.period - unroll_length, 0)
    least = -(-needed // block) * block
    if rows < needed:
      raise ValueError(
        f"{self.name}.capacity = {self.capacity} over train.num_envs = "
        f"{num_envs} environments keeps {rows} steps of each, but a sequence "
        f"takes {self.length} (burn_in {self.burn_in} + sequence_length "
        f"{self.sequence_length} + 1); bind a capacity of at least "
        f"{least * num_envs}"
      )
    if rows * num_envs >= 2**31:
      raise ValueError(
        f"{self.name}.capacity = {self.capacity}: at most 2**31 - 1 steps can "
        "be told apart"
      )
    if self.burn_in and not jax.tree.leaves(step.agent_state):
      raise ValueError(
        f"{self.name}.burn_in = {self.burn_in} warms up the agent's state, but "
        "this agent has none; bind 0, or an agent.core"
      )
    return Ring(
      step=step,
      rows=rows,
      num_envs=num_envs,
      length=self.length,
      period=self.period,
      unroll_length=unroll_length,
      store_as=self.store_as,
    )

  def min_steps(self, ring: Ring) -> int:
    """Time steps per environment before a sample can be drawn."""
    wanted = -(-self.min_size // ring.num_envs)
    return max(min(wanted, ring.rows), self.length)


def metrics(ring: Ring, state: RingState) -> dict[str, Array]:
  """Returns how full the ring is, in steps, and what `store_as` has spoilt."""
  return {
    "buffer/size": state.size * ring.num_envs,
    "buffer/lossy_adds": state.lossy,
  }
