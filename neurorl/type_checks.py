"""Bound values against annotations: what a slot takes, what a component makes.

A slot is a parameter that another component fills. Its annotation is the type
that the filling component's return annotation must be: so `agent.torso =
@q_head()` is refused by types alone, before anything is called.
"""

from __future__ import annotations

import collections.abc
import types
import typing
from collections.abc import Iterator
from typing import Any

from neurorl import registry


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
  return made is Any or any(
    taken is Any
    or taken == made
    or (
      isinstance(taken, type)
      and isinstance(made, type)
      and issubclass(made, taken)
    )
    for taken in _members(slot)
  )


def makers(slot: Any) -> list[str]:
  """Names the components that are known to fill a slot."""
  taken = list(_members(slot))
  return [
    name
    for name, component in registry.components().items()
    if hints(component).get("return", Any) in taken
  ]


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

  Only int, float, bool, str, None and sequences of these are judged; anything
  else passes, since recipes are checked where they are built.

  Args:
    value: what gin bound.
    annotation: a resolved type annotation.

  Returns:
    None if it fits, else what was expected.
  """
  if _fits(value, annotation):
    return None
  if isinstance(annotation, type):
    return annotation.__name__
  return str(annotation).replace("typing.", "").replace("collections.abc.", "")


def _fits(value: Any, annotation: Any) -> bool:
  origin = typing.get_origin(annotation)
  arguments = typing.get_args(annotation)
  if origin in (typing.Union, types.UnionType):
    return any(_fits(value, argument) for argument in arguments)
  if origin is typing.Literal:
    return value in arguments
  if origin in (tuple, list, collections.abc.Sequence):
    if not isinstance(value, (tuple, list)):
      return False
    return all(_fits(item, arguments[0]) for item in value)
  if origin in (dict, collections.abc.Mapping):
    return isinstance(value, dict)
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
    return isinstance(value, annotation)
  return True
