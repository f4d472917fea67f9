"""Recurrent cores: memory over time, reset where an episode begins.

A gated core computes its input projection for all times at once, outside the
scan: only the hidden-to-hidden product is sequential, forward and backward.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import NamedTuple, Protocol

import haiku as hk
import jax
import jax.numpy as jnp

from neurorl.networks import gated_scans
from neurorl.ops import products, trees
from neurorl.registry import component
from neurorl.types import Array, Tree


class Core(Protocol):
  """What a core module offers; `reset` is true where an episode begins."""

  def initial_state(self, batch_size: int) -> Tree:
    """Returns the state at an episode's beginning, `[B, ...]`."""

  def step(self, x: Array, reset: Array, state: Tree) -> tuple[Array, Tree]:
    """Takes `x` `[B, D]` and `reset` `[B]`; returns `[B, H]` and the state."""

  def unroll(self, x: Array, reset: Array, state: Tree) -> tuple[Array, Tree]:
    """Takes `x` `[T, B, D]` and `reset` `[T, B]`; returns `[T, B, H]`."""


CoreRecipe = Callable[[], Core]


class GatedCore(hk.Module):
  """A core whose gates add an input and a recurrent projection.

  A subclass names its gates and its cell; unrolling and resets are here.
  """

  gates: int  # how many vectors of `hidden_size` the cell reads

  def __init__(
    self,
    hidden_size: int,
    learn_initial_state: bool = False,
    max_memory: float | None = None,
    name: str | None = None,
  ):
    super().__init__(name=name)
    self.hidden_size = hidden_size
    self.learn_initial_state = learn_initial_state
    self.max_memory = max_memory

  def zero_state(self) -> Tree:
    """Returns one row's state of zeros."""
    raise NotImplementedError

  def cell(self, weights: Tree, inputs: Array, state: Tree):
    """Advances by one step; returns the output `[B, H]` and the state."""
    raise NotImplementedError

  def recurrent_weights(self) -> Tree:
    """Returns what `cell` multiplies its state with."""
    return self._weights("w_h", self.hidden_size)

  def project(self, x: Array) -> Tree:
    """Returns what `cell` reads of the inputs `[..., D]`, all times at once."""
    weights, bias = self.input_parameters(x.shape[-1])
    return products.matmul(x, weights) + bias

  def input_parameters(self, width: int) -> tuple[Array, Array]:
    """Returns the weights of inputs, `[width, gates * H]`, and the bias."""
    shape = (self.gates * self.hidden_size,)
    bias = hk.get_parameter("b", shape, init=self._bias)
    return self._weights("w_i", width), bias

  def _bias(self, shape: tuple[int, ...], dtype: jnp.dtype) -> Array:
    """What gates are open at first."""
    if self.max_memory is None:
      return jnp.zeros(shape, dtype)
    times = jax.random.uniform(
      hk.next_rng_key(), (self.hidden_size,), dtype, 1.0, self.max_memory - 1.0
    )
    return self.remembering(jnp.log(times))

  def remembering(self, log_times: Array) -> Array:
    """Returns the bias with which units forget as slowly as they are told.

    Args:
      log_times: `[H]`, logarithms of the steps that each is to hold what it
        has read.
    """
    raise NotImplementedError

  def _weights(self, name: str, fan_in: int) -> Array:
    init = hk.initializers.TruncatedNormal(1.0 / fan_in**0.5)
    shape = (fan_in, self.gates * self.hidden_size)
    return hk.get_parameter(name, shape, init=init)

  def initial_state(self, batch_size: int) -> Tree:
    """Returns the state at an episode's beginning, `[B, ...]`."""
    state = self.zero_state()
    if self.learn_initial_state:
      leaves, structure = jax.tree.flatten(state)
      leaves = [
        hk.get_parameter(f"initial_{i}", leaf.shape, init=jnp.zeros)
        for i, leaf in enumerate(leaves)
      ]
      state = jax.tree.unflatten(structure, leaves)
    return jax.tree.map(
      lambda x: jnp.broadcast_to(x, (batch_size, *x.shape)), state
    )

  def step(self, x: Array, reset: Array, state: Tree) -> tuple[Array, Tree]:
    """Advances by one step `[B, ...]`."""
    state = trees.where(reset, self.initial_state(x.shape[0]), state)
    return self.cell(self.recurrent_weights(), self.project(x), state)

  def unroll(self, x: Array, reset: Array, state: Tree) -> tuple[Array, Tree]:
    """Advances by `[T, B, ...]` steps."""
    weights, inputs = self.recurrent_weights(), self.project(x)
    if self.learn_initial_state:
      return GatedCore.scan(self, weights, inputs, reset, state)
    return self.scan(weights, inputs, reset, state)

  def scan(self, weights: Tree, inputs: Tree, reset: Array, state: Tree):
    """Applies `cell` over time; a subclass may do it faster for zeros."""
    initial = self.initial_state(reset.shape[1])

    def body(state, inputs_and_reset):
      inputs, begins = inputs_and_reset
      state = trees.where(begins, initial, state)
      output, state = self.cell(weights, inputs, state)
      return state, output

    state, outputs = jax.lax.scan(body, state, (inputs, reset))
    return outputs, state


