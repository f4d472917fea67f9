"""Dynamics: where an action leads, from the core's output to the next one."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import haiku as hk
import jax
import jax.numpy as jnp

from neurorl.networks.cores import GRU
from neurorl.networks.linears import Activation, Dense, Layers, check_sizes
from neurorl.ops import extremes
from neurorl.registry import component
from neurorl.types import Array, DiscreteActions, EnvironmentSpec

# (embedding [..., D], action [...]) -> embedding [..., D]
Dynamics = Callable[[Array, Array], Array]
# Environment spec -> module, inside `hk.transform`.
DynamicsRecipe = Callable[[EnvironmentSpec], Dynamics]
# embedding [..., D] -> embedding [..., D]
Normalise = Callable[[Array], Array]


def _check_epsilon(name: str, epsilon: float) -> None:
  if epsilon <= 0:
    raise ValueError(f"{name}.epsilon must be above 0, got {epsilon}")


@component
def min_max_norm(epsilon: float = 1e-5) -> Normalise:
  """Scales every embedding to reach from 0 to 1.

  Schrittwieser et al. (2020), https://arxiv.org/abs/1911.08265, appendix G

  Args:
    epsilon: the least range that is divided by, above 0.

  Returns:
    The function.

  Raises:
    ValueError: if epsilon is not positive.
  """
  _check_epsilon("min_max_norm", epsilon)

  def normalise(x: Array) -> Array:
    low = extremes.least(x, -1, keepdims=True)
    high = extremes.greatest(x, -1, keepdims=True)
    return (x - low) / jnp.maximum(high - low, epsilon)

  return normalise


@component
def rms_norm(epsilon: float = 1e-5) -> Normalise:
  """Scales every embedding to a mean square of 1.

  Zhang and Sennrich (2019), https://arxiv.org/abs/1910.07467

  Args:
    epsilon: added to the mean square, above 0.

  Returns:
    The function.

  Raises:
    ValueError: if epsilon is not positive.
  """
  _check_epsilon("rms_norm", epsilon)

  def normalise(x: Array) -> Array:
    square = jnp.square(x).mean(-1, keepdims=True)
    return x * jax.lax.rsqrt(square + epsilon)

  return normalise


def encode_action(spec: EnvironmentSpec, action: Array) -> Array:
  """Makes a vector of an action: one-hot if it is discrete.

  Args:
    spec: of the environment.
    action: `[...]`.

  Returns:
    `[..., A]`.
  """
  if isinstance(spec.actions, DiscreteActions):
    return jax.nn.one_hot(action, spec.actions.num_actions)
  leading = action.shape[: action.ndim - len(spec.action.shape)]
  return action.reshape(*leading, -1)


class _Residual(hk.Module):
  def __init__(self, layers: Layers, name: str = "dynamics"):
    super().__init__(name=name)
    self._layers = layers

  def __call__(self, embedding: Array, action: Array) -> Array:
    hidden = self._layers(jnp.concatenate([embedding, action], axis=-1))
    return embedding + Dense(embedding.shape[-1], name="out")(hidden)


@component
def residual_dynamics(
  hidden_sizes: Sequence[int] = (128,),
  activation: Activation = jax.nn.relu,
  layer_norm: bool = False,
) -> DynamicsRecipe:
  """Adds to the embedding what layers make of it and of the action.

  Schrittwieser et al. (2020), https://arxiv.org/abs/1911.08265

  Args:
    hidden_sizes: units of the layers.
    activation: after each of them.
    layer_norm: whether each of them is normalised.

  Returns:
    The dynamics' recipe.

  Raises:
    ValueError: if a size is not positive.
  """
  check_sizes("residual_dynamics.hidden_sizes", hidden_sizes)

  def build(spec: EnvironmentSpec) -> Dynamics:
    layers = Layers(hidden_sizes, activation, layer_norm, "dynamics_hidden")
    module = _Residual(layers)
    return lambda embedding, action: module(
      embedding, encode_action(spec, action)
    )

  return build


class _Recurrent(hk.Module):
  def __init__(self, name: str = "dynamics"):
    super().__init__(name=name)

  def __call__(self, embedding: Array, action: Array) -> Array:
    size = embedding.shape[-1]
    rows = embedding.reshape(-1, size)
    inputs = action.reshape(-1, action.shape[-1])
    never = jnp.zeros(rows.shape[0], bool)
    _, state = GRU(size, name="gru").step(inputs, never, rows)
    return state.reshape(embedding.shape)


@component
def recurrent_dynamics() -> DynamicsRecipe:
  """A gated recurrent unit whose state is the embedding, fed with the action.

  Cho et al. (2014), https://arxiv.org/abs/1406.1078

  Returns:
    The dynamics' recipe.
  """

  def build(spec: EnvironmentSpec) -> Dynamics:
    module = _Recurrent()
    return lambda embedding, action: module(
      embedding, encode_action(spec, action)
    )

  return build
