"""Hyperparameters as functions of progress.

A schedule maps `Progress` to a scalar. Wherever a component says it takes a
float or a schedule, both `0.1` and `@linear_schedule()` will do.
"""

from __future__ import annotations

import math

import jax.numpy as jnp

from neurorl.registry import component
from neurorl.types import Progress, Schedule


def as_schedule(value: float | Schedule) -> Schedule:
  """Makes a schedule of a number; leaves a schedule as it is."""
  if callable(value):
    return value
  return lambda progress: jnp.float32(value)


def check(
  name: str,
  value: float | Schedule,
  low: float = -math.inf,
  high: float = math.inf,
) -> None:
  """Refuses a number, or a schedule anywhere on its way, that is out of range.

  Args:
    name: of the parameter, for the message.
    value: the number or schedule.
    low: the least allowed.
    high: the greatest allowed.

  Raises:
    ValueError: if a value is not finite or not within [low, high].
  """
  schedule = as_schedule(value)
  for fraction in (0.0, 0.25, 0.5, 0.75, 1.0) if callable(value) else (0.0,):
    found = float(schedule(Progress(jnp.float32(fraction), jnp.int32(0))))
    # Float32 rounds what the user wrote.
    if not (low - 1e-6 <= found <= high + 1e-6 and math.isfinite(found)):
      at = f" at {fraction:.0%} of the step budget" if callable(value) else ""
      raise ValueError(
        f"{name} must be in [{low:g}, {high:g}], got {found:g}{at}"
      )


@component
def linear_schedule(
  start: float, end: float, begin: float = 0.0, until: float = 1.0
) -> Schedule:
  """Moves from one value to another in a straight line.

  Args:
    start: value up to `begin`.
    end: value from `until` on.
    begin: part of the step budget where the change begins, in [0, 1].
    until: part of the step budget where it ends, in (begin, 1].

  Returns:
    The schedule.

  Raises:
    ValueError: if `begin` and `until` are out of order or range.
  """
  _check_interval("linear_schedule", begin, until)

  def schedule(progress: Progress):
    done = jnp.clip((progress.fraction - begin) / (until - begin), 0.0, 1.0)
    return start + (end - start) * done

  return schedule


@component
def cosine_schedule(
  start: float, end: float = 0.0, begin: float = 0.0, until: float = 1.0
) -> Schedule:
  """Moves from one value to another along half a cosine.

  Loshchilov and Hutter (2017), https://arxiv.org/abs/1608.03983

  Args:
    start: value up to `begin`.
    end: value from `until` on.
    begin: part of the step budget where the change begins, in [0, 1].
    until: part of the step budget where it ends, in (begin, 1].

  Returns:
    The schedule.

  Raises:
    ValueError: if `begin` and `until` are out of order or range.
  """
  _check_interval("cosine_schedule", begin, until)

  def schedule(progress: Progress):
    done = jnp.clip((progress.fraction - begin) / (until - begin), 0.0, 1.0)
    return end + (start - end) * 0.5 * (1.0 + jnp.cos(jnp.pi * done))

  return schedule


@component
def warmup_schedule(schedule: float | Schedule, until: float) -> Schedule:
  """Lets another schedule grow from zero at the start of training.

  Args:
    schedule: what to warm up.
    until: part of the step budget where the warm-up ends, in (0, 1].

  Returns:
    The schedule.

  Raises:
    ValueError: if `until` is out of range.
  """
  _check_interval("warmup_schedule", 0.0, until)
  inner = as_schedule(schedule)

  def warmed(progress: Progress):
    return inner(progress) * jnp.clip(progress.fraction / until, 0.0, 1.0)

  return warmed


def _check_interval(name: str, begin: float, until: float) -> None:
  if not 0.0 <= begin < until <= 1.0:
    raise ValueError(
      f"{name} needs 0 <= begin < until <= 1 (parts of the step budget), got "
      f"begin {begin}, until {until}"
    )
