"""Cores whose state is a linear recurrence of what they read of their inputs.

Nothing in the recurrence waits for the state, so training takes a parallel
scan. What such a state lacks in power, a readout with a gate makes up for.
"""

from __future__ import annotations

import functools
import math

import haiku as hk
import jax
import jax.numpy as jnp

from neurorl.networks.cores import CoreRecipe, check_hidden_size
from neurorl.networks.linears import Dense, check_sizes
from neurorl.ops import scans
from neurorl.registry import component
from neurorl.types import Array


class LinearCore(hk.Module):
  """A core of the state h_t = a_t h_{t-1} + b_t.

  A subclass names the state, a, b, and the readout; scans are here.
  """

  def initial_state(self, batch_size: int) -> Array:
    """Returns the state at an episode's beginning, zeros `[B, ...]`."""
    raise NotImplementedError

  def recurrence(self, x: Array) -> tuple[Array, Array]:
    """Returns a and b of the inputs `[T, B, D]`, as `linear_scan` has them."""
    raise NotImplementedError

  def read(self, x: Array, states: Array) -> Array:
    """Returns the outputs `[T, B, H]` of inputs and states."""
    raise NotImplementedError

  def step(self, x: Array, reset: Array, state: Array) -> tuple[Array, Array]:
    """Advances by one step `[B, ...]`."""
    outputs, state = self.unroll(x[None], reset[None], state)
    return outputs[0], state

  def unroll(self, x: Array, reset: Array, state: Array) -> tuple[Array, Array]:
    """Advances by `[T, B, ...]` steps."""
    decay, inputs = self.recurrence(x)
    states = scans.linear_scan(decay, inputs, reset, state)
    return self.read(x, states), states[-1]


class GatedReadout(hk.Module):
  """GELU, then a gated linear unit, of the state and the present input.

  As in the layers of S5, https://arxiv.org/abs/2208.04933, appendix G.1
  """

  def __init__(
    self,
    hidden_size: int,
    w_init: hk.initializers.Initializer | None = None,
    name: str = "readout",
  ):
    super().__init__(name=name)
    self._state = Dense(hidden_size, False, w_init, name="state")
    self._input = Dense(hidden_size, name="input")
    self._gate = Dense(hidden_size, name="gate")

  def __call__(self, x: Array, state: Array) -> Array:
    """Maps `[..., D]` and real `[..., N]` to `[..., hidden_size]`."""
    x = jax.nn.gelu(self._state(state) + self._input(x))
    return x * jax.nn.sigmoid(self._gate(x))


def to_complex(x: Array) -> Array:
  """Makes complex `[..., N]` of the real and imaginary halves `[..., 2 N]`."""
  return jax.lax.complex(*jnp.split(x.astype(jnp.float32), 2, axis=-1))


def to_real(x: Array) -> Array:
  """Undoes `to_complex`."""
  return jnp.concatenate([x.real, x.imag], axis=-1)


class MinGRU(LinearCore):
  """A GRU whose gate and candidate see the input alone."""

  def __init__(
    self, hidden_size: int, max_memory: float, name: str | None = None
  ):
    super().__init__(name=name)
    self._hidden_size = hidden_size
    # What does not see the state must tell inputs apart from the first: on a
    # torso's outputs as they are, gates did not learn to hold anything.
    self._norm = hk.RMSNorm(-1, name="norm")
    # Units that forget at rates from 1 / 2 to 1 / max_memory; at 1 / 2 alone,
    # little gradient comes back from 20 steps on.
    rates = hk.initializers.RandomUniform(-math.log(max_memory), 0.0)
    self._gate = Dense(hidden_size, b_init=rates, name="gate")
    self._candidate = Dense(hidden_size, name="candidate")

  def initial_state(self, batch_size: int) -> Array:
    """Returns zeros `[B, H]`."""
    return jnp.zeros((batch_size, self._hidden_size))

  def recurrence(self, x: Array) -> tuple[Array, Array]:
    """Returns 1 - z and z times the candidate."""
    x = self._norm(x)
    gate = self._gate(x)
    return jax.nn.sigmoid(-gate), jax.nn.sigmoid(gate) * self._candidate(x)

  def read(self, x: Array, states: Array) -> Array:
    """Returns the states."""
    del x
    return states


