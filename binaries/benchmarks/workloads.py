"""All that is timed: the settings of peers that were measured, and larger."""

from . import timed_replay, timed_rollouts
from .timed import Timed

TIMED = (
  *timed_replay.RECURRENT,
  *timed_replay.FEED_FORWARD,
  *timed_rollouts.TIMED,
)


def find(name: str) -> Timed:
  """Returns the run of that name."""
  return next(timed for timed in TIMED if timed.name == name)
