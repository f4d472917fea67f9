"""When operations are split over threads, and that it changes no result."""

import os

import jax
import jax.numpy as jnp
import pytest

from neurorl import training
from neurorl.training import devices, executables, thread_splits
from tests import small

RING = jax.ShapeDtypeStruct((100_000, 4), jnp.float32)
RINGS = jax.ShapeDtypeStruct((4, *RING.shape), RING.dtype)
ROWS = jax.ShapeDtypeStruct((64,), jnp.int32)


def read(ring, rows):
  return jnp.sin(2.0 * ring.at[0].set(1.0)[rows]).sum(axis=1)


def in_a_loop(ring, x):
  def body(i, carry):
    ring, total = carry
    wide = jnp.outer(x, x) + i
    return ring.at[i].set(total), total + jnp.sin(wide).sum()

  return jax.lax.fori_loop(0, 3, body, (ring, 0.0))


def jaxpr(function, *shapes):
  return jax.jit(function).trace(*shapes).jaxpr


def test_rows_of_a_large_array_are_not_large():
  program = jaxpr(read, RING, ROWS)
  assert not thread_splits.pay(program, [RINGS])
  assert thread_splits.pay(program, [])


@pytest.mark.parametrize("num_seeds", [1, 2, 4])
def test_rings_of_some_of_the_seeds_are_known(num_seeds):
  some = jax.ShapeDtypeStruct((num_seeds, *RING.shape), RING.dtype)
  program = jaxpr(jax.vmap(read, in_axes=(0, None)), some, ROWS)
  assert not thread_splits.pay(program, [RINGS])


def test_an_array_of_another_dtype_is_another():
  other = jax.ShapeDtypeStruct(RINGS.shape, jnp.int32)
  assert thread_splits.pay(jaxpr(read, RING, ROWS), [other])


@pytest.mark.parametrize("size, pays", [(256, False), (257, True)])
def test_what_a_loop_computes_is_found(size, pays):
  x = jax.ShapeDtypeStruct((size,), jnp.float32)
  assert thread_splits.pay(jaxpr(in_a_loop, RING, x), [RINGS]) == pays


@pytest.mark.parametrize("num_devices, num_seeds", [(1, 1), (2, 2), (2, 4)])
@pytest.mark.parametrize("size, splits", [(16, False), (2**16, True)])
def test_learning_from_a_large_replay(
  num_devices, num_seeds, size, splits, monkeypatch
):
  """By what else is large; the replay itself takes more than a megabyte."""
  experiment = small.load(
    "dqn.gin",
    "uniform_replay.capacity = 100_000",
    f"mlp.hidden_sizes = ({size},)",
    f"train.num_seeds = {num_seeds}",
  ).call()
  layout = devices.layout(num_devices, num_seeds, experiment.num_envs)
  program = training.build(experiment, layout)
  keys = jnp.stack([jax.random.key(seed) for seed in range(num_seeds)])
  told = []
  monkeypatch.setattr(
    executables, "compile_", lambda _, several, splits=True: told.append(splits)
  )
  functions, _, _ = executables.compile_program(experiment, program, keys)
  assert functions["evaluate"].wait(60)
  init, run_chunk, _ = told
  assert init
  assert run_chunk == splits


@pytest.mark.skipif(os.cpu_count() < 2, reason="one thread has nobody to share")
def test_without_splits_nothing_is_split_and_all_is_the_same(optimised):
  x = jax.random.normal(jax.random.key(0), (2000, 2000))
  lowered = jax.jit(jnp.sin).lower(x)
  split = executables.compile_(lowered)
  whole = executables.compile_(lowered, splits=False)
  parts = 'outer_dimension_partitions":["'
  assert parts in split.as_text()
  assert parts not in whole.as_text()
  assert (split(x) == whole(x)).all()


def test_only_an_option_that_xla_lacks_is_given_up():
  tried = []

  class Lowered:
    def compile(self, compiler_options):
      tried.append(set(compiler_options))
      if "xla_disable_hlo_passes" in compiler_options:
        raise ValueError("No such compile option: 'xla_disable_hlo_passes'")
      return "compiled"

  assert executables.compile_(Lowered(), splits=False) == "compiled"
  assert tried[0] - tried[1] == {"xla_disable_hlo_passes"}
  assert "xla_cpu_enable_concurrency_optimized_scheduler" in tried[1]
