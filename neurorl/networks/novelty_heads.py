"""Heads that say how new a state is."""

from __future__ import annotations

from collections.abc import Sequence

import haiku as hk
import jax
import jax.numpy as jnp

from neurorl.networks.heads import Head, HeadRecipe
from neurorl.networks.linears import Activation, Layers, check_sizes
from neurorl.networks.torsos import flatten
from neurorl.ops.codecs import SCALAR
from neurorl.registry import component
from neurorl.types import EnvironmentSpec


@component
def rnd_head(
  hidden_sizes: Sequence[int] = (64,),
  num_features: int = 32,
  activation: Activation = jax.nn.relu,
  layer_norm: bool = False,
) -> HeadRecipe:
  """How badly features of the observation are predicted: novelty, by RND.

  The features are those of a network drawn once and never learned; another of
  the same shape learns to predict them, from the observation too and not from
  what the core remembers. What was seen often is predicted well. To learn,
  minimise the prediction itself: `low_values.prediction = @scalar()` of this
  head.

  Burda et al. (2019), https://arxiv.org/abs/1810.12894

  Args:
    hidden_sizes: units of the layers before the last, in either network.
    num_features: that are predicted.
    activation: after each of the hidden layers.
    layer_norm: whether each of them is normalised.

  Returns:
    The head's recipe; its `'mean'` `[...]` is the mean squared error over the
    features. Observations are not normalised.

  Raises:
    ValueError: if a size is not positive.
  """
  check_sizes("rnd_head.hidden_sizes", hidden_sizes)
  check_sizes("rnd_head.num_features", [num_features])

  def build(spec: EnvironmentSpec) -> Head:
    def network(name: str):
      hidden = Layers(hidden_sizes, activation, layer_norm, f"{name}_hidden")
      out = hk.Linear(num_features, name=name)
      return lambda x: out(hidden(x))

    predictor, target = network("predictor"), network("target")

    def apply(embedding, timestep, mode):
      del embedding, mode
      if timestep is None:
        raise ValueError(
          "rnd_head reads observations, which a model does not imagine"
        )
      x = flatten(timestep.observation, spec.observation)
      wanted = jax.lax.stop_gradient(target(x))
      novelty = jnp.square(predictor(x) - wanted).mean(axis=-1)
      return {"mean": novelty, "raw": novelty}

    return apply

  return HeadRecipe(build, SCALAR)
