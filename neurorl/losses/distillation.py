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
    log_policy = jax.nn.log_softmax(logits[: inputs.mask.shape[0]])
    wanted = inputs.steps.extras[recorded][:-1]
    # Nobody acts beyond the end.
    wanted = jnp.where(inputs.absorbing[..., None] > 0, 0.0, wanted)
    cross_entropy = -jnp.sum(wanted * log_policy, axis=-1)
    entropy = -jnp.sum(jax.scipy.special.xlogy(wanted, wanted), axis=-1)
    divergence = cross_entropy - entropy
    metrics = {
      "entropy": -jnp.sum(jnp.exp(log_policy) * log_policy, axis=-1),
      "recorded_entropy": entropy,
      "divergence": divergence,
    }
    return TermOutput(cross_entropy, divergence, metrics)

  return term
