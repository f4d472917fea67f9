import jax
import jax.numpy as jnp
import numpy as np
import pytest

from neurorl import environments, training
from neurorl.types import Actor, ActorOutput, Agent, Environment, Task

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


def reports(environment, **settings):
  evaluator = training.evaluator(always(1), **settings)
  run = evaluator.build(Task(environment, 0.9), IDLE)
  return jax.jit(run)((), jax.random.key(0))


def evaluate(environment, **settings):
  return reports(environment, **settings)["evaluation"]


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


def choosing():
  """Action 1 brings 3 and the end when taken again; action 0 brings -1.

  Once both have been taken, either brings 100.
  """
  inner = environments.probe("constant_reward")

  def reset(key):
    state, timestep = inner.reset(key)
    return (state, jnp.zeros(2, jnp.int32)), timestep

  def step(key, state, action):
    taken = state[1].at[action].add(1)
    _, timestep = inner.step(key, state[0], action)
    reward = jnp.where(action == 1, jnp.where(taken[1] == 2, 3.0, 0.0), -1.0)
    return (state[0], taken), timestep._replace(
      reward=jnp.where((taken > 0).all(), 100.0, reward),
      last=(taken[1] >= 2) | (taken[0] >= 5),
    )

  return Environment(reset, step, inner.spec)


def alternately(agent, task):
  """An actor that takes 0, then 1, then 0, by its own state."""
  del agent, task

  def step(params, key, timestep, env_state, agent_state, state, progress):
    return ActorOutput(state % 2, {}, agent_state, state + 1)

  return Actor(lambda key, num_envs: jnp.zeros(num_envs, jnp.int32), step)


def test_actors_beside_are_reported_by_name_and_counted_alone():
  found = reports(
    choosing(),
    episodes=4,
    max_steps=4,
    beside={"lazy": always(0), "fickle": alternately},
  )
  # Return, length and whether it was cut, of each of four equal episodes.
  expected = {
    "evaluation": (3.0, 2, False),
    "evaluation/lazy": (-4.0, 4, True),
    "evaluation/fickle": (-1.0 + 3 * 100.0, 4, False),
  }
  assert set(found) == set(expected)
  for name, numbers in expected.items():
    for actual, number in zip(found[name], numbers, strict=True):
      np.testing.assert_array_equal(actual, np.full(4, number), name)


def test_actors_beside_play_episodes_of_their_own_and_change_none():
  settings = {"episodes": 50}
  environment = lasting([1, 4, 9])
  alone = reports(environment, **settings)
  found = reports(environment, **settings, beside={"again": always(1)})
  assert set(alone) == {"evaluation"}
  jax.tree.map(
    np.testing.assert_array_equal, found["evaluation"], alone["evaluation"]
  )
  again = found["evaluation/again"]
  assert (again.episode_length != found["evaluation"].episode_length).any()
  counts = np.bincount(again.episode_length, minlength=10)
  assert counts.sum() == counts[[1, 4, 9]].sum() == 50


def test_names_are_those_of_the_reports():
  evaluator = training.evaluator(always(1), beside={"b": always(0)})
  assert evaluator.names == ("evaluation", "evaluation/b")
  assert training.evaluator(always(1)).names == ("evaluation",)


def test_actors_beside_are_given_the_parameters_and_the_agent():
  def adding(number):
    def build(agent, task):
      def step(params, key, timestep, env_state, agent_state, state, progress):
        assert agent is IDLE and task.discount == 0.9
        action = jnp.full(timestep.last.shape, params + number, jnp.int32)
        return ActorOutput(action, {}, agent_state, state)

      return Actor(lambda key, num_envs: (), step)

    return build

  evaluator = training.evaluator(
    adding(1), episodes=2, beside={"less": adding(0)}
  )
  task = Task(environments.probe("action_matters"), 0.9)
  run = jax.jit(evaluator.build(task, IDLE))
  for params, best, other in [(0, 1.0, -1.0), (-1, -1.0, -3.0)]:
    found = run(jnp.int32(params), jax.random.key(0))
    report, less = found["evaluation"], found["evaluation/less"]
    np.testing.assert_array_equal(report.episode_return, [best, best])
    np.testing.assert_array_equal(less.episode_return, [other, other])


@pytest.mark.parametrize(
  "settings", [{"episodes": 0}, {"max_steps": 0}, {"every_steps": -1}]
)
def test_settings_are_checked(settings):
  with pytest.raises(ValueError, match=next(iter(settings))):
    training.evaluator(always(0), **settings)


def test_what_is_judged_may_differ_from_what_is_trained():
  trained = environments.probe("constant_reward")
  judged = environments.scale_reward(environments.probe("action_matters"), -2.0)
  recipe = training.evaluator(always(1), episodes=3, environment=judged)
  run = recipe.build(Task(trained, 0.9), IDLE)
  report = run((), jax.random.key(0))["evaluation"]
  np.testing.assert_array_equal(report.episode_return, [-2, -2, -2])


def test_what_is_judged_looks_like_what_is_trained():
  trained = environments.probe("constant_reward")
  other = environments.observation_action_reward(trained)
  recipe = training.evaluator(always(1), environment=other)
  with pytest.raises(ValueError, match="environment has observation"):
    recipe.build(Task(trained, 0.9), IDLE)
