"""XLand-MiniGrid and navix: the end of a task and the clock."""

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
class Timestep:
  """Of both stand-ins: a walk to 3, whose clock stops at 5."""

  state: dict
  observation: jax.Array
  reward: jax.Array
  discount: jax.Array
  step_type: jax.Array

  def replace(self, **changes):
    return dataclasses.replace(self, **changes)


def _timestep(place, time, step_type, discount):
  return Timestep(
    {"place": place, "time": time},
    jnp.stack([place, time]),
    jnp.where(place >= 3, 1.0, 0.0),
    discount,
    step_type,
  )


@dataclasses.dataclass(frozen=True)
class Params:
  max_steps: int = 5


class Grid:
  """What XLand-MiniGrid's environments do."""

  def num_actions(self, params):
    return 2

  def reset(self, params, key):
    return _timestep(jnp.int32(0), jnp.int32(0), jnp.uint8(0), jnp.float32(1.0))

  def step(self, params, timestep, action):
    place = timestep.state["place"] + action
    time = timestep.state["time"] + 1
    there = place >= 3
    late = time == params.max_steps
    step_type = jnp.where(there | late, 2, 1)
    return _timestep(place, time, step_type, jnp.where(there, 0.0, 1.0))

  def render(self, params, timestep):
    return np.zeros((120, 120, 3), np.uint8)


@pytest.fixture
def xland(monkeypatch):
  library = types.ModuleType("xminigrid")
  library.registered_environments = lambda: ("MiniGrid-Walk", "MiniGrid-Run")
  library.make = lambda name: (Grid(), Params())
  monkeypatch.setitem(sys.modules, "xminigrid", library)
  return environments.xland_minigrid("MiniGrid-Walk")


def test_a_goal_terminates_and_the_clock_times_out(xland):
  there, _ = library_cases.play(xland, [1, 0, 1, 1])
  np.testing.assert_array_equal(there.last, [0, 0, 0, 0, 1])
  np.testing.assert_array_equal(there.discount, [1, 1, 1, 1, 0])
  np.testing.assert_array_equal(there.reward, [0, 0, 0, 0, 1])
  np.testing.assert_array_equal(
    there.observation, [[0, 0], [1, 1], [1, 2], [2, 3], [3, 4]]
  )
  late, _ = library_cases.play(xland, [1, 0, 1, 0, 0])
  np.testing.assert_array_equal(late.last, [0, 0, 0, 0, 0, 1])
  np.testing.assert_array_equal(late.discount, 1.0)


def test_the_clock_is_a_parameter(xland):
  soon = environments.xland_minigrid("MiniGrid-Walk", {"max_steps": 2})
  timesteps, _ = library_cases.play(soon, [0, 0])
  np.testing.assert_array_equal(timesteps.last, [0, 0, 1])
  library_cases.check_shapes(soon)
  library_cases.check_batch(soon, 12)


@pytest.mark.parametrize(
  "settings, message",
  [
    ({"name": "MiniGrid-Wald"}, "mean 'MiniGrid-Walk'"),
    ({"parameters": {"steps": 3}}, "MiniGrid-Walk has no parameter 'steps'"),
    ({"benchmark": "trivial-1m"}, "MiniGrid-Walk has no rulesets"),
    ({"num_rulesets": 0}, "num_rulesets must be >= 1, got 0"),
  ],
)
def test_what_xland_minigrid_refuses(xland, settings, message):
  with pytest.raises(ValueError, match=message):
    environments.xland_minigrid(**{"name": "MiniGrid-Walk", **settings})


@pytest.mark.parametrize("name", ["navix", "xland_minigrid"])
def test_a_missing_library_names_its_extra(name, monkeypatch):
  library = {"xland_minigrid": "xminigrid"}.get(name, name)
  monkeypatch.setitem(sys.modules, library, None)
  extra = name.replace("_", "-")
  message = rf"{library} is not installed: pip install 'neurorl\[{extra}\]'"
  with pytest.raises(ValueError, match=message):
    getattr(environments, name)()


