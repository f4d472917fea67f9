"""A run that is timed, and what it is held against."""

import dataclasses

from .plain import Work

CATCH = "ENVIRONMENT = 'Catch-bsuite'"
CARTPOLE = "ENVIRONMENT = 'CartPole-v1'"
BREAKOUT = "ENVIRONMENT = 'Breakout-MinAtar'"


@dataclasses.dataclass(frozen=True)
class Timed:
  """A run that is timed.

  Attributes:
    name: of it.
    gin_file: ours.
    bindings: over it.
    work: what the straightforward parts of an iteration are; None for none.
    peer: what it is held against.
    peer_steps: environment steps per second of that, in the middle of what was
      measured; None for nothing.
  """

  name: str
  gin_file: str
  bindings: tuple[str, ...] = ()
  work: Work | None = None
  peer: str = ""
  peer_steps: float | None = None
