"""Environments by Python path: gymnax's interface, and dm_env's timesteps."""

import dataclasses
import types
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from neurorl import environments
from neurorl.types import ContinuousActions, DiscreteActions
from tests.environments import library_cases

HERE = "tests.environments.test_own_interfaces"


@dataclasses.dataclass(frozen=True)
class Params:
  max_steps: int = 4


class OldWalk:
  """A walk to `goal` with gymnax's interface of before 1.0."""

  default_params = Params()

  def __init__(self, goal=3):
    self.goal = goal

  def action_space(self, params):
    return types.SimpleNamespace(n=2)

  def reset_env(self, key, params):
    return jnp.zeros(2), (jnp.int32(0), jnp.int32(0))

  def step_env(self, key, state, action, params):
    place, time = state[0] + action, state[1] + 1
    done = (place >= self.goal) | (time >= params.max_steps)
    return jnp.stack([place, time]), (place, time), 2.0 * action, done, {}


class Walk(OldWalk):
  """The same, with its clock apart."""

  def step_env(self, key, state, action, params):
    seen, state, reward, _, info = super().step_env(key, state, action, params)
    return seen, state, reward, state[0] >= self.goal, info

  def is_truncated(self, state, params):
    return state[1] >= params.max_steps


class Timestep(NamedTuple):
  observation: jax.Array
  reward: jax.Array
  discount: jax.Array
  step_type: jax.Array


class TimestepWalk:
  """The same walk with dm_env's timesteps beside its state."""

  def __init__(self, goal=3, keyed=False):
    self.action_spec = types.SimpleNamespace(num_values=2)
    self._goal = goal

  def _timestep(self, state, reward, step_type):
    discount = jnp.where(state[0] >= self._goal, 0.0, 1.0)
    return Timestep(jnp.stack(state), reward, discount, step_type)

  def reset(self, key):
    state = (jnp.int32(0), jnp.int32(0))
    return state, self._timestep(state, 0.0, 0)

  def step(self, state, action):
    state = (state[0] + action, state[1] + 1)
    ended = (state[0] >= self._goal) | (state[1] >= 4)
    return state, self._timestep(state, 2 * action, jnp.where(ended, 2, 1))


class Dice:
  """A state that is the timestep too, and steps that need a key."""

  def action_spec(self):
    return types.SimpleNamespace(
      minimum=-1.0, maximum=2.0, shape=(3,), dtype=np.float32
    )

  def reset(self, key):
    return Timestep(jnp.int32(0), 0.0, 1.0, 0)

  def step(self, state, action, key):
    thrown = jax.random.randint(key, (), 1, 7)
    return Timestep(thrown, action.sum(), 1.0, 1)


def walks():
  return {
    "gymnax_like": environments.gymnax_like(f"{HERE}.Walk"),
    "dm_env_like": environments.dm_env_like(f"{HERE}.TimestepWalk"),
  }


@pytest.mark.parametrize("kind", ["gymnax_like", "dm_env_like"])
def test_an_end_and_a_time_out_by_hand(kind):
  walk = walks()[kind]
  assert walk.spec.actions == DiscreteActions(2)
  there, _ = library_cases.play(walk, [1, 1, 1, 0])
  np.testing.assert_array_equal(there.last[:4], [0, 0, 0, 1])
  np.testing.assert_array_equal(there.discount[:4], [1, 1, 1, 0])
  np.testing.assert_array_equal(there.reward[:4], [0, 2, 2, 2])
  # No reset: the walk goes on from where it ended.
  np.testing.assert_array_equal(there.observation[-1], [3, 4])
  late, _ = library_cases.play(walk, [1, 0, 0, 1])
  np.testing.assert_array_equal(late.last, [0, 0, 0, 0, 1])
  np.testing.assert_array_equal(late.discount, 1.0)
  both, _ = library_cases.play(walk, [0, 1, 1, 1])
  np.testing.assert_array_equal(both.discount, [1, 1, 1, 1, 0])


@pytest.mark.parametrize("kind", ["gymnax_like", "dm_env_like"])
def test_they_keep_the_contract(kind):
  library_cases.check_shapes(walks()[kind])
  timesteps = library_cases.check_batch(walks()[kind], 30)
  assert {*timesteps.discount[timesteps.last]} == {0.0, 1.0}


def test_without_is_truncated_every_end_is_a_termination():
  walk = environments.gymnax_like(f"{HERE}.OldWalk", {"max_steps": 2})
  timesteps, _ = library_cases.play(walk, [0, 0])
  np.testing.assert_array_equal(timesteps.last, [0, 0, 1])
  np.testing.assert_array_equal(timesteps.discount, [1, 1, 0])


def test_arguments_reach_them():
  for kind, name in [("gymnax_like", "Walk"), ("dm_env_like", "TimestepWalk")]:
    make = getattr(environments, kind)
    near = make(f"{HERE}.{name}", arguments={"goal": 1})
    timesteps, _ = library_cases.play(near, [1])
    assert timesteps.last[1] and timesteps.discount[1] == 0.0


def test_a_timestep_may_be_the_state_and_a_step_may_take_a_key():
  dice = environments.dm_env_like(f"{HERE}.Dice")
  assert isinstance(dice.spec.actions, ContinuousActions)
  np.testing.assert_array_equal(dice.spec.actions.high, [2.0] * 3)
  timesteps, _ = library_cases.play(dice, [[1.0, 0.5, 0.0]] * 20)
  assert len({*timesteps.observation[1:].tolist()}) > 2
  np.testing.assert_array_equal(timesteps.reward[1:], 1.5)
  assert not timesteps.last.any()


def test_what_gymnax_has_is_so_made_too():
  plain = environments.gymnax("CartPole-v1")
  path = "gymnax.environments.classic_control.cartpole.CartPole"
  other = environments.gymnax_like(path)
  for one, same in zip(
    jax.tree.leaves(library_cases.play(plain, [1] * 12)[0]),
    jax.tree.leaves(library_cases.play(other, [1] * 12)[0]),
    strict=True,
  ):
    np.testing.assert_array_equal(one, same)


@pytest.mark.parametrize(
  "path, message",
  [
    ("Walk", "'Walk' must be a module and a name"),
    ("nowhere.Walk", "no module 'nowhere'"),
    (f"{HERE}.Wolk", "has no Wolk; did you mean 'Walk'"),
    (f"{HERE}.Params", "has no (reset_env|reset)"),
  ],
)
@pytest.mark.parametrize("kind", ["gymnax_like", "dm_env_like"])
def test_a_bad_path_is_told(kind, path, message):
  with pytest.raises(ValueError, match=rf"{kind}.path.*{message}"):
    getattr(environments, kind)(path)


def test_bad_arguments_and_spaces_are_told(monkeypatch):
  with pytest.raises(ValueError, match=r"gymnax_like\.arguments .*'goals'"):
    environments.gymnax_like(f"{HERE}.Walk", arguments={"goals": 1})
  with pytest.raises(ValueError, match="has no parameter 'max_step'"):
    environments.gymnax_like(f"{HERE}.Walk", {"max_step": 1})
  several = types.SimpleNamespace(
    num_values=np.array([2, 3]),
    minimum=0,
    maximum=2,
    shape=(2,),
    dtype=np.int32,
  )
  monkeypatch.setattr(Dice, "action_spec", lambda self: several)
  with pytest.raises(ValueError, match="cannot handle actions"):
    environments.dm_env_like(f"{HERE}.Dice")