def test_xland_minigrid_itself():
  pytest.importorskip("xminigrid")
  parameters = {"max_steps": 3}
  environment = environments.xland_minigrid("MiniGrid-Empty-5x5", parameters)
  library_cases.check_shapes(environment)
  library_cases.check_picture(environment)
  timesteps, _ = library_cases.play(environment, [1, 1, 1])
  np.testing.assert_array_equal(timesteps.last, [0, 0, 0, 1])
  np.testing.assert_array_equal(timesteps.discount, 1.0)
  library_cases.check_batch(environment, 8)
  # Forward, forward, right, forward, forward: from a corner to its opposite.
  far = environments.xland_minigrid("MiniGrid-Empty-5x5")
  timesteps, _ = library_cases.play(far, [0, 0, 1, 0, 0])
  assert timesteps.last[-1] and timesteps.discount[-1] == 0.0
  assert timesteps.reward[-1] > 0.9


def test_rules_are_drawn_from_a_benchmark(tmp_path):
  xminigrid = pytest.importorskip("xminigrid")
  from xminigrid import benchmarks

  _, params = xminigrid.make("XLand-MiniGrid-R1-9x9")
  own = params.ruleset
  several = jax.tree.map(lambda x: jnp.stack([x] * 3), own)
  goals = several.goals if hasattr(several, "goals") else several.goal
  goals = goals.at[:, 1].set(jnp.arange(3, dtype=goals.dtype))
  rulesets = {
    "goals": goals,
    "rules": several.rules,
    "init_tiles": several.init_tiles,
    "num_rules": jnp.ones(3, jnp.int32),
  }
  path = str(tmp_path / "rules")
  benchmarks.save_bz2_pickle(rulesets, path)
  environment = environments.xland_minigrid(
    "XLand-MiniGrid-R1-9x9", benchmark=path, num_rulesets=2
  )
  keys = jax.random.split(jax.random.key(0), 20)
  state, _ = jax.vmap(environment.reset)(keys)
  assert {*np.asarray(state.state.goal_encoding)[:, 1]} == {0, 1}
  library_cases.check_shapes(environment)
  with pytest.raises(ValueError, match="'trivial-2m': no such file"):
    environments.xland_minigrid("XLand-MiniGrid-R1-9x9", benchmark="trivial-2m")


def test_navix_itself():
  pytest.importorskip("navix")
  soon = environments.navix("Navix-Empty-5x5-v0", max_steps=3)
  library_cases.check_shapes(soon)
  library_cases.check_picture(soon)
  # It looks to the right: no-op or turn in the corner, and time runs out.
  timesteps, _ = library_cases.play(soon, [0, 0, 0])
  np.testing.assert_array_equal(timesteps.last, [0, 0, 0, 1])
  np.testing.assert_array_equal(timesteps.discount, 1.0)
  library_cases.check_batch(soon, 8)
  # Forward, forward, right, forward, forward: from a corner to its opposite.
  far = environments.navix("Navix-Empty-5x5-v0")
  timesteps, _ = library_cases.play(far, [2, 2, 1, 2, 2])
  np.testing.assert_array_equal(timesteps.last, [0, 0, 0, 0, 0, 1])
  assert timesteps.discount[-1] == 0.0 and timesteps.reward[-1] == 1.0


@pytest.mark.parametrize(
  "settings, message",
  [
    ({"name": "Navix-Empty-5x5-v1"}, "mean 'Navix-Empty-5x5-v0'"),
    ({"observation": "symbolik"}, "mean 'symbolic'"),
    ({"max_steps": 0}, "max_steps must be >= 1, got 0"),
    ({"arguments": {"penalty": 1.0}}, "navix.arguments of .*'penalty'"),
  ],
)
def test_what_navix_refuses(settings, message):
  pytest.importorskip("navix")
  with pytest.raises(ValueError, match=message):
    environments.navix(**settings)
