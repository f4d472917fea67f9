"""Distributional temporal differences: the return itself is learned."""

from __future__ import annotations

import chex
import jax
import jax.numpy as jnp

from neurorl.head_types import Codec
from neurorl.loss_types import LossInputs, Term, TermOutput
from neurorl.losses.policies import Policy
from neurorl.losses.rewards import Target
from neurorl.losses.targets import n_step_sums
from neurorl.ops import categorical, quantiles
from neurorl.ops import outputs as outputs_lib
from neurorl.ops.returns import Sums
from neurorl.ops.selection import select
from neurorl.registry import component
from neurorl.types import Array


@component
def categorical_td(
  policy: Policy, n: int = 1, head: str = "q", rewards: Target | None = None
) -> Term:
  """The distribution of the return over a head's support: C51.

  The target is the policy's mixture of where n rewards lead, moved by them and
  projected back to the support; the loss is the cross-entropy.

  Bellemare et al. (2017), https://arxiv.org/abs/1707.06887

  Args:
    policy: how the next action is chosen: `@target_greedy()`, or for double
      Q-learning `@online_greedy()`.
    n: rewards summed, fewer at the end of an episode or sequence; at least 1.
    head: a head of action values whose codec is a categorical distribution,
      such as `two_hot`.
    rewards: what a transition brings; None for its reward.

  Returns:
    The term. Its error is the divergence of the prediction from the target; its
    metrics are the mean prediction and target, the absolute difference of the
    two (in the network's units) and the probability that lies beyond the
    support.

  Raises:
    ValueError: if n is not positive.
  """
  sums_of = n_step_sums("categorical_td", n, rewards)

  def term(inputs: LossInputs) -> TermOutput:
    name = "categorical_td"
    codec = _categorical_codec(inputs, head, name)
    atoms, sums = codec.atoms(), sums_of(inputs)
    raw = outputs_lib.read(inputs.target, head, name, "raw")
    # All actions have the same atoms, so their mixture is one of probabilities.
    mixed = jnp.sum(policy(inputs)[..., None] * jax.nn.softmax(raw), axis=2)
    chances = _at_arrival(mixed, sums)
    returns = _bellman(codec.transform.invert(atoms), sums)
    encoded = codec.transform.apply(returns)
    target = jax.lax.stop_gradient(categorical.project(encoded, chances, atoms))
    online = outputs_lib.read(inputs.online, head, name, "raw")
    logits = select(online[: len(inputs.mask)], _actions(inputs))
    cross_entropy = -jnp.sum(target * jax.nn.log_softmax(logits), axis=-1)
    entropy = -jnp.sum(jax.scipy.special.xlogy(target, target), axis=-1)
    predicted, mean = codec.read(logits), jnp.sum(target * atoms, axis=-1)
    low, high = codec.low - 1e-4, codec.high + 1e-4
    beyond = (encoded < low) | (encoded > high)
    metrics = {
      "prediction": codec.transform.invert(predicted),
      "target": codec.transform.invert(mean),
      "absolute_error": abs(mean - predicted),
      "beyond_support": jnp.sum(chances * beyond, axis=-1),
    }
    return TermOutput(cross_entropy, cross_entropy - entropy, metrics)

  return term


@component
def quantile_td(
  policy: Policy,
  n: int = 1,
  head: str = "q",
  rewards: Target | None = None,
  huber: float = 1.0,
) -> Term:
  """The quantiles of the return, by quantile regression: QR-DQN and IQN.

  Every predicted quantile moves to every quantile of where n rewards lead,
  mixed by the policy, up by its fraction tau and down by the rest.

  Dabney et al. (2018), https://arxiv.org/abs/1710.10044 and
  https://arxiv.org/abs/1806.06923

  Args:
    policy: how the next action is chosen: `@target_greedy()`, or for double
      Q-learning `@online_greedy()`.
    n: rewards summed, fewer at the end of an episode or sequence; at least 1.
    head: a head of action values, `'quantiles'` `[T+1, B, A, N]` and `'taus'`
      `[T+1, B, N]`.
    rewards: what a transition brings; None for its reward.
    huber: where the loss becomes linear; 0 for everywhere.

  Returns:
    The term. Its loss is summed over the head's quantiles; its error is the
    difference of the means; its metrics are the mean prediction, target and
    absolute error.

  Raises:
    ValueError: if n is not positive or huber is negative.
  """
  if huber < 0.0:
    raise ValueError(f"quantile_td.huber must be >= 0, got {huber}")
  sums_of = n_step_sums("quantile_td", n, rewards)

  def term(inputs: LossInputs) -> TermOutput:
    name, sums = "quantile_td", sums_of(inputs)
    length = inputs.mask.shape[0]
    values = outputs_lib.read(inputs.target, head, name, "quantiles")
    chances = jnp.broadcast_to(policy(inputs)[..., None], values.shape)
    chances = chances / values.shape[-1]
    values, chances = jax.tree.map(
      lambda x: _at_arrival(x.reshape(*x.shape[:2], -1), sums),
      (values, chances),
    )
    target = jax.lax.stop_gradient(_bellman(values, sums))
    online = outputs_lib.read(inputs.online, head, name, "quantiles")
    taus = outputs_lib.read(inputs.online, head, name, "taus")[:length]
    predicted = select(online[:length], _actions(inputs))
    loss = quantiles.regression(predicted, taus, target, chances, huber)
    mean, wanted_mean = predicted.mean(-1), jnp.sum(target * chances, axis=-1)
    error = wanted_mean - mean
    metrics = {
      "prediction": mean,
      "target": wanted_mean,
      "absolute_error": abs(error),
    }
    return TermOutput(loss, error, metrics)

  return term


def _at_arrival(x: Array, sums: Sums) -> Array:
  """Takes of `[T+1, B, K]` where each sum of rewards ends: `[T, B, K]`."""
  # Taking what is not there would give NaN, or another step's.
  chex.assert_axis_dimension(x, 0, len(sums.arrivals) + 1)
  return jnp.take_along_axis(x[1:], sums.arrivals[..., None], axis=0)


def _bellman(values: Array, sums: Sums) -> Array:
  return sums.rewards[..., None] + sums.discounts[..., None] * values


def _actions(inputs: LossInputs) -> Array:
  return inputs.steps.action[: len(inputs.mask)]


def _categorical_codec(inputs: LossInputs, head: str, reader: str) -> Codec:
  outputs_lib.read(inputs.online, head, reader, "raw")
  codec = inputs.agent.codecs[head]
  if codec.atoms is None:
    raise ValueError(
      f"{reader} needs a head '{head}' whose codec is a categorical "
      "distribution; bind its codec = @two_hot()"
    )
  return codec
