"""Optimizers: optax's transforms, a learning rate by progress, and groups."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from neurorl import registry
from neurorl.ops import packing, schedules, trees
from neurorl.registry import component
from neurorl.types import Array, Metrics, Params, Progress, Schedule, Tree

# Transforms that treat every number alike, or read the norm of all of them: to
# these it does not matter which array a number is in. Known by their updates.
_BLIND_TO_ARRAYS = {
  f"{name}.<locals>.update_fn"
  for name in (
    "add_decayed_weights",
    "clip",
    "clip_by_global_norm",
    "ema",
    "scale",
    "scale_by_adam",
    "scale_by_lion",
    "scale_by_rms",
    "scale_by_rss",
    "scale_by_stddev",
    "scale_by_yogi",
    "trace",
  )
}


class Optimizer(NamedTuple):
  """Gradients to new parameters.

  Attributes:
    init: `params -> state`.
    update: `(gradients, state, params, progress) -> (params, state)`.
    metrics: `(gradients, progress) -> scalars by name`.
  """

  init: Callable[[Params], Tree]
  update: Callable[[Params, Tree, Params, Progress], tuple[Params, Tree]]
  metrics: Callable[[Params, Progress], Metrics]


@component
def optimizer(
  learning_rate: float | Schedule,
  transforms: Sequence[optax.GradientTransformation],
  period: int = 1,
) -> Optimizer:
  """Applies transforms to the gradients in turn, then a learning rate.

  The rate is not part of a transform: so any transform takes any schedule.
  `[@optax.clip_by_global_norm(), @optax.scale_by_adam()]` is Adam with clipped
  gradients; with `@optax.add_decayed_weights()` as well, AdamW.

  Args:
    learning_rate: a number above 0, or a schedule.
    transforms: optax's `clip...`, `scale_by...` and their like, first to last;
      none for stochastic gradient descent.
    period: only every period-th update is made, and the others change nothing,
      the transforms' state included; at least 1.

  Returns:
    The optimizer.

  Raises:
    ValueError: if the learning rate is negative, not finite, or 0 half way; or
      if the period is not positive.
  """
  if period < 1:
    raise ValueError(f"optimizer.period must be >= 1, got {period}")
  schedules.check("optimizer.learning_rate", learning_rate, 0.0)
  schedule = schedules.as_schedule(learning_rate)
  halfway = Progress(jnp.float32(0.5), jnp.int32(0))
  if not float(schedule(halfway)) > 0.0:
    raise ValueError(
      "optimizer.learning_rate is 0 at half the step budget; bind a number or "
      "a schedule above 0"
    )
  chain = optax.chain(*transforms) if transforms else optax.identity()
  pack, unpack = _packing(transforms)
  clipped = _clipped(transforms)

  def init(params):
    return chain.init(pack(params))

  def update(gradients, state, params, progress):
    packed = pack(params)
    updates, new_state = chain.update(pack(gradients), state, packed)
    rate = schedule(progress)
    updates = jax.tree.map(lambda u: -rate * u, updates)
    moved = unpack(optax.apply_updates(packed, updates), params)
    new = (moved, new_state)
    if period == 1:
      return new
    # Not by a loss of 0: momenta would move on and fade.
    due = (progress.updates + 1) % period == 0
    return trees.where(due, new, (params, state))

  def metrics(gradients, progress):
    return {"learning_rate": schedule(progress), **clipped(pack(gradients))}

  return Optimizer(init, update, metrics)


def suits_packing(transforms: Sequence[optax.GradientTransformation]) -> bool:
  """Says whether transforms do the same to packed arrays.

  Args:
    transforms: of an optimizer.

  Returns:
    Whether each of them is known to.
  """
  updates = [transform.update for transform in transforms]
  return all(
    update.__qualname__ in _BLIND_TO_ARRAYS
    and update.__module__.startswith("optax.")
    for update in updates
  )


def _packing(
  transforms: Sequence[optax.GradientTransformation],
) -> tuple[Callable[[Params], Tree], Callable[[Tree, Params], Params]]:
  """How transforms are shown parameters, and the way back."""
  if suits_packing(transforms):
    return packing.pack, packing.unpack
  return lambda params: params, lambda packed, params: packed


def _clipped(
  transforms: Sequence[optax.GradientTransformation],
) -> Callable[[Params], Metrics]:
  """Makes what says whether the first transforms, of no state, clip."""
  first = list(
    itertools.takewhile(
      lambda transform: not jax.tree.leaves(transform.init(jnp.zeros(1))),
      transforms,
    )
  )
  if not first:
    return lambda gradients: {}
  chain = optax.chain(*first)

  def clipped(gradients):
    after, _ = chain.update(gradients, chain.init(gradients), gradients)
    least = (1.0 - 1e-4) * optax.global_norm(gradients)
    smaller = optax.global_norm(after) < least
    return {"gradient_clipped": smaller.astype(jnp.float32)}

  return clipped


@component
def grouped_optimizer(
  groups: Mapping[str, Optimizer], rest: Optimizer
) -> Optimizer:
  """Gives groups of parameters optimizers of their own.

  A group is what lies under a head or module: `{'policy': @policy/optimizer()}`
  has the parameters of the head 'policy', whatever it is. Its transforms see
  these alone, so that gradients are clipped group by group.

  Args:
    groups: optimizers by the names of heads or modules, the beginnings of
      parameters' paths; the longest that fits a parameter has it.
    rest: of all other parameters.

  Returns:
    The optimizer; its metrics are those of each, such as `learning_rate/NAME`
    and `learning_rate/rest`.

  Raises:
    ValueError: if there is no group, one is called 'rest' or, at build, if a
      name is not that of any parameter.
  """
  if not groups or "rest" in groups:
    raise ValueError(
      "grouped_optimizer.groups needs names of heads or modules, 'rest' not "
      f"among them; got {', '.join(groups) or 'none'}"
    )
  optimizers = {**groups, "rest": rest}

  def init(params):
    parts = _split(groups, params)
    return {name: o.init(parts[name]) for name, o in optimizers.items()}

  def update(gradients, state, params, progress):
    gradients, parts = _split(groups, gradients), _split(groups, params)
    found = {
      name: o.update(gradients[name], state[name], parts[name], progress)
      for name, o in optimizers.items()
    }
    moved = {}
    for new, _ in found.values():
      moved |= new
    structure = jax.tree.structure(params)
    leaves = [moved[path] for path in _paths(params)]
    state = {name: new for name, (_, new) in found.items()}
    return jax.tree.unflatten(structure, leaves), state

  def metrics(gradients, progress):
    parts = _split(groups, gradients)
    return {
      f"{metric}/{name}": value
      for name, o in optimizers.items()
      for metric, value in o.metrics(parts[name], progress).items()
    }

  return Optimizer(init, update, metrics)


def _paths(params: Params) -> list[str]:
  """The parameters' paths, such as 'agent/policy/linear/w', in their order."""
  return [
    jax.tree_util.keystr(path, simple=True, separator="/")
    for path, _ in jax.tree_util.tree_leaves_with_path(params)
  ]


def _split(
  names: Mapping[str, Optimizer], params: Params
) -> dict[str, dict[str, Array]]:
  """Sorts parameters, by their paths, into groups and the rest."""
  parts = {name: {} for name in [*names, "rest"]}
  tops = set()
  for path, leaf in zip(_paths(params), jax.tree.leaves(params), strict=True):
    # The first word says whether they are the agent's or the loss's.
    _, _, within = path.partition("/")
    tops.add(within.partition("/")[0])
    fits = [name for name in names if f"{within}/".startswith(f"{name}/")]
    parts[max(fits, key=len, default="rest")][path] = leaf
  for name in names:
    if not parts[name]:
      hint = registry.nearest(name, tops)
      raise ValueError(
        f"grouped_optimizer.groups: no parameter is under '{name}'{hint}"
      )
  return parts
