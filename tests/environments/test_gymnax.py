import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from neurorl import environments
from neurorl.types import ContinuousActions, DiscreteActions

# All that gymnax registers, but for MNISTBandit, which downloads its data.
NAMES = (
  "Acrobot-v1",
  "Asterix-MinAtar",
  "BernoulliBandit-misc",
  "Breakout-MinAtar",
  "CartPole-v1",
  "Catch-bsuite",
  "DeepSea-bsuite",
  "DiscountingChain-bsuite",
  "FourRooms-misc",
  "Freeway-MinAtar",
  "FrozenLake-misc",
  "GaussianBandit-misc",
  "MemoryChain-bsuite",
  "MetaMaze-misc",
  "MountainCar-v0",
  "MountainCarContinuous-v0",
  "Pendulum-v1",
  "PointRobot-misc",
  "Pong-misc",
  "Reacher-misc",
  "Seaquest-MinAtar",
  "SimpleBandit-bsuite",
  "SpaceInvaders-MinAtar",
  "Swimmer-misc",
  "UmbrellaChain-bsuite",
)

make = functools.cache(environments.gymnax)

# A pole that never falls: only the clock ends its episodes.
UPRIGHT = {"theta_threshold_radians": 1e9, "x_threshold": 1e9}


def gymnax_make(name):
  environments.gymnax(name)  # imports gymnax without its drawing libraries
  import gymnax

  return gymnax.make(name)


def some_action(environment):
  return jnp.zeros(environment.spec.action.shape, environment.spec.action.dtype)


@functools.partial(jax.jit, static_argnums=0)
def scan(step, state, actions):
  keys = jax.random.split(jax.random.key(1), actions.shape[0])
  return jax.lax.scan(
    lambda state, xs: step(xs[0], state, xs[1]), state, (keys, actions)
  )


def specs(tree):
  return jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), tree)


def test_every_registered_environment_is_in_the_table():
  environments.gymnax("Catch-bsuite")
  import gymnax

  assert {*NAMES, "MNISTBandit-bsuite"} == set(gymnax.registered_envs)


@pytest.mark.parametrize("name", NAMES)
def test_shapes_and_dtypes_are_those_of_the_spec_at_every_step(name):
  environment = make(name)
  spec = environment.spec
  assert spec.name == name
  key, action = jax.random.key(0), some_action(environment)
  state, timestep = jax.eval_shape(environment.reset, key)
  after, arrived = jax.eval_shape(environment.step, key, state, action)
  assert specs(after) == specs(state)
  assert specs(arrived) == specs(timestep)
  assert specs(arrived.observation) == spec.observation
  assert timestep.reward == jax.ShapeDtypeStruct((), jnp.float32)
  assert timestep.discount == jax.ShapeDtypeStruct((), jnp.float32)
  assert timestep.first.dtype == timestep.last.dtype == bool


@pytest.mark.parametrize("name", NAMES)
def test_states_and_timesteps_are_carried_by_a_scan(name):
  environment = environments.batch(make(name))
  action = jnp.stack([some_action(environment)] * 2)

  def program(key):
    carry = environment.reset(jax.random.split(key))

    def step(carry, key):
      return environment.step(jax.random.split(key, (2, 2)), *carry, action), ()

    return jax.lax.scan(step, carry, jax.random.split(key, 3))[0]

  # Tracing is enough: a scan refuses a carry whose type changes.
  state, timestep = jax.eval_shape(program, jax.random.key(0))
  assert timestep.reward.shape == (2,)
  assert all(leaf.shape[0] == 2 for leaf in jax.tree.leaves(state))


def test_reset_begins_an_episode():
  _, timestep = make("CartPole-v1").reset(jax.random.key(0))
  assert bool(timestep.first) and not bool(timestep.last)
  assert float(timestep.reward) == 0.0 and float(timestep.discount) == 1.0


def test_an_episode_times_out_at_the_default_limit():
  environment = environments.gymnax("CartPole-v1", UPRIGHT)
  state, _ = environment.reset(jax.random.key(0))
  actions = jnp.arange(501) % 2
  _, timesteps = scan(environment.step, state, actions)
  # Beyond its end an episode goes on as if nothing had happened: no reset.
  np.testing.assert_array_equal(timesteps.last, [False] * 499 + [True] * 2)
  np.testing.assert_array_equal(timesteps.discount, 1.0)
  np.testing.assert_array_equal(timesteps.first, False)


def test_a_timeout_keeps_its_discount_and_the_true_final_observation():
  environment = environments.gymnax("CartPole-v1", {"max_steps_in_episode": 4})
  theirs, params = gymnax_make("CartPole-v1")
  params = params.replace(max_steps_in_episode=4)
  key = jax.random.key(3)
  state, timestep = environment.reset(key)
  observation, their_state = theirs.reset_env(key, params)
  np.testing.assert_array_equal(timestep.observation, observation)
  step = jax.jit(environment.step)
  for t in range(1, 5):
    # CartPole moves without chance; theirs resets by itself and tells the final
    # observation aside.
    state, timestep = step(key, state, jnp.int32(t % 2))
    shown, their_state, _, terminated, truncated, info = theirs.step(
      key, their_state, t % 2, params
    )
    np.testing.assert_allclose(
      timestep.observation, info["final_observation"], rtol=1e-5, atol=1e-7
    )
    assert bool(timestep.last) == bool(truncated) == (t == 4)
    assert not terminated
    assert float(timestep.discount) == float(timestep.reward) == 1.0
  assert np.abs(shown - timestep.observation).max() > 1e-3


