"""V-trace: an actor and a critic, corrected for how old the actions are."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from neurorl.loss_types import LossInputs, Term, TermOutput
from neurorl.losses import policy_gradients
from neurorl.ops import episodes, returns
from neurorl.ops import outputs as outputs_lib
from neurorl.registry import component


@component
def vtrace(
  lambda_: float = 1.0,
  clip_rho: float = 1.0,
  clip_advantage_rho: float = 1.0,
  value_weight: float = 0.5,
  head: str = "policy",
  value_head: str = "value",
) -> Term:
  """A policy gradient and the squared error of a value, both by V-trace.

  Espeholt et al. (2018), https://arxiv.org/abs/1802.01561

  Args:
    lambda_: 0 for one-step returns, 1 for the longest; in [0, 1].
    clip_rho: the greatest ratio of probabilities in a temporal difference.
    clip_advantage_rho: the greatest in an advantage.
    value_weight: of half the squared error.
    head: the head of the policy.
    value_head: the head of state values, `'mean'` `[T+1, B]`.

  Returns:
    The term; needs an actor that records `'log_prob'`.

  Raises:
    ValueError: if a number is out of range.
  """
  if not 0.0 <= lambda_ <= 1.0:
    raise ValueError(f"vtrace.lambda_ must be in [0, 1], got {lambda_}")
  for name, value in [
    ("clip_rho", clip_rho),
    ("clip_advantage_rho", clip_advantage_rho),
    ("value_weight", value_weight),
  ]:
    if not value > 0.0:
      raise ValueError(f"vtrace.{name} must be above 0, got {value}")

  def term(inputs: LossInputs) -> TermOutput:
    log_prob = policy_gradients.log_prob(inputs, head, "vtrace")
    recorded = inputs.steps.extras["log_prob"][:-1]
    ratio = jnp.exp(jax.lax.stop_gradient(log_prob) - recorded)
    value = outputs_lib.read(inputs.online, value_head, "vtrace")
    timestep = inputs.steps.timestep
    found = returns.vtrace(
      timestep.reward[1:],
      inputs.discount,
      value[:-1],
      value[1:],
      episodes.traces(timestep, lambda_),
      ratio,
      clip_rho,
      clip_advantage_rho,
    )
    error = found.returns - value[:-1]
    loss = -found.advantages * log_prob
    loss += value_weight * 0.5 * jnp.square(error)
    metrics = {
      "value": value[:-1],
      "target": found.returns,
      "advantage": found.advantages,
      "ratio": ratio,
    }
    return TermOutput(loss, error, metrics)

  return term
