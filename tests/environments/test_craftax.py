"""Craftax: deaths and the clock, on a stand-in and on the library."""

import dataclasses
import sys
import types
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from neurorl import environments
from tests.environments import library_cases

CLASSIC = "Craftax-Classic-Symbolic-v1"


class State(NamedTuple):
  timestep: jax.Array
  health: jax.Array


@dataclasses.dataclass(frozen=True)
class Params:
  max_timesteps: int = 5
  damage: int = 1


class StandIn:
  """Loses health by action 1, and folds the clock into `done` as craftax."""

  default_params = Params()

  def action_space(self, params):
    return types.SimpleNamespace(n=2)

  def reset_env(self, key, params):
    state = State(jnp.int32(0), jnp.int32(3))
    return self._observe(state), state

  def step_env(self, key, state, action, params):
    health = state.health - params.damage * action
    state = State(state.timestep + 1, health)
    done = (state.timestep >= params.max_timesteps) | (health <= 0)
    # A weak type and another dtype than at the reset, as in the library.
    observation = self._observe(state).astype(jnp.float16)
    return observation, state, 0.1 * health, done, {"achievement": 0.0}

  def _observe(self, state):
    one_hot = jax.nn.one_hot(state.health, 4)
    return jnp.concatenate([one_hot, state.timestep[None] / 8.0])


def get_map_obs_shape():
  return 2, 2, 1


@pytest.fixture
def stand_in(monkeypatch):
  library = types.ModuleType("craftax.craftax_env")
  library.make_craftax_env_from_name = lambda name, auto_reset: {
    False: StandIn()
  }[auto_reset]
  monkeypatch.setitem(sys.modules, "craftax", types.ModuleType("craftax"))
  monkeypatch.setitem(sys.modules, "craftax.craftax_env", library)
  return environments.craftax(CLASSIC)


def test_death_is_a_termination_and_the_clock_is_none(stand_in):
  dead, _ = library_cases.play(stand_in, [1, 0, 1, 1])
  np.testing.assert_array_equal(dead.last, [0, 0, 0, 0, 1])
  np.testing.assert_array_equal(dead.discount, [1, 1, 1, 1, 0])
  np.testing.assert_allclose(dead.reward, [0, 0.2, 0.2, 0.1, 0.0], atol=1e-6)
  late, _ = library_cases.play(stand_in, [1, 0, 0, 0, 0])
  np.testing.assert_array_equal(late.last, [0, 0, 0, 0, 0, 1])
  np.testing.assert_array_equal(late.discount, 1.0)


def test_death_as_time_runs_out_is_a_termination(stand_in):
  timesteps, _ = library_cases.play(stand_in, [1, 1, 0, 0, 1])
  np.testing.assert_array_equal(timesteps.last, [0, 0, 0, 0, 0, 1])
  assert timesteps.discount[-1] == 0.0


def test_the_final_observation_is_the_true_one_and_nothing_resets(stand_in):
  timesteps, state = library_cases.play(stand_in, [1, 1, 1, 0])
  health = timesteps.observation["map"].reshape(5, 4).argmax(axis=1)
  np.testing.assert_array_equal(health, [3, 2, 1, 0, 0])
  np.testing.assert_array_equal(
    timesteps.observation["status"][:, 0], np.arange(5) / 8
  )
  assert int(state.timestep) == 4


def test_parameters_reach_the_stand_in(stand_in):
  fast = environments.craftax(CLASSIC, {"damage": 3, "max_timesteps": 2})
  timesteps, _ = library_cases.play(fast, [0, 1])
  assert timesteps.discount[-1] == 0.0
  with pytest.raises(
    ValueError, match="'max_steps'; did you mean 'max_timesteps'"
  ):
    environments.craftax(CLASSIC, {"max_steps": 2})


def test_a_vector_is_the_same_in_one_piece(stand_in):
  vector = environments.craftax(CLASSIC, vector=True)
  assert vector.spec.observation == jax.ShapeDtypeStruct((5,), jnp.float32)
  flat, _ = library_cases.play(vector, [1, 0])
  parts, _ = library_cases.play(
    environments.flatten_observation(stand_in), [1, 0]
  )
  np.testing.assert_array_equal(flat.observation, parts.observation)


def test_the_stand_in_keeps_the_contract(stand_in):
  library_cases.check_shapes(stand_in)
  timesteps = library_cases.check_batch(stand_in, 30)
  assert {*timesteps.discount[timesteps.last]} == {0.0, 1.0}


def test_a_missing_library_names_its_extra(monkeypatch):
  monkeypatch.setitem(sys.modules, "craftax", None)
  with pytest.raises(ValueError, match=r"pip install 'neurorl\[craftax\]'"):
    environments.craftax()


def test_an_unknown_name_has_near_ones():
  with pytest.raises(ValueError, match=r"mean .*'Craftax-Classic-Symbolic-v1'"):
    environments.craftax("Craftax-Classic-v1")


@pytest.fixture(scope="module")
def classic():
  pytest.importorskip("craftax")
  return environments.craftax(CLASSIC, {"max_timesteps": 4})


def test_the_library_times_out_and_dies(classic):
  library_cases.check_shapes(classic)
  timesteps, state = library_cases.play(classic, [0] * 4)
  np.testing.assert_array_equal(timesteps.last, [0, 0, 0, 0, 1])
  np.testing.assert_array_equal(timesteps.discount, 1.0)
  step = jax.jit(classic.step)
  starved = state.replace(player_health=jnp.asarray(-5), timestep=0)
  _, timestep = step(jax.random.key(0), starved, jnp.int32(0))
  assert bool(timestep.last) and float(timestep.discount) == 0.0


def test_the_library_sees_what_its_vector_says(classic):
  from craftax import craftax_env

  theirs = craftax_env.make_craftax_env_from_name(CLASSIC, auto_reset=False)
  key = jax.random.key(1)
  vector, _ = theirs.reset_env(key, theirs.default_params)
  _, timestep = jax.jit(environments.flatten_observation(classic).reset)(key)
  np.testing.assert_array_equal(timestep.observation, vector)


def test_the_library_in_a_batch(classic):
  library_cases.check_batch(classic, 9)
