"""Hyperparameters of all replay buffers, checked against each other."""

from __future__ import annotations

import dataclasses
import math

import jax

from neurorl.buffers.ring import Ring
from neurorl.types import Step


@dataclasses.dataclass(frozen=True)
class ReplaySettings:
  """Hyperparameters of a replay buffer.

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
