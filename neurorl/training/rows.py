"""What a chunk did, as rows for loggers; and what is wrong with them."""

from __future__ import annotations

import math
from collections.abc import Sequence

import jax

from neurorl.logging_types import Row
from neurorl.training.evaluation import Reports
from neurorl.training.program import ChunkOutput

TIMING = ("seconds", "steps_per_second")
LEADING = (
  "seed",
  "budget_steps",
  "environment_steps",
  "updates",
  "training/episodes",
  "training/episode_return",
  "training/episode_length",
)
EVALUATION = ("episode_return", "episode_length", "capped")
# Of a chunk's targets; fewer may be the outliers of a network that is young.
_MUCH_BEYOND_SUPPORT = 0.01
# Seconds; a scheduler that stops a run often waits for half a minute.
_LONG_CHUNK = 10.0


class TrainingError(RuntimeError):
  """Training went wrong in a way that more of it cannot mend."""


def make(
  output: ChunkOutput,
  seeds: Sequence[int],
  budget_steps: int,
  environment_steps: Sequence[int],
  updates: int,
  learn: bool,
) -> list[dict[str, float]]:
  """Makes a row per seed.

  Args:
    output: of the chunk, `[seeds]` each, on the host.
    seeds: their numbers.
    budget_steps: slots spent so far by one seed.
    environment_steps: transitions so far of each seed.
    updates: so far of one seed.
    learn: whether the chunk learned.

  Returns:
    The rows.
  """
  rows = []
  for i, seed in enumerate(seeds):
    tally = jax.tree.map(lambda x: x[i].item(), output.tally)  # noqa: B023
    row: dict[str, float] = {
      "seed": seed,
      "budget_steps": budget_steps,
      "environment_steps": environment_steps[i],
      "updates": updates,
      "training/episodes": tally.episodes,
    }
    if tally.episodes:
      row["training/episode_return"] = tally.returns / tally.episodes
      row["training/episode_length"] = tally.lengths / tally.episodes
    if learn:
      row |= {k: v[i].item() for k, v in output.metrics.items()}
    rows.append(row)
  return rows


def add_reports(rows: Sequence[dict[str, float]], reports: Reports) -> None:
  """Adds an evaluation's means to the rows of its seeds."""
  for prefix, report in reports.items():
    for i, row in enumerate(rows):
      row[f"{prefix}/episode_return"] = report.episode_return[i].mean().item()
      row[f"{prefix}/episode_length"] = report.episode_length[i].mean().item()
      row[f"{prefix}/capped"] = report.capped[i].sum().item()


def check(rows: Sequence[Row]) -> None:
  """Raises `TrainingError` if what must be finite is not.

  Args:
    rows: of one chunk.

  Raises:
    TrainingError: naming the term or norm, the seed and the step.
  """
  for row in rows:
    where = f"seed {row['seed']}, {row['environment_steps']:,} steps"
    # Loss terms first: they say more than the norms that follow from them.
    for name, value in sorted(row.items(), key=lambda x: "norm" in x[0]):
      if name.endswith("episode_return") and not math.isfinite(value):
        raise TrainingError(
          f"{name} is {value} ({where}): the environment's rewards are not "
          "finite"
        )
      watched = name.startswith("loss/") or name.endswith("_norm")
      if watched and not math.isfinite(value):
        raise TrainingError(
          f"{name} is {value} ({where}); the learning rate may be too high, or "
          "rewards unbounded"
        )
    if row.get("buffer/lossy_adds"):
      raise TrainingError(
        f"the buffer's store_as changes observations ({where}); bind a dtype "
        "that holds them, or None"
      )


def support_warnings(rows: Sequence[Row], told: set[str]) -> list[str]:
  """Says once of each term that its head cannot mean its targets.

  Args:
    rows: of one chunk.
    told: names that were warned of; what is told now is added.

  Returns:
    Sentences.
  """
  messages = []
  for name in sorted({name for row in rows for name in row}):
    if name in told or name.startswith("imagined/"):
      continue
    if not name.endswith("/beyond_support"):
      continue
    part = max(row[name] for row in rows)
    if part > _MUCH_BEYOND_SUPPORT:
      told.add(name)
      term = name.removesuffix("/beyond_support")
      least = min(row[f"{term}/least_target"] for row in rows)
      greatest = max(row[f"{term}/greatest_target"] for row in rows)
      messages.append(
        f"warning: {part:.1%} of the targets of '{term}' are beyond the "
        f"support of its head's codec; they reach from about {least:.4g} to "
        f"about {greatest:.4g} after the transform: widen the codec's low "
        "and high"
      )
  return messages


def length_warnings(
  seconds: float, steps_per_chunk: int, evaluated: float, told: set[str]
) -> list[str]:
  """Says once that chunks are too long for a run to be ended in time.

  Args:
    seconds: that a chunk took.
    steps_per_chunk: the setting.
    evaluated: seconds that the evaluation after it took.
    told: names that were warned of; what is told now is added.

  Returns:
    Sentences.
  """
  chunk = f"train.steps_per_chunk = {steps_per_chunk}"
  messages = []
  for name, took, remedy in [
    ("a chunk", seconds, chunk),
    ("an evaluation", evaluated, "evaluator.episodes or evaluator.max_steps"),
  ]:
    if took > _LONG_CHUNK and name not in told:
      told.add(name)
      messages.append(
        f"warning: {name} took {took:.0f} s, and a signal is answered after "
        f"it: turn down {remedy}"
      )
  return messages
