"""Episode ends, decided here and nowhere else.

A sequence of T+1 steps holds T transitions; transition t leads from step t to
step t+1. Three facts follow from the steps' flags:

* which transitions count: those that do not start at a `last` step (the action
  there was ignored, and the next step begins another episode);
* what a transition's discount is: gamma times the environment's, hence 0 at a
  termination and gamma at a time-out, whose value is that of the true final
  observation;
* where traces are cut: at transitions that arrive at a `last` step.
"""

from __future__ import annotations

import chex
import jax.numpy as jnp

from neurorl.types import Array, TimeStep


def valid_transitions(timestep: TimeStep) -> Array:
  """Marks the transitions that count.

  Args:
    timestep: `[T+1, ...]`.

  Returns:
    `[T, ...]` float32, 0 for a transition that starts at a `last` step.
  """
  chex.assert_type(timestep.last, bool)
  return 1.0 - timestep.last[:-1].astype(jnp.float32)


def discounts(timestep: TimeStep, gamma: float | Array) -> Array:
  """Discounts the value of where each transition arrives.

  Args:
    timestep: `[T+1, ...]`.
    gamma: the task's discount factor.

  Returns:
    `[T, ...]` float32, 0 for a transition that terminates the episode.
  """
  return gamma * timestep.discount[1:].astype(jnp.float32)


def terminations(timestep: TimeStep) -> Array:
  """Marks the steps where an episode ended for good.

  Args:
    timestep: `[...]`.

  Returns:
    `[...]` bool.
  """
  return timestep.last & (timestep.discount == 0.0)


def time_outs(timestep: TimeStep) -> Array:
  """Marks the steps where time ran out, and the episode would have gone on.

  Args:
    timestep: `[...]`.

  Returns:
    `[...]` bool.
  """
  return timestep.last & (timestep.discount != 0.0)


def traces(timestep: TimeStep, lambda_: float | Array) -> Array:
  """Cuts eligibility traces where episodes end.

  Args:
    timestep: `[T+1, ...]`.
    lambda_: the trace parameter, scalar or `[T, ...]`.

  Returns:
    `[T, ...]` float32, 0 for a transition that arrives at a `last` step: the
    return there bootstraps from that step's value and looks no further.
  """
  return lambda_ * (1.0 - timestep.last[1:].astype(jnp.float32))
