"""Times functions in turn, compiled alike, repeated within a program."""

import time
from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np

from neurorl.training import executables

Compile = Callable[[jax.stages.Lowered], jax.stages.Compiled]


def samples(
  functions: Mapping[str, Callable[[], Any]], repeats: int
) -> dict[str, np.ndarray]:
  """Times functions in turn, so that a machine that drifts favours none.

  Args:
    functions: by name; what they return is waited for.
    repeats: measurements of each, after one that warms up.

  Returns:
    Seconds per call, `[repeats]` each; the i-th of all were measured together.
  """
  seconds = {name: [] for name in functions}
  for repeat in range(repeats + 1):
    for name, function in functions.items():
      begun = time.perf_counter()
      jax.block_until_ready(function())
      if repeat:
        seconds[name].append(time.perf_counter() - begun)
  return {name: np.array(found) for name, found in seconds.items()}


def repeated(
  function: Callable[[Any], Any],
  carry: Any,
  times: int,
  compile_: Compile = executables.compile_,
) -> Callable[[], Any]:
  """Compiles a function's repetition.

  Args:
    function: `carry -> carry`, each call depending on the one before, or the
      compiler hoists it.
    carry: where it begins.
    times: how often.
    compile_: with which options; those of the loop unless said.

  Returns:
    Runs it.
  """

  def run(carry):
    return jax.lax.fori_loop(0, times, lambda _, x: function(x), carry)

  compiled = compile_(jax.jit(run).lower(carry))
  return lambda: compiled(carry)
