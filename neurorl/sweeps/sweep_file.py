"""A sweep as its YAML file describes it, checked.

The format is that of Weights & Biases:
https://docs.wandb.ai/guides/sweeps/define-sweep-configuration
"""

from __future__ import annotations

import dataclasses
import math
import os
import pathlib
import re
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from neurorl import registry

_METHODS = ("grid", "random", "bayes")
_GOALS = ("maximize", "minimize")
_KNOWN = ("method", "parameters", "command", "program", "metric", "run_cap")
# What only its server or its pages read.
_ELSEWHERE = ("name", "description", "project", "entity", "early_terminate")
_COMMAND = ("${env}", "${interpreter}", "${program}", "${args}")
# Distributions, and the fields that each needs.
_DISTRIBUTIONS = {
  "constant": ("value",),
  "categorical": ("values",),
  "int_uniform": ("min", "max"),
  "uniform": ("min", "max"),
  "log_uniform_values": ("min", "max"),
  "q_uniform": ("min", "max"),
  "q_log_uniform_values": ("min", "max"),
  "normal": (),
  "log_normal": (),
}
_FIELDS = (
  *("value", "values", "distribution", "probabilities"),
  *("min", "max", "q", "mu", "sigma"),
)


@dataclasses.dataclass(frozen=True)
class Parameter:
  """What one parameter may be.

  Attributes:
    distribution: its name.
    values: the choices of 'constant' and 'categorical'; else empty.
    probabilities: of the choices; None for equal ones.
    low: the least value, where there is one.
    high: the greatest.
    step: what values are multiples of, of a quantised distribution.
    mean: of a normal distribution, or of the logarithm.
    deviation: likewise.
  """

  distribution: str
  values: tuple[Any, ...] = ()
  probabilities: tuple[float, ...] | None = None
  low: float = 0.0
  high: float = 0.0
  step: float = 1.0
  mean: float = 0.0
  deviation: float = 1.0


@dataclasses.dataclass(frozen=True)
class Sweep:
  """Many runs of one command.

  Attributes:
    method: 'grid', 'random' or 'bayes'.
    parameters: what varies, by the name that the command takes.
    command: words, `${args}` among them.
    program: what `${program}` stands for.
    metric: the column of `metrics.csv` that runs are compared by.
    maximize: whether more of it is better.
    run_cap: runs at most; None for no limit.
  """

  method: str
  parameters: Mapping[str, Parameter]
  command: tuple[str, ...]
  program: str
  metric: str
  maximize: bool
  run_cap: int | None

  def words(self, point: Mapping[str, Any]) -> list[str]:
    """Returns the command of one point, with this Python."""
    args = [f"--{name}={value}" for name, value in point.items()]
    stands_for = {
      "${env}": [],
      "${interpreter}": [sys.executable],
      "${program}": [self.program],
      "${args}": args,
    }
    words = []
    for word in self.command:
      words += stands_for.get(word, [_with_environment(word)])
    if words[0] in ("python", "python3"):
      words[0] = sys.executable
    return words


def _with_environment(word: str) -> str:
  return re.sub(
    r"\$\{envvar:(\w+)\}", lambda m: os.environ.get(m.group(1), ""), word
  )


def read(path: str) -> tuple[Sweep, tuple[str, ...]]:
  """Reads a sweep.

  Args:
    path: of the YAML file.

  Returns:
    The sweep, and notes: what of the file has no effect here.

  Raises:
    ValueError: if it cannot be read or does not describe a sweep.
  """
  import yaml

  try:
    text = pathlib.Path(path).expanduser().read_text(encoding="utf-8")
    found = yaml.safe_load(text)
  except (OSError, UnicodeDecodeError) as error:
    reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
    raise ValueError(f"cannot read sweep file '{path}': {reason}") from None
  except yaml.YAMLError as error:
    told = " ".join(str(error).split())
    raise ValueError(f"{path} is not YAML: {told}") from None
  if not isinstance(found, dict):
    raise ValueError(f"{path} is no sweep: it must be a mapping")
  try:
    return _sweep(found), _notes(found)
  except ValueError as error:
    raise ValueError(f"{path}: {error}") from None


def _notes(found: Mapping[str, Any]) -> tuple[str, ...]:
  if "early_terminate" not in found:
    return ()
  return ("early_terminate has no effect here: every run goes to its end",)


