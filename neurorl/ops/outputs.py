"""What an agent must offer, with errors that name what there is."""

from __future__ import annotations

from neurorl import registry
from neurorl.types import Agent, Array, Outputs


def read(
  outputs: Outputs, head: str, reader: str, entry: str = "mean"
) -> Array:
  """Reads what a head predicted.

  Args:
    outputs: of the agent.
    head: the head's name.
    reader: who reads, for the message.
    entry: which of the head's predictions.

  Returns:
    The prediction, `[..., ...]`.

  Raises:
    ValueError: if the agent has no such head, or the head no such entry.
  """
  heads = sorted(name for name in outputs if name != "embedding")
  if head not in heads:
    raise ValueError(
      f"{reader} reads head '{head}', but this agent has heads "
      f"{', '.join(heads)}{registry.nearest(head, heads)}"
    )
  if entry not in outputs[head]:
    raise ValueError(
      f"{reader} reads '{entry}' of head '{head}', which predicts "
      f"{', '.join(sorted(outputs[head]))}"
    )
  return outputs[head][entry]


def require_model(agent: Agent, reader: str) -> None:
  """Refuses an agent that cannot imagine.

  Args:
    agent: the network.
    reader: who would have it imagine, for the message.

  Raises:
    ValueError: if the agent has no model.
  """
  if agent.imagine is None:
    raise ValueError(
      f"{reader} needs an agent with a model; bind agent.dynamics = "
      "@residual_dynamics()"
    )
