"""Heads of action values as quantiles of the return.

Each predicts `'quantiles'` `[..., A, N]` at the fractions `'taus'` `[..., N]`,
and their `'mean'` `[..., A]`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import haiku as hk
import jax
import jax.numpy as jnp

from neurorl.networks.heads import Head, HeadRecipe
from neurorl.networks.linears import (
  Activation,
  Layers,
  Linear,
  check_sizes,
  plain,
)
from neurorl.ops import spaces
from neurorl.registry import component
from neurorl.types import Array, EnvironmentSpec, Mode


@component
def quantile_q_head(
  num_quantiles: int = 51,
  hidden_sizes: Sequence[int] = (),
  activation: Activation = jax.nn.relu,
  layer_norm: bool = False,
  linear: Linear = plain,
) -> HeadRecipe:
  """The return of each action at fixed quantiles: the head of QR-DQN.

  Dabney et al. (2018), https://arxiv.org/abs/1710.10044

  Args:
    num_quantiles: at the middles of as many equal parts of [0, 1].
    hidden_sizes: units of the layers before the last.
    activation: after each of them.
    layer_norm: whether each of them is normalised.
    linear: the layers' kind, such as `@noisy_linear()`.

  Returns:
    The head's recipe.

  Raises:
    ValueError: if a size is not positive or, at build, if actions are not
      discrete.
  """
  check_sizes("quantile_q_head.hidden_sizes", hidden_sizes)
  check_sizes("quantile_q_head.num_quantiles", [num_quantiles])

  def build(spec: EnvironmentSpec) -> Head:
    num_actions = spaces.num_actions("quantile_q_head", spec)
    hidden = Layers(
      hidden_sizes, activation, layer_norm, "quantile_hidden", linear
    )
    out = linear(num_actions * num_quantiles, "quantiles")

    def apply(embedding, timestep, mode):
      del timestep
      leading = embedding.shape[:-1]
      x = out(hidden(embedding, mode), mode)
      taus = jnp.broadcast_to(
        _middles(num_quantiles), (*leading, num_quantiles)
      )
      return _predicted(x.reshape(*leading, num_actions, num_quantiles), taus)

    return apply

  return HeadRecipe(build)


@component
def implicit_quantile_q_head(
  num_samples: int = 32,
  num_acting: int = 32,
  num_cosines: int = 64,
  hidden_sizes: Sequence[int] = (128,),
  activation: Activation = jax.nn.relu,
  layer_norm: bool = False,
  linear: Linear = plain,
) -> HeadRecipe:
  """The return of each action at quantiles that are drawn: the head of IQN.

  Every row draws fractions anew at every call, but in evaluation, where they
  are the middles of equal parts. The embedding is multiplied by one of their
  cosines.

  Dabney et al. (2018), https://arxiv.org/abs/1806.06923

  Args:
    num_samples: fractions in learning, online and by the target.
    num_acting: fractions in acting and evaluating.
    num_cosines: that a fraction is seen by.
    hidden_sizes: units of the layers before the last.
    activation: after each of them, and after the embedding of the fractions.
    layer_norm: whether each of them is normalised.
    linear: the layers' kind, such as `@noisy_linear()`.

  Returns:
    The head's recipe.

  Raises:
    ValueError: if a size is not positive or, at build, if actions are not
      discrete.
  """
  name = "implicit_quantile_q_head"
  check_sizes(f"{name}.hidden_sizes", hidden_sizes)
  check_sizes(
    f"{name}.num_samples, num_acting and num_cosines",
    [num_samples, num_acting, num_cosines],
  )

  def build(spec: EnvironmentSpec) -> Head:
    num_actions = spaces.num_actions(name, spec)
    hidden = Layers(
      hidden_sizes, activation, layer_norm, "quantile_hidden", linear
    )
    cosines = CosineEmbedding(num_cosines)
    out = linear(num_actions, "quantiles")

    def apply(embedding, timestep, mode):
      del timestep
      learns = mode in ("online", "target")
      shape = (*embedding.shape[:-1], num_samples if learns else num_acting)
      taus = _fractions(shape, mode)
      x = embedding[..., None, :] * activation(cosines(taus, embedding))
      x = out(hidden(x, mode), mode)
      return _predicted(jnp.swapaxes(x, -1, -2), taus)

    return apply

  return HeadRecipe(build)


class CosineEmbedding(hk.Module):
  """A linear layer over cosines of numbers in [0, 1]."""

  def __init__(self, num_cosines: int):
    super().__init__(name="taus")
    self._num_cosines = num_cosines

  def __call__(self, taus: Array, like: Array) -> Array:
    """Maps `[..., N]` to `[..., N, D]`, D being that of `like` `[..., D]`."""
    cosines = jnp.cos(jnp.pi * jnp.arange(self._num_cosines) * taus[..., None])
    return hk.Linear(like.shape[-1], name="linear")(cosines)


def _fractions(shape: tuple[int, ...], mode: Mode) -> Array:
  if mode == "evaluating":
    return jnp.broadcast_to(_middles(shape[-1]), shape)
  return jax.random.uniform(hk.next_rng_key(), shape)


def _middles(count: int) -> Array:
  return (jnp.arange(count) + 0.5) / count


def _predicted(quantiles: Array, taus: Array) -> Mapping[str, Array]:
  mean = quantiles.mean(axis=-1)
  return {"mean": mean, "quantiles": quantiles, "taus": taus}
