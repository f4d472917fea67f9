"""Cores of rate units: the vanilla and the continuous-time network."""

from __future__ import annotations

import functools

import jax.numpy as jnp

from neurorl.networks.cores import CoreRecipe, GatedCore, check_hidden_size
from neurorl.ops import products
from neurorl.registry import component
from neurorl.types import Array


class RNN(GatedCore):
  """The vanilla recurrent network of Elman."""

  gates = 1

  def zero_state(self) -> Array:
    """Returns one row's state of zeros."""
    return jnp.zeros(self.hidden_size)

  def cell(self, weights: Array, inputs: Array, state: Array):
    """Advances by one step; returns the output `[B, H]` and the state."""
    state = jnp.tanh(inputs + products.dot(state, weights))
    return state, state


class CTRNN(RNN):
  """Leaky integrators of what a vanilla network computes."""

  def __init__(
    self,
    hidden_size: int,
    time_constant: float,
    learn_initial_state: bool,
    name: str | None = None,
  ):
    super().__init__(hidden_size, learn_initial_state, name=name)
    self._time_constant = time_constant

  def cell(self, weights: Array, inputs: Array, state: Array):
    """Advances by one step; returns the output `[B, H]` and the state."""
    towards, _ = super().cell(weights, inputs, state)
    state = state + (towards - state) / self._time_constant
    return state, state


@component
def rnn(
  hidden_size: int = 128, learn_initial_state: bool = False
) -> CoreRecipe:
  """A vanilla recurrent core, h <- tanh(W x + U h + b).

  Elman (1990), https://doi.org/10.1207/s15516709cog1402_1

  Args:
    hidden_size: units, at least 1.
    learn_initial_state: whether the state at an episode's beginning is learned
      or zeros.

  Returns:
    The core's recipe.

  Raises:
    ValueError: if `hidden_size` is not positive.
  """
  check_hidden_size("rnn", hidden_size)
  return functools.partial(RNN, hidden_size, learn_initial_state, name="rnn")


@component
def ctrnn(
  hidden_size: int = 128,
  time_constant: float = 5.0,
  learn_initial_state: bool = False,
) -> CoreRecipe:
  """A continuous-time core, h <- h + (dt / tau) (tanh(W x + U h + b) - h).

  Funahashi and Nakamura (1993), https://doi.org/10.1016/S0893-6080(05)80125-X;
  as models of neural circuits, Yang and Wang (2020),
  https://arxiv.org/abs/2006.01001

  Args:
    hidden_size: units, at least 1.
    time_constant: tau in steps of the environment (in units of dt), at least
      1, which makes a vanilla network.
    learn_initial_state: whether the state at an episode's beginning is learned
      or zeros.

  Returns:
    The core's recipe.

  Raises:
    ValueError: if `hidden_size` is not positive or `time_constant` below 1.
  """
  check_hidden_size("ctrnn", hidden_size)
  if time_constant < 1:
    raise ValueError(f"ctrnn.time_constant must be >= 1, got {time_constant}")
  return functools.partial(
    CTRNN, hidden_size, time_constant, learn_initial_state, name="ctrnn"
  )
