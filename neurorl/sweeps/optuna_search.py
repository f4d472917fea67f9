"""Points by Optuna, which learns from the runs that are done.

Akiba et al. (2019), https://arxiv.org/abs/1907.10902
"""

from __future__ import annotations

import types as python_types
from collections.abc import Sequence
from typing import Any

from neurorl.sweeps.points import Point, quantised
from neurorl.sweeps.sweep_file import Parameter, Sweep

# Of these Optuna has no distribution that is theirs.
_NOT_THERE = ("normal", "log_normal")


class Search:
  """A study of one sweep: asks for points, is told scores."""

  def __init__(self, sweep: Sweep, seed: int, known: Sequence[Point]):
    """Begins, or goes on.

    Args:
      sweep: what is searched.
      seed: of the search.
      known: the points that it has given before, in order.

    Raises:
      ValueError: if Optuna is not installed, or lacks a distribution.
    """
    self._library = _import_optuna()
    self._spaces = {
      name: _space(self._library, name, parameter)
      for name, parameter in sweep.parameters.items()
    }
    self._parameters = sweep.parameters
    direction = "maximize" if sweep.maximize else "minimize"
    sampler = self._library.samplers.TPESampler(seed=seed)
    self._study = self._library.create_study(
      direction=direction, sampler=sampler
    )
    self._trials: list[Any] = []
    self._known = list(known)

  def ask(self) -> Point:
    """Returns the next point: those that are known come first."""
    index = len(self._trials)
    if index < len(self._known):
      self._study.enqueue_trial(self._raw(self._known[index]))
    trial = self._study.ask(self._spaces)
    self._trials.append(trial)
    return {
      name: self._value(name, value) for name, value in trial.params.items()
    }

  def tell(self, index: int, score: float | None) -> None:
    """Learns from a run.

    Args:
      index: which point it was of.
      score: what came out; None if it failed.
    """
    if score is None:
      state = self._library.trial.TrialState.FAIL
      self._study.tell(self._trials[index], state=state)
    else:
      self._study.tell(self._trials[index], score)

  def _value(self, name: str, value: Any) -> Any:
    parameter = self._parameters[name]
    if parameter.values:
      return parameter.values[value]
    if parameter.distribution == "q_log_uniform_values":
      return quantised(value, parameter.step)
    return value

  def _raw(self, point: Point) -> dict[str, Any]:
    """A point as Optuna has it: choices by their places."""
    return {
      name: p.values.index(point[name]) if p.values else point[name]
      for name, p in self._parameters.items()
    }


def _import_optuna() -> python_types.ModuleType:
  try:
    import optuna
  except ImportError:
    raise ValueError(
      "method bayes needs Optuna: pip install 'neurorl[optuna]'"
    ) from None
  optuna.logging.set_verbosity(optuna.logging.WARNING)
  return optuna


def _space(optuna: Any, name: str, parameter: Parameter) -> Any:
  low, high = parameter.low, parameter.high
  found = optuna.distributions
  match parameter.distribution:
    case "constant" | "categorical":
      return found.CategoricalDistribution(range(len(parameter.values)))
    case "int_uniform":
      return found.IntDistribution(int(low), int(high))
    case "uniform":
      return found.FloatDistribution(low, high)
    case "q_uniform":
      return found.FloatDistribution(low, high, step=parameter.step)
    case "log_uniform_values" | "q_log_uniform_values":
      return found.FloatDistribution(low, high, log=True)
  raise ValueError(
    f"parameters.{name}: Optuna has no distribution {parameter.distribution}; "
    f"all but {', '.join(_NOT_THERE)} will do"
  )