class LSTMState(NamedTuple):
  """State of an LSTM, `[B, H]` each."""

  hidden: Array
  cell: Array


class LSTM(GatedCore):
  """Long short-term memory, with a forget-gate bias of 1.

  All four gates are one sigmoid over adjacent memory, tanh(x) being
  2 sigmoid(2 x) - 1: on a CPU that takes half the time of four slices.
  """

  gates = 4

  def zero_state(self) -> LSTMState:
    """Returns one row's state of zeros."""
    zeros = jnp.zeros(self.hidden_size)
    return LSTMState(zeros, zeros)

  def remembering(self, log_times: Array) -> Array:
    """Returns the bias of a forget gate that keeps, and so writes little."""
    nothing = jnp.zeros_like(log_times)
    # `input_parameters` adds 1 to the forget gate.
    return jnp.concatenate([-log_times, nothing, log_times - 1, nothing])

  def _per_gate(self, i: float, g: float, f: float, o: float) -> Array:
    return jnp.repeat(jnp.array([i, g, f, o]), self.hidden_size)

  def recurrent_weights(self) -> Array:
    """Returns the recurrent weights, doubled for the candidate."""
    return super().recurrent_weights() * self._per_gate(1, 2, 1, 1)

  def input_parameters(self, width: int) -> tuple[Array, Array]:
    """Returns the weights of inputs and the bias, doubled for the candidate."""
    weights, bias = super().input_parameters(width)
    bias += self._per_gate(0, 0, 1, 0)
    doubled = self._per_gate(1, 2, 1, 1)
    return weights * doubled, bias * doubled

  def cell(self, weights: Array, inputs: Array, state: LSTMState):
    """Advances by one step; returns the output `[B, H]` and the state."""
    product = state.hidden @ weights
    _, hidden, cell = gated_scans.lstm_step(inputs, product, state.cell)
    return hidden, LSTMState(hidden, cell)

  def scan(self, weights: Array, inputs: Array, reset: Array, state: LSTMState):
    """Applies `cell` over time where a reset leaves zeros."""
    hidden, cell = gated_scans.lstm(weights, inputs, reset, *state)
    return hidden, LSTMState(hidden[-1], cell[-1])


