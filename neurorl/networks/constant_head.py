"""Heads that are not of the state: a learned number, and a gradient that ends.

A temperature or a dual variable is a head, so that it lives among the agent's
parameters: checkpoints, targets and optimizers know it.
"""

from __future__ import annotations

import dataclasses
import math

import haiku as hk
import jax
import jax.numpy as jnp

from neurorl.networks.heads import Head, HeadRecipe
from neurorl.registry import component
from neurorl.types import Array, EnvironmentSpec


class Constant(hk.Module):
  """Learned numbers under a path of their own."""

  def __init__(self, shape: tuple[int, ...], initial: float, name: str):
    super().__init__(name=name)
    self._shape = shape
    self._initial = initial

  def __call__(self) -> Array:
    """Returns them."""
    initial = hk.initializers.Constant(self._initial)
    return hk.get_parameter("value", self._shape, init=initial)


@component
def constant_head(initial: float = 1.0, positive: bool = True) -> HeadRecipe:
  """A learned number that depends on nothing, the same for every state.

  Args:
    initial: what it is at first.
    positive: whether it stays above 0; then its logarithm is what is learned.

  Returns:
    The head's recipe; its `'mean'` is `[...]`.

  Raises:
    ValueError: if it is to stay above 0, and does not begin there.
  """
  if positive and not initial > 0.0:
    raise ValueError(
      f"constant_head.initial must be above 0, got {initial}; or bind "
      "constant_head.positive = False"
    )

  def build(spec: EnvironmentSpec) -> Head:
    del spec
    start = math.log(initial) if positive else initial
    constant = Constant((), start, name="constant")

    def apply(embedding, timestep, mode):
      del timestep, mode
      value = jnp.exp(constant()) if positive else constant()
      return {"mean": jnp.broadcast_to(value, embedding.shape[:-1])}

    return apply

  return HeadRecipe(build)


@component
def detached_head(head: HeadRecipe) -> HeadRecipe:
  """A head whose gradient stops at the embedding: torso and core never see it.

  As recurrent actor-critics have it for the policy where the critic alone is to
  decide what is remembered.

  Ni et al. (2022), https://arxiv.org/abs/2110.05038

  Args:
    head: what predicts.

  Returns:
    The head's recipe.
  """

  def build(spec: EnvironmentSpec) -> Head:
    inner = head.build(spec)
    return lambda embedding, timestep, mode: inner(
      jax.lax.stop_gradient(embedding), timestep, mode
    )

  return dataclasses.replace(head, build=build)
