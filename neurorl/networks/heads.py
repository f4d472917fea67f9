"""Heads: what is predicted from the core's output.

Every head returns a mapping with `'mean'`, which actors and search read.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import haiku as hk
import jax

from neurorl.networks.torsos import Activation, Layers, check_sizes
from neurorl.ops import spaces
from neurorl.registry import component
from neurorl.types import Array, EnvironmentSpec, Mode, TimeStep

Head = Callable[[Array, TimeStep, Mode], Mapping[str, Array]]
# Environment spec -> module, inside `hk.transform`.
HeadRecipe = Callable[[EnvironmentSpec], Head]


@component
def q_head(
  hidden_sizes: Sequence[int] = (),
  activation: Activation = jax.nn.relu,
  layer_norm: bool = False,
) -> HeadRecipe:
  """Action values Q(s, .) by linear layers.

  Args:
    hidden_sizes: units of the layers before the last.
    activation: after each of them.
    layer_norm: whether each of them is normalised.

  Returns:
    The head's recipe; its `'mean'` is `[..., A]`.

  Raises:
    ValueError: if a size is not positive or, at build, if actions are not
      discrete.
  """
  check_sizes("q_head.hidden_sizes", hidden_sizes)

  def build(spec: EnvironmentSpec) -> Head:
    num_actions = spaces.num_actions("q_head", spec)
    hidden = Layers(hidden_sizes, activation, layer_norm, name="q_hidden")
    linear = hk.Linear(num_actions, name="q")

    def apply(embedding, timestep, mode):
      del timestep, mode
      return {"mean": linear(hidden(embedding))}

    return apply

  return build


@component
def dueling_q_head(
  hidden_sizes: Sequence[int] = (128,),
  activation: Activation = jax.nn.relu,
  layer_norm: bool = False,
) -> HeadRecipe:
  """Action values as a state value plus advantages of mean zero.

  Wang et al. (2016), https://arxiv.org/abs/1511.06581

  Args:
    hidden_sizes: units of the layers before the last, in either stream.
    activation: after each of them.
    layer_norm: whether each of them is normalised.

  Returns:
    The head's recipe; its `'mean'` is `[..., A]`.

  Raises:
    ValueError: if a size is not positive or, at build, if actions are not
      discrete.
  """
  check_sizes("dueling_q_head.hidden_sizes", hidden_sizes)

  def build(spec: EnvironmentSpec) -> Head:
    num_actions = spaces.num_actions("dueling_q_head", spec)

    def stream(name, size):
      layers = Layers(hidden_sizes, activation, layer_norm, f"{name}_hidden")
      return layers, hk.Linear(size, name=name)

    streams = [stream("value", 1), stream("advantage", num_actions)]

    def apply(embedding, timestep, mode):
      del timestep, mode
      value, advantage = [out(hidden(embedding)) for hidden, out in streams]
      advantage -= advantage.mean(axis=-1, keepdims=True)
      return {"mean": value + advantage}

    return apply

  return build
