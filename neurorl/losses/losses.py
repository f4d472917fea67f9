"""`losses`: the one place where terms are masked, weighed and reduced."""

from __future__ import annotations

import collections
from collections.abc import Callable, Mapping
from typing import Any

import chex
import jax
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
from neurorl.losses.targets import Target
from neurorl.ops import schedules, trees
from neurorl.registry import component
from neurorl.types import Agent, Array, Schedule, Task


@component
def losses(
  terms: Mapping[str, Term],
  prepare: Mapping[str, Target] | None = None,
  weights: Mapping[str, float | Schedule] | None = None,
  priority: str | None = None,
) -> LossRecipe:
  """The weighted sum of loss terms, each averaged over valid transitions.

  Args:
    terms: by the names that metrics use.
    prepare: what is worked out once per rollout from what the actor recorded,
      in this order, by the names under which terms find it: `{'return':
      @lambda_returns()}`, say. Needs a buffer of rollouts.
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
    outputs, weighed, metrics, by_transition, proceed = {}, {}, {}, {}, []
    keys = jax.random.split(inputs.key, len(terms))
    for key, (name, term) in zip(keys, terms.items(), strict=True):
      output = _apply_term(name, term, inputs._replace(key=key))
      outputs[name] = output
      weighed[name] = output.loss * importance_weights
      if output.proceed is not None:
        proceed.append(output.proceed)
      for metric, value in output.metrics.items():
        averaged = by_transition if jnp.ndim(value) else metrics
        averaged[f"{name}/{metric}"] = value
    metrics |= trees.masked_means(by_transition, inputs.mask)
    means = trees.masked_means(weighed, inputs.mask)
    metrics |= {f"loss/{name}": loss for name, loss in means.items()}
    total = sum(
      schedules.as_schedule(weights.get(name, 1.0))(inputs.progress) * loss
      for name, loss in means.items()
    )
    metrics["loss/total"] = total
    error = outputs[told].error
    all_proceed = jnp.all(jnp.stack(proceed)) if proceed else None
    return LossOutput(total, error, metrics, all_proceed), state

  def prepare_all(params, state, inputs: LossInputs):
    del params
    for name, target in prepare.items():
      value = _name_errors(f"losses.prepare['{name}']", target, inputs)
      inputs = _add_extra(inputs, name, value)
    return inputs.steps, state

  def build(agent: Agent, task: Task) -> Loss:
    del agent, task
    return Loss(
      lambda key, num_envs: ((), ()), apply, prepare_all if prepare else None
    )

  return build


def _add_extra(inputs: LossInputs, name: str, value: Array) -> LossInputs:
  """Adds what was worked out of transitions `[T, B]` to steps `[T+1, B]`."""
  extras = inputs.steps.extras
  if name in set(extras):  # looking it up would count as reading it
    raise ValueError(
      f"losses.prepare: the actor has recorded '{name}' already; rename it"
    )
  padded = jnp.concatenate([value, jnp.zeros_like(value[:1])])
  # Looked up one by one: only what is read of the rest is recorded.
  extras = collections.ChainMap({name: padded}, extras)
  return inputs._replace(steps=inputs.steps._replace(extras=extras))


def _name_errors(
  where: str, function: Callable[[LossInputs], Any], inputs: LossInputs
) -> Any:
  try:
    return function(inputs)
  except ValueError as error:
    raise ValueError(f"{where}: {error}") from error


def _apply_term(name: str, term: Term, inputs: LossInputs) -> TermOutput:
  output = _name_errors(f"loss term '{name}'", term, inputs)
  chex.assert_equal_shape([output.loss, output.error, inputs.mask])
  return output
