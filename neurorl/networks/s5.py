"""S5: a diagonal state space model as a core."""

from __future__ import annotations

import functools
import math

import haiku as hk
import jax
import jax.numpy as jnp
import numpy as np

from neurorl.networks.cores import CoreRecipe
from neurorl.networks.linear_cores import (
  GatedReadout,
  LinearCore,
  to_complex,
  to_real,
)
from neurorl.networks.linears import Dense, check_sizes
from neurorl.registry import component
from neurorl.types import Array


def hippo(size: int) -> tuple[np.ndarray, np.ndarray]:
  """Diagonalises the normal part of the HiPPO-LegS matrix.

  Its eigenvalues come in conjugate pairs, of which one each is returned.

  Gu et al. (2022), https://arxiv.org/abs/2206.11893

  Args:
    size: of the matrix, even.

  Returns:
    Eigenvalues `[size / 2]` and, in columns, eigenvectors `[size, size / 2]`.
  """
  root = np.sqrt(np.arange(size) + 0.5)
  lower = np.tril(np.outer(root, root), -1)
  # HiPPO plus its low-rank part is -I / 2 and a skew-symmetric matrix; i times
  # that one is Hermitian.
  imaginary, vectors = np.linalg.eigh(1j * (lower - lower.T))
  return -0.5 + 1j * imaginary[size // 2 :], vectors[:, size // 2 :]


class S5(LinearCore):
  """A state of dx/dt = Lambda x + B u, held between steps of learned length."""

  def __init__(
    self,
    hidden_size: int,
    state_size: int,
    num_blocks: int,
    steps: tuple[float, float],
    name: str | None = None,
  ):
    super().__init__(name=name)
    self._state_size = state_size
    self._steps = steps
    values, vectors = hippo(2 * state_size // num_blocks)
    self._eigenvalues = np.tile(values, num_blocks)
    self._eigenvectors = np.kron(np.eye(num_blocks), vectors)
    self._project = Dense(2 * state_size, False, self._init_drive, name="drive")
    self._readout = GatedReadout(hidden_size, self._init_read)

  def initial_state(self, batch_size: int) -> Array:
    """Returns zeros `[B, N]`, complex."""
    return jnp.zeros((batch_size, self._state_size), jnp.complex64)

  def _init_drive(self, shape, dtype) -> Array:
    """Of normal weights to the HiPPO state, in the eigenvectors' basis."""
    drawn = (shape[0], self._eigenvectors.shape[0])
    weights = jax.random.normal(hk.next_rng_key(), drawn) / shape[0] ** 0.5
    return to_real(weights @ self._eigenvectors.conj()).astype(dtype)

  def _init_read(self, shape, dtype) -> Array:
    """Of normal weights from the HiPPO state, in the eigenvectors' basis."""
    drawn = (self._eigenvectors.shape[0], shape[1])
    weights = jax.random.normal(hk.next_rng_key(), drawn) / drawn[0] ** 0.5
    # Twice the real part: the other of each conjugate pair adds as much.
    weights = 2.0 * self._eigenvectors.T @ weights
    return jnp.concatenate([weights.real, -weights.imag]).astype(dtype)

  def _init_log_step(self, shape, dtype) -> Array:
    low, high = map(math.log, self._steps)
    return jax.random.uniform(hk.next_rng_key(), shape, dtype, low, high)

  def recurrence(self, x: Array) -> tuple[Array, Array]:
    """Returns exp(Lambda step) and B u, held constant over the step."""
    shape, values = (self._state_size,), self._eigenvalues
    # Whatever is learned, the real part stays below 0 and the state finite.
    log_rate = hk.get_parameter(
      "log_rate", shape, init=lambda *_: jnp.log(-jnp.float32(values.real))
    )
    frequency = hk.get_parameter(
      "frequency", shape, init=lambda *_: jnp.float32(values.imag)
    )
    log_step = hk.get_parameter("log_step", shape, init=self._init_log_step)
    eigenvalues = jax.lax.complex(-jnp.exp(log_rate), frequency)
    decay = jnp.exp(eigenvalues * jnp.exp(log_step))
    gain = (decay - 1.0) / eigenvalues
    return decay, gain * to_complex(self._project(x))

  def read(self, x: Array, states: Array) -> Array:
    """Returns what the gate lets through of 2 Re(C h) + D x."""
    return self._readout(x, to_real(states))


@component
def s5(
  hidden_size: int = 128,
  state_size: int = 64,
  num_blocks: int = 4,
  min_step: float = 0.001,
  max_step: float = 0.1,
) -> CoreRecipe:
  """A simplified structured state space core, read by a gate.

  Starts from the HiPPO matrix, whose state keeps a compressed past; smaller
  steps look further back.

  Smith et al. (2023), https://arxiv.org/abs/2208.04933; with resets, Lu et al.
  (2023), https://arxiv.org/abs/2303.03982

  Args:
    hidden_size: units of the output, at least 1.
    state_size: complex units of the state, at least 1; they stand for
      conjugate pairs, hence for twice as many real ones.
    num_blocks: how many HiPPO matrices share the state; divides `state_size`.
    min_step: the least length of a unit's time step before training, above 0.
    max_step: the greatest; a step of d remembers some 2 / d steps.

  Returns:
    The core's recipe.

  Raises:
    ValueError: if a size is not positive, blocks do not divide units, or steps
      are out of range.
  """
  check_sizes(
    "s5.hidden_size, state_size and num_blocks",
    [hidden_size, state_size, num_blocks],
  )
  if state_size % num_blocks:
    raise ValueError(
      f"s5.num_blocks must divide state_size, got {num_blocks} for "
      f"{state_size} units"
    )
  if not 0 < min_step < max_step:
    raise ValueError(
      f"s5 needs 0 < min_step < max_step, got {min_step} and {max_step}"
    )
  return functools.partial(
    S5, hidden_size, state_size, num_blocks, (min_step, max_step), name="s5"
  )
