"""Deterministic policies: what their likeliest action is worth."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from neurorl.loss_types import LossInputs, Term, TermOutput
from neurorl.losses.bootstraps import Bootstrap
from neurorl.losses.policy_gradients import policy_of_transitions
from neurorl.losses.twins import least
from neurorl.ops import outputs as outputs_lib
from neurorl.registry import component
from neurorl.types import Array


@component
def smoothed_value(
  noise: float = 0.2,
  clip: float = 0.5,
  head: str = "q",
  policy: str = "policy",
) -> Bootstrap:
  """What the target's policy is worth to the target, near the action it takes.

  V(s) = min_i Q_i(s, squash(loc + e)), with e Gaussian and clipped. The noise
  comes before the squashing into bounds, so that actions stay within; in the
  paper it comes after, and actions are clipped.

  Fujimoto et al. (2018), https://arxiv.org/abs/1802.09477

  Args:
    noise: its deviation, not negative.
    clip: the greatest it may be, above 0.
    head: the head of action values, in `agent.action_heads`; the least of its
      members counts if it has any.
    policy: a `gaussian_policy_head`, whose deviation is ignored.

  Returns:
    The bootstrap.

  Raises:
    ValueError: if a number is out of range.
  """
  if noise < 0.0:
    raise ValueError(f"smoothed_value.noise must be >= 0, got {noise}")
  if not clip > 0.0:
    raise ValueError(f"smoothed_value.clip must be above 0, got {clip}")

  def bootstrap(inputs: LossInputs) -> Array:
    agent, target = inputs.agent, inputs.target
    distribution = outputs_lib.distribution(agent, policy, "smoothed_value")
    outputs_lib.require_action_head(agent, target, head, "smoothed_value")
    loc = outputs_lib.read(target, policy, "smoothed_value", "loc")
    noise_key, key = jax.random.split(inputs.key)
    drawn = noise * jax.random.normal(noise_key, loc.shape)
    moved = {**target[policy], "loc": loc + jnp.clip(drawn, -clip, clip)}
    found = agent.evaluate_action(
      inputs.target_params,
      key,
      target[outputs_lib.EMBEDDING],
      distribution.mode(moved),
      "target",
    )
    return jax.lax.stop_gradient(least(found, head, "smoothed_value"))

  return bootstrap


@component
def deterministic_policy_gradient(
  head: str = "q", policy: str = "policy"
) -> Term:
  """Minus the value of the policy's likeliest action.

  The gradient reaches the policy through the action; values learn nothing by
  it. Nor does what is below the policy if that is a `detached_head`.

  Silver et al. (2014), https://proceedings.mlr.press/v32/silver14.html
  Fujimoto et al. (2018), https://arxiv.org/abs/1802.09477

  Args:
    head: the head of action values, in `agent.action_heads`; of members the
      first one's counts.
    policy: the head of the policy, over continuous actions.

  Returns:
    The term; its metric is the value.
  """
  reader = "deterministic_policy_gradient"

  def term(inputs: LossInputs) -> TermOutput:
    distribution, prediction = policy_of_transitions(inputs, policy, reader)
    agent, length = inputs.agent, inputs.mask.shape[0]
    outputs_lib.require_action_head(agent, inputs.online, head, reader)
    found = agent.evaluate_action(
      jax.lax.stop_gradient(inputs.params),
      inputs.key,
      jax.lax.stop_gradient(inputs.online[outputs_lib.EMBEDDING][:length]),
      distribution.mode(prediction),
      "online",
    )
    of_head = outputs_lib.read_all(found, head, reader)
    value = of_head["mean"]
    if "members" in of_head:
      value = of_head["members"]["mean"][:, :, 0]
    return TermOutput(-value, value, {"value": value})

  return term
