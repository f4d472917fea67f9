"""The last rollout, learned from and thrown away: for on-policy losses."""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp

from neurorl.ops import shuffling
from neurorl.registry import component
from neurorl.types import Array, Batch, Buffer, BufferRecipe, Key, Step, Tree


class RolloutState(NamedTuple):
  """A rollout, and how much of it has been learned from.

  Attributes:
    steps: `[T+1, B, ...]`; the agent's state `[chunks, B, ...]`.
    order: `[chunks * B]` int32, in which this epoch takes the sequences; `()`
      if it takes all at once.
    drawn: `[]` int32, samples since the rollout was added.
  """

  steps: Step
  order: Tree
  drawn: Array


@component
def rollout(
  epochs: int = 1, num_minibatches: int = 1, chunk_length: int | None = None
) -> BufferRecipe:
  """The last rollout, in minibatches of sequences that an epoch shuffles.

  Its length is `train.unroll_length`. A rollout ends with a peek at the step
  that the next begins with, so every transition of it is learned from.

  Args:
    epochs: how often each transition is learned from.
    num_minibatches: updates per epoch; they share the sequences equally.
    chunk_length: transitions per sequence, each with the agent's recorded
      state; None for whole rollouts of an environment, 1 for single transitions
      (for an agent without core).

  Returns:
    The buffer's recipe.

  Raises:
    ValueError: if a number is out of range or, at build, does not divide what
      it should.
  """
  for name, value in [
    ("epochs", epochs),
    ("num_minibatches", num_minibatches),
    ("chunk_length", 1 if chunk_length is None else chunk_length),
  ]:
    if value < 1:
      raise ValueError(f"rollout.{name} must be >= 1, got {value}")

  def build(step: Step, num_envs: int, unroll_length: int) -> Buffer:
    length = chunk_length or unroll_length
    chunks, rest = divmod(unroll_length, length)
    if rest:
      raise ValueError(
        f"rollout.chunk_length = {length} must divide train.unroll_length = "
        f"{unroll_length}"
      )
    if chunks * num_envs % num_minibatches:
      raise ValueError(
        f"rollout.num_minibatches = {num_minibatches} must divide the "
        f"{chunks * num_envs} sequences of a rollout: train.num_envs = "
        f"{num_envs}, times {chunks} of chunk_length = {length} in "
        f"train.unroll_length = {unroll_length}"
      )
    layout = _Layout(
      step, num_envs, unroll_length, length, chunks, num_minibatches
    )
    return Buffer(
      init=layout.init,
      add=layout.add,
      sample=layout.sample,
      update=lambda state, indices, errors, mask: state,
      metrics=lambda state: {},
      num_sequences=layout.num_sequences,
      burn_in=0,
      updates_per_add=epochs * num_minibatches,
      min_steps=unroll_length,
      peeks=True,
    )

  return build


@dataclasses.dataclass(frozen=True)
class _Layout:
  """How a rollout falls into sequences.

  Attributes:
    step: shapes of one environment's step.
    num_envs: `B`.
    unroll_length: `T`.
    length: transitions of a sequence.
    chunks: sequences of one environment.
    num_minibatches: samples of an epoch.
  """

  step: Step
  num_envs: int
  unroll_length: int
  length: int
  chunks: int
  num_minibatches: int

  @property
  def num_sequences(self) -> int:
    return self.chunks * self.num_envs

  @property
  def takes_all(self) -> bool:
    """Whether a sample is the rollout as it is."""
    return self.num_minibatches == 1 and self.chunks == 1

  def init(self) -> RolloutState:
    def zeros(rows, tree):
      return jax.tree.map(
        lambda x: jnp.zeros((rows, self.num_envs, *x.shape), x.dtype), tree
      )

    steps = zeros(self.unroll_length + 1, self.step._replace(agent_state=()))
    steps = steps._replace(
      agent_state=zeros(self.chunks, self.step.agent_state)
    )
    order = () if self.takes_all else jnp.arange(self.num_sequences)
    return RolloutState(steps, order, jnp.int32(0))

  def add(self, state: RolloutState, steps: Step) -> RolloutState:
    kept = jax.tree.map(lambda x: x[: -1 : self.length], steps.agent_state)
    return state._replace(
      steps=steps._replace(agent_state=kept), drawn=jnp.int32(0)
    )

  def sample(
    self, state: RolloutState, key: Key, progress
  ) -> tuple[Batch, RolloutState]:
    del progress
    size = self.num_sequences // self.num_minibatches
    if self.takes_all:
      agent_state = jax.tree.map(lambda x: x[0], state.steps.agent_state)
      steps = state.steps._replace(agent_state=agent_state)
      return Batch(steps, jnp.ones(size), jnp.arange(size)), state
    turn = state.drawn % self.num_minibatches
    order = jax.lax.cond(
      turn == 0,
      lambda: shuffling.permutation(key, self.num_sequences),
      lambda: state.order,
    )
    indices = jax.lax.dynamic_slice_in_dim(order, turn * size, size)
    state = state._replace(order=order, drawn=state.drawn + 1)
    return Batch(self._gather(state, indices), jnp.ones(size), indices), state

  def _gather(self, state: RolloutState, indices: Array) -> Step:
    chunks, envs = jnp.divmod(indices, self.num_envs)
    begins = chunks * self.length
    rows = begins + jnp.arange(self.length)[:, None]

    def take(x):
      # The last step apart: nothing of it is fetched if nothing reads it.
      last = x[begins + self.length, envs][None]
      return jnp.concatenate([x[rows, envs[None]], last])

    steps = jax.tree.map(take, state.steps._replace(agent_state=()))
    agent_state = jax.tree.map(
      lambda x: x[chunks, envs], state.steps.agent_state
    )
    return steps._replace(agent_state=agent_state)
