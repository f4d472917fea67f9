"""Torsos: observations to vectors, over any leading axes at once."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence

import haiku as hk
import jax
import jax.numpy as jnp

from neurorl.registry import component
from neurorl.types import Array, Tree

Activation = Callable[[Array], Array]
# Observation spec -> module, inside `hk.transform`.
TorsoRecipe = Callable[[Tree], Callable[[Tree], Array]]


class Layers(hk.Module):
  """Linear layers, each with a norm, if any, and an activation."""

  def __init__(
    self,
    sizes: Sequence[int],
    activation: Activation,
    layer_norm: bool,
    name: str,
  ):
    super().__init__(name=name)
    self._sizes = sizes
    self._activation = activation
    self._layer_norm = layer_norm

  def __call__(self, x: Array) -> Array:
    """Maps `[..., D]` to `[..., sizes[-1]]`."""
    for i, size in enumerate(self._sizes):
      x = hk.Linear(size, name=f"linear_{i}")(x)
      if self._layer_norm:
        x = hk.LayerNorm(-1, True, True, name=f"norm_{i}")(x)
      x = self._activation(x)
    return x


def flatten(observation: Tree, spec: Tree) -> Array:
  """Joins the leaves of an observation.

  Args:
    observation: `[..., *shape]` for each leaf.
    spec: the leaves' shapes, without leading axes.

  Returns:
    `[..., D]` float32.
  """

  def vector(x, leaf):
    leading = x.shape[: x.ndim - len(leaf.shape)]
    return x.reshape(*leading, math.prod(leaf.shape)).astype(jnp.float32)

  leaves = jax.tree.leaves(jax.tree.map(vector, observation, spec))
  return jnp.concatenate(leaves, axis=-1)


def check_sizes(name: str, sizes: Sequence[int]) -> None:
  """Raises `ValueError` unless every size is positive."""
  if any(size < 1 for size in sizes):
    raise ValueError(f"{name} must be positive, got {list(sizes)}")


@component
def mlp(
  hidden_sizes: Sequence[int] = (128,),
  activation: Activation = jax.nn.relu,
  layer_norm: bool = False,
) -> TorsoRecipe:
  """Linear layers over the flattened observation, of any structure.

  Args:
    hidden_sizes: units of each layer; empty for none.
    activation: after each layer.
    layer_norm: whether each layer is normalised before its activation.

  Returns:
    The torso's recipe.

  Raises:
    ValueError: if a size is not positive.
  """
  check_sizes("mlp.hidden_sizes", hidden_sizes)

  def build(spec: Tree):
    if not jax.tree.leaves(spec):
      raise ValueError("mlp: the environment has no observation to read")
    layers = Layers(hidden_sizes, activation, layer_norm, name="mlp")
    return lambda observation: layers(flatten(observation, spec))

  return build


class MinAtarCNN(hk.Module):
  """One convolution over the image, then a linear layer over everything."""

  def __init__(self, channels: int, hidden_size: int, activation: Activation):
    super().__init__(name="minatar_cnn")
    self._channels = channels
    self._activation = activation
    self._out = Layers([hidden_size], activation, False, name="out")

  def __call__(self, image: Array, others: list[Array]) -> Array:
    """Maps `[..., H, W, C]` and vectors `[..., D]` to `[..., hidden_size]`."""
    convolution = hk.Conv2D(self._channels, 3, padding="VALID", name="conv")
    x = hk.BatchApply(convolution, image.ndim - 3)(image.astype(jnp.float32))
    x = self._activation(x)
    x = x.reshape(*x.shape[:-3], -1)
    return self._out(jnp.concatenate([x, *others], axis=-1))


@component
def minatar_cnn(
  channels: int = 16,
  hidden_size: int = 128,
  activation: Activation = jax.nn.relu,
) -> TorsoRecipe:
  """The small convolutional network for 10 x 10 MinAtar frames.

  Reads one image `[H, W, C]`; other leaves of the observation (a previous
  action, say) join it before the linear layer.

  Young and Tian (2019), https://arxiv.org/abs/1903.03176

  Args:
    channels: of the 3 x 3 convolution.
    hidden_size: units of the linear layer.
    activation: after both.

  Returns:
    The torso's recipe.

  Raises:
    ValueError: if a size is not positive or, at build, if the observation does
      not hold just one image.
  """
  check_sizes("minatar_cnn.channels and hidden_size", [channels, hidden_size])

  def build(spec: Tree):
    leaves = jax.tree.leaves(spec)
    images = [i for i, leaf in enumerate(leaves) if len(leaf.shape) == 3]
    if len(images) != 1 or min(leaves[images[0]].shape[:2], default=0) < 3:
      shapes = [tuple(leaf.shape) for leaf in leaves]
      raise ValueError(
        "minatar_cnn reads one image [H, W, C] of at least 3 x 3, but the "
        f"observation has shapes {shapes}; agent.torso = @mlp() reads any"
      )
    return functools.partial(
      _apply_cnn, MinAtarCNN(channels, hidden_size, activation), spec, images[0]
    )

  return build


def _apply_cnn(module: MinAtarCNN, spec: Tree, image: int, observation: Tree):
  leaves, specs = jax.tree.leaves(observation), jax.tree.leaves(spec)
  others = [
    flatten(leaf, leaf_spec)
    for i, (leaf, leaf_spec) in enumerate(zip(leaves, specs, strict=True))
    if i != image
  ]
  return module(leaves[image], others)