def _sweep(found: Mapping[str, Any]) -> Sweep:
  _check_keys("", found, (*_KNOWN, *_ELSEWHERE))
  metric = found.get("metric") or {}
  if not isinstance(metric, dict):
    raise ValueError(f"metric must be a mapping with a name, got {metric!r}")
  _check_keys("metric: ", metric, ("name", "goal", "target"))
  run_cap = found.get("run_cap")
  if run_cap is not None and (not isinstance(run_cap, int) or run_cap < 1):
    raise ValueError(f"run_cap must be a positive number, got {run_cap!r}")
  command = found.get("command", _COMMAND)
  if not isinstance(command, (list, tuple)):
    raise ValueError(f"command must be a list of words, got {command!r}")
  command = tuple(map(str, command))
  if "${args}" not in command:
    raise ValueError("command must have the word ${args}")
  parameters = found.get("parameters")
  if not isinstance(parameters, dict) or not parameters:
    raise ValueError("parameters must name at least one parameter")
  method = _one_of("method", found.get("method"), _METHODS)
  sweep = Sweep(
    method,
    {str(name): _parameter(name, x) for name, x in parameters.items()},
    command,
    str(found.get("program", "binaries/train.py")),
    str(metric.get("name", "evaluation/episode_return")),
    _one_of("metric.goal", metric.get("goal", "maximize"), _GOALS)
    == "maximize",
    run_cap,
  )
  _check_grid(sweep)
  return sweep


def _check_keys(
  where: str, found: Mapping[Any, Any], known: Sequence[str]
) -> None:
  for name in found:
    if name not in known:
      hint = registry.nearest(str(name), known)
      raise ValueError(f"{where}unknown key '{name}'{hint}")


def _check_grid(sweep: Sweep) -> None:
  for name, parameter in sweep.parameters.items():
    if sweep.method == "grid" and not parameter.values:
      raise ValueError(
        f"parameters.{name}: a grid needs values, not the distribution "
        f"{parameter.distribution}"
      )


def _parameter(name: str, found: Any) -> Parameter:
  where = f"parameters.{name}"
  if not isinstance(found, dict):
    raise ValueError(f"{where} must be a mapping such as {{values: [1, 2]}}")
  _check_keys(f"{where}: ", found, _FIELDS)
  distribution = _one_of(
    f"{where}.distribution",
    found.get("distribution", _default(found)),
    tuple(_DISTRIBUTIONS),
  )
  for field in _DISTRIBUTIONS[distribution]:
    if field not in found:
      raise ValueError(f"{where}: {distribution} needs {field}")
  values = [found["value"]] if "value" in found else found.get("values", [])
  if not isinstance(values, list) or ("values" in found and not values):
    raise ValueError(f"{where}.values must be a list that is not empty")
  numbers = [
    _number(f"{where}.{field}", found.get(field, default))
    for field, default in [
      *(("min", 0.0), ("max", 0.0), ("q", 1.0), ("mu", 0.0), ("sigma", 1.0))
    ]
  ]
  low, high, step, mean, deviation = numbers
  if low > high or (low <= 0 and "log_uniform" in distribution):
    raise ValueError(
      f"{where}: min = {low} and max = {high} do not fit {distribution}"
    )
  if step <= 0 or deviation < 0:
    raise ValueError(f"{where}: q must be positive and sigma not negative")
  chances = _probabilities(where, found.get("probabilities"), values)
  return Parameter(
    distribution, tuple(values), chances, low, high, step, mean, deviation
  )


def _default(found: Mapping[str, Any]) -> str:
  if "value" in found:
    return "constant"
  if "values" in found:
    return "categorical"
  bounds = [found.get("min"), found.get("max")]
  return "int_uniform" if all(type(x) is int for x in bounds) else "uniform"


def _number(where: str, value: Any) -> float:
  try:  # YAML reads 1e-5 as a string
    number = float(value)
  except (TypeError, ValueError):
    number = math.nan
  if not math.isfinite(number):
    raise ValueError(f"{where} must be a number, got {value!r}")
  return number


def _probabilities(
  where: str, found: Any, values: Sequence[Any]
) -> tuple[float, ...] | None:
  if found is None:
    return None
  if not isinstance(found, list):
    found = [found]
  chances = tuple(_number(f"{where}.probabilities", x) for x in found)
  fits = len(chances) == len(values) and min(chances, default=-1.0) >= 0.0
  if not fits or abs(sum(chances) - 1.0) > 1e-6:
    raise ValueError(
      f"{where}.probabilities must be {len(values)} numbers that sum to 1"
    )
  return chances


def _one_of(where: str, value: Any, allowed: Sequence[str]) -> str:
  if value in allowed:
    return str(value)
  hint = registry.nearest(str(value), allowed)
  raise ValueError(
    f"{where} must be one of {', '.join(allowed)}, got {value!r}{hint}"
  )
