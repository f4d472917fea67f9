"""Sums of priorities, kept up step by step, against sums taken anew."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from neurorl.buffers import prioritized_replay, ring, sums
from tests.buffers.test_ring import shapes, steps

NUM_ENVS = 3


def whole(rows, size, position, length, period):
  """The slots where a whole sequence begins, by going through all steps."""
  found = np.zeros(rows // period, bool)
  oldest = position if size == rows else 0
  for age in range(size - length + 1):
    row = (oldest + age) % rows
    if row % period == 0:
      found[row // period] = True
  return found


@pytest.mark.parametrize("large", [sums._LARGE, 1])
@pytest.mark.parametrize(
  "rows, unroll_length, length, period",
  [(12, 4, 2, 1), (24, 2, 7, 6), (24, 4, 4, 4), (20, 10, 3, 5), (8, 4, 8, 1)],
)
def test_sums_are_what_they_would_be_anew(
  rows, unroll_length, length, period, large, monkeypatch
):
  monkeypatch.setattr(sums, "_LARGE", large)
  buffer = prioritized_replay(
    capacity=rows * NUM_ENVS,
    batch_size=5,
    sequence_length=length - 1,
    period=period,
    priority_exponent=1.0,
  )(shapes(), NUM_ENVS, unroll_length)
  add, update = jax.jit(buffer.add), jax.jit(buffer.update)
  state, rng = buffer.init(), np.random.default_rng(0)
  slots = rows // period
  for begin in range(0, 3 * rows, unroll_length):
    state = add(state, steps(begin, unroll_length, NUM_ENVS))
    indices = rng.integers(0, slots * NUM_ENVS, size=5)
    errors = rng.exponential(size=(1, 5))
    state = update(state, indices, errors, np.ones((1, 5)))
    size = min(begin + unroll_length, rows)
    position = (begin + unroll_length) % rows
    counts = whole(rows, size, position, length, period)
    wanted = np.where(counts[:, None], state.sums.priorities, 0.0).sum(axis=1)
    found = state.sums.by_slot.reshape(-1)
    np.testing.assert_allclose(found[:slots], wanted, rtol=1e-6)
    assert not found[slots:].any()
    np.testing.assert_allclose(
      state.sums.by_block, state.sums.by_slot.sum(axis=1), rtol=1e-6
    )


def test_a_draw_passes_over_few_of_a_million():
  made = jax.eval_shape(
    sums.make, jax.ShapeDtypeStruct((1_000_000, 1), jnp.float32)
  )
  key = jax.eval_shape(lambda: jax.random.key(0))
  drawn = jax.make_jaxpr(lambda key, made: sums.draw(key, made, 32))(key, made)
  sizes = [x.aval.size for eqn in drawn.jaxpr.eqns for x in eqn.outvars]
  assert max(sizes) <= 32 * 1_024


@pytest.mark.skipif(jax.default_backend() != "cpu", reason="a CPU's scatter")
def test_a_change_copies_nothing_of_a_million():
  made = jax.eval_shape(
    sums.make, jax.ShapeDtypeStruct((1_000_000, 1), jnp.float32)
  )
  of = [jax.ShapeDtypeStruct((32,), kind) for kind in (int, int, float, bool)]
  change = jax.jit(sums.set_priorities, donate_argnums=0)
  memory = change.lower(made, *of).compile().memory_analysis()
  assert memory.temp_size_in_bytes < 200_000  # of 8 million


def test_which_slots_begin_among_rows():
  of = ring.Ring(shapes(), 12, 1, 2, 4, 8, None)
  assert of.slots_of(jnp.int32(0), jnp.int32(8)).tolist() == [0, 1]
  assert of.slots_of(jnp.int32(5), jnp.int32(13)).tolist() == [2, 0]
  assert of.slots_of(jnp.int32(-3), jnp.int32(5)).tolist() == [0, 1]
  assert of.slots_of(jnp.int32(9), jnp.int32(12)).tolist() == [3, 3]