class GRU(GatedCore):
  """Gated recurrent unit."""

  gates = 3

  def remembering(self, log_times: Array) -> Array:
    """Returns the bias of an update gate that is hardly open."""
    nothing = jnp.zeros_like(log_times)
    return jnp.concatenate([-log_times, nothing, nothing])

  def zero_state(self) -> Array:
    """Returns one row's state of zeros."""
    return jnp.zeros(self.hidden_size)

  def recurrent_weights(self) -> tuple[Array, Array]:
    """Returns the weights of the gates and of the candidate."""
    return self._split(super().recurrent_weights())

  def project(self, x: Array) -> tuple[Array, Array]:
    """Returns the inputs of the gates and of the candidate."""
    return self._split(super().project(x))

  def _split(self, x: Array) -> tuple[Array, Array]:
    gates, candidate = jnp.split(x, [2 * self.hidden_size], axis=-1)
    return gates, candidate

  def cell(self, weights, inputs, state: Array):
    """Advances by one step; returns the output `[B, H]` and the state."""
    product = state @ weights[0]
    state, _, _ = gated_scans.gru_step(weights[1], inputs, product, state)
    return state, state

  def scan(self, weights, inputs, reset: Array, state: Array):
    """Applies `cell` over time where a reset leaves zeros."""
    states = gated_scans.gru(weights, inputs, reset, state)
    return states, states[-1]


def check_hidden_size(name: str, hidden_size: int) -> None:
  """Raises `ValueError` unless there is a unit."""
  if hidden_size < 1:
    raise ValueError(f"{name}.hidden_size must be >= 1, got {hidden_size}")


def _check_max_memory(name: str, max_memory: float | None) -> None:
  if max_memory is not None and not max_memory > 2.0:
    raise ValueError(f"{name}.max_memory must be > 2, got {max_memory}")


@component
def lstm(
  hidden_size: int = 128,
  learn_initial_state: bool = False,
  max_memory: float | None = None,
) -> CoreRecipe:
  """A long short-term memory core.

  Hochreiter and Schmidhuber (1997), https://doi.org/10.1162/neco.1997.9.8.1735

  Args:
    hidden_size: units, at least 1.
    learn_initial_state: whether the state at an episode's beginning is learned
      or zeros.
    max_memory: units hold what they read for up to so many steps at first, each
      for a time of its own, as in Tallec and Ollivier (2018),
      https://arxiv.org/abs/1804.11188; None for a step or two. To be bound
      where something must be remembered for long.

  Returns:
    The core's recipe.

  Raises:
    ValueError: if `hidden_size` is not positive or `max_memory` not above 2.
  """
  check_hidden_size("lstm", hidden_size)
  _check_max_memory("lstm", max_memory)
  return functools.partial(
    LSTM, hidden_size, learn_initial_state, max_memory, name="lstm"
  )


@component
def gru(
  hidden_size: int = 128,
  learn_initial_state: bool = False,
  max_memory: float | None = None,
) -> CoreRecipe:
  """A gated recurrent unit core.

  Cho et al. (2014), https://arxiv.org/abs/1406.1078

  Args:
    hidden_size: units, at least 1.
    learn_initial_state: whether the state at an episode's beginning is learned
      or zeros.
    max_memory: units hold what they read for up to so many steps at first, each
      for a time of its own, as in Tallec and Ollivier (2018),
      https://arxiv.org/abs/1804.11188; None for a step or two. To be bound
      where something must be remembered for long.

  Returns:
    The core's recipe.

  Raises:
    ValueError: if `hidden_size` is not positive or `max_memory` not above 2.
  """
  check_hidden_size("gru", hidden_size)
  _check_max_memory("gru", max_memory)
  return functools.partial(
    GRU, hidden_size, learn_initial_state, max_memory, name="gru"
  )


class FeedForward:
  """No core: the output is the input, the state is empty."""

  def initial_state(self, batch_size: int) -> Tree:
    """Returns the empty state."""
    del batch_size
    return ()

  def step(self, x: Array, reset: Array, state: Tree) -> tuple[Array, Tree]:
    """Returns its input."""
    del reset
    return x, state

  def unroll(self, x: Array, reset: Array, state: Tree) -> tuple[Array, Tree]:
    """Returns its input."""
    del reset
    return x, state
