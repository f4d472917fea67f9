"""pgx: our moves, those of the others, and whose reward it is."""

import dataclasses
import sys
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from neurorl import environments
from tests.environments import library_cases


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class State:
  """Two take 1 or 2 from a heap of 5; who takes the last one wins."""

  current_player: jax.Array
  heap: jax.Array
  rewards: jax.Array
  terminated: jax.Array
  truncated: jax.Array
  legal_action_mask: jax.Array


class Heap:
  num_players = 2
  num_actions = 2

  def init(self, key):
    player = jax.random.bernoulli(key).astype(jnp.int32)
    return State(
      player, jnp.int32(5), jnp.zeros(2), False, False, jnp.ones(2, bool)
    )

  def step(self, state, action, key):
    heap = jnp.maximum(state.heap - action - 1, 0)
    won = heap == 0
    mine = jnp.arange(2) == state.current_player
    return State(
      1 - state.current_player,
      heap,
      jnp.where(won, jnp.where(mine, 1.0, -1.0), 0.0),
      won,
      jnp.bool_(False),
      jnp.arange(2) < jnp.where(won, 2, heap),
    )

  def observe(self, state, player):
    return jnp.stack([state.heap, player == state.current_player])


def take_one(key, state):
  del key, state
  return jnp.int32(0)


@pytest.fixture
def library(monkeypatch):
  module = types.ModuleType("pgx")
  module.available_envs = lambda: ("heap",)
  module.make = lambda name: Heap()
  monkeypatch.setitem(sys.modules, "pgx", module)


def _start_with(environment, heap):
  """A seed by which the first step shows this heap."""
  for seed in range(20):
    _, timestep = environment.reset(jax.random.key(seed))
    if int(timestep.observation[0]) == heap:
      return seed
  raise AssertionError("never")


def test_a_step_is_our_move_and_theirs(library):
  environment = environments.pgx("heap", opponent=take_one)
  # We begin: 5 -2 -1 -2 = 0, and have won before they move.
  seed = _start_with(environment, 5)
  timesteps, _ = library_cases.play(environment, [1, 1], seed)
  np.testing.assert_array_equal(timesteps.observation[:, 0], [5, 2, 0])
  np.testing.assert_array_equal(timesteps.observation[:2, 1], [1, 1])
  np.testing.assert_array_equal(timesteps.reward, [0, 0, 1])
  np.testing.assert_array_equal(timesteps.last, [0, 0, 1])
  np.testing.assert_array_equal(timesteps.discount, [1, 1, 0])
  # They begin: 4 -1 -1 = 2 -1 -1 = 0, theirs.
  seed = _start_with(environment, 4)
  timesteps, _ = library_cases.play(environment, [0, 0], seed)
  np.testing.assert_array_equal(timesteps.observation[:, 0], [4, 2, 0])
  np.testing.assert_array_equal(timesteps.reward, [0, 0, -1])
  np.testing.assert_array_equal(timesteps.discount, [1, 1, 0])


def test_who_begins_is_drawn(library):
  environment = environments.pgx("heap", opponent=take_one)
  keys = jax.random.split(jax.random.key(0), 1000)
  _, timestep = jax.vmap(environment.reset)(keys)
  ours = np.asarray(timestep.observation[:, 0]) == 5
  assert abs(ours.mean() - 0.5) < 0.06


def test_illegal_actions_are_known(library):
  environment = environments.pgx("heap", opponent=take_one)
  seed = _start_with(environment, 5)
  # 5 -2 -1 = 2: both legal; 4 -1 -1 = 2 -... only one is left after 1 and 1.
  _, state = library_cases.play(environment, [1], seed)
  np.testing.assert_array_equal(environment.invalid_actions(state), [0, 0])
  _, state = library_cases.play(environment, [0, 0], seed)
  np.testing.assert_array_equal(environment.invalid_actions(state), [0, 1])
  assert environments.pgx("heap", mask_illegal=False).invalid_actions is None


def test_an_opponent_by_chance_plays_what_is_legal(library):
  environment = environments.pgx("heap")
  library_cases.check_shapes(environment)
  timesteps = library_cases.check_batch(environment, 40, num_envs=8)
  assert {*timesteps.reward[timesteps.last]} == {-1.0, 1.0}
  np.testing.assert_array_equal(timesteps.discount[timesteps.last], 0.0)


def test_a_missing_library_and_an_unknown_game(library, monkeypatch):
  with pytest.raises(ValueError, match=r"pgx.name = 'heaps': .*mean 'heap'"):
    environments.pgx("heaps")
  monkeypatch.setitem(sys.modules, "pgx", None)
  with pytest.raises(ValueError, match=r"pip install 'neurorl\[pgx\]'"):
    environments.pgx()


def test_tic_tac_toe_itself():
  pytest.importorskip("pgx")
  environment = environments.pgx(
    opponent=lambda key, state: jnp.argmax(state.legal_action_mask)
  )
  library_cases.check_shapes(environment)
  library_cases.check_picture(environment)
  timesteps = library_cases.check_batch(environment, 20)
  assert np.isin(timesteps.reward[timesteps.last], [-1, 0, 1]).all()
  # We begin and take the diagonal; the other takes the first free cell.
  for seed in range(9):
    _, timestep = environment.reset(jax.random.key(seed))
    if not timestep.observation.any():
      break
  timesteps, _ = library_cases.play(environment, [0, 4, 8], seed)
  np.testing.assert_array_equal(timesteps.reward, [0, 0, 0, 1])
  np.testing.assert_array_equal(timesteps.last, [0, 0, 0, 1])
  ours = timesteps.observation[-1][..., 0]
  np.testing.assert_array_equal(ours, np.eye(3, dtype=bool))


def test_a_game_for_one_itself():
  pytest.importorskip("pgx")
  environment = environments.pgx("minatar-freeway")
  assert environment.invalid_actions is None
  library_cases.check_shapes(environment)
