"""Whether a function is made of this library's parts alone."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
from collections.abc import Iterator, Mapping
from typing import Any

_LIBRARIES = {
  "neurorl",
  "builtins",
  "chex",
  "functools",
  "haiku",
  "jax",
  "jaxlib",
  "mctx",
  "numpy",
  "optax",
  "rlax",
}


def has_own_code(function: Any) -> bool:
  """Says whether a user's function is in what a function was made of.

  Args:
    function: a closure, or a tree of them.

  Returns:
    Whether anything that it holds on to, directly or not, was defined outside
    this library and those it stands on.
  """
  waiting, seen = [function], set()
  while waiting:
    part = waiting.pop()
    if id(part) in seen:
      continue
    seen.add(id(part))
    module = getattr(part, "__module__", None) if callable(part) else None
    if module and module.partition(".")[0] not in _LIBRARIES:
      return True
    waiting += _parts(part)
  return False


def _parts(part: Any) -> Iterator[Any]:
  if isinstance(part, functools.partial):
    yield from (part.func, *part.args, *part.keywords.values())
  elif isinstance(part, Mapping):
    yield from part.values()
  elif isinstance(part, tuple | list):
    yield from part
  elif dataclasses.is_dataclass(part) and not isinstance(part, type):
    yield from (getattr(part, x.name) for x in dataclasses.fields(part))
  else:
    for cell in getattr(part, "__closure__", None) or ():
      with contextlib.suppress(ValueError):  # nothing is in it yet
        yield cell.cell_contents
    wrapped = getattr(part, "__wrapped__", None)
    if wrapped is not None:
      yield wrapped
