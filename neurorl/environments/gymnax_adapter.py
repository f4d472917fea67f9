"""gymnax environments, with their true final observations and time-outs.

gymnax's own `step` resets by itself and hides the final observation; this
adapter uses `step_env` and `is_truncated` instead.
Lange (2022), https://github.com/RobertTLange/gymnax
"""

from __future__ import annotations

import contextlib
import dataclasses
import importlib
import sys
import types as python_types
from collections.abc import Iterator, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from neurorl import registry
from neurorl.environments.timesteps import restart, transition
from neurorl.registry import component
from neurorl.types import (
  ActionSpace,
  ContinuousActions,
  DiscreteActions,
  Environment,
  EnvironmentSpec,
  Tree,
)


@component
def gymnax(
  name: str,
  parameters: Mapping[str, Any] | None = None,
  arguments: Mapping[str, Any] | None = None,
) -> Environment:
  """Makes a gymnax environment by name.

  Args:
    name: a name of gymnax's registry, such as 'Catch-bsuite'.
    parameters: fields of the environment's `EnvParams` to change, such as
      `{'memory_length': 20}`.
    arguments: that its class is made with, such as `{'size': 10}`.

  Returns:
    The environment.

  Raises:
    ValueError: if gymnax has no such environment, parameter or argument.
  """
  library = _import_gymnax()
  if name not in library.registered_envs:
    hint = registry.nearest(name, library.registered_envs)
    raise ValueError(f"gymnax.name = '{name}': no such environment{hint}")
  try:
    env, params = library.make(name, **(arguments or {}))
  except TypeError as error:
    raise ValueError(f"gymnax.arguments of '{name}': {error}") from error
  params = _replace(params, dict(parameters or {}), name)
  space = _action_space(env.action_space(params), name)
  observation, state_spec = jax.eval_shape(
    lambda: env.reset_env(jax.random.key(0), params)
  )

  def reset(key):
    seen, state = env.reset_env(key, params)
    return _like(state_spec, state), restart(_like(observation, seen))

  def step(key, state, action):
    seen, state, reward, terminated, _ = env.step_env(
      key, state, action, params
    )
    truncated = env.is_truncated(state, params)
    timestep = transition(
      _like(observation, seen), reward, terminated, truncated
    )
    return _like(state_spec, state), timestep

  spec = EnvironmentSpec(name, observation, _action(space), space)
  return Environment(reset, step, spec)


def _like(spec: Tree, tree: Tree) -> Tree:
  """Holds a tree to its spec: gymnax lets dtypes drift, a scan does not."""
  return jax.tree.map(
    lambda leaf, like: jnp.asarray(leaf, like.dtype).reshape(like.shape),
    tree,
    spec,
  )


def _replace(params: Any, changes: dict[str, Any], name: str) -> Any:
  fields = [field.name for field in dataclasses.fields(params)]
  for field in changes:
    if field not in fields:
      hint = registry.nearest(field, fields)
      raise ValueError(
        f"gymnax.parameters: {name} has no parameter '{field}'{hint}"
      )
  return dataclasses.replace(params, **changes)


def _action_space(space: Any, name: str) -> ActionSpace:
  if hasattr(space, "n"):
    return DiscreteActions(int(space.n))
  if hasattr(space, "low"):
    shape = tuple(space.shape)
    return ContinuousActions(
      np.broadcast_to(np.asarray(space.low, np.float32), shape),
      np.broadcast_to(np.asarray(space.high, np.float32), shape),
    )
  raise ValueError(f"gymnax.name = '{name}': cannot handle actions {space}")


def _action(space: ActionSpace) -> jax.ShapeDtypeStruct:
  if isinstance(space, DiscreteActions):
    return jax.ShapeDtypeStruct((), jnp.int32)
  return jax.ShapeDtypeStruct(space.low.shape, jnp.float32)


def _import_gymnax() -> python_types.ModuleType:
  if "gymnax" in sys.modules:
    return sys.modules["gymnax"]
  with _deferred("seaborn", "matplotlib.pyplot"):
    return importlib.import_module("gymnax")


@contextlib.contextmanager
def _deferred(*names: str) -> Iterator[None]:
  """Puts off imports that gymnax needs only to draw; they take seconds.

  A stand-in loads the real module when an attribute is first read.
  """
  stand_ins = {
    name: _StandIn(name) for name in names if name not in sys.modules
  }
  sys.modules.update(stand_ins)
  try:
    yield
  finally:
    for name, stand_in in stand_ins.items():
      if sys.modules.get(name) is stand_in:
        del sys.modules[name]


class _StandIn(python_types.ModuleType):
  def __getattr__(self, attribute: str) -> Any:
    if attribute.startswith("__"):
      raise AttributeError(attribute)
    if sys.modules.get(self.__name__) is self:
      del sys.modules[self.__name__]
    return getattr(importlib.import_module(self.__name__), attribute)
