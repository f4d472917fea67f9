"""Distillation: a policy head moves to a policy that was recorded."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from neurorl.loss_types import LossInputs, Term, TermOutput
from neurorl.ops import outputs as outputs_lib
from neurorl.registry import component


@component
def distillation(head: str = "policy", recorded: str = "search_policy") -> Term:
  """The cross-entropy of a policy head to the policy that search found.

  Silver et al. (2018), https://doi.org/10.1126/science.aar6404

  Args:
    head: a head of policies, `'logits'` `[T+1, B, A]`.
    recorded: the name under which the actor recorded probabilities.

  Returns:
    The term; its metrics are the entropies of both policies and the
    Kullback-Leibler divergence between them.
  """

  def term(inputs: LossInputs) -> TermOutput:
    logits = outputs_lib.read(inputs.online, head, "distillation", "logits")
    log_policy = jax.nn.log_softmax(logits[:-1])
    wanted = inputs.steps.extras[recorded][:-1]
    cross_entropy = -jnp.sum(wanted * log_policy, axis=-1)
    entropy = -jnp.sum(jax.scipy.special.xlogy(wanted, wanted), axis=-1)
    # Nobody acts beyond the end.
    loss = jnp.where(inputs.absorbing > 0, 0.0, cross_entropy)
    policy = jnp.exp(log_policy)
    metrics = {
      "entropy": -jnp.sum(policy * log_policy, axis=-1),
      "recorded_entropy": entropy,
      "divergence": cross_entropy - entropy,
    }
    return TermOutput(loss, cross_entropy - entropy, metrics)

  return term
