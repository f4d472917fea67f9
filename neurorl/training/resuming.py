"""Going on from what a checkpoint holds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from neurorl.runs import description
from neurorl.training import chunks as chunks_lib
from neurorl.training.program import LoopState


def take_up(
  chunks: chunks_lib.Chunks,
  state: LoopState,
  about: Mapping[str, Any],
  warm_up_iterations: int,
  warn: Callable[[str], None],
) -> LoopState:
  """Makes a checkpoint's counters the run's, and its state whole.

  Args:
    chunks: of the run; its counters are set.
    state: as read; its buffer may be missing.
    about: what was kept with it.
    warm_up_iterations: that fill a buffer.
    warn: is told what is not as it was.

  Returns:
    The state to go on from.
  """
  counters = chunks_lib.read_counters(about)
  if about.get("versions") != description.library_versions():
    warn(
      f"warning: the checkpoint was written by {about.get('versions')}, and "
      f"this is {description.library_versions()}: numbers may differ"
    )
  if about.get("devices") != chunks.num_devices:
    warn(
      f"warning: the checkpoint was written on {about.get('devices')} devices, "
      f"and this run goes on on {chunks.num_devices}: numbers may differ in "
      "their last bits"
    )
  if state.buffer == ():
    # What was replayed is collected again.
    state = state._replace(buffer=chunks.first_state().buffer)
    counters.learns_from = counters.iterations + warm_up_iterations
    warn(
      "the checkpoint is without replay, which is filled again: from here "
      "on this is not the run that it was"
    )
  chunks.counters = counters
  return state