@component
def min_gru(hidden_size: int = 128, max_memory: float = 100.0) -> CoreRecipe:
  """A minimal gated recurrent unit, h <- (1 - z(x)) h + z(x) c(x).

  Feng et al. (2024), https://arxiv.org/abs/2410.01201, of which this is the
  form without logarithms: a convex combination needs none. Gates start as in
  Tallec and Ollivier (2018), https://arxiv.org/abs/1804.11188.

  Args:
    hidden_size: units, at least 1.
    max_memory: how many steps the slowest units remember before training, above
      1; others remember fewer, evenly over orders of magnitude.

  Returns:
    The core's recipe.

  Raises:
    ValueError: if `hidden_size` is not positive or `max_memory` not above 1.
  """
  check_hidden_size("min_gru", hidden_size)
  if max_memory <= 1:
    raise ValueError(f"min_gru.max_memory must be > 1, got {max_memory}")
  return functools.partial(MinGRU, hidden_size, max_memory, name="min_gru")


class LRU(LinearCore):
  """Complex units that turn and decay by learned amounts."""

  def __init__(
    self,
    hidden_size: int,
    state_size: int,
    radii: tuple[float, float],
    max_phase: float,
    name: str | None = None,
  ):
    super().__init__(name=name)
    self._state_size = state_size
    self._radii = radii
    self._max_phase = max_phase
    self._project = Dense(2 * state_size, False, name="drive")
    self._readout = GatedReadout(hidden_size)

  def initial_state(self, batch_size: int) -> Array:
    """Returns zeros `[B, N]`, complex."""
    return jnp.zeros((batch_size, self._state_size), jnp.complex64)

  def _init_log_rate(self, shape, dtype) -> Array:
    """Radii whose squares are uniform: spread evenly over the ring."""
    low, high = self._radii
    square = jax.random.uniform(
      hk.next_rng_key(), shape, dtype, low**2, high**2
    )
    return jnp.log(-0.5 * jnp.log(square))

  def _init_log_phase(self, shape, dtype) -> Array:
    # Away from 0, whose logarithm is not finite.
    share = jax.random.uniform(hk.next_rng_key(), shape, dtype, 1e-3, 1.0)
    return jnp.log(share * self._max_phase)

  def recurrence(self, x: Array) -> tuple[Array, Array]:
    """Returns lambda = exp(-exp(nu) + i exp(theta)), and gamma B x."""
    shape = (self._state_size,)
    log_rate = hk.get_parameter("nu", shape, init=self._init_log_rate)
    log_phase = hk.get_parameter("theta", shape, init=self._init_log_phase)
    decay = jnp.exp(jax.lax.complex(-jnp.exp(log_rate), jnp.exp(log_phase)))
    # White inputs then give every unit a variance of 1, however slow it is.
    log_gain = hk.get_parameter(
      "log_gamma",
      shape,
      init=lambda *_: 0.5 * jnp.log1p(-jnp.square(jnp.abs(decay))),
    )
    return decay, jnp.exp(log_gain) * to_complex(self._project(x))

  def read(self, x: Array, states: Array) -> Array:
    """Returns what the gate lets through of Re(C h) + D x."""
    return self._readout(x, to_real(states))


@component
def lru(
  hidden_size: int = 128,
  state_size: int = 128,
  min_radius: float = 0.9,
  max_radius: float = 0.999,
  max_phase: float = 6.28,
) -> CoreRecipe:
  """A linear recurrent unit: a diagonal complex recurrence, read by a gate.

  Orvieto et al. (2023), https://arxiv.org/abs/2303.06349

  Args:
    hidden_size: units of the output, at least 1.
    state_size: complex units of the state, at least 1.
    min_radius: the least modulus of a unit's decay before training, above 0.
    max_radius: the greatest, below 1; r remembers some 1 / (1 - r) steps.
    max_phase: the greatest angle that a unit turns by at a step before
      training, above 0 and at most 2 pi.

  Returns:
    The core's recipe.

  Raises:
    ValueError: if a size is not positive, or radii or the phase are out of
      range.
  """
  check_sizes("lru.hidden_size and state_size", [hidden_size, state_size])
  if not 0 < min_radius < max_radius < 1:
    raise ValueError(
      "lru needs 0 < min_radius < max_radius < 1, got "
      f"{min_radius} and {max_radius}"
    )
  if not 0 < max_phase < 6.2832:
    raise ValueError(f"lru.max_phase must be in (0, 2 pi], got {max_phase}")
  radii = (min_radius, max_radius)
  return functools.partial(
    LRU, hidden_size, state_size, radii, max_phase, name="lru"
  )
