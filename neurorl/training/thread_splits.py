"""Whether XLA shall split single operations over a CPU's threads.

It splits an operation that reads and writes more than 512 KB in all, and where
it reads some rows of an array it counts all of them: reads of a large replay go
to another thread, which costs more than they do. Where nothing else is large
enough to be split, splitting is better left out.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator
from typing import Any

import jax

from neurorl.types import Tree

_LARGE = 2**18  # bytes of an array; an operation reads one and writes one


def pay(jaxpr: Any, large: Tree) -> bool:
  """Says whether any array that a program computes is large.

  Args:
    jaxpr: the program, as `jax.jit(...).trace(...).jaxpr` gives it.
    large: arrays, or their shapes, that it changes in some rows; of one seed or
      of several.

  Returns:
    Whether an array that has none of those shapes is.
  """
  leaves = jax.tree.leaves(large)
  shapes = {x.shape for x in leaves} | {x.shape[1:] for x in leaves}
  return any(
    _bytes(x.aval, shapes) > _LARGE
    for equation in _equations(jaxpr)
    for x in equation.outvars
  )


def _bytes(array: Any, apart: Collection[tuple[int, ...]]) -> int:
  shape = getattr(array, "shape", ())
  if shape in apart or not all(isinstance(size, int) for size in shape):
    return 0
  return math.prod(shape) * getattr(array.dtype, "itemsize", 0)


def _equations(jaxpr: Any) -> Iterator[Any]:
  jaxpr = getattr(jaxpr, "jaxpr", jaxpr)
  for equation in jaxpr.eqns:
    yield equation
    for value in equation.params.values():
      for item in value if isinstance(value, tuple | list) else [value]:
        if hasattr(getattr(item, "jaxpr", item), "eqns"):
          yield from _equations(item)
