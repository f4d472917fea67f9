"""What of a configuration bears on a run's numbers."""

from __future__ import annotations

import hashlib
import pathlib

from neurorl import bindings as bindings_lib
from neurorl import external, registry
from neurorl.bindings import Key
from neurorl.config import Config

# What is told of a run, and what is kept of it, change none of its numbers; nor
# does how often its host looks. Devices change their last bits, which is told.
_HARMLESS = {
  "train.loggers",
  "train.checkpoints",
  "train.steps_per_chunk",
  "train.num_devices",
  "evaluator.every_steps",
}
_LENGTH = "train.total_steps"
_SCHEDULES = "neurorl.ops.schedules"


def settings(config: Config) -> dict[str, str]:
  """Returns every setting that bears on a run's numbers, defaults included.

  Args:
    config: a configuration.

  Returns:
    Names to values, as text; of users' modules their checksums. The run's
    length is among them only where something else may depend on it: a schedule,
    or a user's own component.
  """
  kept = {
    key: binding
    for key, binding in config.bindings.items()
    if f"{key.component}.{key.argument}" not in _HARMLESS
  }
  found, places = {}, []
  for call, bound in bindings_lib.calls(kept).items():
    component = registry.find(call.name)
    places.append(component.place)
    name = "/".join((*call.scopes, call.name))
    for argument, parameter in component.parameters.items():
      setting = f"{name}.{argument}"
      if setting not in _HARMLESS:
        found[setting] = _value(bound.get(argument), parameter, kept)
  if not any(map(_may_read_progress, places)):
    found.pop(_LENGTH, None)
  for module in config.local_modules:
    found[module.name] = _checksum(module)
  return found


def _checksum(module: pathlib.Path) -> str:
  files = sorted(module.rglob("*.py")) if module.is_dir() else [module]
  return hashlib.sha256(b"".join(f.read_bytes() for f in files)).hexdigest()


def _value(key: Key | None, parameter, kept) -> str:
  if key is None:
    return bindings_lib.default_text(parameter.default)
  return repr(bindings_lib.substitute(kept[key].value, kept))


def _may_read_progress(place: str) -> bool:
  if place.startswith("neurorl."):
    return place.startswith(f"{_SCHEDULES}.")
  return place not in external.names()
