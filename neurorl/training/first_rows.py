"""Whether a function reads the first of an array's rows, by its operations.

A target network is asked about what follows the transitions: what it says of
where the first one begins is half of the work if sequences are single
transitions, and mostly nobody reads it.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import jax
from jax.extend import core

from neurorl.types import Tree

_ELEMENTWISE = {
  *("abs", "add", "add_any", "and", "clamp", "convert_element_type", "copy"),
  *("cos", "div", "eq", "erf", "exp", "exp2", "expm1", "floor", "ge", "gt"),
  *("integer_pow", "is_finite", "le", "log", "log1p", "logistic", "lt", "max"),
  *("min", "mul", "ne", "neg", "not", "or", "pow", "rsqrt", "select_n", "sign"),
  *("sin", "sqrt", "square", "stop_gradient", "sub", "tanh"),
}
_REDUCTIONS = {
  *("argmax", "argmin", "reduce_and", "reduce_max", "reduce_min", "reduce_or"),
  *("reduce_prod", "reduce_sum"),
}


class _ReadError(Exception):
  """The first row may be read."""


def reads_first(function: Callable[[Tree], Tree], arrays: Tree) -> bool:
  """Says whether what a function returns may depend on a first row.

  Args:
    function: of arrays, to arrays.
    arrays: `[T, ...]` each, or their shapes.

  Returns:
    False only if it does not: operations that are not known here count as
    reading all that they are given.
  """
  jaxpr = jax.make_jaxpr(function)(arrays).jaxpr
  try:
    reached = _follow(jaxpr, dict.fromkeys(jaxpr.invars, 0))
  except _ReadError:
    return True
  return any(axis is not None for axis in reached)


def _follow(jaxpr, rows: dict[core.Var, int]) -> list[int | None]:
  """Follows first rows through operations.

  Args:
    jaxpr: the operations.
    rows: the axis of rows, of each argument that has such a row.

  Returns:
    The same of each result; None if the first row is not in it.
  """
  rows = dict(rows)
  for equation in jaxpr.eqns:
    inputs = [
      None if isinstance(x, core.Literal) else rows.get(x)
      for x in equation.invars
    ]
    if all(axis is None for axis in inputs):
      continue
    axis = _axis_after(equation, inputs)
    if axis is not None:
      rows |= dict.fromkeys(equation.outvars, axis)
  return [
    None if isinstance(x, core.Literal) else rows.get(x) for x in jaxpr.outvars
  ]


def _axis_after(equation, inputs: list[int | None]) -> int | None:
  """The axis of rows in what an operation returns; None if they are gone."""
  name, params = equation.primitive.name, equation.params
  axes = {axis for axis in inputs if axis is not None}
  if len(axes) > 1:
    raise _ReadError
  axis = axes.pop()
  if name in _ELEMENTWISE:
    return axis
  if name in _REDUCTIONS and axis not in params["axes"]:
    return axis - sum(other < axis for other in params["axes"])
  inner = params.get("jaxpr", params.get("call_jaxpr"))
  if inner is not None and name in _CALLS:
    return _through_call(getattr(inner, "jaxpr", inner), inputs)
  shape = equation.invars[0].aval.shape
  after = equation.outvars[0].aval.shape
  if name in _MOVES and len(equation.invars) == 1:
    return _MOVES[name](params, axis, shape, after)
  raise _ReadError


_CALLS = {"jit", "pjit", "closed_call", "custom_jvp_call", "custom_vjp_call"}


def _through_call(jaxpr, inputs: list[int | None]) -> int | None:
  found = {
    var: axis
    for var, axis in zip(jaxpr.invars, inputs, strict=True)
    if axis is not None
  }
  reached = set(_follow(jaxpr, found))
  if len(reached) > 1:  # an operation has one answer for all its results
    raise _ReadError
  return reached.pop()


def _broadcast(params, axis, shape, after) -> int:
  del shape, after
  return params["broadcast_dimensions"][axis]


def _reshape(params, axis, shape, after) -> int:
  for new, size in enumerate(after):
    before = math.prod(after[:new]) == math.prod(shape[:axis])
    if before and size == shape[axis] and params["dimensions"] is None:
      return new
  raise _ReadError


def _slice(params, axis, shape, after) -> int | None:
  del shape, after
  return None if params["start_indices"][axis] > 0 else axis


def _squeeze(params, axis, shape, after) -> int:
  del shape, after
  if axis in params["dimensions"]:
    raise _ReadError
  return axis - sum(other < axis for other in params["dimensions"])


def _transpose(params, axis, shape, after) -> int:
  del shape, after
  return params["permutation"].index(axis)


# (parameters, axis of rows, shape before, shape after) -> axis of rows.
_MOVES = {
  "broadcast_in_dim": _broadcast,
  "reshape": _reshape,
  "slice": _slice,
  "squeeze": _squeeze,
  "transpose": _transpose,
}
