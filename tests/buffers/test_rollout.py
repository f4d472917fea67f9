"""Rollouts: every transition once per epoch, each with what belongs to it."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from neurorl.buffers import rollout
from tests.buffers.test_ring import PROGRESS, shapes, steps

T, B = 6, 4
# name: chunk_length, num_minibatches
CASES = {
  "everything": (None, 1),
  "environments": (None, 2),
  "chunks": (3, 4),
  "transitions": (1, 3),
}


def make(name, epochs=2):
  chunk_length, num_minibatches = CASES[name]
  return rollout(epochs, num_minibatches, chunk_length)(shapes(), B, T)


@functools.cache
def drawn(name, epochs=2):
  """The rollout of steps 10 to 16, and the samples of some epochs."""
  buffer = make(name, epochs)
  rolled = steps(10, T + 1, B)
  state = jax.jit(buffer.add)(buffer.init(), rolled)
  sample, samples = jax.jit(buffer.sample), []
  for key in jax.random.split(jax.random.key(0), buffer.updates_per_add):
    batch, state = sample(state, key, PROGRESS)
    samples.append(jax.tree.map(np.asarray, batch))
  return rolled, samples


def transitions(*batches):
  """The times and environments that the batches' transitions begin at."""
  where = [x.steps.timestep.observation["where"][:-1] for x in batches]
  pairs = np.concatenate([x.reshape(-1, 2) for x in where])
  return [tuple(int(x) for x in pair) for pair in pairs]


@pytest.mark.parametrize("name", CASES)
def test_every_epoch_has_every_transition_once(name):
  _, samples = drawn(name)
  per_epoch = CASES[name][1]
  everything = sorted((t, e) for t in range(10, 10 + T) for e in range(B))
  for begin in range(0, len(samples), per_epoch):
    epoch = samples[begin : begin + per_epoch]
    assert sorted(transitions(*epoch)) == everything


@pytest.mark.parametrize("name", CASES)
def test_sequences_are_of_one_environment_and_end_with_their_arrival(name):
  _, samples = drawn(name)
  length = CASES[name][0] or T
  for batch in samples:
    where = batch.steps.timestep.observation["where"]
    assert where.shape[0] == length + 1
    assert (where[..., 1] == where[:1, :, 1]).all()
    assert (np.diff(where[..., 0], axis=0) == 1).all()
    assert ((where[0, :, 0] - 10) % length == 0).all()
    assert (batch.weights == 1).all()


@pytest.mark.parametrize("name", CASES)
def test_what_belongs_to_a_step_stays_with_it(name):
  rolled, samples = drawn(name)
  for batch in samples:
    where = batch.steps.timestep.observation["where"].astype(int)
    t, e = where[..., 0] - 10, where[..., 1]
    found = batch.steps._replace(agent_state=())
    wanted = jax.tree.map(lambda x: x[t, e], rolled._replace(agent_state=()))  # noqa: B023
    jax.tree.map(np.testing.assert_array_equal, found, wanted)
    # The agent's state is that of the first step.
    wanted = jax.tree.map(lambda x: x[t[0], e[0]], rolled.agent_state)  # noqa: B023
    jax.tree.map(np.testing.assert_array_equal, batch.steps.agent_state, wanted)


@pytest.mark.parametrize("name", [n for n in CASES if n != "everything"])
def test_epochs_are_shuffled_anew(name):
  _, samples = drawn(name, epochs=4)
  per_epoch = CASES[name][1]
  orders = {
    tuple(transitions(*samples[i : i + per_epoch]))
    for i in range(0, len(samples), per_epoch)
  }
  assert len(orders) == 4


def test_a_new_rollout_begins_a_new_epoch():
  buffer = make("transitions", epochs=1)
  state = buffer.add(buffer.init(), steps(10, T + 1, B))
  _, state = buffer.sample(state, jax.random.key(0), PROGRESS)
  state = buffer.add(state, steps(20, T + 1, B))
  seen = []
  for key in jax.random.split(jax.random.key(1), 3):
    batch, state = buffer.sample(state, key, PROGRESS)
    seen += transitions(batch)
  assert sorted(seen) == [(t, e) for t in range(20, 20 + T) for e in range(B)]


def test_sizes():
  buffer = make("chunks", epochs=5)
  assert buffer.updates_per_add == 20
  assert buffer.num_sequences == 8
  assert buffer.min_steps == T
  assert buffer.peeks
  empty = buffer.init()
  filled = buffer.add(empty, steps(0, T + 1, B))
  assert jax.tree.map(jnp.shape, filled) == jax.tree.map(jnp.shape, empty)


@pytest.mark.parametrize("name", ["epochs", "num_minibatches", "chunk_length"])
def test_numbers_are_positive(name):
  with pytest.raises(ValueError, match=f"rollout.{name} must be >= 1, got 0"):
    rollout(**{name: 0})


def test_what_does_not_divide_is_refused():
  with pytest.raises(ValueError, match=r"chunk_length = 4 must divide .* 6"):
    rollout(chunk_length=4)(shapes(), B, T)
  with pytest.raises(ValueError, match=r"minibatches = 3 must divide the 4"):
    rollout(num_minibatches=3)(shapes(), B, T)
