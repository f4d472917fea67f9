"""Rollouts are prepared once, of what the actor recorded."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from neurorl import training
from neurorl.ops import episodes, returns
from tests import small


def _first_rollout(*bindings, file="ppo.gin"):
  """The buffer after one iteration whose learning changes nothing."""
  experiment = small.load(file, *bindings).call()
  program = training.build(experiment)
  state = program.init(jax.random.key(0))
  after, output = jax.jit(program.run_chunk)(state, 1, True)
  return after.buffer.steps, experiment, output


def test_returns_and_advantages_are_of_recorded_values():
  steps, experiment, _ = _first_rollout(
    "train.environment = @probe()\nprobe.kind = 'timeout_is_not_death'",
    "losses.prepare = {'return': @lambda_returns(), 'advantage': @advantages(),"
    " 'value_copy': @copy/recorded()}\ncopy/recorded.name = 'value'\n"
    "regression.target = @sum/sum_of()\n"
    "sum/sum_of.sources = [@recorded(), @kept/recorded()]\n"
    "kept/recorded.name = 'value_copy'",
  )
  assert set(steps.extras) == {"return", "advantage", "log_prob", "value_copy"}
  timestep = steps.timestep
  # The last value is only known by what it did to the returns.
  value = np.asarray(steps.extras["value_copy"])
  discount = episodes.discounts(timestep, experiment.discount)
  traces = episodes.traces(timestep, 0.95)
  found = np.asarray(steps.extras["return"])
  length = len(found) - 1
  wanted = returns.lambda_returns(
    timestep.reward[1:][: length - 1],
    discount[: length - 1],
    jnp.asarray(value[1:length]),
    # The one before the last looks at the last return alone.
    traces[: length - 1],
  )
  inner = np.asarray(timestep.last[1:length]).any(axis=0)
  rows = np.argmax(np.asarray(timestep.last[1:length]), axis=0)
  assert inner.any()
  for b in np.flatnonzero(inner):
    t = rows[b] + 1
    np.testing.assert_allclose(found[:t, b], wanted[:t, b], rtol=1e-4)
  np.testing.assert_allclose(
    steps.extras["advantage"][:-1], (found - value)[:-1], rtol=1e-4, atol=1e-5
  )


@pytest.mark.parametrize("chunk_length", [None, 4, 1])
def test_in_the_first_update_every_ratio_is_one(chunk_length):
  bindings = [
    "rollout.epochs = 1\nrollout.num_minibatches = 1",
    f"rollout.chunk_length = {chunk_length}",
  ]
  _, _, output = _first_rollout(*bindings, file="recurrent_ppo.gin")
  assert int(output.updates) == 1
  assert abs(float(output.metrics["policy/divergence"])) < 1e-6
  assert float(output.metrics["policy/clipped"]) == 0.0


def test_an_update_that_is_skipped_changes_nothing():
  experiment = small.load(
    "ppo.gin", "clipped_surrogate.kl_limit = 1e-12"
  ).call()
  program = training.build(experiment)
  start = program.init(jax.random.key(0))
  after, output = jax.jit(program.run_chunk)(start, 3, True)
  # The first of every rollout is on-policy or nearly so; the rest have moved.
  assert float(output.metrics["proceeds"]) < 0.9
  free = training.build(small.load("ppo.gin").call())
  moved, _ = jax.jit(free.run_chunk)(start, 3, True)
  distance = [
    float(
      sum(
        jnp.abs(a - b).sum()
        for a, b in zip(
          jax.tree.leaves(x.learning.params),
          jax.tree.leaves(start.learning.params),
          strict=True,
        )
      )
    )
    for x in (after, moved)
  ]
  assert distance[0] < 0.7 * distance[1]


def test_preparing_needs_rollouts():
  experiment = small.load("ppo.gin").call()
  replay = small.load("dqn.gin").call().buffer
  with pytest.raises(ValueError, match=r"bind train\.buffer = @rollout\(\)"):
    training.build(dataclasses.replace(experiment, buffer=replay))


def test_what_is_not_recorded_cannot_be_prepared_of():
  with pytest.raises(ValueError, match=r"prepare\['return'\]: .*head 'valu'"):
    training.build(small.load("ppo.gin", "target_value.head = 'valu'").call())
  with pytest.raises(ValueError, match="has recorded 'value' already"):
    training.build(
      small.load(
        "ppo.gin",
        "losses.prepare = {'return': @lambda_returns(), 'value': "
        "@advantages(), 'advantage': @advantages()}",
      ).call()
    )
