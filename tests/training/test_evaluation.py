import jax
import jax.numpy as jnp
import numpy as np
import pytest

from neurorl import environments, training
from neurorl.types import (
  Actor,
  ActorOutput,
  Agent,
  Environment,
  Task,
)

IDLE = Agent(
  None,
  lambda params, batch: jnp.zeros(batch, jnp.int32),
  None,
  None,
  None,
  {},
)


def always(action):
  """An actor that takes one action; its state counts its steps."""

  def build(agent, task):
    del agent, task

    def step(params, key, timestep, env_state, agent_state, state, progress):
      taken = jnp.full(timestep.last.shape, action, jnp.int32)
      return ActorOutput(taken, {}, agent_state + 1, state)

    return Actor(lambda key, num_envs: (), step)

  return build


def evaluate(environment, **settings):
  evaluator = training.evaluator(always(1), **settings)
  run = evaluator.build(Task(environment, 0.9), IDLE)
  return jax.jit(run)((), jax.random.key(0))["evaluation"]


def lasting(lengths):
  """Episodes of random length whose return is their length."""
  inner = environments.probe("timeout_is_not_death")

  def reset(key):
    state, timestep = inner.reset(key)
    length = jax.random.choice(key, jnp.array(lengths))
    return (state, length, jnp.int32(0)), timestep

  def step(key, state, action):
    inner_state, length, time = state
    _, timestep = inner.step(key, inner_state, action)
    over = time + 1 >= length
    timestep = timestep._replace(last=over)
    return (inner_state, length, time + 1), timestep

  return Environment(reset, step, inner.spec)


def test_each_episode_is_counted_once_and_whole():
  report = evaluate(lasting([1, 4, 9]), episodes=300)
  assert report.episode_return.shape == (300,)
  np.testing.assert_array_equal(report.episode_return, report.episode_length)
  counts = np.bincount(report.episode_length, minlength=10)
  assert counts.sum() == counts[[1, 4, 9]].sum() == 300
  # Short episodes are not seen more often than long ones.
  assert counts[[1, 4, 9]].min() > 70
  assert not report.capped.any()


def test_episodes_that_do_not_end_are_cut():
  report = evaluate(lasting([3, 1_000_000]), episodes=100, max_steps=20)
  np.testing.assert_array_equal(
    report.capped, np.asarray(report.episode_length) == 20
  )
  assert 20 < report.capped.sum() < 80


def test_rewards_of_the_right_action():
  report = evaluate(environments.probe("action_matters"), episodes=5)
  np.testing.assert_array_equal(report.episode_return, np.ones(5))
  np.testing.assert_array_equal(report.episode_length, np.ones(5))


@pytest.mark.parametrize(
  "settings", [{"episodes": 0}, {"max_steps": 0}, {"every_steps": -1}]
)
def test_settings_are_checked(settings):
  with pytest.raises(ValueError, match=next(iter(settings))):
    training.evaluator(always(0), **settings)
