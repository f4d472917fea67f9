"""Components: functions of hyperparameters that a gin file may name.

`@component` registers a function and returns it unchanged, so every room works
as a plain library. Nothing here knows gin; `config` reads this table.
"""

from __future__ import annotations

import dataclasses
import difflib
import functools
import inspect
from collections.abc import Callable, Iterable
from typing import Any


@dataclasses.dataclass(frozen=True)
class Component:
  """A function that a gin file may call by name.

  Attributes:
    name: unique over neurorl, third parties and users' modules.
    place: where it is defined, for messages.
    load: returns the function, importing what it needs.
    denied: parameters that gin may not bind, with the reason for each.
  """

  name: str
  place: str
  load: Callable[[], Callable[..., Any]]
  denied: dict[str, str] = dataclasses.field(default_factory=dict)

  @functools.cached_property
  def function(self) -> Callable[..., Any]:
    """What the call runs."""
    return self.load()

  @functools.cached_property
  def parameters(self) -> dict[str, inspect.Parameter]:
    """The parameters that gin may bind."""
    signature = inspect.signature(self.function)
    named = (
      inspect.Parameter.POSITIONAL_OR_KEYWORD,
      inspect.Parameter.KEYWORD_ONLY,
    )
    return {
      name: parameter
      for name, parameter in signature.parameters.items()
      if parameter.kind in named and name not in self.denied
    }

  @property
  def summary(self) -> str:
    """The first sentence of the docstring."""
    lines = (inspect.getdoc(self.function) or "").strip().split("\n\n")[0]
    return " ".join(lines.split())


_COMPONENTS: dict[str, Component] = {}


def component(function: Callable[..., Any]) -> Callable[..., Any]:
  """Registers a function (or class) under its own name.

  Args:
    function: takes hyperparameters, returns a recipe.

  Returns:
    The function, unchanged.

  Raises:
    ValueError: if another function has the name.
  """
  code = inspect.unwrap(function)
  place = f"{code.__module__}.{code.__qualname__}"
  add(Component(function.__name__, place, lambda: function))
  return function


def add(new: Component) -> None:
  """Enters a component in the table.

  Args:
    new: the component.

  Raises:
    ValueError: if its name is taken by a component of another place.
  """
  old = _COMPONENTS.get(new.name)
  if old is not None and old.place != new.place:
    raise ValueError(
      f"two components are called '{new.name}': {old.place} and {new.place}; "
      "rename one"
    )
  _COMPONENTS[new.name] = new


def components() -> dict[str, Component]:
  """Returns all registered components by name."""
  return dict(sorted(_COMPONENTS.items()))


def find(name: str) -> Component | None:
  """Finds a component by its name, or by its name within its module.

  Args:
    name: `lstm`, or `my_lab.tasks.two_step`.

  Returns:
    The component, or None.
  """
  if name in _COMPONENTS:
    return _COMPONENTS[name]
  by_place = _COMPONENTS.get(name.rpartition(".")[2])
  if by_place and f".{by_place.place}".endswith(f".{name}"):
    return by_place
  return None


def nearest(name: str, names: Iterable[str]) -> str:
  """Says which names a misspelt one may have meant.

  Args:
    name: what was written.
    names: what is allowed.

  Returns:
    `"; did you mean 'a' or 'b'?"`, or the allowed names when few and none is
    near, or nothing.
  """
  names = sorted(set(names))
  close = difflib.get_close_matches(name, names, n=3, cutoff=0.6)
  if not close and len(name) > 2:
    close = [n for n in names if n.lower().startswith(name.lower())][:3]
  if close:
    return "; did you mean " + " or ".join(f"'{c}'" for c in close) + "?"
  if 0 < len(names) <= 12:
    return "; allowed: " + ", ".join(names)
  return ""
