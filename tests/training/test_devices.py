"""One device, several cores of it, and seeds over them: the same training."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from neurorl import training
from neurorl.runs import state_files
from neurorl.training import devices, executables
from tests import small


def prepared(file, num_devices, *bindings):
  experiment = small.load(file, *bindings).call()
  layout = devices.layout(
    num_devices, experiment.num_seeds, experiment.num_envs
  )
  program = training.build(experiment, layout)
  seeds = range(experiment.num_seeds)
  keys = jnp.stack([jax.random.key(seed) for seed in seeds])
  functions, shapes, _ = executables.compile_program(experiment, program, keys)
  return program, functions, shapes, keys


def trained(file, num_devices, updates, *bindings):
  """Returns the state after so many updates, and what was said of them."""
  program, functions, _, keys = prepared(file, num_devices, *bindings)
  state = functions["init"](keys)
  filling = jnp.int32(program.warm_up_iterations)
  run_chunk = functions["run_chunk"]
  state, _ = run_chunk(state, filling, jnp.bool_(False))
  done = 0
  while done < updates:
    state, output = run_chunk(state, jnp.int32(5), jnp.bool_(True))
    done += int(output.updates[0])
  return (
    state,
    output,
    functions["evaluate"](state.learning.params["agent"], keys, jnp.int32(0)),
  )


def assert_close(found, wanted, tolerance):
  for x, y in zip(jax.tree.leaves(found), jax.tree.leaves(wanted), strict=True):
    np.testing.assert_allclose(
      np.asarray(x), np.asarray(y), rtol=tolerance, atol=tolerance
    )


def parts(array):
  """Returns the shapes of what each device holds."""
  return [shard.data.shape for shard in array.addressable_shards]


@pytest.mark.parametrize(
  "file, num_devices, num_seeds, split",
  [
    ("qlearning.gin", 4, 1, (1, 4)),
    ("qlearning.gin", 4, 2, (2, 2)),
    ("ppo.gin", 4, 1, (1, 4)),
    ("dqn.gin", 2, 2, (2, 1)),
    ("recurrent_pqn.gin", 4, 1, (1, 4)),
  ],
)
def test_several_devices_learn_what_one_does(
  file, num_devices, num_seeds, split
):
  seeds = f"train.num_seeds = {num_seeds}"
  wanted, said, _ = trained(file, 1, 50, seeds)
  found, told, report = trained(file, num_devices, 50, seeds)
  assert_close(found.learning.params, wanted.learning.params, 1e-4)
  assert_close(told.tally, said.tally, 1e-4)
  assert report["evaluation"].episode_return.shape == (num_seeds, 4)
  of_seeds, of_envs = split
  timestep = found.acting.timestep
  assert (
    parts(timestep.last)
    == [(num_seeds // of_seeds, 8 // of_envs)] * num_devices
  )
  observation = jax.tree.leaves(found.buffer)[0]
  # A replay is split; a rollout, which all learn from at once, is everywhere.
  envs = 8 // of_envs if "replay" in small.sizes(file) else 8
  assert {part[2] for part in parts(observation)} == {envs}
  for leaf in jax.tree.leaves(found.learning.params):
    whole = (num_seeds // of_seeds, *leaf.shape[1:])
    assert parts(leaf) == [whole] * num_devices


def test_a_state_goes_on_on_other_devices(tmp_path):
  _, functions, shapes, keys = prepared("qlearning.gin", 4)
  state = functions["init"](keys)
  state, _ = functions["run_chunk"](state, jnp.int32(12), jnp.bool_(False))
  state_files.save(tmp_path / "state", state_files.fetch(state), {})
  for count in (4, 2, 1):
    _, functions, shapes, _ = prepared("qlearning.gin", count)
    found, _ = state_files.load(tmp_path / "state", shapes)
    read, kept = map(state_files.fetch, (found, state))
    for x, y in zip(read, kept, strict=True):
      np.testing.assert_array_equal(x.array, y.array)
    assert len(found.acting.timestep.last.addressable_shards) == count
    functions["run_chunk"](found, jnp.int32(1), jnp.bool_(True))


@pytest.mark.parametrize(
  "num_devices, num_seeds, num_envs, wanted",
  [
    (1, 4, 32, (1, 1)),
    (4, 1, 32, (1, 4)),
    (4, 4, 32, (4, 1)),
    (8, 4, 32, (4, 2)),
    (8, 6, 32, (2, 4)),
    (4, 3, 3, (3, 1)),
    (2, 3, 1, (1, 1)),
    (3, 1, 32, (1, 2)),
  ],
)
def test_shares(num_devices, num_seeds, num_envs, wanted):
  assert devices.shares(num_devices, num_seeds, num_envs) == wanted


def test_cores_share_seeds_and_nothing_else_unless_told(monkeypatch):
  monkeypatch.setattr(devices, "cores", lambda: 2)
  assert devices.layout(None, 1, 32).num_devices == 1
  assert devices.layout(None, 4, 32).mesh.shape == {"seeds": 2, "envs": 1}
  assert devices.layout(None, 3, 32).num_devices == 1
  assert devices.layout(2, 1, 32).mesh.shape == {"seeds": 1, "envs": 2}


def test_devices_that_are_not_there_or_cannot_share():
  with pytest.raises(ValueError, match=r"num_devices = 64, but there are 4 \("):
    devices.layout(64, 1, 64)
  with pytest.raises(ValueError, match=r"3 devices cannot share .*; 2 could"):
    devices.layout(3, 1, 32)
