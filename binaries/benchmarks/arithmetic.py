"""What arithmetic alone takes: operations counted, and the rate of products.

Operations are counted in the program before it is compiled: two for every
multiplication of a matrix product or convolution, times the lengths of the
loops around it. What is elementwise is not counted, nor what nothing reads.
(XLA's own count takes the body of every loop once.)
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.interpreters import partial_eval

from . import timing

_SIZE, _TIMES = 1024, 8


def operations(
  function: Callable, arguments: Sequence[Any], lengths: Sequence[int] = ()
) -> float:
  """Counts what a call computes in matrix products and convolutions.

  Args:
    function: is traced, not run.
    arguments: its arguments, or their shapes.
    lengths: of the loops that end by a number known only when they run, from
      the outermost in; those within each other that hold products.

  Returns:
    Floating-point operations.

  Raises:
    ValueError: if such a loop has no length here.
  """
  jaxpr = jax.make_jaxpr(function)(*arguments).jaxpr
  live, _ = partial_eval.dce_jaxpr(jaxpr, [True] * len(jaxpr.outvars))
  return _count(live, tuple(lengths))


def matrix_products() -> tuple[Callable[[], Any], float]:
  """Makes what large float32 products are timed by.

  Returns:
    Runs them, and the operations of a call.
  """
  x = jax.random.normal(jax.random.key(0), (_SIZE, _SIZE)) / math.sqrt(_SIZE)
  run = timing.repeated(lambda y: jnp.dot(y, x), x, _TIMES)
  return run, 2.0 * _SIZE**3 * _TIMES


def _count(jaxpr: Any, lengths: tuple[int, ...]) -> float:
  return sum(_count_equation(equation, lengths) for equation in jaxpr.eqns)


def _count_equation(equation: Any, lengths: tuple[int, ...]) -> float:
  name, params = equation.primitive.name, equation.params
  if name == "dot_general":
    (contracted, _), _ = params["dimension_numbers"]
    shape = equation.invars[0].aval.shape
    length = math.prod(shape[axis] for axis in contracted)
    return 2.0 * equation.outvars[0].aval.size * length
  if name == "conv_general_dilated":
    kernel = equation.invars[1].aval
    outputs = kernel.shape[params["dimension_numbers"].rhs_spec[0]]
    return 2.0 * equation.outvars[0].aval.size * kernel.size / outputs
  if name == "while":
    return _count_while(params["body_jaxpr"].jaxpr, lengths)
  found = [_count(inner, lengths) for inner in _inner(params)]
  if name == "cond":
    return max(found)
  times = {"scan": params.get("length"), "shard_map": _devices(params)}
  return sum(found) * times.get(name, 1)


def _count_while(body: Any, lengths: tuple[int, ...]) -> float:
  once = _count(body, lengths[1:])
  if once and not lengths:
    raise ValueError("a loop with products has a length that is not known")
  return once * lengths[0] if once else 0.0


def _devices(params: dict[str, Any]) -> int:
  return params["mesh"].size if "mesh" in params else 1


def _inner(params: dict[str, Any]) -> list[Any]:
  """The programs that an operation runs."""
  found = []
  for value in params.values():
    for item in value if isinstance(value, tuple | list) else [value]:
      item = getattr(item, "jaxpr", item)
      if hasattr(item, "eqns"):
        found.append(item)
  return found
