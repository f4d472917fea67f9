"""How a run is asked to end: signals, and a limit of seconds."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from types import FrameType

_CODES = {
  signal.SIGINT: 130,
  signal.SIGTERM: 143,
  signal.SIGUSR1: 143,
  signal.SIGUSR2: 143,
}

_TWICE = 2.0  # seconds within which a second signal is the same


class StoppedError(Exception):
  """A run ended early, and can go on.

  Attributes:
    code: the exit code.
  """

  def __init__(self, message: str, code: int):
    super().__init__(message)
    self.code = code


class StopRequest:
  """Remembers that a run should end after its chunk; a context manager.

  The first SIGINT, SIGTERM, SIGUSR1 or SIGUSR2 asks; a SIGINT or SIGTERM some
  seconds after it ends the process at once. How long a chunk is never depends
  on the clock: only where a run stops does.
  """

  def __init__(self, max_seconds: float | None, started: float):
    """Makes it.

    Args:
      max_seconds: after which to ask by itself, since `started`; or None.
      started: `time.time()` when the process began.
    """
    self._end = float("inf") if max_seconds is None else started + max_seconds
    self._signal: signal.Signals | None = None
    self._asked_at = 0.0
    self._before: dict[signal.Signals, object] = {}

  def __enter__(self) -> StopRequest:
    for number in _CODES:
      self._before[number] = signal.signal(number, self._note)
    return self

  def __exit__(self, *_) -> None:
    for number, handler in self._before.items():
      signal.signal(number, handler)

  def _note(self, number: int, frame: FrameType | None) -> None:
    del frame
    if self._signal is not None:
      # A scheduler may signal a process and its group, or twice.
      late = time.monotonic() - self._asked_at > _TWICE
      if late and number in (signal.SIGINT, signal.SIGTERM):
        os._exit(_CODES[signal.Signals(number)])
      return
    self._signal, self._asked_at = signal.Signals(number), time.monotonic()
    # Not by print: what it interrupts may be printing.
    message = f"\n{self._signal.name}: ending after this chunk; again: now\n"
    with contextlib.suppress(OSError, ValueError):  # nobody may be reading
      os.write(sys.stderr.fileno(), message.encode())

  def check(self, next_seconds: float = 0.0) -> tuple[str, int] | None:
    """Says whether to stop.

    Args:
      next_seconds: what another chunk would take.

    Returns:
      Why, and the exit code; None to go on.
    """
    if self._signal is not None:
      return self._signal.name, _CODES[self._signal]
    if time.time() + next_seconds > self._end:
      return "--max_seconds", _CODES[signal.SIGTERM]
    return None
