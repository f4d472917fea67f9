"""Rows of whole episodes, gathered from chunks of steps."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from neurorl.training import judging
from neurorl.types import TimeStep, Tree


class Rows(NamedTuple):
  """Whole episodes, by subject, episode and step; `[R, ...]` all.

  Attributes:
    subject: the seed of the agent.
    environment: in which the episode was played.
    episode: counted from 0 for each subject.
    step: counted from 0.
    timestep: what the environment said.
    action: the answer; at a `last` step it was ignored.
    probabilities: `[R, A]` of all actions; None where they are continuous, or
      the actor records none.
    value: of the state; None where no head says it.
    chosen: of the action; see `judging.Judgement`.
    action_values: `[R, A]`, or None.
    td_error: NaN at a `last` step; None without values.
    heads: the means of all heads, by name.
    recorded: what else the actor recorded, such as 'search_visits', by name.
    hidden: the agent's recurrent state after having seen the step.
  """

  subject: np.ndarray
  environment: np.ndarray
  episode: np.ndarray
  step: np.ndarray
  timestep: TimeStep
  action: np.ndarray
  probabilities: np.ndarray | None
  value: np.ndarray | None
  chosen: np.ndarray | None
  action_values: np.ndarray | None
  td_error: np.ndarray | None
  heads: Mapping[str, np.ndarray]
  recorded: Mapping[str, np.ndarray]
  hidden: Tree


class Played(NamedTuple):
  """What was played.

  Attributes:
    rows: of all episodes.
    state: `row -> the environment's state`; empty unless states were kept.
  """

  rows: Rows
  state: Callable[[int], Tree]


class Seen(NamedTuple):
  """A step as a program gives it, `[B, ...]`.

  Attributes:
    timestep: what the environment said.
    action: the answer.
    probabilities: `[B, A]`, or None.
    judgement: what the agent thinks of it; None where no head says it.
    heads: the means of all heads, by name.
    recorded: what else the actor recorded, by name.
    hidden: the agent's recurrent state after having seen the step.
    state: the environment's; empty unless it is kept.
  """

  timestep: TimeStep
  action: jax.Array
  probabilities: jax.Array | None
  judgement: judging.Judgement | None
  heads: Mapping[str, jax.Array]
  recorded: Mapping[str, jax.Array]
  hidden: Tree
  state: Tree


class Tally:
  """Counts episodes, and keeps the steps of those that are to be recorded."""

  def __init__(self, episodes: int, size: int, max_steps: int, count: int):
    self._size = size
    self._max_steps = max_steps
    # Settled before: else short episodes would be seen more often.
    each = episodes // size + (np.arange(size) < episodes % size)
    self._quota = np.broadcast_to(each, (count, size))
    self._episodes = np.zeros((count, size), np.int32)  # that are over
    self._steps = np.zeros((count, size), np.int32)  # within the episode
    self._chunks, self._index, self._states = [], [], []

  @property
  def done(self) -> bool:
    """Whether all episodes are over."""
    return bool(np.all(self._episodes >= self._quota))

  def add(self, seen: Seen) -> None:
    """Keeps what belongs to an episode that counts, of `[S, T, B, ...]`.

    Args:
      seen: the next steps.

    Raises:
      ValueError: if an episode does not end.
    """
    chunk = len(self._chunks)
    index = []
    for t, last in enumerate(np.moveaxis(np.asarray(seen.timestep.last), 1, 0)):
      counts = np.nonzero(self._episodes < self._quota)
      index += [
        (chunk, s, t, b, self._episodes[s, b], self._steps[s, b])
        for s, b in zip(*counts, strict=True)
      ]
      self._episodes += last
      self._steps = np.where(last, 0, self._steps + 1)
    self._index.append(np.array(index, np.int64).reshape(-1, 6).T)
    _, s, t, b, _, _ = self._index[-1]
    self._states.append(seen.state)
    rows = seen._replace(state=())
    self._chunks.append(jax.tree.map(lambda x: _numpy(x)[s, t, b], rows))
    if self._index[-1][-1].max(initial=0) > self._max_steps:
      raise ValueError(
        f"an episode has not ended after {self._max_steps} "
        "transitions; bind evaluator.max_steps, or train.environment = "
        "@limit_episode()"
      )

  def played(self, subjects: np.ndarray, discount: float) -> Played:
    """Puts the rows in order."""
    index = np.concatenate(self._index, axis=1)
    _, s, _, b, episode, step = index
    episode = episode * self._size + b
    order = np.lexsort((step, episode, s))
    seen = jax.tree.map(lambda *xs: np.concatenate(xs)[order], *self._chunks)
    timestep, judged = seen.timestep, seen.judgement
    td_error = judged and judging.td_errors(
      timestep.reward,
      timestep.discount,
      judged.value,
      judged.chosen,
      timestep.last,
      discount,
    )
    rows = Rows(
      subjects[s[order]],
      b[order],
      episode[order],
      step[order],
      timestep,
      seen.action,
      seen.probabilities,
      *(judged or (None, None, None)),
      td_error,
      seen.heads,
      seen.recorded,
      seen.hidden,
    )

    def state(row):
      chunk, i, time, e, _, _ = index[:, order[row]]
      return jax.tree.map(lambda x: x[i, time, e], self._states[chunk])

    return Played(rows, state)


def _numpy(x: jax.Array) -> np.ndarray:
  """As NumPy has it, which knows no bfloat16."""
  return np.asarray(x.astype(jnp.float32) if x.dtype == jnp.bfloat16 else x)
