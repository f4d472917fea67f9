"""What a run is told to be before it starts."""

from __future__ import annotations

import jax

from neurorl.ops import trees
from neurorl.training import memory
from neurorl.training.experiment import Experiment
from neurorl.training.program import Program, without_buffer

_NO_GRADIENT_IN_TIME = (
  "warning: this agent has a memory, but learns from single transitions: no "
  "gradient goes back in time, and it will hardly learn what to remember; bind "
  "the buffer's sequence_length, or rollout.chunk_length = None"
)


def describe(experiment: Experiment, program: Program) -> str:
  """Describes a run before it starts.

  Args:
    experiment: what the gin file describes.
    program: what was built of it.

  Returns:
    A few lines: where, on what, how large.

  Raises:
    ValueError: if the state does not fit the device's memory.
  """
  seeds = experiment.num_seeds
  state = jax.eval_shape(program.init, jax.random.key(0))
  kept = None
  if experiment.checkpoints is not None:
    kept = state if experiment.checkpoints.replay else without_buffer(state)
  devices = program.layout.num_devices
  memory.check(state, kept, seeds, devices)
  params = state.learning.params["agent"]
  count = sum(leaf.size for leaf in jax.tree.leaves(params))
  size = trees.size_in_bytes(state) * seeds / 1e6
  buffer = trees.size_in_bytes(state.buffer) * seeds / 1e6
  steps = experiment.iterations * experiment.steps_per_iteration
  spec = experiment.environment.spec
  remembers = bool(jax.tree.leaves(state.acting.agent_state))
  return "\n".join(
    [
      *(
        [_NO_GRADIENT_IN_TIME]
        if remembers and program.sequence_length == 1
        else []
      ),
      f"{spec.name}, {spec.actions} actions, {experiment.num_envs} in lockstep",
      f"{count:,} parameters, {size:,.0f} MB of state ({buffer:,.0f} of buffer)"
      f", {seeds} seed{'s' if seeds > 1 else ''} from {experiment.seed}, "
      f"{steps:,} steps each, on {f'{devices} x ' if devices > 1 else ''}"
      f"{jax.devices()[0].device_kind}",
    ]
  )
