import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from neurorl.actors import epsilon_greedy, greedy, log_spaced
from neurorl.ops.schedules import linear_schedule
from neurorl.types import (
  Agent,
  ContinuousActions,
  DiscreteActions,
  Environment,
  EnvironmentSpec,
  Progress,
  Task,
  TimeStep,
)

NUM_ACTIONS = 4
DISCRETE = EnvironmentSpec(
  "Toy",
  jax.ShapeDtypeStruct((), jnp.int32),
  jax.ShapeDtypeStruct((), jnp.int32),
  DiscreteActions(NUM_ACTIONS),
)
CONTINUOUS = EnvironmentSpec(
  "Pendulum-v1",
  jax.ShapeDtypeStruct((3,), jnp.float32),
  jax.ShapeDtypeStruct((1,), jnp.float32),
  ContinuousActions(np.array([-2.0]), np.array([2.0])),
)


def agent(heads=("q",), modes=None):
  """Values whose best action is the observation; the state counts steps."""

  def step(params, key, timestep, state, mode):
    if modes is not None:
      modes.append(mode)
    q = params * jax.nn.one_hot(timestep.observation, NUM_ACTIONS)
    return {"embedding": q, **{h: {"mean": q} for h in heads}}, state + 1

  return Agent(None, None, step, None)


TOY = agent()


def task(spec):
  return Task(Environment(None, None, spec), 0.9)


def act(
  recipe, batch=4000, fraction=0.0, seed=0, agent=TOY, state=None, env_state=()
):
  actor = recipe(agent, task(DISCRETE))
  observation = jnp.arange(batch) % NUM_ACTIONS
  zeros = jnp.zeros(batch)
  timestep = TimeStep(observation, zeros, zeros, zeros > 0, zeros > 0)
  if state is None:
    state = actor.init(jax.random.key(1), batch)
  progress = Progress(jnp.float32(fraction), jnp.int32(0))
  agent_state = jnp.zeros(batch, jnp.int32)
  output = actor.step(
    jnp.float32(2.0),
    jax.random.split(jax.random.key(seed)),
    timestep,
    env_state,
    agent_state,
    state,
    progress,
  )
  return output, np.asarray(observation)


@pytest.mark.parametrize("recipe", [epsilon_greedy(0.0), greedy()])
def test_the_best_action_is_taken(recipe):
  output, best = act(recipe)
  np.testing.assert_array_equal(output.action, best)
  assert output.action.dtype == jnp.int32
  np.testing.assert_allclose(output.extras["q"], 2 * np.eye(4)[best])
  np.testing.assert_array_equal(output.extras["probabilities"], np.eye(4)[best])
  np.testing.assert_array_equal(output.agent_state, np.ones(best.size))


@pytest.mark.parametrize("epsilon", [1.0, 0.6])
def test_other_actions_are_uniform(epsilon):
  output, best = act(epsilon_greedy(epsilon))
  # With probability epsilon any, the best one included.
  for action in range(NUM_ACTIONS):
    chosen = np.asarray(output.action)[best == action]
    found = np.bincount(chosen, minlength=NUM_ACTIONS) / chosen.size
    wanted = np.full(NUM_ACTIONS, epsilon / NUM_ACTIONS)
    wanted[action] += 1 - epsilon
    np.testing.assert_allclose(found, wanted, atol=0.06)
    said = np.asarray(output.extras["probabilities"])[best == action]
    np.testing.assert_allclose(said - wanted, 0.0, atol=1e-6)


@pytest.mark.parametrize("recipe", [epsilon_greedy(0.6), greedy()])
def test_invalid_actions_are_not_taken(recipe, monkeypatch):
  environment = Environment(None, None, DISCRETE)._replace(
    invalid_actions=lambda state: jnp.arange(NUM_ACTIONS) == state
  )
  masked = Task(environment, 0.9)
  monkeypatch.setattr(sys.modules[__name__], "task", lambda spec: masked)
  # In each environment the best action is the one that is not allowed.
  output, best = act(recipe, env_state=jnp.arange(4000) % NUM_ACTIONS)
  assert (np.asarray(output.action) != best).all()
  said = np.asarray(output.extras["probabilities"])
  np.testing.assert_array_equal(said[np.arange(best.size), best], 0.0)
  np.testing.assert_allclose(said.sum(axis=-1), 1.0, rtol=1e-6)


