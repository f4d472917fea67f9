"""What a transition brings: targets that look no further than one step.

Each maps inputs to `[T, B]`, without gradient, in the task's units. Return
estimators add up the rewards of one of these, by default the environment's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp

from neurorl.loss_types import LossInputs
from neurorl.losses.bootstraps import check_temperature
from neurorl.ops import outputs as outputs_lib
from neurorl.ops.selection import select
from neurorl.registry import component
from neurorl.types import Array

Target = Callable[[LossInputs], Array]


@component
def rewards() -> Target:
  """The reward that a transition brings: what a model should predict.

  Returns:
    The target.
  """
  return reward_of_transition


def reward_of_transition(inputs: LossInputs) -> Array:
  """Returns the environment's reward for every transition, `[T, B]`."""
  return inputs.steps.timestep.reward[1:]


@component
def munchausen_rewards(
  temperature: float = 0.03,
  scale: float = 0.9,
  low: float = -1.0,
  head: str = "q",
) -> Target:
  """The reward, and part of how likely the policy was to act so.

  r + scale * max(temperature * log pi(a | s), low), pi being the softmax of the
  target's values. For returns whose bootstrap is `soft_q`.

  Vieillard et al. (2020), https://arxiv.org/abs/2007.14430

  Args:
    temperature: of the softmax, above 0, in units of value.
    scale: of what is added.
    low: the least that is added, before it is scaled; not above 0.
    head: a head of action values, the target's `'mean'` `[T+1, B, A]`.

  Returns:
    The target.

  Raises:
    ValueError: if an argument is out of range.
  """
  check_temperature("munchausen_rewards.temperature", temperature)
  if low > 0.0:
    raise ValueError(f"munchausen_rewards.low must be <= 0, got {low}")

  def target(inputs: LossInputs) -> Array:
    q = outputs_lib.read(inputs.target, head, "munchausen_rewards")
    log_policy = temperature * jax.nn.log_softmax(q / temperature)
    taken = select(log_policy, inputs.steps.action)[: len(inputs.mask)]
    bonus = jnp.where(
      inputs.absorbing > 0, 0.0, scale * jnp.maximum(taken, low)
    )
    return reward_of_transition(inputs) + bonus

  return target


@component
def intrinsic_rewards(head: str, scale: float = 1.0) -> Target:
  """What a head makes of where a transition arrives: a bonus for novelty, say.

  Where a rollout is prepared it is what the actor recorded on arrival, at the
  true last observation of an episode too.

  Burda et al. (2019), https://arxiv.org/abs/1810.12894

  Args:
    head: of scalars, the target's `'mean'` `[T+1, B]`, such as `@rnd_head()`.
    scale: what it is multiplied by.

  Returns:
    The target.
  """

  def target(inputs: LossInputs) -> Array:
    bonus = outputs_lib.read(inputs.target, head, "intrinsic_rewards")[1:]
    bonus = jnp.where(inputs.absorbing > 0, 0.0, scale * bonus)
    return jax.lax.stop_gradient(bonus)

  return target


@component
def sum_of(sources: Sequence[Target]) -> Target:
  """Several targets added up: rewards of the environment and a bonus, say.

  Args:
    sources: such as `[@rewards(), @intrinsic_rewards()]`.

  Returns:
    The target.

  Raises:
    ValueError: if there is no source.
  """
  if not sources:
    raise ValueError("sum_of.sources is empty; bind [@rewards()], say")
  return lambda inputs: sum(source(inputs) for source in sources)


@component
def discounts() -> Target:
  """Whether an episode goes on after a transition: 0 where it terminates.

  Returns:
    The target; without gamma.
  """
  return lambda inputs: inputs.steps.timestep.discount[1:]