def test_a_step_never_resets():
  environment = environments.gymnax("CartPole-v1", {"max_steps_in_episode": 2})
  state, _ = environment.reset(jax.random.key(0))
  state, timesteps = scan(environment.step, state, jnp.zeros(4, jnp.int32))
  np.testing.assert_array_equal(timesteps.last, [False, True, True, True])
  assert int(state.time) == 4
  # A cart pushed to the left all the time moves to the left all the time.
  assert (np.diff(timesteps.observation[:, 0]) < 0).all()


def test_a_termination_has_no_discount():
  environment = make("CartPole-v1")
  state, _ = environment.reset(jax.random.key(0))
  _, timesteps = scan(environment.step, state, jnp.ones(30, jnp.int32))
  fallen = int(np.argmax(timesteps.last))
  assert 5 < fallen < 20
  np.testing.assert_array_equal(timesteps.discount[:fallen], 1.0)
  assert float(timesteps.discount[fallen]) == 0.0
  assert abs(float(timesteps.observation[fallen, 2])) > 0.209  # twelve degrees
  assert abs(float(timesteps.observation[fallen - 1, 2])) < 0.2095


def test_where_both_flags_are_up_termination_wins():
  theirs, params = gymnax_make("DeepSea-bsuite")
  environment = make("DeepSea-bsuite")
  key = jax.random.key(0)
  state, _ = environment.reset(key)
  their_state = theirs.reset_env(key, params)[1]
  step = jax.jit(environment.step)
  for t in range(1, 9):
    state, timestep = step(key, state, jnp.int32(0))
    _, their_state, _, terminated, truncated, _ = theirs.step(
      key, their_state, 0, params
    )
    assert bool(timestep.last) == (t == 8)
  assert bool(terminated) and bool(truncated)
  assert float(timestep.discount) == 0.0


@pytest.mark.parametrize("name", ["DiscountingChain-bsuite"])
def test_some_environments_only_time_out(name):
  environment = environments.gymnax(name, {"max_steps_in_episode": 3})
  state, _ = environment.reset(jax.random.key(0))
  _, timesteps = scan(environment.step, state, jnp.zeros(3, jnp.int32))
  np.testing.assert_array_equal(timesteps.last, [False, False, True])
  np.testing.assert_array_equal(timesteps.discount, 1.0)


def test_catch_by_hand():
  environment = make("Catch-bsuite")
  state, timestep = environment.reset(jax.random.key(0))
  ball = int(np.argmax(timestep.observation[0]))
  # The paddle starts in the middle of five columns and walks under the ball.
  moves = np.ones(9, np.int32)
  moves[: abs(ball - 2)] += np.sign(ball - 2)
  _, timesteps = scan(environment.step, state, jnp.asarray(moves))
  np.testing.assert_array_equal(timesteps.last, [False] * 8 + [True])
  np.testing.assert_array_equal(timesteps.reward, [0.0] * 8 + [1.0])
  np.testing.assert_array_equal(timesteps.discount, [1.0] * 8 + [0.0])


def test_parameters_reach_the_environment():
  weak, strong = [
    environments.gymnax("CartPole-v1", {"force_mag": force})
    for force in (1.0, 20.0)
  ]
  speeds = []
  for environment in (weak, strong):
    state, _ = environment.reset(jax.random.key(0))
    _, timestep = environment.step(jax.random.key(1), state, jnp.int32(1))
    speeds.append(float(timestep.observation[1]))
  assert speeds[1] > speeds[0] + 0.2


def test_action_spaces():
  spec = make("Pendulum-v1").spec
  assert isinstance(spec.actions, ContinuousActions)
  np.testing.assert_array_equal(spec.actions.low, [-2.0])
  np.testing.assert_array_equal(spec.actions.high, [2.0])
  assert spec.action == jax.ShapeDtypeStruct((1,), jnp.float32)
  spec = make("Catch-bsuite").spec
  assert spec.actions == DiscreteActions(3)
  assert spec.action == jax.ShapeDtypeStruct((), jnp.int32)


def test_an_unknown_environment_names_the_nearest():
  with pytest.raises(ValueError, match=r"'CartPole-v2'.*mean 'CartPole-v1'"):
    environments.gymnax("CartPole-v2")


def test_an_unknown_parameter_names_the_nearest():
  message = "CartPole-v1 has no parameter 'max_steps'.*'max_steps_in_episode'"
  with pytest.raises(ValueError, match=message):
    environments.gymnax("CartPole-v1", {"max_steps": 4})


def test_arguments_reach_the_environment():
  environment = environments.gymnax("DeepSea-bsuite", arguments={"size": 5})
  assert environment.spec.observation.shape == (5, 5)
  message = (
    r"gymnax\.arguments of 'DeepSea-bsuite': .*unexpected keyword.*'sice'"
  )
  with pytest.raises(ValueError, match=message):
    environments.gymnax("DeepSea-bsuite", arguments={"sice": 5})
