"""Policies: how likely a policy that is learned about takes each action.

Each maps inputs to probabilities `[T+1, B, A]`, without gradient.
"""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp

from neurorl.loss_types import LossInputs
from neurorl.ops import outputs as outputs_lib
from neurorl.ops.selection import select
from neurorl.registry import component
from neurorl.types import Array

Policy = Callable[[LossInputs], Array]
# inputs -> `[T+1, B]` bool, the steps where a return stops and bootstraps
Cut = Callable[[LossInputs], Array]


@component
def target_greedy(head: str = "q") -> Policy:
  """The action that the target's values prefer; equally, all that are best.

  Args:
    head: a head of action values, `'mean'` `[T+1, B, A]`.

  Returns:
    The policy.
  """
  return lambda inputs: _best(
    outputs_lib.read_action_values(inputs.target, head, "target_greedy")
  )


@component
def online_greedy(head: str = "q") -> Policy:
  """The action that the online values prefer, as double Q-learning has it.

  van Hasselt et al. (2016), https://arxiv.org/abs/1509.06461

  Args:
    head: a head of action values, `'mean'` `[T+1, B, A]`.

  Returns:
    The policy; equally, all actions that are best.
  """

  def policy(inputs: LossInputs) -> Array:
    q = outputs_lib.read_action_values(inputs.online, head, "online_greedy")
    return _best(jax.lax.stop_gradient(q))

  return policy


@component
def epsilon_soft(policy: Policy, epsilon: float) -> Policy:
  """Another policy, or with probability epsilon any action.

  Args:
    policy: the other.
    epsilon: in [0, 1].

  Returns:
    The policy.

  Raises:
    ValueError: if epsilon is out of range.
  """
  if not 0.0 <= epsilon <= 1.0:
    raise ValueError(f"epsilon_soft.epsilon must be in [0, 1], got {epsilon}")

  def soft(inputs: LossInputs) -> Array:
    probabilities = policy(inputs)
    any_action = epsilon / probabilities.shape[-1]
    return (1.0 - epsilon) * probabilities + any_action

  return soft


@component
def exploratory(policy: Policy) -> Cut:
  """The steps whose action a policy would never have taken.

  With the greedy one, what cuts the traces of Watkins's Q(lambda): the return
  of a transition looks beyond its arrival only if the action there is greedy.

  Watkins (1989), http://www.cs.rhul.ac.uk/~chrisw/thesis.html

  Args:
    policy: such as `@target_greedy()`.

  Returns:
    The cut.
  """
  return lambda inputs: select(policy(inputs), inputs.steps.action) == 0.0


def _best(q: Array) -> Array:
  best = (q == jnp.max(q, axis=-1, keepdims=True)).astype(jnp.float32)
  return best / best.sum(axis=-1, keepdims=True)
