"""What an agent must offer, with errors that name what there is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from neurorl import registry
from neurorl.head_types import Codec, Distribution
from neurorl.types import Agent, Array, Outputs

EMBEDDING = "embedding"
# Heads to bind where a prediction is missing, by its name.
_HEADS_OF = {
  "members": "@ensemble_head()",
  "quantiles": "@quantile_q_head() or @implicit_quantile_q_head()",
  "raw": "@q_head() or @scalar_head()",
}


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
  prediction = read_all(outputs, head, reader)
  if entry not in prediction:
    remedy = f"; bind {_HEADS_OF[entry]}, say" if entry in _HEADS_OF else ""
    raise ValueError(
      f"{reader} reads '{entry}' of head '{head}', which predicts "
      f"{', '.join(sorted(prediction))}{remedy}"
    )
  return prediction[entry]


def read_value(
  outputs: Outputs,
  head: str,
  reader: str,
  codecs: Mapping[str, Codec] | None = None,
) -> Array:
  """Reads one number for every step.

  Args:
    outputs: of the agent, `[T, B, ...]`.
    head: the head's name.
    reader: who reads, for the message.
    codecs: of the agent's heads, to read what the head puts out; None for the
      mean.

  Returns:
    `[T, B]`, and the codec's shape behind it.

  Raises:
    ValueError: if the agent has no such head, or the head no such prediction.
  """
  kind = ("one number for every step", "@scalar_head()")
  return _read_numbers(outputs, head, reader, codecs, 2, kind)


def read_action_values(
  outputs: Outputs,
  head: str,
  reader: str,
  codecs: Mapping[str, Codec] | None = None,
) -> Array:
  """Reads one number for every step and action, as `read_value` does.

  Returns:
    `[T, B, A]`, and the codec's shape behind it.
  """
  kind = ("one number for every step and action", "@q_head()")
  return _read_numbers(outputs, head, reader, codecs, 3, kind)


def _read_numbers(outputs, head, reader, codecs, axes, kind) -> Array:
  found = read(outputs, head, reader, "mean" if codecs is None else "raw")
  numbers = found.ndim - (len(codecs[head].shape) if codecs else 0)
  if numbers != axes:
    shape = found.shape[2:numbers]
    raise ValueError(
      f"{reader} reads {kind[0]} of head '{head}', which predicts "
      f"{' x '.join(map(str, shape)) or 'one'} for every step; bind {kind[1]}, "
      "say"
    )
  return found


def read_all(outputs: Outputs, head: str, reader: str) -> Mapping[str, Array]:
  """Reads all that a head predicted.

  Args:
    outputs: of the agent.
    head: the head's name.
    reader: who reads, for the message.

  Returns:
    The prediction, by entry.

  Raises:
    ValueError: if the agent has no such head.
  """
  heads = sorted(name for name in outputs if name != EMBEDDING)
  if head not in heads:
    raise ValueError(
      f"{reader} reads head '{head}', but agent.heads has {', '.join(heads)}"
      f"{registry.nearest(head, heads)}"
    )
  return outputs[head]


def record(outputs: Outputs) -> dict[str, Array]:
  """Takes of every head what an actor records: its `'mean'`, by its name."""
  return {
    name: prediction["mean"]
    for name, prediction in outputs.items()
    if name != EMBEDDING and "mean" in prediction
  }


class Recorded(Mapping):
  """What an actor recorded of its heads, as if an agent had predicted it."""

  def __init__(self, extras: Mapping[str, Array]):
    self._extras = extras

  def __getitem__(self, name: str) -> Mapping[str, Array]:
    return {"mean": self._extras[name]}

  def __iter__(self) -> Iterator[str]:
    return iter(self._extras)

  def __len__(self) -> int:
    return len(self._extras)


def distribution(agent: Agent, head: str, reader: str) -> Distribution:
  """Asks an agent what a policy head means.

  Args:
    agent: the network.
    head: the head's name.
    reader: who reads it, for the message.

  Returns:
    The distribution over actions.

  Raises:
    ValueError: if the agent has no such head.
  """
  if head not in agent.distributions:
    heads = sorted(agent.distributions)
    raise ValueError(
      f"{reader} reads the policy of head '{head}', but this agent has "
      f"{'policy heads ' + ', '.join(heads) if heads else 'no policy head'}"
      f"{registry.nearest(head, heads)}"
    )
  return agent.distributions[head]


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


def require_action_head(
  agent: Agent, outputs: Outputs, head: str, reader: str
) -> None:
  """Refuses an agent none of whose heads reads an action.

  Args:
    agent: the network.
    outputs: of the agent, which lack the head.
    head: the head's name.
    reader: who would have it judge actions, for the message.

  Raises:
    ValueError: if the agent has no such head.
  """
  if agent.evaluate_action is None:
    heads = sorted(name for name in outputs if name != EMBEDDING)
    raise ValueError(
      f"{reader} reads head '{head}', but agent.heads has "
      f"{', '.join(heads)}{registry.nearest(head, heads)}, and none that read "
      f"actions; bind agent.action_heads = {{'{head}': @scalar_head()}}, say"
    )
