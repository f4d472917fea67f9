"""gymnax environments, with their true final observations and time-outs.

gymnax's own `step` resets by itself and hides the final observation; this
adapter uses `step_env` and `is_truncated` instead.
Lange (2022), https://github.com/RobertTLange/gymnax
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import sys
import types as python_types
from collections.abc import Iterator, Mapping
from typing import Any

import jax

from neurorl.environments import adapting, gymnax_pictures
from neurorl.environments.timesteps import restart, transition
from neurorl.registry import component
from neurorl.types import Environment, EnvironmentSpec


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
  adapting.check_name("gymnax.name", name, library.registered_envs)
  where = f"gymnax.arguments of '{name}'"
  env, params = adapting.made(
    where, functools.partial(library.make, name), dict(arguments or {})
  )
  return adapt(env, params, "gymnax", name, dict(parameters or {}))


@component
def gymnax_like(
  path: str,
  parameters: Mapping[str, Any] | None = None,
  arguments: Mapping[str, Any] | None = None,
) -> Environment:
  """Makes an environment of your own that has gymnax's functional interface.

  It has `default_params`, `action_space(params)`, `reset_env(key, params) ->
  (observation, state)` and `step_env(key, state, action, params) ->
  (observation, state, reward, terminated, info)`, and neither resets by itself.
  A time-out is what `is_truncated(state, params)` says; without that every end
  is a termination, as gymnax before 1.0 folds the clock into `done`.

  Lange (2022), https://github.com/RobertTLange/gymnax

  Args:
    path: of its class, or a function that makes it: 'my_lab.envs.MyEnv'.
    parameters: fields of its `default_params` to change.
    arguments: that it is made with.

  Returns:
    The environment.

  Raises:
    ValueError: if there is no such class, parameter or argument.
  """
  make = adapting.by_path("gymnax_like.path", path)
  where = f"gymnax_like.arguments of '{path}'"
  env = adapting.made(where, make, dict(arguments or {}))
  missing = [x for x in ("reset_env", "step_env") if not hasattr(env, x)]
  if missing:
    raise ValueError(f"gymnax_like.path = '{path}' has no {missing[0]}")
  params = getattr(env, "default_params", None)
  return adapt(env, params, "gymnax_like", path, dict(parameters or {}))


def adapt(
  env: Any, params: Any, component_name: str, name: str, changes: dict[str, Any]
) -> Environment:
  """Adapts what has gymnax's functional interface.

  Args:
    env: has `reset_env`, `step_env`, `action_space`, perhaps `is_truncated`.
    params: a dataclass, or None for an environment without any.
    component_name: that the user called, for messages.
    name: of the environment.
    changes: to the fields of `params`.

  Returns:
    The environment.

  Raises:
    ValueError: if a field or the action space is unknown.
  """
  if changes:
    where = f"{component_name}.parameters: {name}"
    params = adapting.replaced(where, params, changes)
  space = adapting.action_space(
    f"{component_name}.name = '{name}'", env.action_space(params)
  )
  observation, state_spec = adapting.strong(
    jax.eval_shape(lambda: env.reset_env(jax.random.key(0), params))
  )

  timed_out = getattr(env, "is_truncated", lambda state, params: False)

  def reset(key):
    seen, state = env.reset_env(key, params)
    seen = adapting.held(observation, seen)
    return adapting.held(state_spec, state), restart(seen)

  def step(key, state, action):
    seen, state, reward, terminated, _ = env.step_env(
      key, state, action, params
    )
    truncated = timed_out(state, params)
    seen = adapting.held(observation, seen)
    timestep = transition(seen, reward, terminated, truncated)
    return adapting.held(state_spec, state), timestep

  spec = EnvironmentSpec(name, observation, adapting.action_spec(space), space)
  render = gymnax_pictures.renderer(env, params, name, observation)
  return Environment(reset, step, spec, render=render)


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
