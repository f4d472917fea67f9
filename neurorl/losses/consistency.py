"""Consistency: what a model imagines moves to what is then seen."""

from __future__ import annotations

import jax.numpy as jnp
import optax

from neurorl.loss_types import LossInputs, Term, TermOutput
from neurorl.registry import component


@component
def consistency() -> Term:
  """One less the cosine between what is imagined and the target's embedding.

  For use within `unrolled`: what was seen itself is not moved.

  Ye et al. (2021), https://arxiv.org/abs/2111.00210, without its projection

  Returns:
    The term.

  Raises:
    ValueError: from the term, if nothing is imagined.
  """

  def term(inputs: LossInputs) -> TermOutput:
    if inputs.depth is None:
      raise ValueError(
        "consistency is of what a model imagines, and none is asked: bind "
        "train.loss = @unrolled()"
      )
    length = inputs.mask.shape[0]
    imagined = inputs.online["embedding"][:length]
    seen = inputs.target["embedding"][:length]
    distance = optax.cosine_distance(imagined, seen, epsilon=1e-6)
    counts = (inputs.absorbing == 0) & (inputs.depth > 0)
    loss = jnp.where(counts, distance, 0.0)
    return TermOutput(loss, loss, {})

  return term
