"""Bound values against annotations: what a slot takes, what a component makes.

A slot is a parameter that another component fills. Its annotation is the type
that the filling component's return annotation must be: so `agent.torso =
@q_head()` is refused by types alone, before anything is called.
"""

from __future__ import annotations

import collections.abc
import contextlib
import types
import typing
from collections.abc import Iterator
from typing import Any

import numpy as np

from neurorl import registry

_SEQUENCES = (tuple, list, collections.abc.Sequence)
_MAPPINGS = (dict, collections.abc.Mapping)


def hints(component: registry.Component) -> dict[str, Any]:
  """Returns a component's resolved annotations; nothing if they cannot be."""
  try:
    return typing.get_type_hints(component.function)
  except (NameError, TypeError, AttributeError):
    return {}


def fills(component: registry.Component, slot: Any) -> bool:
  """Says whether what a component makes may fill a slot.

  Args:
    component: the one referred to.
    slot: the parameter's annotation.

  Returns:
    False only if both types are known and differ.
  """
  made = hints(component).get("return", Any)
  return any(_may_be(made, taken) for taken in _members(slot))


def makers(slot: Any) -> list[str]:
  """Names the components that are known to fill a slot."""
  taken = list(_members(slot))
  return [
    name
    for name, component in registry.components().items()
    if hints(component).get("return", Any) in taken
  ]


def _may_be(made: Any, taken: Any) -> bool:
  if made is Any or taken is Any:
    return True
  if isinstance(made, type) and isinstance(taken, type):
    return issubclass(made, taken)
  # A bare `Callable` says less than `Callable[[X], Y]` and contradicts none;
  # those of `typing` and of `collections.abc` are one.
  bare = collections.abc.Callable
  if bare in (_plain(made), _plain(taken)):
    return _origin(made) == _origin(taken)
  return _plain(made) == _plain(taken)


def _origin(annotation: Any) -> Any:
  return typing.get_origin(annotation) or annotation


def _plain(annotation: Any) -> Any:
  """An annotation as nested lists, whichever module spelt it."""
  if isinstance(annotation, list):
    return [_plain(item) for item in annotation]
  arguments = typing.get_args(annotation)
  if not arguments:
    return _origin(annotation)
  return [_origin(annotation), *map(_plain, arguments)]


def _members(annotation: Any) -> Iterator[Any]:
  """The types that may stand in a slot, within containers too."""
  origin = typing.get_origin(annotation)
  containers = (
    typing.Union,
    types.UnionType,
    tuple,
    list,
    dict,
    collections.abc.Sequence,
    collections.abc.Mapping,
  )
  if origin in containers:
    for argument in typing.get_args(annotation):
      yield from _members(argument)
  else:
    yield annotation


def check_type(value: Any, annotation: Any) -> str | None:
  """Checks a bound value against a parameter's annotation.

  Only classes, literals, functions and containers of these are judged; anything
  else passes, since recipes are checked where they are built.

  Args:
    value: what gin bound.
    annotation: a resolved type annotation.

  Returns:
    None if it fits, else what was expected.
  """
  if _fits(value, annotation):
    return None
  return _wording(annotation)


def told(value: Any, annotation: Any) -> str:
  """Says what a value is: its type, but itself where names are to choose."""
  origins = map(typing.get_origin, _members(annotation))
  if isinstance(value, str) and typing.Literal in origins:
    return repr(value)
  return type(value).__name__


def _wording(annotation: Any) -> str:
  """An annotation as a user of gin files would say it."""
  origin = typing.get_origin(annotation)
  arguments = typing.get_args(annotation)
  if origin in (typing.Union, types.UnionType):
    if np.ndarray in arguments:  # jax's ArrayLike, chex's Numeric
      return "a number"
    return " or ".join(dict.fromkeys(map(_wording, arguments)))
  if origin is typing.Literal:
    return " or ".join(map(repr, arguments))
  if origin in _SEQUENCES and arguments:
    return f"a list of {_wording(arguments[0])}"
  if origin in _MAPPINGS and arguments:
    return f"a dict of {_wording(arguments[1])}"
  if annotation in (None, types.NoneType):
    return "None"
  if annotation in (bool, int, float, str):
    return annotation.__name__
  made = [f"@{name}()" for name in makers(annotation)]
  if made:
    return " or ".join(made)
  if origin is collections.abc.Callable:
    return "a function"
  return getattr(annotation, "__name__", str(annotation))


def _fits(value: Any, annotation: Any) -> bool:
  origin = typing.get_origin(annotation)
  arguments = typing.get_args(annotation)
  if origin in (typing.Union, types.UnionType):
    return any(_fits(value, argument) for argument in arguments)
  if origin is typing.Literal:
    return value in arguments
  if annotation is Any:
    return True
  if origin in _SEQUENCES:
    if not isinstance(value, (tuple, list)):
      return False
    if origin is tuple and arguments[-1:] != (Ellipsis,):
      return len(value) == len(arguments) and all(map(_fits, value, arguments))
    return not arguments or all(_fits(item, arguments[0]) for item in value)
  if origin in _MAPPINGS:
    if not isinstance(value, dict):
      return False
    return not arguments or all(
      _fits(item, arguments[1]) for item in value.values()
    )
  if origin is collections.abc.Callable:
    return callable(value)
  if annotation in (None, types.NoneType):
    return value is None
  if annotation is bool:
    return isinstance(value, bool)
  if annotation is int:
    return isinstance(value, int) and not isinstance(value, bool)
  if annotation is float:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
  if isinstance(annotation, type):
    with contextlib.suppress(TypeError):  # protocols that cannot be asked
      return isinstance(value, annotation)
  return True
