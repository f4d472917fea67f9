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
import jax.numpy as jnp

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
  _check_n(n, rewards.shape[0])
  estimator = functools.partial(rlax.n_step_bootstrapped_returns, n=n)
  return jax.vmap(
    lambda r, d, v, l: estimator(r, d, v, lambda_t=l), in_axes=1, out_axes=1
  )(rewards, discounts, values, traces)


class Sums(NamedTuple):
  """An n-step return in parts: G_t = rewards_t + discounts_t * v_arrivals_t.

  Attributes:
    rewards: `[T, B]`, the discounted sum of rewards.
    discounts: `[T, B]`, what discounts where the sum ends.
    arrivals: `[T, B]` int32, the last transition of the sum; the return
      bootstraps from where that arrives.
  """

  rewards: Array
  discounts: Array
  arrivals: Array


def n_step_sums(
  rewards: Array, discounts: Array, continues: Array, n: int
) -> Sums:
  """Sums n rewards, and says which state to bootstrap from.

  For what is not a scalar, such as a distribution of returns: with scalars
  `values`, rewards + discounts * values[arrivals] is what `n_step_returns`
  gives with traces of 1 where the sum continues and 0 elsewhere.

  Args:
    rewards: `[T, B]`.
    discounts: `[T, B]`.
    continues: `[T, B]` bool, whether a sum may go on after a transition.
    n: steps, from 1 to T; sums end early at the end of the sequence.

  Returns:
    The sums.

  Raises:
    ValueError: if n is out of range.
  """
  chex.assert_rank([rewards, discounts, continues], 2)
  chex.assert_type(continues, bool)
  chex.assert_equal_shape([rewards, discounts, continues])
  length = rewards.shape[0]
  _check_n(n, length)
  times = jnp.broadcast_to(jnp.arange(length)[:, None], rewards.shape)
  one = Sums(rewards, discounts, times)
  goes_on = continues & (times < length - 1)

  def lengthen(_, sums: Sums) -> Sums:
    following = jax.tree.map(lambda x: jnp.roll(x, -1, axis=0), sums)
    return Sums(
      rewards + jnp.where(goes_on, discounts * following.rewards, 0.0),
      jnp.where(goes_on, discounts * following.discounts, discounts),
      jnp.where(goes_on, following.arrivals, times),
    )

  return jax.lax.fori_loop(0, n - 1, lengthen, one)


def off_policy_returns(
  rewards: Array,
  discounts: Array,
  values: Array,
  action_values: Array,
  traces: Array,
) -> Array:
  """Corrects the values of actions that another policy has taken.

  G_t = r_t + d_t * (v_t + c_t * (G_{t+1} - q_t)), with G_{T-1} = r + d * v.

  With traces c of lambda * min(1, pi / mu) this is Retrace, of lambda
  Harutyunyan's Q(lambda), of lambda * pi tree backup.

  Munos et al. (2016), https://arxiv.org/abs/1606.02647

  Args:
    rewards: `[T, B]`.
    discounts: `[T, B]`.
    values: `[T, B]`, of where each transition arrives.
    action_values: `[T, B]`, of the action that was taken there.
    traces: `[T, B]`, of that action; 0 where an episode ends.

  Returns:
    `[T, B]` returns.
  """
  import rlax

  arrays = [rewards, discounts, values, action_values, traces]
  chex.assert_rank(arrays, 2)
  chex.assert_equal_shape(arrays)
  return jax.vmap(
    rlax.general_off_policy_returns_from_q_and_v, in_axes=1, out_axes=1
  )(action_values[:-1], values, rewards, discounts, traces[:-1])


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


def _check_n(n: int, length: int) -> None:
  if not 1 <= n <= length:
    raise ValueError(f"n must be in [1, {length}], got {n}")
