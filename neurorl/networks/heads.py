"""Heads: what is predicted from the core's output.

Every head returns a mapping with `'mean'`, which actors and search read. Heads
of scalars also return `'raw'`, what their codec decodes.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable, Mapping, Sequence

import jax

from neurorl.head_types import Codec, Distribution
from neurorl.networks.linears import (
  Activation,
  Layer,
  Layers,
  Linear,
  check_sizes,
  plain,
)
from neurorl.ops import spaces
from neurorl.ops.codecs import SCALAR
from neurorl.ops.distributions import CATEGORICAL
from neurorl.registry import component
from neurorl.types import Array, EnvironmentSpec, Mode, TimeStep

# The timestep is None where a model imagines: there is none.
Head = Callable[[Array, TimeStep | None, Mode], Mapping[str, Array]]


@dataclasses.dataclass(frozen=True)
class HeadRecipe:
  """How a head is made.

  Attributes:
    build: environment spec -> module, inside `hk.transform`.
    codec: of a head that predicts scalars.
    distribution: environment spec -> distribution, of a head that predicts a
      policy.
  """

  build: Callable[[EnvironmentSpec], Head]
  codec: Codec | None = None
  distribution: Callable[[EnvironmentSpec], Distribution] | None = None


def _scalars(size: int, codec: Codec, linear: Linear, name: str) -> Layer:
  """A linear layer to `size` scalars as the codec has them."""
  layer = linear(size * math.prod(codec.shape), name)

  def apply(x: Array, mode: Mode) -> Array:
    return layer(x, mode).reshape(*x.shape[:-1], size, *codec.shape)

  return apply


def _one_stream(
  hidden: Layers,
  out: Layer,
  predict: Callable[[Array], Mapping[str, Array]],
) -> Head:
  """A head of hidden layers, a last layer, and what its output means."""

  def apply(embedding, timestep, mode):
    del timestep
    return predict(out(hidden(embedding, mode), mode))

  return apply


def _decoded(codec: Codec, raw: Array) -> Mapping[str, Array]:
  return {"mean": codec.decode(raw), "raw": raw}


@component
def q_head(
  hidden_sizes: Sequence[int] = (),
  activation: Activation = jax.nn.relu,
  layer_norm: bool = False,
  codec: Codec = SCALAR,
  linear: Linear = plain,
) -> HeadRecipe:
  """Action values Q(s, .) by linear layers.

  Args:
    hidden_sizes: units of the layers before the last.
    activation: after each of them.
    layer_norm: whether each of them is normalised.
    codec: how a value is put out.
    linear: the layers' kind, such as `@noisy_linear()`.

  Returns:
    The head's recipe; its `'mean'` is `[..., A]`, its `'raw'` has the codec's
    shape behind it.

  Raises:
    ValueError: if a size is not positive or, at build, if actions are not
      discrete.
  """
  check_sizes("q_head.hidden_sizes", hidden_sizes)

  def build(spec: EnvironmentSpec) -> Head:
    num_actions = spaces.num_actions("q_head", spec)
    hidden = Layers(hidden_sizes, activation, layer_norm, "q_hidden", linear)
    values = _scalars(num_actions, codec, linear, "q")
    return _one_stream(hidden, values, functools.partial(_decoded, codec))

  return HeadRecipe(build, codec)


@component
def dueling_q_head(
  hidden_sizes: Sequence[int] = (128,),
  activation: Activation = jax.nn.relu,
  layer_norm: bool = False,
  codec: Codec = SCALAR,
  linear: Linear = plain,
) -> HeadRecipe:
  """Action values as a state value plus advantages of mean zero.

  Wang et al. (2016), https://arxiv.org/abs/1511.06581

  Args:
    hidden_sizes: units of the layers before the last, in either stream.
    activation: after each of them.
    layer_norm: whether each of them is normalised.
    codec: how a value is put out.
    linear: the layers' kind, such as `@noisy_linear()`.

  Returns:
    The head's recipe; its `'mean'` is `[..., A]`, its `'raw'` has the codec's
    shape behind it.

  Raises:
    ValueError: if a size is not positive or, at build, if actions are not
      discrete.
  """
  check_sizes("dueling_q_head.hidden_sizes", hidden_sizes)

  def build(spec: EnvironmentSpec) -> Head:
    num_actions = spaces.num_actions("dueling_q_head", spec)

    def stream(name, size):
      layers = Layers(
        hidden_sizes, activation, layer_norm, f"{name}_hidden", linear
      )
      return layers, _scalars(size, codec, linear, name)

    streams = [stream("value", 1), stream("advantage", num_actions)]

    def apply(embedding, timestep, mode):
      del timestep
      value, advantage = [
        out(hidden(embedding, mode), mode) for hidden, out in streams
      ]
      actions = embedding.ndim - 1
      raw = value + advantage - advantage.mean(axis=actions, keepdims=True)
      return _decoded(codec, raw)

    return apply

  return HeadRecipe(build, codec)


@component
def scalar_head(
  hidden_sizes: Sequence[int] = (),
  activation: Activation = jax.nn.relu,
  layer_norm: bool = False,
  codec: Codec = SCALAR,
  linear: Linear = plain,
) -> HeadRecipe:
  """One scalar of the state: its value, or the reward for arriving there.

  Args:
    hidden_sizes: units of the layers before the last.
    activation: after each of them.
    layer_norm: whether each of them is normalised.
    codec: how the scalar is put out.
    linear: the layers' kind, such as `@noisy_linear()`.

  Returns:
    The head's recipe; its `'mean'` is `[...]`, its `'raw'` has the codec's
    shape behind it.

  Raises:
    ValueError: if a size is not positive.
  """
  check_sizes("scalar_head.hidden_sizes", hidden_sizes)

  def build(spec: EnvironmentSpec) -> Head:
    del spec
    hidden = Layers(
      hidden_sizes, activation, layer_norm, "scalar_hidden", linear
    )
    scalars = _scalars(1, codec, linear, "scalar")
    axis = -1 - len(codec.shape)
    return _one_stream(
      hidden, scalars, lambda raw: _decoded(codec, raw.squeeze(axis))
    )

  return HeadRecipe(build, codec)


@component
def policy_head(
  hidden_sizes: Sequence[int] = (),
  activation: Activation = jax.nn.relu,
  layer_norm: bool = False,
  linear: Linear = plain,
) -> HeadRecipe:
  """A categorical policy over discrete actions.

  Args:
    hidden_sizes: units of the layers before the last.
    activation: after each of them.
    layer_norm: whether each of them is normalised.
    linear: the layers' kind, such as `@noisy_linear()`.

  Returns:
    The head's recipe; its `'mean'` are probabilities and its `'logits'` their
    unnormalised logarithms, `[..., A]`.

  Raises:
    ValueError: if a size is not positive or, at build, if actions are not
      discrete.
  """
  check_sizes("policy_head.hidden_sizes", hidden_sizes)

  def build(spec: EnvironmentSpec) -> Head:
    num_actions = spaces.num_actions("policy_head", spec)
    hidden = Layers(
      hidden_sizes, activation, layer_norm, "policy_hidden", linear
    )
    logits = linear(num_actions, "policy")
    return _one_stream(
      hidden,
      logits,
      lambda x: {"mean": jax.nn.softmax(x), "logits": x},
    )

  return HeadRecipe(build, distribution=lambda spec: CATEGORICAL)
