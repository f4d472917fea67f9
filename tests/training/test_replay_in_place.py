"""Learning never copies a replay: that takes longer the larger it is."""

import re

import jax
import jax.numpy as jnp
import pytest

from neurorl import training
from neurorl.training import executables
from tests import small

COMPUTATION = re.compile(r"\n(?=(?:%|ENTRY)[^\n]*\{\n)")
COPY = re.compile(r" = \w+\[([\d,]+)\]\S* copy\(")


def copied(compiled):
  """Shapes of what a chunk copies again and again: in its loops."""
  computations = COMPUTATION.split(compiled.as_text())
  once = [text for text in computations if text.startswith("ENTRY")]
  called = set(re.findall(r"calls=(%[\w.\-]+)", "".join(once)))
  return {
    tuple(map(int, shape.split(",")))
    for text in computations
    if text not in once and text.split(" ")[0] not in called
    for shape in COPY.findall(text)
  }


@pytest.mark.parametrize(
  "file, replay, unroll_length, updates",
  [
    ("dqn.gin", "uniform", 1, 1),
    ("dqn.gin", "uniform", 1, 3),
    ("dqn.gin", "uniform", 5, 1),
    ("prioritized_dqn.gin", "prioritized", 1, 1),
    ("qlearning.gin", "prioritized", 5, 1),
  ],
)
@pytest.mark.parametrize("num_seeds", [1, 2])
def test_loops_copy_no_replay(
  file, replay, unroll_length, updates, num_seeds, monkeypatch
):
  experiment = small.load(
    file,
    f"{replay}_replay.updates_per_add = {updates}",
    f"train.unroll_length = {unroll_length}",
    f"train.num_seeds = {num_seeds}",
  ).call()
  program = training.build(experiment)
  keys = jnp.stack([jax.random.key(seed) for seed in range(num_seeds)])
  compiled = []
  compile_ = executables.compile_

  def keep(*arguments):
    compiled.append(compile_(*arguments))
    return compiled[-1]

  monkeypatch.setattr(executables, "compile_", keep)
  functions, state, _ = executables.compile_program(experiment, program, keys)
  assert functions["evaluate"].wait(300)
  chunk = max(compiled, key=lambda program: len(program.as_text()))
  ring = [x for x in jax.tree.leaves(state.buffer) if x.ndim > 2]
  shapes = {x.shape[1:] for x in ring} | {x.shape for x in ring}
  assert COPY.search(chunk.as_text())  # others, which are small
  assert not copied(chunk) & shapes
