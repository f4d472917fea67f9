"""Soft actor-critic: values and policies that count entropy as a reward.

The parts serve discrete and continuous actions: a head of the values of all
actions is weighed by how likely the policy takes each; a head that reads
actions (`agent.action_heads`) is asked about one that the policy draws.
"""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp

from neurorl.loss_types import LossInputs, Term, TermOutput
from neurorl.losses.bootstraps import Bootstrap
from neurorl.losses.twins import least
from neurorl.ops import outputs as outputs_lib
from neurorl.registry import component
from neurorl.types import Array, Mode, Outputs, Params


def _value_and_entropy(
  inputs: LossInputs,
  outputs: Outputs,
  params: Params,
  mode: Mode,
  head: str,
  policy: str,
  reader: str,
) -> tuple[Array, Array]:
  """What the online policy is worth, by some outputs, and its entropy.

  Args:
    inputs: of the loss; `online` has the policy of the steps of `outputs`.
    outputs: those that say what actions are worth.
    params: those that made them.
    mode: the mode in which they did.
    head: the head of action values, the least of whose members counts.
    policy: the head of the policy.
    reader: who asks, for messages.

  Returns:
    Both `[T, B]`; by one action drawn where actions are continuous.
  """
  distribution = outputs_lib.distribution(inputs.agent, policy, reader)
  prediction = outputs_lib.read_all(inputs.online, policy, reader)
  if head in outputs:
    q = least(outputs, head, reader)
    value = jnp.sum(prediction["mean"] * q, axis=-1)
    return value, distribution.entropy(prediction, inputs.key)
  outputs_lib.require_action_head(inputs.agent, outputs, head, reader)
  draw_key, key = jax.random.split(inputs.key)
  action, log_prob = distribution.sample_with_log_prob(prediction, draw_key)
  embedding = outputs[outputs_lib.EMBEDDING]
  found = inputs.agent.evaluate_action(params, key, embedding, action, mode)
  return least(found, head, reader), -log_prob


@component
def soft_value(
  head: str = "q", policy: str = "policy", temperature: str = "temperature"
) -> Bootstrap:
  """What the policy is worth to the target, its entropy included.

  V(s) = sum_a pi(a | s) (min_i Q_i(s, a) - temperature * log pi(a | s)), with
  the policy being learned and the target's values; by one action drawn where
  actions are continuous.

  Haarnoja et al. (2018), https://arxiv.org/abs/1812.05905
  Christodoulou (2019), https://arxiv.org/abs/1910.07207

  Args:
    head: the head of action values, whose members' least counts if it has any.
    policy: the head of the policy.
    temperature: a `constant_head`, what entropy is worth.

  Returns:
    The bootstrap.
  """

  def bootstrap(inputs: LossInputs) -> Array:
    value, entropy = _value_and_entropy(
      inputs,
      inputs.target,
      inputs.target_params,
      "target",
      head,
      policy,
      "soft_value",
    )
    alpha = outputs_lib.read(inputs.online, temperature, "soft_value")
    return jax.lax.stop_gradient(value + alpha * entropy)

  return bootstrap


@component
def soft_policy_gradient(
  head: str = "q", policy: str = "policy", temperature: str = "temperature"
) -> Term:
  """Moves the policy to actions of value, and to entropy.

  L = sum_a pi(a | s) (temperature * log pi(a | s) - min_i Q_i(s, a)); where
  actions are continuous one is drawn, and the gradient reaches the policy
  through it. Values and temperature learn nothing by it. Nor does what is below
  the policy if that is a `detached_head`, which memories of the critic want.

  Haarnoja et al. (2018), https://arxiv.org/abs/1812.05905
  Christodoulou (2019), https://arxiv.org/abs/1910.07207

  Args:
    head: the head of action values, whose members' least counts if it has any.
    policy: the head of the policy.
    temperature: a `constant_head`, what entropy is worth.

  Returns:
    The term; its metrics are the value and the entropy of the policy.
  """

  def term(inputs: LossInputs) -> TermOutput:
    inputs = _of_transitions(inputs)
    value, entropy = _value_and_entropy(
      inputs,
      # The policy is read from `inputs`; what judges it stays as it is.
      jax.lax.stop_gradient(dict(inputs.online)),
      jax.lax.stop_gradient(inputs.params),
      "online",
      head,
      policy,
      "soft_policy_gradient",
    )
    alpha = outputs_lib.read(inputs.online, temperature, "soft_policy_gradient")
    gain = value + jax.lax.stop_gradient(alpha) * entropy
    return TermOutput(-gain, gain, {"value": value, "entropy": entropy})

  return term


@component
def entropy_constraint(
  target_entropy: float | None = None,
  policy: str = "policy",
  temperature: str = "temperature",
) -> Term:
  """Moves the temperature until the policy has a given entropy.

  L = temperature * (entropy - target), which raises the temperature of a policy
  that has decided too far. The policy learns nothing by it.

  Haarnoja et al. (2018), https://arxiv.org/abs/1812.05905, section 5

  Args:
    target_entropy: in nats; None for minus the number of dimensions of
      continuous actions, and 0.98 of the greatest where they are discrete.
    policy: the head of the policy.
    temperature: a `constant_head`.

  Returns:
    The term; its metrics are the temperature and the policy's entropy.
  """

  def term(inputs: LossInputs) -> TermOutput:
    inputs = _of_transitions(inputs)
    distribution = outputs_lib.distribution(
      inputs.agent, policy, "entropy_constraint"
    )
    prediction = jax.lax.stop_gradient(
      dict(outputs_lib.read_all(inputs.online, policy, "entropy_constraint"))
    )
    entropy = distribution.entropy(prediction, inputs.key)
    wanted = target_entropy
    if wanted is None:
      wanted = _usual_entropy(prediction, inputs.steps.action)
    value = outputs_lib.read(inputs.online, temperature, "entropy_constraint")
    excess = entropy - wanted
    metrics = {"temperature": value, "entropy": entropy}
    return TermOutput(value * excess, excess, metrics)

  return term


def _usual_entropy(prediction: Outputs, action: Array) -> float:
  """What the papers ask of a policy."""
  if "logits" in prediction:
    return 0.98 * math.log(prediction["logits"].shape[-1])
  return -float(math.prod(action.shape[2:]))


def _of_transitions(inputs: LossInputs) -> LossInputs:
  """Drops what is predicted of the last step, if it is."""
  length = inputs.mask.shape[0]
  return inputs._replace(
    online=jax.tree.map(lambda x: x[:length], dict(inputs.online))
  )
