"""The points of a sweep: every one of a grid, or as many as are drawn."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from neurorl.sweeps.sweep_file import Parameter, Sweep

SEED = "gin.SEED"
NUM_SEEDS = "gin.NUM_SEEDS"

# What each parameter is, by name, in the order of the file.
Point = dict[str, Any]


def grid(sweep: Sweep) -> list[Point]:
  """Returns every combination of values, the last parameter varying fastest.

  Args:
    sweep: whose parameters all have values.

  Returns:
    The points.
  """
  choices = [parameter.values for parameter in sweep.parameters.values()]
  return [
    dict(zip(sweep.parameters, chosen, strict=True))
    for chosen in itertools.product(*choices)
  ]


def with_seeds_batched(points: list[Point]) -> list[Point]:
  """Makes one point of those that differ by consecutive seeds alone.

  Args:
    points: of a grid.

  Returns:
    As many points as there are without seeds, each with the first seed and
    their number; the same points where seeds are not consecutive, or their
    number is a parameter.
  """
  groups: dict[str, list[Point]] = {}
  for point in points:
    rest = {name: x for name, x in point.items() if name != SEED}
    groups.setdefault(repr(rest), []).append(point)
  batched = []
  for group in groups.values():
    seeds = [point.get(SEED) for point in group]
    first = seeds[0]
    consecutive = type(first) is int and seeds == [
      first + i for i in range(len(seeds))
    ]
    if not consecutive or NUM_SEEDS in group[0]:
      return points
    batched.append({**group[0], NUM_SEEDS: len(group)})
  return batched


def random(sweep: Sweep, seed: int) -> Iterator[Point]:
  """Draws points without end; a longer sweep begins as a shorter one.

  Args:
    sweep: what is drawn from.
    seed: of the draws.

  Yields:
    The points.
  """
  for i in itertools.count():
    generator = np.random.default_rng([seed, i])
    yield {
      name: _draw(parameter, generator)
      for name, parameter in sweep.parameters.items()
    }


def _draw(parameter: Parameter, generator: np.random.Generator) -> Any:
  """Draws one value; Python's own types, which print as gin reads them."""
  low, high = parameter.low, parameter.high
  match parameter.distribution:
    case "constant" | "categorical":
      chosen = generator.choice(
        len(parameter.values), p=parameter.probabilities
      )
      return parameter.values[chosen]
    case "int_uniform":
      return int(generator.integers(int(low), int(high), endpoint=True))
    case "uniform" | "q_uniform":
      value = generator.uniform(low, high)
    case "log_uniform_values" | "q_log_uniform_values":
      value = math.exp(generator.uniform(math.log(low), math.log(high)))
    case "normal":
      value = generator.normal(parameter.mean, parameter.deviation)
    case "log_normal":
      value = math.exp(generator.normal(parameter.mean, parameter.deviation))
  if parameter.distribution.startswith("q_"):
    return quantised(float(value), parameter.step)
  return float(value)


def quantised(value: float, step: float) -> float | int:
  """Rounds to a multiple of `step`; an integer where the step is one."""
  if step == int(step):
    return round(value / step) * int(step)
  return round(value / step) * step
