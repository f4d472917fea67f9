"""Linear attention as a core: a matrix that keys write and queries read."""

from __future__ import annotations

import functools

import haiku as hk
import jax
import jax.numpy as jnp

from neurorl.networks.cores import CoreRecipe
from neurorl.networks.linear_cores import GatedReadout
from neurorl.networks.linears import Dense, check_sizes
from neurorl.ops import attention
from neurorl.registry import component
from neurorl.types import Array


def _positive(x: Array) -> Array:
  """The feature map of keys and queries."""
  return jax.nn.elu(x) + 1.0


class LinearAttention(hk.Module):
  """Heads of a matrix S = sum k v^T and a normaliser z = sum k each.

  z is the last column of S: what k writes beside a value of 1.
  """

  def __init__(
    self,
    hidden_size: int,
    num_heads: int,
    forget: bool,
    name: str | None = None,
  ):
    super().__init__(name=name)
    self._heads = (num_heads, hidden_size // num_heads)
    # Sharp keys and queries from the first, as in `linear_cores.MinGRU`.
    self._norm = hk.RMSNorm(-1, name="norm")
    self._keys = Dense(hidden_size, name="keys")
    self._values = Dense(hidden_size, name="values")
    self._queries = Dense(hidden_size, name="queries")
    # Keeps 0.99 at first: forgetting is learned, memory would not be.
    bias = hk.initializers.Constant(4.6)
    self._keep = Dense(num_heads, b_init=bias, name="keep")
    self._forget = forget
    self._readout = GatedReadout(hidden_size)

  def initial_state(self, batch_size: int) -> Array:
    """Returns zeros `[B, heads, K, V + 1]`."""
    heads, size = self._heads
    return jnp.zeros((batch_size, heads, size, size + 1))

  def step(self, x: Array, reset: Array, state: Array) -> tuple[Array, Array]:
    """Advances by one step `[B, ...]`."""
    outputs, state = self.unroll(x[None], reset[None], state)
    return outputs[0], state

  def unroll(self, x: Array, reset: Array, state: Array) -> tuple[Array, Array]:
    """Advances by `[T, B, ...]` steps."""
    normed = self._norm(x)
    keys = _positive(self._split(self._keys(normed)))
    queries = _positive(self._split(self._queries(normed)))
    values = self._split(self._values(normed))
    ones = jnp.ones((*values.shape[:-1], 1))
    values = jnp.concatenate([values, ones], axis=-1)
    log_keep = None
    if self._forget:
      log_keep = jax.nn.log_sigmoid(self._keep(normed))
    found, state = attention.attend_linearly(
      queries, keys, values, log_keep, reset, state
    )
    # A step reads its own key too, so the weights' sum is above 0 already;
    # unless features underflow.
    found = found[..., :-1] / (found[..., -1:] + 1e-6)
    return self._readout(x, found.reshape(*x.shape[:-1], -1)), state

  def _split(self, x: Array) -> Array:
    return x.reshape(*x.shape[:-1], *self._heads)


@component
def linear_attention(
  hidden_size: int = 128, num_heads: int = 4, forget: bool = False
) -> CoreRecipe:
  """Attention to the whole episode through a state of constant size.

  Katharopoulos et al. (2020), https://arxiv.org/abs/2006.16236; forgetting, by
  a gate for each head, as in Yang et al. (2024),
  https://arxiv.org/abs/2312.06635

  Args:
    hidden_size: units of the output, and of the heads together.
    num_heads: divides `hidden_size`; the state holds
      `hidden_size ** 2 / num_heads` numbers, and as many are stored with every
      sequence in a replay buffer.
    forget: whether the memory decays by a factor that depends on the input.

  Returns:
    The core's recipe.

  Raises:
    ValueError: if a size is not positive or heads do not divide units.
  """
  check_heads("linear_attention", hidden_size, num_heads)
  return functools.partial(
    LinearAttention, hidden_size, num_heads, forget, name="linear_attention"
  )


def check_heads(name: str, hidden_size: int, num_heads: int) -> None:
  """Raises `ValueError` unless units can be dealt out to heads."""
  check_sizes(f"{name}.hidden_size and num_heads", [hidden_size, num_heads])
  if hidden_size % num_heads:
    raise ValueError(
      f"{name}.num_heads must divide hidden_size, got {num_heads} for "
      f"{hidden_size} units"
    )
