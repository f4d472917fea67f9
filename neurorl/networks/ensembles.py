"""Ensembles: many heads of one kind, each with parameters of its own."""

from __future__ import annotations

from collections.abc import Mapping

import haiku as hk
import jax

from neurorl.networks.heads import Head, HeadRecipe
from neurorl.registry import component
from neurorl.types import Array, EnvironmentSpec, Mode, TimeStep


class Members(hk.Module):
  """Heads of one kind whose parameters are stacked."""

  def __init__(
    self, head: HeadRecipe, size: int, spec: EnvironmentSpec, name: str
  ):
    super().__init__(name=name)
    self._head = head
    self._size = size
    self._spec = spec

  def __call__(
    self, embedding: Array, timestep: TimeStep | None, mode: Mode
  ) -> Mapping[str, Array]:
    """Returns what they predict, `[..., M, *rest]`."""
    member = hk.transform(
      lambda x: self._head.build(self._spec)(x, timestep, mode)
    )
    keys = init_keys = None
    if hk.running_init():
      init_keys = jax.random.split(hk.next_rng_key(), self._size)
    if mode != "evaluating":
      keys = jax.random.split(hk.next_rng_key(), self._size)
    init = hk.lift(
      jax.vmap(member.init, (0, None)), allow_reuse=True, name="member"
    )
    params = init(init_keys, embedding)
    key_axis = None if keys is None else 0
    return jax.vmap(member.apply, (0, key_axis, None), embedding.ndim - 1)(
      params, keys, embedding
    )


@component
def ensemble_head(
  head: HeadRecipe, size: int = 10, prior_scale: float = 0.0
) -> HeadRecipe:
  """Heads that disagree about what has not been seen.

  Each member may add a prior, a head of the same kind that is drawn once and
  never learned, to what it puts out: without data members differ by it.

  Osband et al. (2016), https://arxiv.org/abs/1602.04621
  Osband et al. (2018), https://arxiv.org/abs/1806.03335

  Args:
    head: the kind of the members, a head of scalars such as `@q_head()`.
    size: how many members, M, at least 2.
    prior_scale: what a prior is multiplied by, in the network's units; 0 for no
      prior.

  Returns:
    The head's recipe. Its `'members'` are what the members predict, with an
    axis of M after the leading ones; its `'mean'` is the mean of theirs.

  Raises:
    ValueError: if the head is not one of scalars or a number is out of range.
  """
  if head.codec is None:
    raise ValueError(
      "ensemble_head.head must be a head of scalars, such as @q_head()"
    )
  if size < 2:
    raise ValueError(f"ensemble_head.size must be >= 2, got {size}")
  if prior_scale < 0.0:
    raise ValueError(
      f"ensemble_head.prior_scale must be >= 0, got {prior_scale}"
    )

  def build(spec: EnvironmentSpec) -> Head:
    members = Members(head, size, spec, name="members")
    priors = Members(head, size, spec, name="priors") if prior_scale else None

    def apply(embedding, timestep, mode):
      predicted = members(embedding, timestep, mode)
      if priors:
        # A prior is what it is: not even its noise is drawn anew.
        prior = priors(embedding, timestep, "evaluating")["raw"]
        raw = predicted["raw"] + prior_scale * jax.lax.stop_gradient(prior)
        predicted = {"mean": head.codec.decode(raw), "raw": raw}
      mean = predicted["mean"].mean(axis=embedding.ndim - 1)
      return {"mean": mean, "members": predicted}

    return apply

  return HeadRecipe(build, head.codec)
