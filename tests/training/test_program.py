"""The loop: what it counts, and that it is the same every time."""

import csv
import dataclasses
import json
import os

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from neurorl import component, search, training
from neurorl.loss_types import Term, TermOutput
from neurorl.ops import trees
from neurorl.runs import keeping
from neurorl.training import chunks, executables, rows
from neurorl.training import overview as overview_lib
from tests import small

FILES = ("qlearning.gin", "dqn.gin", "muzero.gin")


def _run(experiment, folder):
  folder.mkdir()
  program = training.build(experiment)
  summary = training.run(experiment, program, folder)
  with (folder / "metrics.csv").open() as file:
    return summary, list(csv.DictReader(file))


def _without_timing(rows):
  timing = {"seconds", "steps_per_second"}
  return [{k: v for k, v in row.items() if k not in timing} for row in rows]


@pytest.mark.parametrize(
  "file",
  [
    "qlearning.gin",
    "dqn.gin",
    pytest.param("muzero.gin", marks=pytest.mark.thorough),
  ],
)
def test_same_seed_same_numbers(file, tmp_path):
  experiment = small.load(file).call()
  _, first = _run(experiment, tmp_path / "a")
  _, second = _run(experiment, tmp_path / "b")
  assert _without_timing(first) == _without_timing(second)
  other = dataclasses.replace(experiment, seed=1)
  _, third = _run(other, tmp_path / "c")
  assert _without_timing(first) != _without_timing(third)


def test_rows_and_summary(tmp_path):
  experiment = small.load("qlearning.gin", NUM_SEEDS=2, SEED=5).call()
  summary, rows = _run(experiment, tmp_path / "a")
  # 200 steps are needed: 4 iterations of 40 collect, 26 more learn, in chunks
  # of 10.
  assert [row["seed"] for row in rows] == ["5", "6"] * 4
  assert [int(row["budget_steps"]) for row in rows[::2]] == [
    160,
    560,
    960,
    1200,
  ]
  assert [int(row["updates"]) for row in rows[::2]] == [0, 10, 20, 26]
  assert rows[0]["loss/total"] == "" and float(rows[2]["loss/total"]) >= 0
  assert summary["learner_updates"] == 52
  assert summary["environment_steps"] == sum(
    int(row["environment_steps"]) for row in rows[-2:]
  )
  score = summary["evaluation"]["episode_return"]
  assert set(score) == {"per_seed", "mean", "iqm", "ci95"}
  assert len(score["per_seed"]) == 2
  saved = json.loads((tmp_path / "a" / "summary.json").read_text())
  assert saved == summary
  for name in (
    "environment_steps",
    "learner_updates",
    "seconds",
    "seconds_to_first_update",
    "steps_per_second",
  ):
    assert saved[name] > 0


