"""Prioritized replay: what is drawn how often, and what it weighs."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from neurorl.buffers import prioritized, prioritized_replay, sums
from neurorl.ops.schedules import linear_schedule
from neurorl.types import Progress
from tests.buffers.test_ring import PROGRESS, shapes, steps

NUM_ENVS = 4


@functools.partial(jax.jit, static_argnums=2)
def draw(key, scaled, batch_size):
  return sums.draw(key, sums.make(scaled), batch_size)


def chi_square(counts, probabilities):
  """Standard deviations by which counts depart from what is expected."""
  counts, p = np.asarray(counts, float), np.asarray(probabilities, float)
  expected = counts.sum() * p / p.sum()
  statistic = np.sum((counts - expected) ** 2 / expected)
  freedom = counts.size - 1
  return (statistic - freedom) / np.sqrt(2 * freedom)


def histogram(slots, envs, shape):
  counts = np.zeros(shape, int)
  np.add.at(counts, (np.asarray(slots), np.asarray(envs)), 1)
  return counts


@functools.cache
def replay(rows=8, unroll_length=4, **settings):
  defaults = {
    "capacity": rows * NUM_ENVS,
    "batch_size": 4096,
    "sequence_length": 1,
  }
  recipe = prioritized_replay(**{**defaults, **settings})
  return recipe(shapes(), NUM_ENVS, unroll_length)


@functools.cache
def filled(buffer, rows=8, unroll_length=4):
  state, add = buffer.init(), jitted(buffer.add)
  for begin in range(0, rows, unroll_length):
    state = add(state, steps(begin, unroll_length, NUM_ENVS))
  return state


@functools.cache
def jitted(function):
  return jax.jit(function)


def sample(buffer, state, progress=PROGRESS, seed=0):
  return jitted(buffer.sample)(state, jax.random.key(seed), progress)


def tell(buffer, state, indices, priorities):
  """Tells the buffer errors whose priorities are these."""
  errors = jnp.asarray(priorities, jnp.float32)[None]
  indices = jnp.asarray(indices, jnp.int32)
  return jitted(buffer.update)(state, indices, errors, jnp.ones_like(errors))


# Drawing.


@pytest.mark.parametrize("shape", [(1, 9), (9, 1), (300, 7)])
@pytest.mark.parametrize("seed", [0, 1])
def test_draws_match_priorities(shape, seed):
  rng = np.random.default_rng(seed)
  scaled = rng.exponential(size=shape) ** 2
  scaled[rng.uniform(size=shape) < 0.3] = 0.0
  scaled.flat[rng.integers(scaled.size)] = 1.5
  slots, envs, probabilities = draw(
    jax.random.key(seed), jnp.asarray(scaled, jnp.float32), 50_000
  )
  counts = histogram(slots, envs, shape)
  assert (counts[scaled == 0] == 0).all()
  likely = scaled > 20 / 50_000 * scaled.sum()
  if likely.sum() > 1:
    assert chi_square(counts[likely], scaled[likely]) < 5
  np.testing.assert_allclose(
    probabilities, scaled[slots, envs] / scaled.sum(), rtol=1e-5
  )


def test_slot_and_environment_are_drawn_with_different_keys():
  scaled = jnp.ones((64, 64))
  slots, envs, _ = draw(jax.random.key(0), scaled, 20_000)
  assert abs(np.corrcoef(slots, envs)[0, 1]) < 0.03


@pytest.mark.parametrize("shape", [(300_000, 1), (1, 4_000)])
def test_places_without_priority_are_never_drawn(shape):
  # A plain parallel sum rises at thousands of these places by rounding.
  k1, k2, k3 = jax.random.split(jax.random.key(0), 3)
  scaled = jax.random.exponential(k1, shape) ** 3
  scaled = jnp.where(jax.random.uniform(k2, shape) < 0.5, 0.0, scaled)
  batch = 300_000 if shape[1] == 1 else 2_000
  slots, envs, probabilities = draw(k3, scaled, batch)
  assert bool((scaled[slots, envs] > 0).all())
  assert bool((probabilities > 0).all())


def test_the_only_place_with_priority_is_always_drawn():
  for place in [(0, 0), (9, 2), (4, 1)]:
    scaled = jnp.zeros((10, 3)).at[place].set(1e-30)
    slots, envs, probabilities = draw(jax.random.key(0), scaled, 1000)
    assert set(zip(slots.tolist(), envs.tolist(), strict=True)) == {place}
    np.testing.assert_allclose(probabilities, 1.0)


def test_a_million_small_priorities_survive_a_huge_one():
  # In one running float32 sum, 3e7 + 1 = 3e7: none of the rest were drawn.
  shape = (31_250, 32)
  scaled = jnp.ones(shape).at[0, 0].set(3e7)
  slots, envs, probabilities = draw(jax.random.key(0), scaled, 200_000)
  huge = (slots == 0) & (envs == 0)
  np.testing.assert_allclose(huge.mean(), 3e7 / 3.1e7, atol=1e-3)
  rest = np.asarray(slots)[~np.asarray(huge)]
  counts = np.histogram(rest, bins=25, range=(0, shape[0]))[0]
  assert chi_square(counts, np.ones(25)) < 5
  np.testing.assert_allclose(probabilities[~huge], 1 / 3.1e7, rtol=1e-3)


def test_tiny_priorities_are_drawn_in_proportion():
  scaled = jnp.asarray([[1e-20, 3e-20], [4e-20, 0.0]])
  slots, envs, _ = draw(jax.random.key(0), scaled, 40_000)
  counts = histogram(slots, envs, (2, 2))
  assert counts[1, 1] == 0
  assert chi_square(counts.flat[:3], [1, 3, 4]) < 5


def test_draws_as_flashbax_does():
  import flashbax

  length, exponent, batch = 17, 0.7, 8192
  theirs = flashbax.make_prioritised_trajectory_buffer(
    add_batch_size=1,
    sample_batch_size=batch,
    sample_sequence_length=2,
    period=1,
    min_length_time_axis=2,
    max_length_time_axis=length,
    priority_exponent=exponent,
    device="cpu",
  )
  state = theirs.init({"t": jnp.int32(0)})
  state = theirs.add(state, {"t": jnp.arange(length - 1)[None]})
  count = length - 2  # whole sequences of two among what was added
  priorities = np.random.default_rng(0).exponential(size=count) + 0.05
  state = theirs.set_priorities(
    state, jnp.arange(count), jnp.asarray(priorities, jnp.float32)
  )
  sample = theirs.sample(state, jax.random.key(0))
  drawn = np.asarray(sample.experience["t"][:, 0])
  flashbax_counts = np.bincount(drawn, minlength=count)

  scaled = jnp.asarray(priorities[:, None] ** exponent, jnp.float32)
  slots, _, probabilities = draw(jax.random.key(1), scaled, batch)
  our_counts = np.bincount(slots, minlength=count)

  wanted = priorities**exponent
  assert chi_square(flashbax_counts, wanted) < 5
  assert chi_square(our_counts, wanted) < 5
  # Two samples of one distribution.
  pooled = flashbax_counts + our_counts
  statistic = np.sum((flashbax_counts - our_counts) ** 2 / pooled)
  assert statistic < count + 5 * np.sqrt(2 * count)
  theirs_by_place = dict(
    zip(drawn.tolist(), np.asarray(sample.probabilities).tolist(), strict=True)
  )
  for slot, probability in zip(
    slots[:100].tolist(), probabilities[:100], strict=True
  ):
    np.testing.assert_allclose(probability, theirs_by_place[slot], rtol=1e-4)


# Priorities.


def test_mixed_priority_by_hand():
  errors = jnp.asarray([[1.0, -4.0, 5.0], [-3.0, 0.0, 7.0], [2.0, 9.0, 8.0]])
  mask = jnp.asarray([[1.0, 1.0, 0.0], [1.0, 1.0, 0.0], [1.0, 0.0, 0.0]])
  found = prioritized.mixed_priority(errors, mask, 0.9)
  np.testing.assert_allclose(
    found, [0.9 * 3 + 0.1 * 2, 0.9 * 4 + 0.1 * 2, 1e-6], rtol=1e-6
  )
  for weight, wanted in [(1.0, [3.0, 4.0]), (0.0, [2.0, 2.0])]:
    found = prioritized.mixed_priority(errors, mask, weight)
    np.testing.assert_allclose(found[:2], wanted, rtol=1e-6)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_errors_that_are_masked_do_not_matter(bad):
  errors = jnp.asarray([[1.0], [bad], [3.0]])
  mask = jnp.asarray([[1.0], [0.0], [1.0]])
  found = prioritized.mixed_priority(errors, mask, 0.5)
  np.testing.assert_allclose(found, [0.5 * 3 + 0.5 * 2])


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_one_bad_error_does_not_poison_the_rest(bad):
  buffer = replay()
  indices = jnp.arange(7 * NUM_ENVS)
  priorities = np.linspace(0.5, 2.0, indices.size)
  clean = tell(buffer, filled(buffer), indices, priorities)
  priorities[3] = bad
  spoilt = tell(buffer, filled(buffer), indices, priorities)
  assert spoilt.greatest == clean.greatest == 2.0
  batch, _ = sample(buffer, spoilt)
  assert np.isfinite(batch.weights).all()
  assert (np.asarray(batch.indices) != 3).all()
  drawn = np.bincount(batch.indices, minlength=indices.size)
  likely = np.arange(indices.size) != 3
  assert chi_square(drawn[likely], priorities[likely] ** 0.6) < 5


@pytest.mark.parametrize("exponent", [0.0, 0.6, 1.0])
def test_samples_follow_the_errors_that_were_told(exponent):
  buffer = replay(priority_exponent=exponent)
  indices = np.arange(7 * NUM_ENVS)
  priorities = np.random.default_rng(0).exponential(size=indices.size) + 0.1
  state = tell(buffer, filled(buffer), indices, priorities)
  batch, _ = sample(buffer, state)
  drawn = np.bincount(batch.indices, minlength=indices.size)
  assert chi_square(drawn, priorities**exponent) < 5


def test_new_sequences_get_the_greatest_priority_so_far():
  buffer = replay(rows=12, priority_exponent=0.5)
  state = filled(buffer)  # 8 of 12 rows
  np.testing.assert_allclose(state.sums.priorities[:8], 1.0)
  np.testing.assert_array_equal(state.sums.priorities[8:], 0.0)
  state = tell(buffer, state, [0, 1], [9.0, 0.25])
  state = tell(buffer, state, [2], [4.0])  # greatest stays 9
  state = jitted(buffer.add)(state, steps(8, 4, NUM_ENVS))
  np.testing.assert_allclose(state.sums.priorities[8:], 3.0)
  np.testing.assert_allclose(state.sums.priorities[0], [3.0, 0.5, 2.0, 1.0])
  np.testing.assert_allclose(state.sums.priorities[1:8], 1.0)


@pytest.mark.parametrize("period, unroll_length", [(1, 4), (4, 4), (6, 2)])
def test_overwritten_slots_lose_their_priorities(period, unroll_length):
  rows = 24
  buffer = replay(rows, unroll_length, period=period, priority_exponent=1.0)
  state = filled(buffer, rows, unroll_length)
  slots = rows // period
  state = tell(
    buffer, state, np.arange(slots * NUM_ENVS), np.full(slots * NUM_ENVS, 0.5)
  )
  written = np.zeros(slots, bool)
  for begin in range(rows, 2 * rows, unroll_length):
    state = jitted(buffer.add)(state, steps(begin, unroll_length, NUM_ENVS))
    for time in range(begin, begin + unroll_length):
      if time % period == 0:
        written[time % rows // period] = True
    np.testing.assert_allclose(
      state.sums.priorities,
      np.where(written, 1.0, 0.5)[:, None].repeat(NUM_ENVS, 1),
    )
  assert written.all()


def test_what_was_drawn_twice_is_told_once_and_for_all():
  buffer = replay(priority_exponent=1.0)
  indices = np.array([5, 5, 2, 5, 2, 7])
  priorities = np.array([0.3, 0.7, 0.2, 0.1, 0.6, 0.4])
  wanted = np.ones(8 * NUM_ENVS)
  wanted[[5, 2, 7]] = [0.7, 0.6, 0.4]
  for seed in range(5):
    order = np.random.default_rng(seed).permutation(6)
    state = tell(buffer, filled(buffer), indices[order], priorities[order])
    np.testing.assert_allclose(
      state.sums.priorities.reshape(-1), wanted, rtol=1e-6
    )


def test_an_update_touches_nothing_but_priorities():
  buffer = replay()
  before = filled(buffer)
  after = tell(buffer, before, [3], [2.0])
  for a, b in zip(
    jax.tree.leaves(before.ring), jax.tree.leaves(after.ring), strict=True
  ):
    np.testing.assert_array_equal(a, b)


def test_sampling_changes_no_state():
  buffer = replay()
  before = filled(buffer)
  _, after = sample(buffer, before)
  for a, b in zip(jax.tree.leaves(before), jax.tree.leaves(after), strict=True):
    np.testing.assert_array_equal(a, b)


# Weights.


@pytest.mark.parametrize("exponent", [0.0, 0.4, 1.0])
@pytest.mark.parametrize("added", [8, 12])
def test_importance_weights(exponent, added):
  buffer = replay(rows=12, importance_exponent=exponent, priority_exponent=0.6)
  state = filled(buffer, added)
  places = (added - 1) * NUM_ENVS  # the last row begins no whole sequence
  priorities = np.random.default_rng(0).exponential(size=places) + 0.1
  state = tell(buffer, state, np.arange(places), priorities)
  batch, _ = sample(buffer, state)
  scaled = priorities**0.6
  probability = (scaled / scaled.sum())[np.asarray(batch.indices)]
  weights = (places * probability) ** -exponent
  np.testing.assert_allclose(batch.weights, weights / weights.max(), rtol=1e-4)
  assert batch.weights.max() == 1.0


def test_the_importance_exponent_may_be_a_schedule():
  scheduled = replay(importance_exponent=linear_schedule(0.2, 1.0))
  state = tell(scheduled, filled(scheduled), [0, 1, 2], [5.0, 0.1, 3.0])
  for fraction, exponent in [(0.0, 0.2), (0.5, 0.6), (1.0, 1.0)]:
    progress = Progress(jnp.float32(fraction), jnp.int32(0))
    found, _ = sample(scheduled, state, progress)
    constant = replay(importance_exponent=exponent)
    wanted, _ = sample(constant, state, progress)
    np.testing.assert_allclose(found.weights, wanted.weights, rtol=1e-5)
  assert wanted.weights.min() < 0.2


def test_stale_priorities_of_incomplete_sequences_are_not_drawn():
  # Rows 0 to 3 are new: sequences from 1, 2 and 3 would run into the old 4.
  buffer = replay(sequence_length=3, priority_exponent=1.0)
  state = filled(buffer)
  state = tell(buffer, state, np.arange(32), np.full(32, 1e-3))
  state = tell(buffer, state, np.arange(20, 32), np.full(12, 1e6))
  state = jitted(buffer.add)(state, steps(8, 4, NUM_ENVS))
  batch, _ = sample(buffer, state)
  assert float(state.sums.priorities[1:4].min()) == 1e6
  assert set((np.asarray(batch.indices) // NUM_ENVS).tolist()) == {0, 5, 6, 7}
