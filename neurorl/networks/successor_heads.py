"""Heads of successor features: what features a policy will meet.

psi(s, a, z) is the expected discounted sum of the features phi of arrivals,
after action a in s, by the policy that is best for the task z. So psi . w is
its value where a task w says what features are worth, whichever w that is.

Each head predicts `'psi'` `[..., P, A, F]` of the policies `'policies'`
`[..., P, F]`, and as its `'mean'` `[..., A]` their greatest values for the task
that is seen: generalised policy improvement, max_z psi(s, a, z) . w. An actor
that is greedy by the head so acts by the best of what all policies know.
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
from neurorl.types import Array, EnvironmentSpec, TimeStep


@component
def successor_features_head(
  policies: Sequence[Sequence[float]],
  hidden_sizes: Sequence[int] = (),
  activation: Activation = jax.nn.relu,
  layer_norm: bool = False,
  linear: Linear = plain,
  task: str = "task",
) -> HeadRecipe:
  """Successor features of a few policies, by one output for each.

  Barreto et al. (2017), https://arxiv.org/abs/1606.05312

  Args:
    policies: the tasks that they are best for, each `F` numbers.
    hidden_sizes: units of the layers before the last.
    activation: after each of them.
    layer_norm: whether each of them is normalised.
    linear: the layers' kind, such as `@noisy_linear()`.
    task: the observation's key of the task.

  Returns:
    The head's recipe; the agent's torso must not see the task.

  Raises:
    ValueError: if a size is not positive, policies are none or not of one
      length or, at build, if actions are not discrete or the observation has
      no such task.
  """
  name = "successor_features_head"
  check_sizes(f"{name}.hidden_sizes", hidden_sizes)
  shape = _check_policies(name, policies)

  def build(spec: EnvironmentSpec) -> Head:
    num_actions = spaces.num_actions(name, spec)
    _check_task(name, spec, task, shape[1])
    hidden = Layers(
      hidden_sizes, activation, layer_norm, "successor_hidden", linear
    )
    out = linear(shape[0] * num_actions * shape[1], "successor")

    def apply(embedding, timestep, mode):
      leading = embedding.shape[:-1]
      x = out(hidden(embedding, mode), mode)
      psi = x.reshape(*leading, shape[0], num_actions, shape[1])
      w = _task(name, timestep, task)
      return _predicted(psi, _repeat(policies, w), w)

    return apply

  return HeadRecipe(build)


@component
def universal_successor_features_head(
  policies: Sequence[Sequence[float]],
  num_samples: int = 8,
  scale: float = 0.5,
  hidden_sizes: Sequence[int] = (128,),
  activation: Activation = jax.nn.relu,
  layer_norm: bool = False,
  linear: Linear = plain,
  task: str = "task",
) -> HeadRecipe:
  """Successor features of any policy, which the layers see beside the state.

  In learning and acting the policies are drawn around the task, z = w + scale
  * noise, one draw for a whole sequence, since what psi(s, a, z) bootstraps
  from is of the same z. In evaluation they are those that are bound.

  The observation may also say which policies are asked for, under the key
  'policies', in any mode: a loss so asks the target for what was drawn online.

  Borsa et al. (2019), https://arxiv.org/abs/1812.07626

  Args:
    policies: the tasks whose policies are improved upon in evaluation, such as
      those of training, each `F` numbers.
    num_samples: policies drawn in learning and acting.
    scale: the deviation of what is drawn from the task; not negative.
    hidden_sizes: units of the layers before the last.
    activation: after each of them.
    layer_norm: whether each of them is normalised.
    linear: the layers' kind, such as `@noisy_linear()`.
    task: the observation's key of the task.

  Returns:
    The head's recipe; the agent's torso must not see the task, nor read the
    whole observation. Where policies are drawn it has an entry `'drawn'`.

  Raises:
    ValueError: if a number is out of range, policies are none or not of one
      length or, at build, if actions are not discrete or the observation has
      no such task.
  """
  name = "universal_successor_features_head"
  check_sizes(f"{name}.hidden_sizes", hidden_sizes)
  check_sizes(f"{name}.num_samples", [num_samples])
  if scale < 0.0:
    raise ValueError(f"{name}.scale must be >= 0, got {scale}")
  shape = _check_policies(name, policies)

  def build(spec: EnvironmentSpec) -> Head:
    num_actions = spaces.num_actions(name, spec)
    _check_task(name, spec, task, shape[1])
    hidden = Layers(
      hidden_sizes, activation, layer_norm, "successor_hidden", linear
    )
    out = linear(num_actions * shape[1], "successor")

    def apply(embedding, timestep, mode):
      w = _task(name, timestep, task)
      vectors = timestep.observation.get("policies")
      drawn = vectors is None and mode != "evaluating"
      if drawn:
        vectors = _draw(w, num_samples, scale)
      elif vectors is None:
        vectors = _repeat(policies, w)
      states = jnp.broadcast_to(
        embedding[..., None, :], (*vectors.shape[:-1], embedding.shape[-1])
      )
      x = jnp.concatenate([states, vectors], axis=-1)
      x = out(hidden(x, mode), mode)
      psi = x.reshape(*x.shape[:-1], num_actions, shape[1])
      predicted = _predicted(psi, vectors, w)
      if drawn:
        predicted["drawn"] = jnp.ones(w.shape[:-1], bool)
      return predicted

    return apply

  return HeadRecipe(build)


def _repeat(policies: Sequence[Sequence[float]], w: Array) -> Array:
  """Returns the policies for every task `[..., F]`: `[..., P, F]`."""
  vectors = jnp.asarray(policies, jnp.float32)
  return jnp.broadcast_to(vectors, (*w.shape[:-1], *vectors.shape))


def _draw(w: Array, num_samples: int, scale: float) -> Array:
  """Draws policies around tasks `[..., B, F]`: alike along leading axes."""
  shape = (*w.shape[-2:-1], num_samples, w.shape[-1])
  noise = jax.random.normal(hk.next_rng_key(), shape)
  return w[..., None, :] + scale * noise


def _predicted(psi: Array, policies: Array, w: Array) -> dict[str, Array]:
  values = jnp.sum(psi * w[..., None, None, :], axis=-1)
  return {"mean": values.max(axis=-2), "psi": psi, "policies": policies}


def _task(name: str, timestep: TimeStep | None, key: str) -> Array:
  if timestep is None:
    raise ValueError(f"{name} reads the task, which a model does not imagine")
  return timestep.observation[key]


def _check_policies(
  name: str, policies: Sequence[Sequence[float]]
) -> tuple[int, int]:
  """Returns how many policies there are, and features."""
  sizes = {len(policy) for policy in policies}
  if len(sizes) != 1 or sizes == {0}:
    raise ValueError(
      f"{name}.policies must be vectors of one length, got {policies}"
    )
  return len(policies), sizes.pop()


def _check_task(name: str, spec: EnvironmentSpec, key: str, size: int) -> None:
  seen = spec.observation
  if not isinstance(seen, Mapping) or key not in seen:
    raise ValueError(
      f"{name}.task: {spec.name} shows no '{key}'; bind train.environment = "
      "@collect_objects(), say"
    )
  if seen[key].shape != (size,):
    raise ValueError(
      f"{name}.policies have {size} numbers, but the task of {spec.name} has "
      f"shape {list(seen[key].shape)}"
    )
