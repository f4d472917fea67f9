"""Real-valued actions where the best one and its value are known."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from neurorl import config, training
from neurorl.types import (
  ContinuousActions,
  Environment,
  EnvironmentSpec,
  TimeStep,
)
from tests import small

LEARN = """
train.unroll_length = 4
TOTAL_STEPS = 24_000
LEARNING_RATE = 3e-3
uniform_replay:
  capacity = 4_000
  min_size = 320
  batch_size = 64
  updates_per_add = 2
polyak.step_size = 0.02
scaled.factor = 1.0
train.discount = 0.5
"""
GAMMA = 0.5


def _reaching():
  """Two actions, each to be twice what is shown; then the episode terminates.

  The first is rewarded by 1 - (action - 2 shown)^2, the second by twice that.
  """

  def see(shown, step, reward):
    return TimeStep(
      observation=jnp.stack([shown, step.astype(jnp.float32)]),
      reward=jnp.float32(reward),
      discount=jnp.where(step == 2, 0.0, 1.0),
      first=step == 0,
      last=step == 2,
    )

  def reset(key):
    shown = jax.random.uniform(key, (), minval=-0.8, maxval=0.8)
    return (shown, jnp.int32(0)), see(shown, jnp.int32(0), 0.0)

  def step(key, state, action):
    shown, count = state
    far = 2.0 * shown - action[0]
    reward = (count + 1.0) * (1.0 - jnp.square(far))
    new_shown = jax.random.uniform(key, (), minval=-0.8, maxval=0.8)
    return (new_shown, count + 1), see(new_shown, count + 1, reward)

  spec = EnvironmentSpec(
    "reaching",
    jax.ShapeDtypeStruct((2,), jnp.float32),
    jax.ShapeDtypeStruct((1,), jnp.float32),
    ContinuousActions(np.array([-2.0]), np.array([2.0])),
  )
  return Environment(reset, step, spec)


@pytest.mark.parametrize("file", ["sac.gin", "td3.gin"])
def test_reaches_what_is_shown_and_knows_its_worth(file, optimised):
  """On average over four seeds, as one may end a little beside the mark."""
  sizes = small.sizes(file).replace("(16,)", "(64,)")
  base = config.load([file], [sizes, LEARN]).call()
  experiment = dataclasses.replace(base, environment=_reaching())
  program = training.build(experiment)
  agent = program.agent
  shown = jnp.linspace(-0.7, 0.7, 5)

  def train(key):
    warm_up = program.warm_up_iterations
    state, _ = program.run_chunk(program.init(key), warm_up, False)
    rest = experiment.iterations - warm_up
    return program.run_chunk(state, rest, True)[0].learning.params["agent"]

  def ask(params, count):
    timestep = TimeStep(
      observation=jnp.stack([shown, jnp.full(5, float(count))], axis=-1),
      reward=jnp.zeros(5),
      discount=jnp.ones(5),
      first=jnp.full(5, count == 0),
      last=jnp.zeros(5, bool),
    )
    key, state = jax.random.key(0), agent.initial_state(params, 5)
    outputs, _ = agent.step(params, key, timestep, state, "evaluating")
    action = outputs["policy"]["mean"]
    found = agent.evaluate_action(
      params, key, outputs["embedding"], action, "evaluating"
    )
    return action[:, 0], found["q"]["mean"]

  params = jax.jit(jax.vmap(train))(jax.random.split(jax.random.key(100), 4))
  for count, value in [(0, 1.0 + GAMMA * 2.0), (1, 2.0)]:
    action, worth = jax.vmap(ask, (0, None))(params, count)
    off = np.abs(action - 2.0 * shown).mean(axis=0)
    np.testing.assert_array_less(off, 0.2)
    np.testing.assert_array_less(np.abs(worth - value).mean(axis=0), 0.2)
