"""Successor features learn what is known, and do what was never trained."""

import jax
import numpy as np
import pytest

from neurorl import config, training
from tests import small

# One kind of object on either side.
SETTINGS = """
collect_objects.layout = ('aSb',)
collect_objects.max_steps = 6
UNSEEN_TASKS = ((1.0, 1.0),)
evaluator.episodes = 2
epsilon_greedy.epsilon = 0.5
uniform_replay.updates_per_add = 8
uniform_replay.batch_size = 64
polyak.step_size = 0.02
TOTAL_STEPS = 12_000
SEED = 7
"""
LEFT, RIGHT, STAY = 3, 1, 0


@pytest.mark.parametrize("file", small.SUCCESSORS)
def test_known_features_and_an_unseen_task(file):
  sizes = small.sizes(file).replace("(16,)", "(64,)")
  experiment = config.load([file], [sizes, SETTINGS]).call()
  program = training.build(experiment)
  warm_up = program.warm_up_iterations
  run = jax.jit(program.run_chunk)
  state, _ = run(program.init(jax.random.key(7)), warm_up, False)
  state, _ = run(state, experiment.iterations - warm_up, True)
  params = state.learning.params["agent"]
  _, timestep = experiment.environment.reset(jax.random.key(0))
  outputs, _ = program.agent.step(
    params,
    jax.random.key(0),
    jax.tree.map(lambda x: x[None], timestep),
    program.agent.initial_state(params, 1),
    "evaluating",
  )
  psi = np.asarray(outputs["successor"]["psi"])[0]
  # What a policy is for, it collects: now, a move later, or three moves on.
  for policy, towards, away in [(0, LEFT, RIGHT), (1, RIGHT, LEFT)]:
    np.testing.assert_allclose(
      psi[policy, [towards, STAY, away], policy], [1.0, 0.9, 0.81], atol=0.12
    )
    np.testing.assert_allclose(psi[policy, away, 1 - policy], 1.0, atol=0.25)
  report = jax.jit(program.evaluate)(params, jax.random.key(1))["evaluation"]
  np.testing.assert_array_equal(report.episode_return, 2.0)
  np.testing.assert_array_equal(report.episode_length, 3)
