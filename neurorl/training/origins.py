"""Where a run begins: anew, with weights, or where a checkpoint leaves off."""

from __future__ import annotations

import pathlib
import types
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from neurorl.runs import description, keeping
from neurorl.runs.signals import StopRequest
from neurorl.training import chunks as chunks_lib
from neurorl.training import learner
from neurorl.training import program as program_lib
from neurorl.types import Params


class Start(NamedTuple):
  """How a run begins, and what may end it.

  Attributes:
    resumes: whether it goes on from the newest checkpoint of its folder.
    weights: parameters to begin with, of all seeds; None for fresh ones.
    stop: asks to end early; None for never.
    settings: the configuration, flat, for loggers.
    started: `time.time()` when the process began; None for now.
  """

  resumes: bool = False
  weights: Params | None = None
  stop: StopRequest | None = None
  started: float | None = None
  settings: Mapping[str, Any] = types.MappingProxyType({})


class Origin:
  """What a run's chunks begin with."""

  def __init__(
    self,
    chunks: chunks_lib.Chunks,
    folder: pathlib.Path,
    start: Start,
    warm_up_iterations: int,
    warn: Callable[[str], None],
  ):
    """Makes it.

    Args:
      chunks: of the run; their state and counters are set.
      folder: where checkpoints lie; it need not exist.
      start: how the run begins.
      warm_up_iterations: that fill a buffer.
      warn: takes a sentence that somebody should read.
    """
    self._chunks = chunks
    self._folder = folder
    self._start = start
    self._warm_up = warm_up_iterations
    self._warn = warn

  def begin(self) -> dict[str, Any] | None:
    """Makes the first state, or takes up the newest one that is whole.

    Returns:
      What was kept with the state; None for a run that begins.

    Raises:
      MismatchError: if the checkpoint is of another program.
      DamagedError: if no checkpoint is whole.
    """
    chunks = self._chunks
    chunks.counters = chunks.first_counters()
    found = self._newest() if self._start.resumes else None
    if found is not None:
      self._take_up(*found)
      self._warn(f"resumed at {chunks.steps:,} steps")
      return found[1]
    if self._start.resumes:
      self._warn(f"no checkpoint is in {self._folder}: the run begins anew")
    chunks.state = chunks.first_state()
    if self._start.weights is not None:
      learning = learner.with_params(chunks.state.learning, self._start.weights)
      chunks.state = chunks.state._replace(learning=learning)
    return None

  def begin_again(self, keeper: keeping.Keeper | None) -> None:
    """Goes back to the newest checkpoint, or to how this process began.

    Args:
      keeper: of checkpoints; None if they hold less than the whole state.
    """
    found = None
    if keeper is not None:
      keeper.wait()
      found = self._newest()
    if found is None:
      self.begin()
    else:
      self._chunks.state, about = found
      self._chunks.counters = chunks_lib.read_counters(about)

  def _newest(self):
    return keeping.newest(
      self._folder, self._chunks.shapes, program_lib.without_buffer, self._warn
    )

  def _take_up(
    self, state: program_lib.LoopState, about: Mapping[str, Any]
  ) -> None:
    """Makes a checkpoint's counters the run's, and its state whole."""
    chunks, warn = self._chunks, self._warn
    counters = chunks_lib.read_counters(about)
    if about.get("versions") != description.library_versions():
      warn(
        f"warning: the checkpoint was written by {about.get('versions')}, and "
        f"this is {description.library_versions()}: numbers may differ"
      )
    devices, now = about.get("devices"), chunks.num_devices
    if devices != now:
      warn(
        f"warning: the checkpoint was written on {devices} devices, and {now} "
        "go on with it: from here on numbers differ in their last bits"
      )
    if state.buffer == ():
      # What was replayed is collected again.
      state = state._replace(buffer=chunks.first_state().buffer)
      counters.learns_from = counters.iterations + self._warm_up
      warn(
        "the checkpoint is without replay, which is filled again: from here "
        "on this is not the run that it was"
      )
    chunks.state, chunks.counters = state, counters
