"""Twins: members of a head that learn one target, which sees them all."""

from __future__ import annotations

import jax

from neurorl.loss_types import LossInputs, Term, TermOutput
from neurorl.losses.distances import Distance
from neurorl.losses.ensembles import ensemble
from neurorl.losses.predictions import Prediction
from neurorl.losses.regression import regression
from neurorl.losses.rewards import Target
from neurorl.ops import extremes
from neurorl.ops import outputs as outputs_lib
from neurorl.registry import component
from neurorl.types import Array, Key, Outputs


def least(outputs: Outputs, head: str, reader: str) -> Array:
  """Reads the least of what the members of a head predict.

  Args:
    outputs: of the agent, `[T, B]`.
    head: the head's name; without members, what it predicts itself.
    reader: who reads, for messages.

  Returns:
    `[T, B, ...]`.
  """
  prediction = outputs_lib.read_all(outputs, head, reader)
  if "members" not in prediction:
    return outputs_lib.read(outputs, head, reader)
  return extremes.least(prediction["members"]["mean"], axis=2)


@component
def twin_regression(
  prediction: Prediction, target: Target, distance: Distance, head: str = "q"
) -> Term:
  """Moves every member of a head to the same target.

  Where `ensemble` gives each its own: here the target sees them all, and may
  take the least. A head that reads actions (`agent.action_heads`) is asked
  about those that were taken; then its prediction is `@scalar()`.

  Fujimoto et al. (2018), https://arxiv.org/abs/1802.09477

  Args:
    prediction: what is learned by a member, read by the head's name.
    target: what it should be.
    distance: how far it is.
    head: an `ensemble_head`, in `agent.heads` or `agent.action_heads`; another
      head is moved as by `regression`.

  Returns:
    The term, the mean over members, with the metrics of `regression`.
  """

  def term(inputs: LossInputs) -> TermOutput:
    target_key, action_key, key = jax.random.split(inputs.key, 3)
    wanted = target(inputs._replace(key=target_key))
    of_member = regression(prediction, lambda inputs: wanted, distance)
    seen = _at_actions(inputs, head, action_key)._replace(key=key)
    predicted = outputs_lib.read_all(seen.online, head, "twin_regression")
    if "members" not in predicted:
      return of_member(seen)
    return ensemble(of_member, head)(seen)

  return term


def _at_actions(inputs: LossInputs, head: str, key: Key) -> LossInputs:
  """Adds what a head says of the actions taken, if it reads actions."""
  if head in inputs.online:
    return inputs
  agent, length = inputs.agent, inputs.mask.shape[0]
  outputs_lib.require_action_head(agent, inputs.online, head, "twin_regression")
  found = agent.evaluate_action(
    inputs.params,
    key,
    inputs.online[outputs_lib.EMBEDDING][:length],
    inputs.steps.action[:length],
    "online",
  )
  # The target is known by now: nobody reads the target's own.
  fixed = {**inputs.target, **jax.lax.stop_gradient(found)}
  return inputs._replace(online={**inputs.online, **found}, target=fixed)
