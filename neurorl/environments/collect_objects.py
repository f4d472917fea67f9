"""A grid of objects whose worth is a vector that changes between episodes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from neurorl.environments.timesteps import restart, transition
from neurorl.registry import component
from neurorl.types import Array, DiscreteActions, Environment, EnvironmentSpec

# Up, right, down, left.
_MOVES = ((-1, 0), (0, 1), (1, 0), (0, -1))


class CollectState(NamedTuple):
  """State of the grid.

  Attributes:
    place: `[2]` int32, row and column.
    objects: `[rows, columns, F]` float32, one where one of a kind lies.
    task: `[F]` float32, what one of each kind is worth.
    time: `[]` int32, transitions so far.
  """

  place: Array
  objects: Array
  task: Array
  time: Array


@component
def collect_objects(
  tasks: Sequence[Sequence[float]],
  layout: Sequence[str] = ("a.b.a", ".....", "b.S.b", ".....", "a.b.a"),
  max_steps: int = 16,
) -> Environment:
  """Objects of several kinds lie on a grid; a task says what each is worth.

  Moving onto an object collects it: the features phi of the arrival count what
  was collected by kind, and the reward is phi . task. The task is drawn for an
  episode and seen; nothing else is left to chance. An episode terminates with
  the last object and times out after `max_steps`.

  The observation is `{'state' [rows, columns, 1 + F], 'task' [F], 'features'
  [F]}`: where one is and what lies where, the task, and phi of this arrival.

  Barreto et al. (2017), https://arxiv.org/abs/1606.05312

  Args:
    tasks: what an episode's task is drawn from, each a number per kind.
    layout: rows of equal length; a letter is an object, kinds in alphabetical
      order, 'S' is the start and '.' is nothing.
    max_steps: transitions in the longest episode, at least 1.

  Returns:
    The environment, with actions up, right, down, left; off the grid nothing
    moves.

  Raises:
    ValueError: if the layout is none, a task has another length than there are
      kinds, or max_steps is not positive.
  """
  start, laid_out = _parse(layout)
  rows, columns, kinds = laid_out.shape
  if not tasks or any(len(task) != kinds for task in tasks):
    raise ValueError(
      f"collect_objects.tasks must be vectors of {kinds} numbers, one for each "
      f"kind in the layout, got {tasks}"
    )
  if max_steps < 1:
    raise ValueError(f"collect_objects.max_steps must be >= 1, got {max_steps}")
  vectors = np.asarray(tasks, np.float32)

  def observe(state: CollectState, features: Array):
    here = jnp.zeros((rows, columns, 1)).at[tuple(state.place)].set(1.0)
    planes = jnp.concatenate([here, state.objects], axis=-1)
    return {"state": planes, "task": state.task, "features": features}

  def reset(key):
    task = jax.random.choice(key, jnp.asarray(vectors))
    state = CollectState(
      jnp.asarray(start), jnp.asarray(laid_out), task, jnp.int32(0)
    )
    return state, restart(observe(state, jnp.zeros(kinds)))

  def step(key, state, action):
    del key
    end = jnp.array([rows - 1, columns - 1])
    place = jnp.clip(state.place + jnp.array(_MOVES)[action], 0, end)
    features = state.objects[tuple(place)]
    objects = state.objects.at[tuple(place)].set(0.0)
    state = CollectState(place, objects, state.task, state.time + 1)
    return state, transition(
      observe(state, features),
      jnp.sum(features * state.task),
      ~jnp.any(objects > 0.0),
      state.time >= max_steps,
    )

  spec = EnvironmentSpec(
    name="collect_objects",
    observation={
      "state": jax.ShapeDtypeStruct((rows, columns, 1 + kinds), jnp.float32),
      "task": jax.ShapeDtypeStruct((kinds,), jnp.float32),
      "features": jax.ShapeDtypeStruct((kinds,), jnp.float32),
    },
    action=jax.ShapeDtypeStruct((), jnp.int32),
    actions=DiscreteActions(len(_MOVES)),
  )
  return Environment(reset, step, spec, render=_render)


# The kinds, in colours that the colour-blind tell apart.
_COLOURS = np.array(
  [
    [238, 119, 51],
    [0, 119, 187],
    [51, 187, 238],
    [238, 51, 119],
    [0, 153, 136],
  ],
  np.uint8,
)
_CELL = 16  # pixels


def _render(state: CollectState) -> np.ndarray:
  """Draws the grid: objects by kind, and a black square where one is."""
  objects = np.asarray(state.objects)
  rows, columns, kinds = objects.shape
  picture = np.full((rows * _CELL + 1, columns * _CELL + 1, 3), 255, np.uint8)
  picture[::_CELL] = picture[:, ::_CELL] = 200

  def fill(row, column, margin, colour):
    top, left = row * _CELL + margin, column * _CELL + margin
    size = _CELL + 1 - 2 * margin
    picture[top : top + size, left : left + size] = colour

  for kind in range(kinds):
    for row, column in np.argwhere(objects[..., kind] > 0):
      fill(row, column, 3, _COLOURS[kind % len(_COLOURS)])
  fill(*np.asarray(state.place), 5, 0)
  return picture


def _parse(layout: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
  """Reads the start, `[2]`, and what lies where, `[rows, columns, F]`."""
  cells = [list(row) for row in layout]
  kinds = sorted({cell for row in cells for cell in row} - set("S."))
  starts = [
    (i, j)
    for i, row in enumerate(cells)
    for j, cell in enumerate(row)
    if cell == "S"
  ]
  if len({len(row) for row in cells}) != 1 or len(starts) != 1 or not kinds:
    raise ValueError(
      "collect_objects.layout must be rows of equal length with one 'S' and at "
      f"least one object, got {list(layout)}"
    )
  objects = [
    [[cell == kind for kind in kinds] for cell in row] for row in cells
  ]
  return np.array(starts[0], np.int32), np.array(objects, np.float32)
