"""Targets: return estimators over a sequence, without gradient.

Each takes the loss inputs and returns `[T, B]` in the task's units; the rest is
up to the codec of the head that is learned.
"""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp

from neurorl.loss_types import LossInputs
from neurorl.losses.bootstraps import Bootstrap, expected_q
from neurorl.losses.policies import Cut, Policy
from neurorl.losses.rewards import Target, reward_of_transition
from neurorl.ops import episodes, returns
from neurorl.ops import outputs as outputs_lib
from neurorl.ops.selection import select
from neurorl.registry import component
from neurorl.types import Array

# (rewards, discounts, values, inputs) -> returns, [T, B] each
Estimator = Callable[[Array, Array, Array, LossInputs], Array]


def _target(
  estimator: Estimator, bootstrap: Bootstrap, source: Target | None
) -> Target:
  def target(inputs: LossInputs) -> Array:
    values = bootstrap(inputs)[1:]
    earned = (source or reward_of_transition)(inputs)
    estimate = estimator(earned, inputs.discount, values, inputs)
    return jax.lax.stop_gradient(estimate)

  return target


def _traces(inputs: LossInputs, lambda_: float, cut: Cut | None) -> Array:
  """Traces of transitions, which say whether to look beyond their arrivals."""
  traces = episodes.traces(inputs.steps.timestep, lambda_)
  return traces if cut is None else jnp.where(cut(inputs)[1:], 0.0, traces)


def _check_lambda(name: str, lambda_: float) -> None:
  if not 0.0 <= lambda_ <= 1.0:
    raise ValueError(f"{name}.lambda_ must be in [0, 1], got {lambda_}")


def _check_length(name: str, value: float, least: int, rewards: Array) -> None:
  """Refuses sequences too short for a setting to do what it says."""
  if rewards.shape[0] < least:
    raise ValueError(
      f"{name} = {value} needs sequences of at least {least} transitions, but "
      f"these have {rewards.shape[0]}; bind the buffer's "
      "sequence_length, or rollout.chunk_length"
    )


@component
def lambda_returns(
  bootstrap: Bootstrap,
  lambda_: float,
  rewards: Target | None = None,
  cut: Cut | None = None,
) -> Target:
  """A mix of n-step returns of all lengths.

  By its bootstrap it is Peng's Q(lambda) (`max_q`), Sarsa(lambda) (`sarsa`) or
  that of expected Sarsa (`expected_q`); cut where actions are `exploratory`,
  Watkins's Q(lambda).

  Sutton and Barto (2018), chapter 12, http://incompleteideas.net/book

  Args:
    bootstrap: what a state is worth.
    lambda_: 0 for one-step returns, 1 for the longest; in [0, 1].
    rewards: what a transition brings; None for its reward.
    cut: the steps beyond which nothing is looked at; None for only where
      episodes end.

  Returns:
    The target.

  Raises:
    ValueError: if lambda_ is out of range.
  """
  _check_lambda("lambda_returns", lambda_)

  def estimator(rewards, discounts, values, inputs):
    least = 2 if lambda_ > 0.0 else 1
    _check_length("lambda_returns.lambda_", lambda_, least, rewards)
    traces = _traces(inputs, lambda_, cut)
    return returns.lambda_returns(rewards, discounts, values, traces)

  return _target(estimator, bootstrap, rewards)


@component
def n_step_returns(
  bootstrap: Bootstrap,
  n: int,
  rewards: Target | None = None,
  cut: Cut | None = None,
) -> Target:
  """The sum of n rewards, then the bootstrap.

  Args:
    bootstrap: what a state is worth.
    n: rewards summed, fewer at the end of an episode or sequence; at least 1.
    rewards: what a transition brings; None for its reward.
    cut: the steps beyond which nothing is looked at; None for only where
      episodes end.

  Returns:
    The target.

  Raises:
    ValueError: if n is not positive.
  """
  _check_n("n_step_returns", n)

  def estimator(rewards, discounts, values, inputs):
    _check_length("n_step_returns.n", n, n, rewards)
    traces = _traces(inputs, 1.0, cut)
    return returns.n_step_returns(rewards, discounts, values, traces, n)

  return _target(estimator, bootstrap, rewards)


def _check_n(name: str, n: int) -> None:
  if n < 1:
    raise ValueError(f"{name}.n must be >= 1, got {n}")


def n_step_sums(
  name: str, n: int, rewards: Target | None
) -> Callable[[LossInputs], returns.Sums]:
  """Prepares the n-step returns of what is not a scalar.

  Args:
    name: who asks, for messages.
    n: rewards summed, fewer at the end of an episode or sequence.
    rewards: what a transition brings; None for its reward.

  Returns:
    `inputs -> Sums`.

  Raises:
    ValueError: if n is not positive.
  """
  _check_n(name, n)

  def sums(inputs: LossInputs) -> returns.Sums:
    earned = (rewards or reward_of_transition)(inputs)
    _check_length(f"{name}.n", n, n, earned)
    continues = ~inputs.steps.timestep.last[1:]
    return returns.n_step_sums(earned, inputs.discount, continues, n)

  return sums


@component
def one_step_returns(
  bootstrap: Bootstrap, rewards: Target | None = None
) -> Target:
  """One reward, then the bootstrap.

  Args:
    bootstrap: what a state is worth.
    rewards: what a transition brings; None for its reward.

  Returns:
    The target.
  """

  def estimator(rewards, discounts, values, inputs):
    del inputs
    return returns.one_step_returns(rewards, discounts, values)

  return _target(estimator, bootstrap, rewards)


@component
def retrace(
  policy: Policy,
  lambda_: float = 1.0,
  head: str = "q",
  rewards: Target | None = None,
) -> Target:
  """The return of a policy from the actions of another, which were recorded.

  Where the policy would rather have acted otherwise the trace fades, by as much
  as it would: by lambda * min(1, policy / recorded).

  Munos et al. (2016), https://arxiv.org/abs/1606.02647

  Args:
    policy: whose values are learned.
    lambda_: 0 for one-step returns, 1 for the longest; in [0, 1].
    head: a head of action values, the target's `'mean'` `[T+1, B, A]`.
    rewards: what a transition brings; None for its reward.

  Returns:
    The target; needs an actor that records the `'log_prob'` of its actions.

  Raises:
    ValueError: if lambda_ is out of range.
  """
  _check_lambda("retrace", lambda_)

  def estimator(rewards, discounts, values, inputs):
    least = 2 if lambda_ > 0.0 else 1
    _check_length("retrace.lambda_", lambda_, least, rewards)
    action = inputs.steps.action
    q = outputs_lib.read_action_values(inputs.target, head, "retrace")
    log_ratio = (
      jnp.log(select(policy(inputs), action)) - inputs.steps.extras["log_prob"]
    )
    traces = _traces(inputs, lambda_, None)
    traces *= jnp.exp(jnp.minimum(log_ratio, 0.0))[1:]
    return returns.off_policy_returns(
      rewards, discounts, values, select(q, action)[1:], traces
    )

  return _target(estimator, expected_q(policy, head), rewards)
