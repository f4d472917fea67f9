"""Observations in units of what has been seen: running mean and deviation."""

from __future__ import annotations

import haiku as hk
import jax
import jax.numpy as jnp

from neurorl.networks.torsos import TorsoRecipe
from neurorl.registry import component
from neurorl.types import Array, Params, Tree

_NAME = "running_statistics"


class RunningStatistics(hk.Module):
  """Centres and scales each entry of each leaf of floats; others pass.

  Its parameters get no gradient: `observe` moves them.
  """

  def __init__(self, spec: Tree, clip: float):
    super().__init__(name=_NAME)
    self._spec = spec
    self._clip = clip

  def __call__(self, observation: Tree) -> Tree:
    """Normalises `[..., *shape]`."""
    leaves, structure = jax.tree.flatten(observation)
    return jax.tree.unflatten(
      structure,
      [
        self._normalise(*self._moments(i), x) if _is_float(leaf) else x
        for i, (x, leaf) in enumerate(zip(leaves, self._leaves(), strict=True))
      ],
    )

  def _normalise(self, mean: Array, square: Array, x: Array) -> Array:
    count = self._count()
    # Of fewer than two nothing is known.
    variance = jnp.where(count > 1, square / jnp.maximum(count, 1), 1.0)
    scaled = (x - mean) * jax.lax.rsqrt(variance + 1e-8)
    return jnp.clip(scaled, -self._clip, self._clip)

  def observed(self, observation: Tree) -> dict[str, Array]:
    """Its parameters, had it seen these `[..., *shape]` too (Chan et al.)."""
    before = self._count()
    found = {}
    count = before
    for i, (x, leaf) in enumerate(
      zip(jax.tree.leaves(observation), self._leaves(), strict=True)
    ):
      if not _is_float(leaf):
        continue
      mean, square = self._moments(i)
      rows = x.reshape(-1, *leaf.shape)
      new, count = rows.shape[0], before + rows.shape[0]
      difference = rows.mean(axis=0) - mean
      found[f"mean_{i}"] = mean + difference * new / count
      found[f"square_{i}"] = (
        square
        + jnp.square(rows - rows.mean(axis=0)).sum(axis=0)
        + jnp.square(difference) * before * new / count
      )
    return {"count": count, **found}

  def _leaves(self):
    return jax.tree.leaves(self._spec)

  def _count(self) -> Array:
    count = hk.get_parameter("count", (), init=jnp.zeros)
    return jax.lax.stop_gradient(count)

  def _moments(self, i: int) -> tuple[Array, Array]:
    """Mean, and sum of squared differences from it."""
    shape = self._leaves()[i].shape
    mean = hk.get_parameter(f"mean_{i}", shape, init=jnp.zeros)
    square = hk.get_parameter(f"square_{i}", shape, init=jnp.zeros)
    return jax.lax.stop_gradient((mean, square))


def _is_float(leaf) -> bool:
  return jnp.issubdtype(leaf.dtype, jnp.floating)


def watches(params: Params) -> bool:
  """Says whether there are running statistics among the parameters."""
  return any(name.split("/")[-1] == _NAME for name in params)


def observe(torso, observation: Tree) -> Params:
  """Moves the running statistics within a torso, inside `hk.transform`.

  Args:
    torso: what reads observations.
    observation: `[..., *shape]`, what was seen.

  Returns:
    By module, the parameters that changed.
  """
  found = {}

  def watch(method, args, kwargs, context):
    module = context.module
    if (
      isinstance(module, RunningStatistics)
      and context.method_name == "__call__"
    ):
      found[module.module_name] = module.observed(*args)
    return method(*args, **kwargs)

  with hk.intercept_methods(watch):
    torso(observation)
  return found


@component
def normalised_observation(
  torso: TorsoRecipe, clip: float = 10.0
) -> TorsoRecipe:
  """A torso that sees observations with a mean of 0 and a deviation of 1.

  Mean and deviation are of everything seen in acting so far. They move after
  the updates of an iteration, so that a rollout is learned from by the network
  that acted. They are parameters without a gradient: target parameters follow
  them as they follow all others, and weight decay should not reach them.

  Andrychowicz et al. (2021), https://arxiv.org/abs/2006.05990, section 3.3

  Args:
    torso: what reads them.
    clip: normalised entries lie within +-clip.

  Returns:
    The torso's recipe.

  Raises:
    ValueError: if clip is not positive or, at build, if the observation has no
      floats.
  """
  if clip <= 0:
    raise ValueError(f"normalised_observation.clip must be above 0, got {clip}")

  def build(spec: Tree):
    if not any(map(_is_float, jax.tree.leaves(spec))):
      dtypes = ", ".join(str(leaf.dtype) for leaf in jax.tree.leaves(spec))
      raise ValueError(
        "normalised_observation scales floats, but the observation has "
        f"{dtypes or 'no leaf'}"
      )
    statistics = RunningStatistics(spec, clip)
    module = torso(spec)
    return lambda observation: module(statistics(observation))

  return build
