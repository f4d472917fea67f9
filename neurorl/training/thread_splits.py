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

# Bytes of an array. By measurement, docs/results/parts-2026-11-29.md: programs
# with arrays of this size are faster without splits, with larger ones slower.
_LARGE = 2**18


def pay(jaxpr: Any, stored: Tree) -> bool:
  """Says whether any array that a program computes is large.

  Args:
    jaxpr: the program, as `jax.jit(...).trace(...).jaxpr` gives it.
    stored: `[num_seeds, ...]`, arrays of which it reads and writes some rows
      (or their shapes). Inside they may be of one seed, or of some.

  Returns:
    Whether an array that is not one of those is large.
  """
  known = {(x.shape[1:], x.dtype) for x in jax.tree.leaves(stored)}
  return any(
    _bytes(x.aval, known) > _LARGE
    for equation in _equations(jaxpr)
    for x in equation.outvars
  )


def _bytes(array: Any, known: Collection[tuple[tuple[int, ...], Any]]) -> int:
  # Tokens have neither.
  shape, dtype = getattr(array, "shape", ()), getattr(array, "dtype", None)
  if not all(isinstance(size, int) for size in shape):
    return 0
  if (shape, dtype) in known or (shape[1:], dtype) in known:
    return 0
  return math.prod(shape) * getattr(dtype, "itemsize", 0)


def _equations(jaxpr: Any) -> Iterator[Any]:
  jaxpr = getattr(jaxpr, "jaxpr", jaxpr)
  for equation in jaxpr.eqns:
    yield equation
    for value in equation.params.values():
      for item in value if isinstance(value, tuple | list) else [value]:
        if hasattr(getattr(item, "jaxpr", item), "eqns"):
          yield from _equations(item)
