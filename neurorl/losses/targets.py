"""Targets: return estimators over a sequence, without gradient.

Each takes the loss inputs and returns `[T, B]` in the task's units; the rest is
up to the codec of the head that is learned.
"""

from __future__ import annotations

from collections.abc import Callable

import jax

from neurorl.loss_types import LossInputs
from neurorl.losses.bootstraps import Bootstrap
from neurorl.ops import episodes, returns
from neurorl.registry import component
from neurorl.types import Array

Target = Callable[[LossInputs], Array]
# (rewards, discounts, values, inputs) -> returns, [T, B] each
Estimator = Callable[[Array, Array, Array, LossInputs], Array]


def _target(estimator: Estimator, bootstrap: Bootstrap) -> Target:
  def target(inputs: LossInputs) -> Array:
    values = bootstrap(inputs)[1:]
    rewards = inputs.steps.timestep.reward[1:]
    estimate = estimator(rewards, inputs.discount, values, inputs)
    return jax.lax.stop_gradient(estimate)

  return target


def _check_length(name: str, value: float, least: int, rewards: Array) -> None:
  """Refuses sequences too short for a setting to do what it says."""
  if rewards.shape[0] < least:
    raise ValueError(
      f"{name} = {value} needs sequences of at least {least} transitions, but "
      f"these have {rewards.shape[0]}; bind the buffer's sequence_length"
    )


@component
def lambda_returns(bootstrap: Bootstrap, lambda_: float) -> Target:
  """A mix of n-step returns of all lengths.

  Args:
    bootstrap: what a state is worth.
    lambda_: 0 for one-step returns, 1 for the longest; in [0, 1].

  Returns:
    The target.

  Raises:
    ValueError: if lambda_ is out of range.
  """
  if not 0.0 <= lambda_ <= 1.0:
    raise ValueError(f"lambda_returns.lambda_ must be in [0, 1], got {lambda_}")

  def estimator(rewards, discounts, values, inputs):
    least = 2 if lambda_ > 0.0 else 1
    _check_length("lambda_returns.lambda_", lambda_, least, rewards)
    traces = episodes.traces(inputs.steps.timestep, lambda_)
    return returns.lambda_returns(rewards, discounts, values, traces)

  return _target(estimator, bootstrap)


@component
def n_step_returns(bootstrap: Bootstrap, n: int) -> Target:
  """The sum of n rewards, then the bootstrap.

  Args:
    bootstrap: what a state is worth.
    n: rewards summed, fewer at the end of an episode or sequence; at least 1.

  Returns:
    The target.

  Raises:
    ValueError: if n is not positive.
  """
  if n < 1:
    raise ValueError(f"n_step_returns.n must be >= 1, got {n}")

  def estimator(rewards, discounts, values, inputs):
    _check_length("n_step_returns.n", n, n, rewards)
    traces = episodes.traces(inputs.steps.timestep, 1.0)
    return returns.n_step_returns(rewards, discounts, values, traces, n)

  return _target(estimator, bootstrap)


@component
def one_step_returns(bootstrap: Bootstrap) -> Target:
  """One reward, then the bootstrap.

  Args:
    bootstrap: what a state is worth.

  Returns:
    The target.
  """

  def estimator(rewards, discounts, values, inputs):
    del inputs
    return returns.one_step_returns(rewards, discounts, values)

  return _target(estimator, bootstrap)


@component
def rewards() -> Target:
  """The reward that a transition brings: what a model should predict.

  Returns:
    The target.
  """
  return lambda inputs: inputs.steps.timestep.reward[1:]


@component
def discounts() -> Target:
  """Whether an episode goes on after a transition: 0 where it terminates.

  Returns:
    The target; without gamma.
  """
  return lambda inputs: inputs.steps.timestep.discount[1:]
