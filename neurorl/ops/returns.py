"""Return estimators over `[T, B]`, correct at episode ends by their traces.

All take rewards and discounts of transitions, and `values[t]`, the value of
where transition t arrives. A trace of 0 at a transition bootstraps there; so
`episodes.traces` makes any of them stop at terminations and time-outs.
"""

from __future__ import annotations

import functools
from typing import NamedTuple

import chex
import jax

from neurorl.types import Array


def one_step_returns(rewards: Array, discounts: Array, values: Array) -> Array:
  """Adds one reward and bootstraps: TD(0).

  G_t = r_t + d_t * v_t

  Sutton (1988), https://doi.org/10.1007/BF00115009

  Args:
    rewards: `[T, B]`.
    discounts: `[T, B]`.
    values: `[T, B]`, of where each transition arrives.

  Returns:
    `[T, B]` returns.
  """
  chex.assert_rank([rewards, discounts, values], 2)
  chex.assert_equal_shape([rewards, discounts, values])
  return rewards + discounts * values


def lambda_returns(
  rewards: Array, discounts: Array, values: Array, traces: Array
) -> Array:
  """Mixes n-step returns of all lengths.

  G_t = r_t + d_t * ((1 - l_t) * v_t + l_t * G_{t+1}), with G_T = v_T.

  Traces of 0 give TD(0), traces of 1 the Monte-Carlo return bootstrapped at the
  end. With values max_a Q this is Peng's Q(lambda), with Q of the action taken
  Sarsa(lambda).

  Sutton and Barto (2018), chapter 12, http://incompleteideas.net/book

  Args:
    rewards: `[T, B]`.
    discounts: `[T, B]`.
    values: `[T, B]`, of where each transition arrives.
    traces: `[T, B]`.

  Returns:
    `[T, B]` returns.
  """
  import rlax

  chex.assert_rank([rewards, discounts, values, traces], 2)
  chex.assert_equal_shape([rewards, discounts, values, traces])
  return jax.vmap(rlax.lambda_returns, in_axes=1, out_axes=1)(
    rewards, discounts, values, traces
  )


def n_step_returns(
  rewards: Array, discounts: Array, values: Array, traces: Array, n: int
) -> Array:
  """Sums n rewards and bootstraps.

  G_t^(n) = r_t + d_t * ((1 - l_t) * v_t + l_t * G_{t+1}^(n-1)), with
  G_t^(0) = v_{t-1} and G_T = v_T: the sum ends early where a trace is 0 and at
  the end of the sequence. n = 1 gives TD(0), n = T the lambda return with the
  same traces.

  Sutton and Barto (2018), chapter 7, http://incompleteideas.net/book

  Args:
    rewards: `[T, B]`.
    discounts: `[T, B]`.
    values: `[T, B]`, of where each transition arrives.
    traces: `[T, B]`.
    n: steps, from 1 to T.

  Returns:
    `[T, B]` returns.

  Raises:
    ValueError: if n is out of range.
  """
  import rlax

  chex.assert_rank([rewards, discounts, values, traces], 2)
  chex.assert_equal_shape([rewards, discounts, values, traces])
  if not 1 <= n <= rewards.shape[0]:
    raise ValueError(f"n must be in [1, {rewards.shape[0]}], got {n}")
  estimator = functools.partial(rlax.n_step_bootstrapped_returns, n=n)
  return jax.vmap(
    lambda r, d, v, l: estimator(r, d, v, lambda_t=l), in_axes=1, out_axes=1
  )(rewards, discounts, values, traces)


class VTrace(NamedTuple):
  """What V-trace says of transitions, `[T, B]` each, without gradient.

  Attributes:
    returns: what the value of each transition's beginning should be.
    advantages: what its log-probability's gradient is multiplied by.
  """

  returns: Array
  advantages: Array


def vtrace(
  rewards: Array,
  discounts: Array,
  baselines: Array,
  values: Array,
  traces: Array,
  ratios: Array,
  clip_rho: float = 1.0,
  clip_advantage_rho: float = 1.0,
) -> VTrace:
  """Corrects lambda returns for actions that another policy took.

  G_t = v'_t + min(R, p_t) (r_t + d_t v_t - v'_t)
        + d_t l_t min(1, p_t) (G_{t+1} - v'_{t+1}),
  where v' is the value of where a transition begins and p the ratio of
  probabilities. With ratios of 1 this is the lambda return.

  Espeholt et al. (2018), https://arxiv.org/abs/1802.01561

  Args:
    rewards: `[T, B]`.
    discounts: `[T, B]`.
    baselines: `[T, B]`, values of where each transition begins.
    values: `[T, B]`, of where it arrives.
    traces: `[T, B]`.
    ratios: `[T, B]`, the policy's probability over that which acted.
    clip_rho: R.
    clip_advantage_rho: the same for advantages.

  Returns:
    Returns and advantages.
  """
  import rlax

  arrays = [baselines, values, rewards, discounts, ratios, traces]
  chex.assert_rank(arrays, 2)
  chex.assert_equal_shape(arrays)

  def one(v_tm1, v_t, r_t, d_t, rho, trace):
    return rlax.vtrace_td_error_and_advantage(
      v_tm1, v_t, r_t, d_t, rho, trace, clip_rho, clip_advantage_rho
    )

  arrays = jax.lax.stop_gradient(arrays)
  found = jax.vmap(one, in_axes=1, out_axes=1)(*arrays)
  returns = jax.lax.stop_gradient(baselines) + found.errors
  return VTrace(returns, found.pg_advantage)
