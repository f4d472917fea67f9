"""Torsos: observations to vectors, over any leading axes at once."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import haiku as hk
import jax
import jax.numpy as jnp

from neurorl import registry
from neurorl.networks.linears import Activation, Layers, check_sizes
from neurorl.registry import component
from neurorl.types import Array, Tree

# Observation spec -> module, inside `hk.transform`.
TorsoRecipe = Callable[[Tree], Callable[[Tree], Array]]


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


def _look_up(table: Array, values: Array) -> Array:
  """Rows of `[N, E]` for integers `[...]`; NaN for one that has no row."""
  # A negative index would count from the end.
  values = jnp.where(values < 0, table.shape[0], values.astype(jnp.int32))
  return jnp.take(table, values, axis=0, mode="fill", fill_value=jnp.nan)


class _Embed(hk.Module):
  """A table for every leaf of integers; other leaves pass."""

  def __init__(self, spec: Tree, num_values: int, size: int):
    super().__init__(name="embed")
    self._spec = spec
    self._table = (num_values, size)

  def __call__(self, observation: Tree) -> Array:
    """Maps `[..., *shape]` to `[..., D]`."""
    vectors = []
    leaves, specs = jax.tree.leaves(observation), jax.tree.leaves(self._spec)
    for i, (leaf, spec) in enumerate(zip(leaves, specs, strict=True)):
      if jnp.issubdtype(spec.dtype, jnp.integer):
        init = hk.initializers.RandomNormal()
        table = hk.get_parameter(f"table_{i}", self._table, init=init)
        leaf = _look_up(table, leaf)
        spec = jax.ShapeDtypeStruct((*spec.shape, self._table[1]), table.dtype)
      vectors.append(flatten(leaf, spec))
    return jnp.concatenate(vectors, axis=-1)


@component
def embed(num_values: int, size: int = 64) -> TorsoRecipe:
  """A look-up table for discrete observations.

  Every integer of a leaf has its row of that leaf's table; leaves of other
  dtypes (a previous action as one-hot, say) join the rows as they are.

  Args:
    num_values: integers are from 0 to `num_values - 1`. Any other becomes NaN
      and so ends training with an error, since a compiled program cannot raise.
    size: of a row.

  Returns:
    The torso's recipe.

  Raises:
    ValueError: if a size is not positive or, at build, if no leaf of the
      observation holds integers.
  """
  check_sizes("embed.num_values and size", [num_values, size])

  def build(spec: Tree):
    dtypes = [leaf.dtype for leaf in jax.tree.leaves(spec)]
    if not any(jnp.issubdtype(dtype, jnp.integer) for dtype in dtypes):
      raise ValueError(
        "embed looks integers up, but the observation has "
        f"{', '.join(map(str, dtypes)) or 'no leaf'}; agent.torso = @mlp() "
        "reads any"
      )
    return _Embed(spec, num_values, size)

  return build


@component
def dictionary(torsos: Mapping[str, TorsoRecipe]) -> TorsoRecipe:
  """A torso for each part of the observation, side by side.

  Parts without a torso are not read.

  Args:
    torsos: by the observation's keys; outputs follow in this order.

  Returns:
    The torso's recipe.

  Raises:
    ValueError: if there is no torso or, at build, if the observation has no
      such key.
  """
  if not torsos:
    raise ValueError("dictionary.torsos is empty; bind {'image': @mlp()}, say")

  def build(spec: Tree):
    if not isinstance(spec, Mapping):
      raise ValueError(
        f"dictionary.torsos: the observation has no keys, it is {spec}; "
        "agent.torso = @mlp() reads any"
      )
    modules = {}
    for key, torso in torsos.items():
      if key not in spec:
        raise ValueError(
          f"dictionary.torsos: the observation has no '{key}'"
          + registry.nearest(key, spec)
        )
      # Parameters are found by the key, whatever the torso's type and order.
      with hk.name_scope(key):
        modules[key] = torso(spec[key])
    return lambda observation: jnp.concatenate(
      [module(observation[key]) for key, module in modules.items()], axis=-1
    )

  return build
