"""Action spaces, and who can handle which."""

from __future__ import annotations

from neurorl.types import DiscreteActions, EnvironmentSpec


def num_actions(reader: str, spec: EnvironmentSpec) -> int:
  """Counts the actions of an environment whose actions must be discrete.

  Args:
    reader: who needs them so, for the message.
    spec: of the environment.

  Returns:
    How many actions there are.

  Raises:
    ValueError: if actions are not discrete.
  """
  if not isinstance(spec.actions, DiscreteActions):
    raise ValueError(
      f"{reader} needs discrete actions, but {spec.name} has {spec.actions}"
    )
  return spec.actions.num_actions
