"""What a run came to, as `summary.json` says it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from neurorl.ops import statistics
from neurorl.training.chunks import Chunks
from neurorl.training.evaluation import EpisodeReport, Reports


def make(
  chunks: Chunks,
  reports: Reports,
  seconds: float,
  seconds_saving: float,
  startup: Mapping[str, float],
) -> dict[str, Any]:
  """Makes the summary of a run.

  Args:
    chunks: its counters.
    reports: the last evaluation's.
    seconds: it took.
    seconds_saving: that it waited for checkpoints.
    startup: seconds of this process before its first chunk, by what they went
      to.

  Returns:
    The summary, ready for JSON.
  """
  counters, seeds = chunks.counters, chunks.seeds
  learning = max(counters.chunk_seconds, 1e-9)
  return {
    "environment_steps": sum(counters.environment_steps),
    "budget_steps": chunks.budget * len(seeds),
    "learner_updates": counters.updates * len(seeds),
    "seconds": seconds,
    "seconds_to_first_update": counters.first_update,
    "seconds_saving": seconds_saving,
    "steps_per_second": counters.chunk_steps / learning,
    "startup": dict(startup),
    "seeds": list(seeds),
    **{name: _summarise(report) for name, report in reports.items()},
  }


def _summarise(report: EpisodeReport) -> dict[str, Any]:
  return {
    "episode_return": statistics.summarise(report.episode_return),
    "episode_length": float(report.episode_length.mean()),
    "episodes": int(report.capped.size),
    "capped": int(report.capped.sum()),
  }
