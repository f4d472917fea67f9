import jax
import jax.numpy as jnp
import numpy as np
import pytest

from neurorl import config, networks, training
from neurorl.types import DiscreteActions, EnvironmentSpec, TimeStep
from tests import small

SPEC = {
  "place": jax.ShapeDtypeStruct((3,), jnp.float32),
  "cue": jax.ShapeDtypeStruct((2,), jnp.int32),
}


def _torso(spec):
  """Hands on what it is given."""
  del spec
  return lambda observation: jnp.concatenate(
    [observation["place"], observation["cue"].astype(jnp.float32)], axis=-1
  )


def _agent(clip=10.0):
  recipe = networks.agent(
    torso=networks.normalised_observation(_torso, clip),
    heads={"q": networks.q_head()},
  )
  action = jax.ShapeDtypeStruct((), jnp.int32)
  agent = recipe(EnvironmentSpec("mixed", SPEC, action, DiscreteActions(2)))
  return agent, agent.init(jax.random.key(0))


def _see(seed, leading):
  place, cue = jax.random.split(jax.random.key(seed))
  scale = jnp.array([0.1, 3.0, 50.0])
  return {
    "place": 7.0 + seed + scale * jax.random.normal(place, (*leading, 3)),
    "cue": jax.random.randint(cue, (*leading, 2), 0, 5),
  }


def _embed(agent, params, observation):
  batch = observation["place"].shape[0]
  timestep = TimeStep(
    observation,
    jnp.zeros(batch),
    jnp.ones(batch),
    jnp.zeros(batch, bool),
    jnp.zeros(batch, bool),
  )
  state = agent.initial_state(params, batch)
  outputs, _ = agent.step(
    params, jax.random.key(0), timestep, state, "evaluating"
  )
  return np.asarray(outputs["embedding"])


def test_before_anything_is_seen_observations_pass():
  agent, params = _agent(clip=1e3)
  seen = _see(0, (4,))
  np.testing.assert_allclose(_embed(agent, params, seen)[:, :3], seen["place"])


def test_mean_and_deviation_are_of_everything_seen():
  agent, params = _agent()
  seen = [_see(seed, (6, 5)) for seed in range(4)]
  for observation in seen:
    params = jax.jit(agent.observe)(params, observation)
  places = np.concatenate(
    [np.asarray(x["place"], np.float64).reshape(-1, 3) for x in seen]
  )
  new = _see(9, (4,))
  expected = (new["place"] - places.mean(axis=0)) / places.std(axis=0)
  found = _embed(agent, params, new)
  np.testing.assert_allclose(found[:, :3], expected, rtol=1e-3, atol=1e-3)
  np.testing.assert_array_equal(found[:, 3:], new["cue"])


def test_entries_are_clipped():
  agent, params = _agent(clip=2.0)
  params = agent.observe(params, _see(0, (6, 5)))
  far = {"place": jnp.full((1, 3), 1e4), "cue": jnp.zeros((1, 2), jnp.int32)}
  np.testing.assert_allclose(_embed(agent, params, far)[0, :3], 2.0)


def test_nothing_but_the_statistics_moves_and_no_gradient_moves_them():
  agent, params = _agent()
  after = agent.observe(params, _see(0, (6, 5)))
  moved = {
    name
    for name in params
    if any((params[name][k] != after[name][k]).any() for k in params[name])
  }
  assert moved == {"running_statistics"}
  assert after.keys() == params.keys()

  def loss(params):
    batch = _see(1, (4,))
    timestep = TimeStep(
      batch,
      jnp.zeros(4),
      jnp.ones(4),
      jnp.zeros(4, bool),
      jnp.zeros(4, bool),
    )
    state = agent.initial_state(params, 4)
    outputs, _ = agent.step(
      params, jax.random.key(0), timestep, state, "online"
    )
    return outputs["q"]["mean"].sum()

  gradients = jax.grad(loss)(after)["running_statistics"]
  assert all(not np.any(leaf) for leaf in gradients.values())


@pytest.mark.parametrize("file", ["ppo.gin", "dqn.gin"])
def test_training_counts_what_is_collected(file):
  bindings = "agent.torso = @normalised_observation()\n"
  bindings += "normalised_observation.torso = @mlp()\n"
  experiment = config.load(
    [file, "env_cartpole.gin"], [small.sizes(file), bindings]
  ).call()
  program = training.build(experiment)
  start = program.init(jax.random.key(0))
  state, output = jax.jit(program.run_chunk)(start, 3, True)
  assert int(output.updates) > 0
  params = state.learning.params["agent"]
  (found,) = [p for name, p in params.items() if "running_stat" in name]
  steps = experiment.unroll_length + (file == "ppo.gin")  # and the peek
  assert float(found["count"]) == 3 * 8 * steps
  assert np.isfinite(found["mean_0"]).all() and (found["square_0"] > 0).all()


def test_bad_settings():
  with pytest.raises(ValueError, match=r"clip must be above 0, got 0"):
    networks.normalised_observation(_torso, clip=0.0)
  build = networks.normalised_observation(_torso)
  with pytest.raises(ValueError, match=r"scales floats.* int32"):
    build(jax.ShapeDtypeStruct((2,), jnp.int32))
