"""Linear layers, whose kind is a slot: some explore by their parameters."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import haiku as hk
import jax
import jax.numpy as jnp

from neurorl.ops import products
from neurorl.registry import component
from neurorl.types import Array, Mode

Activation = Callable[[Array], Array]
Layer = Callable[[Array, Mode], Array]
# (size, name) -> layer of `[..., D]` to `[..., size]`, inside `hk.transform`.
Linear = Callable[[int, str], Layer]


class Dense(hk.Linear):
  """`hk.Linear`, its parameters and all, with a fast gradient."""

  def __call__(self, inputs: Array) -> Array:
    """Maps `[..., D]` to `[..., size]`."""
    width = inputs.shape[-1]
    init = self.w_init or hk.initializers.TruncatedNormal(width**-0.5)
    shape = (width, self.output_size)
    w = hk.get_parameter("w", shape, inputs.dtype, init)
    y = products.matmul(inputs, w)
    if not self.with_bias:
      return y
    return y + hk.get_parameter("b", shape[1:], inputs.dtype, self.b_init)


def plain(size: int, name: str) -> Layer:
  """Makes a linear layer that is the same in every mode."""
  linear = Dense(size, name=name)
  return lambda x, mode: linear(x)


class Layers(hk.Module):
  """Linear layers, each with a norm, if any, and an activation."""

  def __init__(
    self,
    sizes: Sequence[int],
    activation: Activation,
    layer_norm: bool,
    name: str,
    linear: Linear = plain,
  ):
    super().__init__(name=name)
    self._sizes = sizes
    self._activation = activation
    self._layer_norm = layer_norm
    self._linear = linear

  def __call__(self, x: Array, mode: Mode = "online") -> Array:
    """Maps `[..., D]` to `[..., sizes[-1]]`."""
    for i, size in enumerate(self._sizes):
      x = self._linear(size, f"linear_{i}")(x, mode)
      if self._layer_norm:
        x = hk.LayerNorm(-1, True, True, name=f"norm_{i}")(x)
      x = self._activation(x)
    return x


def check_sizes(name: str, sizes: Sequence[int]) -> None:
  """Raises `ValueError` unless every size is positive."""
  if any(size < 1 for size in sizes):
    raise ValueError(f"{name} must be positive, got {list(sizes)}")


class NoisyLinear(hk.Module):
  """A linear layer whose parameters are drawn anew for every row."""

  def __init__(self, size: int, scale: float, name: str):
    super().__init__(name=name)
    self._size = size
    self._scale = scale

  def __call__(self, x: Array, mode: Mode) -> Array:
    """Maps `[..., D]` to `[..., size]`; without noise when evaluating."""
    inputs = x.shape[-1]
    bound = inputs**-0.5
    mean = hk.initializers.RandomUniform(-bound, bound)
    deviation = hk.initializers.Constant(self._scale * bound)
    w, b, w_scale, b_scale = [
      hk.get_parameter(name, shape, init=init)
      for name, shape, init in [
        ("w", (inputs, self._size), mean),
        ("b", (self._size,), mean),
        ("w_scale", (inputs, self._size), deviation),
        ("b_scale", (self._size,), deviation),
      ]
    ]
    y = x @ w + b
    if mode == "evaluating":
      return y
    # The noise of a weight is a product, one factor for its input and one for
    # its output: so every row can have its own at the cost of one more product.
    key_in, key_out = jax.random.split(hk.next_rng_key())
    noise_in, noise_out = _noise(key_in, x.shape), _noise(key_out, y.shape)
    return y + ((x * noise_in) @ w_scale + b_scale) * noise_out


def _noise(key, shape):
  x = jax.random.normal(key, shape)
  return jnp.sign(x) * jnp.sqrt(abs(x))


@component
def noisy_linear(scale: float = 0.5) -> Linear:
  """Linear layers whose noise is learned, in place of epsilon.

  y = (w + w_scale * e) x + b + b_scale * e', with e factorised into noise of
  inputs and of outputs, drawn anew for every row of a batch and at every call;
  none in evaluation.

  Fortunato et al. (2018), https://arxiv.org/abs/1706.10295

  Args:
    scale: deviation of the noise at first, in units of 1 / sqrt(inputs); not
      negative.

  Returns:
    The layer's recipe.

  Raises:
    ValueError: if the scale is negative.
  """
  if scale < 0.0:
    raise ValueError(f"noisy_linear.scale must be >= 0, got {scale}")
  return lambda size, name: NoisyLinear(size, scale, name)
