"""`losses`: the one place where terms are masked, weighed and reduced."""

from __future__ import annotations

from collections.abc import Mapping

import chex
import jax.numpy as jnp

from neurorl import registry
from neurorl.loss_types import (
  Loss,
  LossInputs,
  LossOutput,
  LossRecipe,
  Term,
  TermOutput,
)
from neurorl.ops import schedules, trees
from neurorl.registry import component
from neurorl.types import Agent, Schedule, Task


@component
def losses(
  terms: Mapping[str, Term],
  weights: Mapping[str, float | Schedule] | None = None,
  priority: str | None = None,
) -> LossRecipe:
  """The weighted sum of loss terms, each averaged over valid transitions.

  Args:
    terms: by the names that metrics use.
    weights: of each term, 1 where none is given; numbers or schedules.
    priority: the term whose errors the buffer is told; the first if None.

  Returns:
    The loss's recipe.

  Raises:
    ValueError: if there is no term, one is called 'total', or a name is not
      a term's.
  """
  if not terms:
    raise ValueError("losses.terms is empty; bind {'q': @regression()}, say")
  if "total" in terms:
    raise ValueError("losses.terms: 'total' names the sum; rename the term")
  weights = dict(weights or {})
  for name in [*weights, *([priority] if priority else [])]:
    if name not in terms:
      hint = registry.nearest(name, terms)
      raise ValueError(f"losses: '{name}' is not one of losses.terms{hint}")
  for name, weight in weights.items():
    schedules.check(f"losses.weights['{name}']", weight, 0.0)
  told = priority or next(iter(terms))

  def apply(params, state, inputs: LossInputs, importance_weights):
    del params
    total, outputs, metrics = 0.0, {}, {}
    for name, term in terms.items():
      outputs[name] = output = _apply_term(name, term, inputs)
      loss = trees.masked_mean(output.loss * importance_weights, inputs.mask)
      weight = schedules.as_schedule(weights.get(name, 1.0))(inputs.progress)
      total += weight * loss
      metrics[f"loss/{name}"] = loss
      for metric, value in output.metrics.items():
        if jnp.ndim(value):
          value = trees.masked_mean(value, inputs.mask)
        metrics[f"{name}/{metric}"] = value
    metrics["loss/total"] = total
    return LossOutput(total, outputs[told].error, metrics), state

  def build(agent: Agent, task: Task) -> Loss:
    del agent, task
    return Loss(init=lambda key: ((), ()), apply=apply)

  return build


def _apply_term(name: str, term: Term, inputs: LossInputs) -> TermOutput:
  try:
    output = term(inputs)
  except ValueError as error:
    raise ValueError(f"loss term '{name}': {error}") from error
  chex.assert_equal_shape([output.loss, output.error, inputs.mask])
  return output