def test_whether_and_what_are_drawn_apart():
  output, best = act(epsilon_greedy(0.5), batch=20_000)
  others = np.asarray(output.action)[output.action != best]
  found = np.bincount(others, minlength=NUM_ACTIONS) / others.size
  np.testing.assert_allclose(found, 1 / NUM_ACTIONS, atol=0.03)


def test_a_schedule_follows_progress():
  recipe = epsilon_greedy(linear_schedule(1.0, 0.0))
  for fraction in (0.0, 0.5, 1.0):
    output, best = act(recipe, fraction=fraction)
    found = (np.asarray(output.action) != best).mean()
    np.testing.assert_allclose(found, 0.75 * (1 - fraction), atol=0.03)


@pytest.mark.parametrize("base, exponent, num_envs", [(0.4, 7, 8), (0.9, 1, 2)])
def test_log_spaced_is_the_papers(base, exponent, num_envs):
  wanted = [
    base ** (1 + exponent * i / (num_envs - 1)) for i in range(num_envs)
  ]
  found = log_spaced(base, exponent).values(num_envs)
  np.testing.assert_allclose(found, wanted, rtol=1e-4)


def test_log_spaced_for_one_environment():
  np.testing.assert_allclose(log_spaced(0.4, 7.0).values(1), [0.4])


def test_each_environment_keeps_its_epsilon_for_life():
  recipe = epsilon_greedy(log_spaced(0.99, 500.0))
  state = recipe(agent(), task(DISCRETE)).init(jax.random.key(0), 8)
  np.testing.assert_allclose(state, log_spaced(0.99, 500.0).values(8))
  random = np.zeros(8)
  for seed in range(100):
    output, best = act(
      recipe, batch=8, seed=seed, fraction=seed / 100, state=state
    )
    np.testing.assert_array_equal(output.actor_state, state)
    state = output.actor_state
    random += np.asarray(output.action) != best
  np.testing.assert_allclose(random / 100, 0.75 * np.asarray(state), atol=0.15)
  assert random[0] > 50 and random[-1] < 10


@pytest.mark.parametrize(
  "recipe, mode", [(epsilon_greedy(0.1), "acting"), (greedy(), "evaluating")]
)
def test_the_agent_is_told_why_it_is_called(recipe, mode):
  modes = []
  act(recipe, agent=agent(modes=modes))
  assert modes == [mode]


@pytest.mark.parametrize("make", [lambda h: epsilon_greedy(0.1, h), greedy])
def test_heads_are_named(make):
  output, best = act(make("value"), agent=agent(heads=("q", "value")))
  assert (np.asarray(output.action) == best).mean() > 0.8
  with pytest.raises(ValueError, match="reads head 'qq'"):
    act(make("qq"))


@pytest.mark.parametrize("recipe", [epsilon_greedy(0.1), greedy()])
def test_continuous_actions_are_refused(recipe):
  with pytest.raises(ValueError, match=r"Pendulum-v1 has continuous\[1\]"):
    recipe(agent(), task(CONTINUOUS))


@pytest.mark.parametrize("epsilon", [-0.1, 1.1, 2])
def test_epsilon_is_a_probability(epsilon):
  with pytest.raises(ValueError, match=f"in \\[0, 1\\], got {epsilon}"):
    epsilon_greedy(epsilon)


@pytest.mark.parametrize("base, exponent", [(0.0, 7), (1.0, 7), (0.4, -1)])
def test_log_spaced_refuses(base, exponent):
  with pytest.raises(ValueError, match=f"got base {base}, exponent {exponent}"):
    log_spaced(base, exponent)