def test_environment_steps_are_transitions(tmp_path):
  """Catch takes 9 transitions an episode, and a slot for its last step."""
  experiment = small.load("qlearning.gin", TOTAL_STEPS=4_000).call()
  summary, rows = _run(experiment, tmp_path / "a")
  assert summary["budget_steps"] == 4_000
  assert summary["environment_steps"] == 8 * (500 // 10 * 9)
  finished = [row for row in rows if row["training/episode_length"]]
  assert {float(row["training/episode_length"]) for row in finished} == {9.0}
  assert sum(int(row["training/episodes"]) for row in rows) == 400


def test_a_seed_among_others_is_that_seed():
  one = small.load("qlearning.gin", TOTAL_STEPS=4_000).call()
  program = training.build(one)

  def train(key):
    state = program.init(key)
    state, _ = program.run_chunk(state, program.warm_up_iterations, False)
    return program.run_chunk(state, 50, True)[0]

  keys = jnp.stack([jax.random.key(seed) for seed in range(3)])
  together = jax.jit(executables.over_seeds(train, 3))(keys)
  alone = jax.jit(executables.over_seeds(train, 1))(keys[1:2])
  assert int(alone.learning.updates[0]) == 50
  for a, b in zip(
    jax.tree.leaves(together.learning.params),
    jax.tree.leaves(alone.learning.params),
    strict=True,
  ):
    np.testing.assert_allclose(a[1], b[0], atol=1e-4)


def test_a_chunk_that_only_collects_learns_nothing():
  experiment = small.load("qlearning.gin").call()
  program = training.build(experiment)
  start = program.init(jax.random.key(0))
  state, output = jax.jit(program.run_chunk)(start, 20, False)
  assert int(output.updates) == int(state.learning.updates) == 0
  assert int(output.tally.transitions) > 0
  for a, b in zip(
    jax.tree.leaves(start.learning),
    jax.tree.leaves(state.learning),
    strict=True,
  ):
    np.testing.assert_array_equal(a, b)


@component
def drawing() -> Term:
  """A loss term that draws numbers, for the test of keys."""

  def term(inputs):
    noise = jax.random.normal(inputs.key, inputs.mask.shape)
    return TermOutput(noise, noise, {})

  return term


# What is handed a key and draws nothing could be handed any: loss terms, and
# networks, whose layers draw here.
DRAWING = {
  "qlearning.gin": "losses.terms = {'q': @regression(), 'noise': @drawing()}",
  "muzero.gin": "losses.terms = {'policy': @distillation(), 'n': @drawing()}\n"
  "policy_head.linear = @noisy_linear()",
  "alphazero.gin": "policy_head.linear = @noisy_linear()",
  "recurrent_ppo.gin": "policy_head.linear = @noisy_linear()",
  "usfa.gin": "universal_successor_features_head.linear = @noisy_linear()",
}


@component
def telling_a_number() -> Term:
  """A term that tells a number which its key draws, and its square."""

  def term(inputs):
    number = jax.random.uniform(inputs.key)
    zero = 0.0 * inputs.mask
    return TermOutput(zero, zero, {"drawn": number, "squared": number**2})

  return term


def test_every_update_has_a_key_of_its_own():
  experiment = small.load(
    "ppo.gin",
    "losses.terms = {'value': @regression(), 'n': @telling_a_number()}",
    "losses.weights = {}",
  ).call()
  program = training.build(experiment)
  start = program.init(jax.random.key(0))
  _, output = jax.jit(program.run_chunk)(start, 1, True)
  assert output.updates == 4
  # Numbers in [0, 1): their variance is about 1 / 12.
  variance = output.metrics["n/squared"] - output.metrics["n/drawn"] ** 2
  assert variance > 0.02


def _plan_one_step(
  policy, model, heads, params, key, root, num_simulations, mask, **settings
):
  del policy, num_simulations, mask, settings
  step_key, action_key = jax.random.split(key)
  logits = root.outputs[heads.policy]["logits"]
  action = jax.random.categorical(action_key, logits)
  outcome, _ = model.step(params, step_key, action, model.root(root))
  policy = jax.nn.softmax(outcome.logits)
  return search.Plan(action, policy, outcome.value, policy.astype(jnp.int32))


@pytest.mark.parametrize(
  "file",
  [
    "qlearning.gin",
    "dqn.gin",
    "alphazero.gin",
    "muzero.gin",
    "sac.gin",
    "td3.gin",
    "discrete_sac.gin",
    "ppo.gin",
    "recurrent_ppo.gin",
    "ppo_continuous.gin",
    "pqn.gin",
    "impala.gin",
    "vmpo.gin",
    "iqn.gin",
    "rainbow.gin",
    "retrace.gin",
    "usfa.gin",
    "bootstrapped_dqn.gin",
  ],
)
def test_no_key_is_used_twice(file, monkeypatch):
  """JAX's own checker follows every key through every scan and branch.

  It stumbles over mctx's batched loops; a search of one step stands for them.
  """
  monkeypatch.setattr(search, "plan", _plan_one_step)
  bindings = [DRAWING[file]] if file in DRAWING else []
  program = training.build(small.load(file, *bindings).call())

  def whole(key):
    key, evaluation_key = jax.random.split(key)
    state, _ = program.run_chunk(program.init(key), 1, True)
    return program.evaluate(state.learning.params["agent"], evaluation_key)

  with jax.debug_key_reuse(True):
    jax.jit(whole).lower(jax.random.key(0))


def test_chunk_length_does_not_change_training():
  experiment = small.load("qlearning.gin").call()
  program = training.build(experiment)
  chunk = jax.jit(program.run_chunk)
  start = program.init(jax.random.key(0))
  start, _ = chunk(start, program.warm_up_iterations, False)
  whole, _ = chunk(start, 12, True)
  halves, _ = chunk(chunk(start, 5, True)[0], 7, True)
  for a, b in zip(jax.tree.leaves(whole), jax.tree.leaves(halves), strict=True):
    if jax.dtypes.issubdtype(a.dtype, jax.dtypes.prng_key):
      a, b = jax.random.key_data(a), jax.random.key_data(b)
    np.testing.assert_array_equal(a, b)


def test_loss_that_is_not_finite_stops_training(tmp_path):
  experiment = small.load(
    "qlearning.gin",
    "train.environment = @scale_reward()\n"
    "scale_reward.environment = @gymnax()\nscale_reward.scale = 1e30",
  ).call()
  with pytest.raises(rows.TrainingError, match=r"loss/q is (inf|nan)"):
    _run(experiment, tmp_path / "a")


def test_lossy_storage_stops_training(tmp_path):
  experiment = small.load(
    "qlearning.gin",
    "prioritized_replay.store_as = 'uint8'",
    ENVIRONMENT="CartPole-v1",
  ).call()
  with pytest.raises(rows.TrainingError, match="store_as"):
    _run(experiment, tmp_path / "a")


def test_too_few_steps_to_learn():
  experiment = small.load("qlearning.gin", TOTAL_STEPS=100).call()
  with pytest.raises(ValueError, match=r"total_steps = 100 .* 200 steps"):
    training.build(experiment)


def test_state_is_donated_in_place():
  """No second copy of the buffer is made while training."""
  experiment = small.load(
    "qlearning.gin", "prioritized_replay.capacity = 200_000"
  ).call()
  program = training.build(experiment)
  state = jax.eval_shape(program.init, jax.random.key(0))
  compiled = (
    jax.jit(program.run_chunk, donate_argnums=0).lower(state, 0, True).compile()
  )
  memory = compiled.memory_analysis()
  buffer = sum(x.size * x.dtype.itemsize for x in jax.tree.leaves(state.buffer))
  assert memory.alias_size_in_bytes > buffer
  assert memory.temp_size_in_bytes < 0.1 * buffer


def test_a_support_that_is_too_small_is_told_once(tmp_path, capsys):
  support = "two_hot:\n  low = -0.05\n  high = 0.05\n  num_bins = 5"
  _run(small.load("alphazero.gin", support).call(), tmp_path / "run")
  told = [
    line for line in capsys.readouterr().out.splitlines() if "warning" in line
  ]
  assert len(told) == 1
  assert "of the targets of 'value' are beyond the support" in told[0]
  assert "widen the codec's low and high" in told[0]


def test_counters_and_schedules_beyond_two_to_the_31():
  total = 2**33
  experiment = small.load("dqn.gin", TOTAL_STEPS=total).call()
  program = training.build(experiment)
  run = chunks.Chunks(experiment, program)
  begun = total // 2 // experiment.steps_per_iteration
  run.state = run.first_state()._replace(iterations=jnp.int32([begun]))
  run.counters.iterations = begun
  run.counters.environment_steps = [total // 2]
  output, _ = run.run(10, True)
  assert run.steps == 40 * (begun + 10) > 2**31
  assert 2**32 + 300 < run.counters.environment_steps[0] <= 2**32 + 400
  np.testing.assert_allclose(output.metrics["learning_rate"], 2.5e-4, rtol=1e-3)


def test_more_iterations_than_can_be_counted_are_refused():
  with pytest.raises(ValueError, match=r"must be below 2\*\*31"):
    small.load("dqn.gin", TOTAL_STEPS=10**12).call()


def test_memory_counts_the_copy_that_a_checkpoint_is_written_from(monkeypatch):
  experiment = small.load("dqn.gin").call()
  built = training.build(experiment)
  state = jax.eval_shape(built.init, jax.random.key(0))
  room = 3 * trees.size_in_bytes(state) // 2
  monkeypatch.setattr(os, "sysconf", lambda name: 1 if "SIZE" in name else room)

  def overview(kept):
    return overview_lib.describe(
      dataclasses.replace(experiment, checkpoints=kept), built
    )

  for kept in (None, keeping.checkpoints(replay=False)):
    assert "MB of state" in overview(kept)
  with pytest.raises(ValueError, match="while a checkpoint is written"):
    overview(keeping.checkpoints())
