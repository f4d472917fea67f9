"""Torsos that read one image, and whatever else is observed beside it."""

from __future__ import annotations

from collections.abc import Sequence

import haiku as hk
import jax
import jax.numpy as jnp

from neurorl.networks.convolutions import Convolution
from neurorl.networks.linears import Activation, Layers, check_sizes
from neurorl.networks.torsos import TorsoRecipe, flatten
from neurorl.registry import component
from neurorl.types import Array, Tree


class ImageTorso(hk.Module):
  """Joins what is seen of the image with the other leaves, in a linear layer.

  A subclass says how it sees.
  """

  least_size = 1  # of the image, in both directions

  def __init__(
    self, spec: Tree, hidden_size: int, activation: Activation, name: str
  ):
    super().__init__(name=name)
    shapes = [tuple(leaf.shape) for leaf in jax.tree.leaves(spec)]
    images = [i for i, shape in enumerate(shapes) if len(shape) == 3]
    if len(images) != 1 or min(shapes[images[0]][:2]) < self.least_size:
      raise ValueError(
        f"{name} reads one image [H, W, C] of at least {self.least_size} x "
        f"{self.least_size}, but the observation has shapes {shapes}; "
        "agent.torso = @mlp() reads any"
      )
    self._spec = spec
    self._image = images[0]
    self._activation = activation
    self._out = Layers([hidden_size], activation, False, name="out")

  def see(self, image: Array) -> Array:
    """Maps `[N, H, W, C]` to `[N, ...]`."""
    raise NotImplementedError

  def __call__(self, observation: Tree) -> Array:
    """Maps `[..., *shape]` to `[..., hidden_size]`."""
    leaves, specs = jax.tree.leaves(observation), jax.tree.leaves(self._spec)
    image, _ = leaves.pop(self._image), specs.pop(self._image)
    seen = hk.BatchApply(self.see, image.ndim - 3)(image)
    seen = seen.reshape(*image.shape[:-3], -1)
    others = map(flatten, leaves, specs)
    return self._out(jnp.concatenate([seen, *others], axis=-1))


class MinAtarCNN(ImageTorso):
  """Sees by one convolution."""

  least_size = 3

  def __init__(
    self, spec: Tree, channels: int, hidden_size: int, activation: Activation
  ):
    super().__init__(spec, hidden_size, activation, "minatar_cnn")
    self._convolution = Convolution(channels, "VALID", name="conv")

  def see(self, image: Array) -> Array:
    """Maps `[N, H, W, C]` to `[N, H - 2, W - 2, channels]`."""
    return self._activation(self._convolution(image.astype(jnp.float32)))


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
  return lambda spec: MinAtarCNN(spec, channels, hidden_size, activation)


class ImpalaResNet(ImageTorso):
  """Sees by sections that halve the image, each with two residual blocks."""

  def __init__(
    self,
    spec: Tree,
    channels: Sequence[int],
    hidden_size: int,
    activation: Activation,
  ):
    super().__init__(spec, hidden_size, activation, "impala_resnet")
    self._sections = [
      [Convolution(size, "SAME", f"section_{i}_conv_{j}") for j in range(5)]
      for i, size in enumerate(channels)
    ]

  def see(self, image: Array) -> Array:
    """Maps `[N, H, W, C]` to `[N, H', W', channels[-1]]`."""
    scale = 255.0 if image.dtype == jnp.uint8 else 1.0
    x = image.astype(jnp.float32) / scale
    for first, *pairs in self._sections:
      x = hk.max_pool(first(x), (3, 3, 1), (2, 2, 1), "SAME")
      for one, two in (pairs[:2], pairs[2:]):
        x = x + two(self._activation(one(self._activation(x))))
    return self._activation(x)


@component
def impala_resnet(
  channels: Sequence[int] = (16, 32, 32),
  hidden_size: int = 256,
  activation: Activation = jax.nn.relu,
) -> TorsoRecipe:
  """The deep residual network of IMPALA, for images of any size.

  Reads one image `[H, W, C]`, in bytes (from 0 to 255) or any other numbers
  (as they are); other leaves of the observation join it before the linear
  layer.

  Espeholt et al. (2018), https://arxiv.org/abs/1802.01561

  Args:
    channels: of each section, which halves the image.
    hidden_size: units of the linear layer.
    activation: before every convolution but a section's first, and after the
      linear layer.

  Returns:
    The torso's recipe.

  Raises:
    ValueError: if a size is not positive or, at build, if the observation does
      not hold just one image.
  """
  check_sizes(
    "impala_resnet.channels and hidden_size", [*channels, hidden_size]
  )
  return lambda spec: ImpalaResNet(spec, channels, hidden_size, activation)
