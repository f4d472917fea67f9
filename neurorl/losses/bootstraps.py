"""Bootstraps: what a state is worth, in the task's units.

Each maps inputs to `[T+1, B]`, without gradient.
"""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp

from neurorl.loss_types import LossInputs
from neurorl.losses.policies import Policy
from neurorl.ops import outputs as outputs_lib
from neurorl.ops.selection import select
from neurorl.registry import component
from neurorl.types import Array

Bootstrap = Callable[[LossInputs], Array]


@component
def double_q(head: str = "q") -> Bootstrap:
  """The target's value of the action that the online values prefer.

  van Hasselt et al. (2016), https://arxiv.org/abs/1509.06461

  Args:
    head: a head of action values, `'mean'` `[T+1, B, A]`.

  Returns:
    The bootstrap.
  """

  def bootstrap(inputs: LossInputs) -> Array:
    online = outputs_lib.read_action_values(inputs.online, head, "double_q")
    target = outputs_lib.read_action_values(inputs.target, head, "double_q")
    preferred = jnp.argmax(jax.lax.stop_gradient(online), axis=-1)
    return select(target, preferred)

  return bootstrap


@component
def max_q(head: str = "q") -> Bootstrap:
  """The target's greatest action value.

  Watkins and Dayan (1992), https://doi.org/10.1007/BF00992698

  Args:
    head: a head of action values, `'mean'` `[T+1, B, A]`.

  Returns:
    The bootstrap.
  """

  def bootstrap(inputs: LossInputs) -> Array:
    return jnp.max(
      outputs_lib.read_action_values(inputs.target, head, "max_q"), axis=-1
    )

  return bootstrap


@component
def sarsa(head: str = "q") -> Bootstrap:
  """The target's value of the action that was taken next.

  At a time-out that is the action the actor chose there, which the environment
  did not follow.

  Rummery and Niranjan (1994), CUED/F-INFENG/TR 166

  Args:
    head: a head of action values, `'mean'` `[T+1, B, A]`.

  Returns:
    The bootstrap.
  """

  def bootstrap(inputs: LossInputs) -> Array:
    q = outputs_lib.read_action_values(inputs.target, head, "sarsa")
    return select(q, inputs.steps.action)

  return bootstrap


@component
def expected_q(policy: Policy, head: str = "q") -> Bootstrap:
  """The target's values of all actions, by how likely a policy takes them.

  van Seijen et al. (2009), https://doi.org/10.1109/ADPRL.2009.4927542

  Args:
    policy: whose values are learned, such as `@epsilon_soft()`.
    head: a head of action values, `'mean'` `[T+1, B, A]`.

  Returns:
    The bootstrap.
  """

  def bootstrap(inputs: LossInputs) -> Array:
    q = outputs_lib.read_action_values(inputs.target, head, "expected_q")
    return jnp.sum(policy(inputs) * q, axis=-1)

  return bootstrap


@component
def soft_q(temperature: float = 0.03, head: str = "q") -> Bootstrap:
  """The target's soft maximum: its values' softmax has them and its entropy.

  temperature * log sum_a exp(q_a / temperature)
  = sum_a pi_a (q_a - temperature * log pi_a)

  Haarnoja et al. (2017), https://arxiv.org/abs/1702.08165

  Args:
    temperature: of the softmax, above 0, in units of value.
    head: a head of action values, `'mean'` `[T+1, B, A]`.

  Returns:
    The bootstrap.

  Raises:
    ValueError: if the temperature is not positive.
  """
  check_temperature("soft_q.temperature", temperature)

  def bootstrap(inputs: LossInputs) -> Array:
    q = outputs_lib.read_action_values(inputs.target, head, "soft_q")
    return temperature * jax.nn.logsumexp(q / temperature, axis=-1)

  return bootstrap


def check_temperature(name: str, temperature: float) -> None:
  """Raises `ValueError` unless a temperature is positive."""
  if temperature <= 0.0:
    raise ValueError(f"{name} must be above 0, got {temperature}")


@component
def target_value(head: str = "value") -> Bootstrap:
  """The target's value of the state.

  Args:
    head: a head of state values, `'mean'` `[T+1, B]`.

  Returns:
    The bootstrap.
  """

  def bootstrap(inputs: LossInputs) -> Array:
    return outputs_lib.read_value(inputs.target, head, "target_value")

  return bootstrap


@component
def search_value() -> Bootstrap:
  """The value that the search found when the state was seen.

  Returns:
    The bootstrap; needs an actor that records `'search_value'`.
  """
  return lambda inputs: inputs.steps.extras["search_value"]
