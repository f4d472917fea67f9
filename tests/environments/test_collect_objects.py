import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from neurorl import environments
from neurorl.training import contracts

SMALL = ("Sab", "..a")
SQUARE = ("a.b.a", ".....", "b.S.b", ".....", "a.b.a")
UP, RIGHT, DOWN, LEFT = range(4)


def optimum(layout, task, max_steps):
  """The greatest return, by trying all there is, in plain Python."""
  objects = {
    (i, j): cell
    for i, row in enumerate(layout)
    for j, cell in enumerate(row)
    if cell not in "S."
  }
  kinds = sorted(set(objects.values()))
  end = len(layout) - 1, len(layout[0]) - 1

  @functools.cache
  def best(place, left, steps):
    if not left or not steps:
      return 0.0
    returns = []
    for move in [(-1, 0), (0, 1), (1, 0), (0, -1)]:
      to = tuple(
        min(max(x + dx, 0), high)
        for x, dx, high in zip(place, move, end, strict=True)
      )
      reward = task[kinds.index(objects[to])] if to in left else 0.0
      returns.append(reward + best(to, left - {to}, steps - 1))
    return max(returns)

  start = next(
    (i, row.index("S")) for i, row in enumerate(layout) if "S" in row
  )
  return best(start, frozenset(objects), max_steps)


def play(actions, **settings):
  """Timesteps of an episode, stacked."""
  environment = environments.collect_objects(**settings)
  state, timestep = environment.reset(jax.random.key(0))
  timesteps = [timestep]
  for action in actions:
    state, timestep = environment.step(
      jax.random.key(0), state, jnp.int32(action)
    )
    timesteps.append(timestep)
  return jax.tree.map(lambda *xs: np.stack(xs), *timesteps)


def test_an_episode_by_hand():
  seen = play(
    [RIGHT, UP, RIGHT, DOWN], tasks=((2.0, -1.0),), layout=SMALL, max_steps=9
  )
  features = [[0, 0], [1, 0], [0, 0], [0, 1], [1, 0]]
  np.testing.assert_array_equal(seen.observation["features"], features)
  np.testing.assert_array_equal(seen.observation["task"], [[2, -1]] * 5)
  np.testing.assert_array_equal(seen.reward, [0, 2, 0, -1, 2])
  np.testing.assert_array_equal(seen.first, [1, 0, 0, 0, 0])
  np.testing.assert_array_equal(seen.last, [0, 0, 0, 0, 1])
  np.testing.assert_array_equal(seen.discount, [1, 1, 1, 1, 0])
  here, first, second = np.moveaxis(seen.observation["state"], -1, 0)
  np.testing.assert_array_equal(
    [np.argwhere(x)[0] for x in here], [[0, 0], [0, 1], [0, 1], [0, 2], [1, 2]]
  )
  np.testing.assert_array_equal(first.sum(axis=(1, 2)), [2, 1, 1, 1, 0])
  np.testing.assert_array_equal(second.sum(axis=(1, 2)), [1, 1, 1, 0, 0])


def test_time_runs_out_without_a_death_and_the_edge_holds():
  seen = play([LEFT, UP], tasks=((1.0, 1.0),), layout=SMALL, max_steps=2)
  np.testing.assert_array_equal(seen.last, [0, 0, 1])
  np.testing.assert_array_equal(seen.discount, [1, 1, 1])
  np.testing.assert_array_equal(
    seen.observation["state"][0], seen.observation["state"][2]
  )


def test_tasks_are_drawn_evenly_and_kept():
  tasks = ((1.0, 0.0), (0.0, 1.0), (1.0, -1.0))
  environment = environments.collect_objects(tasks)
  keys = jax.random.split(jax.random.key(0), 3000)
  state, timestep = jax.vmap(environment.reset)(keys)
  drawn = timestep.observation["task"]
  for task in tasks:
    share = np.all(np.asarray(drawn) == task, axis=-1).mean()
    assert abs(share - 1 / 3) < 0.05
  step = jax.vmap(environment.step)
  _, after = step(keys, state, jnp.zeros(3000, jnp.int32))
  np.testing.assert_array_equal(after.observation["task"], drawn)


# Four moves to a corner and four from one to the next; by the edge's middle,
# which is two moves from the start and from the corners.
@pytest.mark.parametrize(
  "task, max_steps, expected",
  [
    ((1, 0), 16, 4),
    ((0, 1), 16, 4),
    ((1, 1), 16, 8),
    ((1, 1), 11, 5),
    ((1, -1), 9, 1),  # a corner, then another behind two steps aside
    ((1, -1), 10, 2),
    ((-1, -1), 16, 0),
  ],
)
def test_optima_of_the_default_layout_by_hand(task, max_steps, expected):
  assert optimum(SQUARE, task, max_steps) == expected


def test_playing_well_reaches_the_optimum():
  # To the middle above, and around.
  around = [UP, UP, RIGHT, RIGHT, *[DOWN] * 4, *[LEFT] * 4, *[UP] * 4]
  seen = play(around, tasks=((1.0, 1.0),))
  assert seen.reward.sum() == optimum(SQUARE, (1, 1), 16)
  assert seen.last[-1] and seen.discount[-1] == 0


def test_the_spec_tells_the_truth():
  contracts.check_environment(environments.collect_objects(((1.0, 0.0),)))


@pytest.mark.parametrize(
  "settings, message",
  [
    ({"tasks": ((1.0,),)}, "tasks must be vectors of 2 numbers"),
    ({"tasks": ()}, "tasks must be vectors of 2 numbers"),
    ({"max_steps": 0}, "max_steps must be >= 1, got 0"),
    ({"layout": ("S.", "a")}, "layout must be rows of equal length"),
    ({"layout": ("SS", "ab")}, "with one 'S' and at least one object"),
    ({"layout": ("S.",)}, "with one 'S' and at least one object"),
  ],
)
def test_what_is_refused(settings, message):
  with pytest.raises(ValueError, match=message):
    environments.collect_objects(**{"tasks": ((1.0, 0.0),), **settings})


def test_it_is_drawn():
  environment = environments.collect_objects(((1.0, 1.0),), layout=SMALL)
  state, _ = environment.reset(jax.random.key(0))
  before = environment.render(state)
  state, _ = environment.step(jax.random.key(0), state, jnp.int32(RIGHT))
  after = environment.render(state)
  assert before.shape == after.shape == (33, 49, 3)
  assert before.dtype == np.uint8
  # The middle of each cell: where one is is black, and a is not b.
  middle = before[8::16, 8::16].astype(int).sum(axis=-1)
  assert middle[0, 0] == 0 and middle[1, 0] == 3 * 255
  assert middle[0, 1] == middle[1, 2] != middle[0, 2]
  assert (after[8, 24] == 0).all() and (after[8, 8] == 255).all()
