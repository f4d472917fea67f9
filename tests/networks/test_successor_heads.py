import functools

import haiku as hk
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from neurorl import environments, networks
from tests.networks.test_heads import DISCRETE
from tests.sequences import random_params, timesteps

A, D, F = 4, 5, 2
POLICIES = ((1.0, 0.0), (0.0, 1.0), (2.0, -1.0))
SPEC = environments.collect_objects(((1.0, 0.0),)).spec
RNG = np.random.default_rng(0)
EMBEDDING = jnp.asarray(RNG.normal(size=(3, 2, D)), jnp.float32)
TASK = jnp.asarray(RNG.normal(size=(1, 2, F)), jnp.float32).repeat(3, axis=0)
HEADS = {
  "fixed": networks.successor_features_head(POLICIES, hidden_sizes=(6,)),
  "universal": networks.universal_successor_features_head(
    POLICIES, num_samples=7, scale=0.5, hidden_sizes=(6,)
  ),
}


def seen(task=TASK, **more):
  observation = {"task": task, **more}
  return timesteps("fmm", "fmm")._replace(observation=observation)


def build(name):
  """Parameters that are nowhere zero, and `(mode, seed, timestep) -> ...`."""
  transformed = hk.transform(
    lambda e, t, mode: HEADS[name].build(SPEC)(e, t, mode)
  )
  init = functools.partial(transformed.init, mode="online")
  params = random_params(init, jax.random.key(0), EMBEDDING, seen())

  def apply(mode, seed=0, timestep=None, embedding=EMBEDDING):
    key = jax.random.key(seed)
    timestep = seen() if timestep is None else timestep
    return transformed.apply(params, key, embedding, timestep, mode)

  return apply


@pytest.mark.parametrize("name", HEADS)
@pytest.mark.parametrize("mode", ["evaluating", "acting", "online", "target"])
def test_the_mean_is_the_best_that_any_policy_knows(name, mode):
  found = build(name)(mode)
  count = 7 if name == "universal" and mode != "evaluating" else 3
  assert found["psi"].shape == (3, 2, count, A, F)
  assert found["policies"].shape == (3, 2, count, F)
  for t, b, a in np.ndindex(3, 2, A):
    values = [found["psi"][t, b, p, a] @ TASK[t, b] for p in range(count)]
    np.testing.assert_allclose(found["mean"][t, b, a], max(values), rtol=1e-5)


@pytest.mark.parametrize("name", HEADS)
def test_psi_does_not_depend_on_the_task_in_evaluation(name):
  apply = build(name)
  found, other = apply("evaluating"), apply("evaluating", 0, seen(-3 * TASK))
  np.testing.assert_array_equal(found["psi"], other["psi"])
  assert abs(found["mean"] - other["mean"]).min() > 0
  policies = np.broadcast_to(POLICIES, (3, 2, 3, F))
  np.testing.assert_array_equal(found["policies"], policies)


def test_policies_are_drawn_around_the_task_one_draw_a_sequence():
  apply = build("universal")
  found = apply("online")
  noise = found["policies"] - TASK[:, :, None]
  np.testing.assert_allclose(noise, noise[:1].repeat(3, axis=0), atol=1e-6)
  assert abs(noise[:, 0] - noise[:, 1]).min() > 0
  draws = [
    apply("acting", seed)["policies"][0] - TASK[0, :, None]
    for seed in range(100)
  ]
  assert abs(np.std(draws) - 0.5) < 0.03
  assert abs(np.mean(draws)) < 0.05
  assert "drawn" in found and "drawn" not in apply("evaluating")


def test_a_single_step_draws_as_a_sequence_does():
  apply = build("universal")
  timestep = jax.tree.map(lambda x: x[1], seen())
  step = apply("acting", 3, timestep, EMBEDDING[1])
  whole = apply("acting", 3)
  for entry in ("mean", "psi", "policies"):
    np.testing.assert_allclose(step[entry], whole[entry][1], rtol=1e-5)


def test_the_observation_may_name_the_policies():
  apply = build("universal")
  drawn = apply("online", 5)
  asked = apply("target", 6, seen(policies=drawn["policies"]))
  for entry in ("mean", "psi", "policies"):
    np.testing.assert_array_equal(drawn[entry], asked[entry])
  assert "drawn" not in asked


@pytest.mark.parametrize(
  "make",
  [
    networks.successor_features_head,
    networks.universal_successor_features_head,
  ],
)
def test_what_is_refused(make):
  for policies in [(), ((),), ((1.0,), (1.0, 2.0))]:
    with pytest.raises(ValueError, match="must be vectors of one length"):
      make(policies)
  with pytest.raises(ValueError, match="choices shows no 'task'"):
    make(POLICIES).build(DISCRETE)
  with pytest.raises(ValueError, match=r"have 3 numbers, but .* shape \[2\]"):
    make(((1.0, 0.0, 0.0),)).build(SPEC)

  def imagine(x):
    return make(POLICIES).build(SPEC)(x, None, "evaluating")

  with pytest.raises(ValueError, match="which a model does not imagine"):
    hk.transform(imagine).init(jax.random.key(0), EMBEDDING)


def test_numbers_out_of_range_are_refused():
  make = networks.universal_successor_features_head
  with pytest.raises(ValueError, match="scale must be >= 0, got -1"):
    make(POLICIES, scale=-1.0)
  with pytest.raises(ValueError, match="num_samples must be positive"):
    make(POLICIES, num_samples=0)
