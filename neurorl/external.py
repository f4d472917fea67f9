"""One table of third-party components, by their own names.

Two kinds say what a call in a gin file means:

* constructor: the call builds (`@optax.scale_by_adam()`).
* function: the call returns the function, with what is bound applied
  (`@jax.nn.relu()`).

A name is resolved only when a gin file uses it: `import neurorl` stays light.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import typing
from collections.abc import Callable
from typing import Any

from neurorl import registry
from neurorl.types import Array

_CONSTRUCTORS = (
  "optax.adaptive_grad_clip",
  "optax.add_decayed_weights",
  "optax.add_noise",
  "optax.centralize",
  "optax.clip",
  "optax.clip_by_global_norm",
  "optax.ema",
  "optax.identity",
  "optax.normalize_by_update_norm",
  "optax.scale",
  "optax.scale_by_adam",
  "optax.scale_by_adamax",
  "optax.scale_by_amsgrad",
  "optax.scale_by_belief",
  "optax.scale_by_lion",
  "optax.scale_by_novograd",
  "optax.scale_by_optimistic_gradient",
  "optax.scale_by_radam",
  "optax.scale_by_rms",
  "optax.scale_by_rss",
  "optax.scale_by_sm3",
  "optax.scale_by_stddev",
  "optax.scale_by_trust_ratio",
  "optax.scale_by_yogi",
  "optax.trace",
  "hk.initializers.Constant",
  "hk.initializers.Identity",
  "hk.initializers.Orthogonal",
  "hk.initializers.RandomNormal",
  "hk.initializers.RandomUniform",
  "hk.initializers.TruncatedNormal",
  "hk.initializers.UniformScaling",
  "hk.initializers.VarianceScaling",
)

# What arguments of optax may be, which it does not check: with a norm below 0,
# say, descent would be ascent.
_POSITIVE = (lambda x: x > 0.0, "above 0")
_NOT_NEGATIVE = (lambda x: x >= 0.0, "at least 0")
_FRACTION = (lambda x: 0.0 <= x < 1.0, "at least 0 and below 1")
_UP_TO_ONE = (lambda x: 0.0 <= x <= 1.0, "from 0 to 1")
_DEMANDS = {
  **dict.fromkeys(("b1", "b2", "b3", "decay"), _FRACTION),
  **dict.fromkeys(("eps", "eps_root", "weight_decay"), _NOT_NEGATIVE),
  **dict.fromkeys(("clipping", "max_delta", "max_norm"), _POSITIVE),
  # These add up, and do not average.
  "optax.scale_by_sm3.b2": _UP_TO_ONE,
  "optax.trace.decay": _UP_TO_ONE,
}

# Function -> its run-time arguments, which gin may not bind.
_FUNCTIONS = {
  "jax.nn.celu": ("x",),
  "jax.nn.elu": ("x",),
  "jax.nn.gelu": ("x",),
  "jax.nn.hard_tanh": ("x",),
  "jax.nn.leaky_relu": ("x",),
  "jax.nn.mish": ("x",),
  "jax.nn.relu": ("x",),
  "jax.nn.relu6": ("x",),
  "jax.nn.selu": ("x",),
  "jax.nn.sigmoid": ("x",),
  "jax.nn.silu": ("x",),
  "jax.nn.softplus": ("x",),
  "jax.nn.soft_sign": ("x",),
  "jax.nn.tanh": ("x",),
  "mctx.qtransform_by_min_max": ("tree", "node_index"),
  "mctx.qtransform_by_parent_and_siblings": ("tree", "node_index"),
  "mctx.qtransform_completed_by_mix_value": ("tree", "node_index"),
}

_RUN_TIME = "is a run-time argument, given by the library"
_SEARCH = (
  "params",
  "rng_key",
  "root",
  "recurrent_fn",
  "num_simulations",
  "invalid_actions",
  "loop_fn",
)
_SEARCHES = {
  "mctx.gumbel_muzero_policy": {},
  "mctx.muzero_policy": {
    "temperature": "is given by the actor; bind search_actor.temperature"
  },
}


def register() -> None:
  """Enters the table in the registry, resolving nothing."""
  for name in _CONSTRUCTORS:
    checked = _demanding if name.startswith("optax.") else _resolve
    load = functools.partial(checked, name)
    registry.add(registry.Component(name, name, load))
  for name, run_time in _FUNCTIONS.items():
    load = functools.partial(_returning, name, run_time)
    denied = dict.fromkeys(run_time, _RUN_TIME)
    registry.add(registry.Component(name, name, load, denied))
  for name, reasons in _SEARCHES.items():
    denied = dict.fromkeys(_SEARCH, _RUN_TIME) | reasons
    denied["num_simulations"] = (
      "is given by the actor; bind search_actor.num_simulations"
    )
    load = functools.partial(_returning, name, tuple(denied))
    registry.add(registry.Component(name, name, load, denied))


def names() -> tuple[str, ...]:
  """Returns the names of the table."""
  return (*_CONSTRUCTORS, *_FUNCTIONS, *_SEARCHES)


def _resolve(name: str) -> Callable[..., Any]:
  module, _, attribute = name.rpartition(".")
  module = {"hk": "haiku", "hk.initializers": "haiku.initializers"}.get(
    module, module
  )
  return getattr(importlib.import_module(module), attribute)


def _demanding(name: str) -> Callable[..., Any]:
  """A constructor that refuses numbers out of range."""
  function = _resolve(name)

  @functools.wraps(function)
  def build(*arguments, **hyperparameters):
    bound = inspect.signature(function).bind_partial(
      *arguments, **hyperparameters
    )
    for argument, value in bound.arguments.items():
      path = f"{name}.{argument}"
      demand = _DEMANDS.get(path) or _DEMANDS.get(argument)
      if demand is None or not isinstance(value, int | float):
        continue
      holds, wording = demand
      if isinstance(value, bool) or not holds(value):
        raise ValueError(f"{path} must be {wording}, got {value}")
    return function(*arguments, **hyperparameters)

  return build


def _returning(name: str, run_time: tuple[str, ...]) -> Callable[..., Any]:
  """A function of the hyperparameters alone that returns the function."""
  function = _resolve(name)

  def bind(**hyperparameters):
    if hyperparameters:
      return functools.partial(function, **hyperparameters)
    return function

  signature = inspect.signature(function)
  bind.__signature__ = signature.replace(
    parameters=[
      p.replace(kind=inspect.Parameter.KEYWORD_ONLY)
      for p in signature.parameters.values()
      if p.name not in run_time
    ]
  )
  bind.__annotations__ = {
    name: hint
    for name, hint in _hints(function).items()
    if name in bind.__signature__.parameters
  }
  if run_time == ("x",):  # an activation; messages name what fills a slot
    bind.__annotations__["return"] = Callable[[Array], Array]
  bind.__doc__ = function.__doc__
  bind.__name__ = getattr(function, "__name__", "function")
  return bind


def _hints(function: Callable[..., Any]) -> dict[str, Any]:
  try:
    return typing.get_type_hints(function)
  except NameError:  # a type that refers to itself, as chex has one
    parameters = inspect.signature(function).parameters.values()
    return {p.name: p.annotation for p in parameters}
