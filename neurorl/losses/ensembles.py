"""Ensembles: a term applied to every member of a head."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from neurorl.loss_types import LossInputs, Term, TermOutput
from neurorl.ops import outputs as outputs_lib
from neurorl.registry import component


@component
def ensemble(term: Term, head: str = "q", masks: str | None = None) -> Term:
  """The mean of a term over the members of a head, each by its own target.

  Osband et al. (2016), https://arxiv.org/abs/1602.04621

  Args:
    term: what is applied to a member, which it reads by the head's name.
    head: an `ensemble_head`, `'members'` `[T+1, B, M, ...]`.
    masks: the name under which the actor recorded which members learn from a
      transition, `[T+1, B, M]`; None for all.

  Returns:
    The term; its error is the members' mean absolute error, its metrics are the
    means of theirs.
  """

  def wrapped(inputs: LossInputs) -> TermOutput:
    online, target = [
      outputs_lib.read(outputs, head, "ensemble", "members")
      for outputs in (inputs.online, inputs.target)
    ]
    size = jax.tree.leaves(online)[0].shape[2]
    length, batch = inputs.mask.shape
    if masks is None:
      learns = jnp.ones((length, batch, size))
    else:
      learns = inputs.steps.extras[masks][:length]

    def of_member(online, target, learns, key):
      output = term(
        inputs._replace(
          online={**inputs.online, head: online},
          target={**inputs.target, head: target},
          mask=inputs.mask * learns,
          key=key,
        )
      )
      return output._replace(loss=output.loss * learns)

    keys = jax.random.split(inputs.key, size)
    outputs = jax.vmap(of_member, (2, 2, 2, 0))(online, target, learns, keys)
    outputs = outputs._replace(error=abs(outputs.error))
    return jax.tree.map(lambda x: x.mean(axis=0), outputs)

  return wrapped
