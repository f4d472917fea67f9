"""A policy over continuous actions."""

from __future__ import annotations

from collections.abc import Sequence

import haiku as hk
import jax
import jax.numpy as jnp

from neurorl.head_types import Distribution
from neurorl.networks.constant_head import Constant
from neurorl.networks.heads import HeadRecipe
from neurorl.networks.linears import Activation, Layers, check_sizes
from neurorl.ops import distributions, spaces
from neurorl.registry import component
from neurorl.types import EnvironmentSpec


@component
def gaussian_policy_head(
  hidden_sizes: Sequence[int] = (),
  activation: Activation = jax.nn.relu,
  layer_norm: bool = False,
  initial_scale: float = 0.6,
  min_scale: float = 1e-3,
  state_dependent_scale: bool = False,
) -> HeadRecipe:
  """A Gaussian policy, squashed into the bounds of continuous actions.

  Haarnoja et al. (2018), https://arxiv.org/abs/1801.01290

  Args:
    hidden_sizes: units of the layers before the last.
    activation: after each of them.
    layer_norm: whether each of them is normalised.
    initial_scale: the deviation to begin with, before squashing.
    min_scale: the least deviation, above 0 and below the initial one.
    state_dependent_scale: whether deviations depend on the state.

  Returns:
    The head's recipe; it predicts `'loc'` and `'scale'` of the Gaussian before
    squashing, and `'mean'`, the likeliest action, `[..., D]`.

  Raises:
    ValueError: if a size or scale is out of range or, at build, if actions are
      not vectors of real numbers.
  """
  check_sizes("gaussian_policy_head.hidden_sizes", hidden_sizes)
  if not 0.0 < min_scale < initial_scale:
    raise ValueError(
      "gaussian_policy_head needs 0 < min_scale < initial_scale, got "
      f"{min_scale} and {initial_scale}"
    )
  # softplus(offset) + min_scale is the initial scale
  offset = float(jnp.log(jnp.expm1(initial_scale - min_scale)))

  def distribution(spec: EnvironmentSpec) -> Distribution:
    actions = spaces.continuous("gaussian_policy_head", spec)
    return distributions.squashed_gaussian(actions)

  def build(spec: EnvironmentSpec):
    size = spaces.continuous("gaussian_policy_head", spec).low.shape[0]
    likeliest = distribution(spec).mode
    hidden = Layers(hidden_sizes, activation, layer_norm, name="policy_hidden")
    small = hk.initializers.VarianceScaling(0.01)
    loc_layer = hk.Linear(size, w_init=small, name="loc")
    scale_layer = hk.Linear(size, w_init=small, name="scale")
    free_scale = Constant((size,), 0.0, name="free_scale")

    def apply(embedding, timestep, mode):
      del timestep, mode
      x = hidden(embedding)
      loc = loc_layer(x)
      if state_dependent_scale:
        free = scale_layer(x)
      else:
        free = jnp.broadcast_to(free_scale(), loc.shape)
      scale = min_scale + jax.nn.softplus(free + offset)
      prediction = {"loc": loc, "scale": scale}
      return {"mean": likeliest(prediction), **prediction}

    return apply

  return HeadRecipe(build, distribution=distribution)
