"""When operations are split over threads, and that it changes no result."""

import jax
import jax.numpy as jnp
import pytest

from neurorl.training import executables, thread_splits

RING = jax.ShapeDtypeStruct((100_000, 4), jnp.float32)
SPLIT = 'outer_dimension_partitions":["'


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
  rows = jax.ShapeDtypeStruct((64,), jnp.int32)
  program = jaxpr(read, RING, rows)
  assert not thread_splits.pay(program, [RING])
  assert thread_splits.pay(program, [])


def test_a_ring_of_one_of_several_seeds_is_known():
  rows = jax.ShapeDtypeStruct((64,), jnp.int32)
  of_all = jax.ShapeDtypeStruct((1, *RING.shape), jnp.float32)
  assert not thread_splits.pay(jaxpr(read, RING, rows), [of_all])


@pytest.mark.parametrize("size, pays", [(256, False), (257, True)])
def test_what_a_loop_computes_is_found(size, pays):
  x = jax.ShapeDtypeStruct((size,), jnp.float32)
  assert thread_splits.pay(jaxpr(in_a_loop, RING, x), [RING]) == pays


def test_without_splits_nothing_is_split_and_all_is_the_same():
  ring = jax.random.normal(jax.random.key(0), RING.shape)
  rows = jnp.arange(64) * 999
  lowered = jax.jit(read).lower(ring, rows)
  split = executables.compile_(lowered)
  whole = executables.compile_(lowered, splits=False)
  assert SPLIT not in whole.as_text()
  assert (split(ring, rows) == whole(ring, rows)).all()
