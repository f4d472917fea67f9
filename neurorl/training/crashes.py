"""The state of before a chunk that went wrong, worked out after the event.

Nothing is copied while all goes well: the numbers are the same when the run is
repeated from its last checkpoint, or its beginning.
"""

from __future__ import annotations

import pathlib
from collections.abc import Callable
from typing import Any

import jax

from neurorl.runs import state_files
from neurorl.training.chunks import Chunks


def keep(
  chunks: Chunks,
  begin: Callable[[], None],
  run_dir: pathlib.Path,
  about: Callable[[], dict[str, Any]],
  stopped: Callable[[], bool],
) -> str:
  """Runs again up to the chunk that went wrong, and writes that state.

  Args:
    chunks: of the run, just after that chunk.
    begin: sets their state and counters to what the run can be repeated from.
    run_dir: gets a folder `crash`.
    about: makes what is kept with a state.
    stopped: whether to give up.

  Returns:
    Where it is, or why it is not.
  """
  bad = chunks.counters.iterations
  chunks.state = None  # there may be no room for two
  try:
    begin()
    for iterations, learn in chunks.plan():
      if chunks.counters.iterations + iterations >= bad:
        break
      if stopped():
        return "asked to end, it did not work out the state of before"
      chunks.run(iterations, learn)
    kept = {**about(), "iterations": iterations, "learn": learn}
    folder = run_dir / "crash"
    state_files.save(folder, state_files.fetch(chunks.state), kept)
  except (
    OSError,
    jax.errors.JaxRuntimeError,
    state_files.DamagedError,
  ) as error:
    first = (str(error).splitlines() or [""])[0]
    return f"the state of before that chunk could not be kept ({first})"
  return (
    f"the state of before that chunk is in {folder}; the same command with "
    f"--run_dir={run_dir} --debug names the operation"
  )
