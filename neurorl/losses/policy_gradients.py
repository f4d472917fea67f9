"""Policy gradients: terms that make good actions likelier."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from neurorl.head_types import Distribution
from neurorl.loss_types import LossInputs, Term, TermOutput
from neurorl.losses.targets import Target
from neurorl.ops import outputs as outputs_lib
from neurorl.ops import trees
from neurorl.registry import component
from neurorl.types import Array, Outputs


def policy_of_transitions(
  inputs: LossInputs, head: str, reader: str
) -> tuple[Distribution, Outputs]:
  """Reads the online policy of the transitions.

  Args:
    inputs: of a loss.
    head: the head of the policy.
    reader: who asks, for messages.

  Returns:
    The distribution, and the prediction that it reads, `[T, B, *]`.

  Raises:
    ValueError: if the agent has no such policy.
  """
  distribution = outputs_lib.distribution(inputs.agent, head, reader)
  prediction = outputs_lib.read_all(inputs.online, head, reader)
  length = inputs.mask.shape[0]
  return distribution, jax.tree.map(lambda x: x[:length], dict(prediction))


def log_prob(inputs: LossInputs, head: str, reader: str) -> Array:
  """How likely the online policy makes the actions that were taken.

  Args:
    inputs: of a loss.
    head: the head of the policy.
    reader: who asks, for messages.

  Returns:
    `[T, B]`.
  """
  distribution, prediction = policy_of_transitions(inputs, head, reader)
  action = inputs.steps.action[: inputs.mask.shape[0]]
  return distribution.log_prob(prediction, action)


def _normalise(advantage: Array, mask: Array) -> Array:
  """Shifts and scales to a mean of 0 and a deviation of 1 over the batch."""
  mean = trees.masked_mean(advantage, mask)
  variance = trees.masked_mean(jnp.square(advantage - mean), mask)
  return (advantage - mean) / jnp.sqrt(variance + 1e-8)


@component
def policy_gradient(advantage: Target, head: str = "policy") -> Term:
  """Minus the log-probability of each action times its advantage.

  Williams (1992), https://doi.org/10.1007/BF00992696

  Args:
    advantage: how much better an action was than was expected.
    head: the head of the policy.

  Returns:
    The term.
  """

  def term(inputs: LossInputs) -> TermOutput:
    better = advantage(inputs)
    loss = -better * log_prob(inputs, head, "policy_gradient")
    return TermOutput(loss, better, {"advantage": better})

  return term


@component
def clipped_surrogate(
  advantage: Target,
  epsilon: float = 0.2,
  normalise: bool = True,
  kl_limit: float | None = None,
  head: str = "policy",
) -> Term:
  """The surrogate of proximal policy optimisation.

  L = -min(r A, clip(r, 1 - epsilon, 1 + epsilon) A), with r the probability of
  the action now over that when it was taken.

  Schulman et al. (2017), https://arxiv.org/abs/1707.06347

  Args:
    advantage: how much better an action was than was expected.
    epsilon: how far a ratio may go before its gradient stops, above 0.
    normalise: whether advantages have mean 0 and deviation 1 in a minibatch.
    kl_limit: an update is skipped if the policy's divergence from that which
      acted, estimated by the minibatch, is greater; None for no limit.
    head: the head of the policy.

  Returns:
    The term; its metrics are that divergence (Schulman's estimate
    r - 1 - log r) and the part of ratios beyond epsilon. Needs an actor that
    records `'log_prob'`.

  Raises:
    ValueError: if epsilon or kl_limit is not positive.
  """
  for name, value in [("epsilon", epsilon), ("kl_limit", kl_limit)]:
    if value is not None and not value > 0.0:
      raise ValueError(f"clipped_surrogate.{name} must be above 0, got {value}")

  def term(inputs: LossInputs) -> TermOutput:
    now = log_prob(inputs, head, "clipped_surrogate")
    before = inputs.steps.extras["log_prob"][: inputs.mask.shape[0]]
    better = advantage(inputs)
    scaled = _normalise(better, inputs.mask) if normalise else better
    log_ratio = now - before
    ratio = jnp.exp(log_ratio)
    clipped = jnp.clip(ratio, 1.0 - epsilon, 1.0 + epsilon)
    loss = -jnp.minimum(ratio * scaled, clipped * scaled)
    divergence = ratio - 1.0 - log_ratio
    metrics = {
      "advantage": better,
      "divergence": divergence,
      "clipped": (ratio != clipped).astype(jnp.float32),
    }
    proceed = None
    if kl_limit is not None:
      proceed = trees.masked_mean(divergence, inputs.mask) <= kl_limit
    return TermOutput(loss, better, metrics, proceed)

  return term


@component
def entropy_bonus(head: str = "policy") -> Term:
  """Minus the entropy of the policy: keeps it from deciding too soon.

  Williams and Peng (1991), https://doi.org/10.1080/09540099108946587

  Args:
    head: the head of the policy.

  Returns:
    The term.
  """

  def term(inputs: LossInputs) -> TermOutput:
    distribution, prediction = policy_of_transitions(
      inputs, head, "entropy_bonus"
    )
    entropy = distribution.entropy(prediction, inputs.key)
    return TermOutput(-entropy, entropy, {"entropy": entropy})

  return term
