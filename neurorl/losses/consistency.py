"""Consistency: what a model imagines moves to what is then seen."""

from __future__ import annotations

import jax.numpy as jnp
import optax

from neurorl.loss_types import LossInputs, Term, TermOutput
from neurorl.registry import component


@component
def consistency() -> Term:
  """One less the cosine between an embedding and the target's of that step.

  Within `unrolled` the embedding is the imagined one.

  Ye et al. (2021), https://arxiv.org/abs/2111.00210

  Returns:
    The term.
  """

  def term(inputs: LossInputs) -> TermOutput:
    imagined = inputs.online["embedding"][:-1]
    seen = inputs.target["embedding"][:-1]
    distance = optax.cosine_distance(imagined, seen, epsilon=1e-6)
    loss = jnp.where(inputs.absorbing > 0, 0.0, distance)
    return TermOutput(loss, loss, {})

  return term
