"""Heads of a state and an action, and heads of no state at all."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from neurorl import networks
from neurorl.ops import codecs, distributions
from neurorl.types import ContinuousActions, DiscreteActions, EnvironmentSpec
from tests.sequences import random_params, timesteps

KEY = jax.random.key(0)
OBSERVATION = jax.ShapeDtypeStruct((3,), jnp.float32)
ARM = EnvironmentSpec(
  "arm",
  OBSERVATION,
  jax.ShapeDtypeStruct((2,), jnp.float32),
  ContinuousActions(np.full(2, -1.0), np.full(2, 1.0)),
)
CHOICES = EnvironmentSpec(
  "choices",
  OBSERVATION,
  jax.ShapeDtypeStruct((), jnp.int32),
  DiscreteActions(4),
)
ACTIONS = {"arm": jnp.full((5, 2), 0.5), "choices": jnp.full(5, 3, jnp.int32)}


def make(spec, action_heads=None, heads=None):
  heads = heads or {"value": networks.scalar_head()}
  return networks.agent(networks.mlp((6,)), heads, action_heads=action_heads)(
    spec
  )


def q(hidden=(4,)):
  return networks.scalar_head(hidden, codec=codecs.SCALAR)


@pytest.mark.parametrize("spec", [ARM, CHOICES], ids=lambda spec: spec.name)
def test_an_action_is_read_beside_the_state(spec):
  agent = make(spec, {"q": networks.ensemble_head(q(()), 2), "cost": q(())})
  params = random_params(agent.init, KEY)
  action = ACTIONS[spec.name]

  def evaluate(embedding, action):
    return agent.evaluate_action(params, KEY, embedding, action, "online")

  embedding = jax.random.normal(KEY, (5, 6))
  outputs = evaluate(embedding, action)
  assert set(outputs) == {"q", "cost"}
  assert outputs["cost"]["mean"].shape == outputs["q"]["mean"].shape == (5,)
  assert outputs["q"]["members"]["mean"].shape == (5, 2)
  other = evaluate(embedding, action - 1)["q"]["members"]["mean"]
  assert (abs(other - outputs["q"]["members"]["mean"]) > 1e-4).all()
  moved = evaluate(embedding + 1.0, action)["cost"]["mean"]
  assert (abs(moved - outputs["cost"]["mean"]) > 1e-4).all()
  # Any leading axes.
  rows = evaluate(
    embedding[:4].reshape(2, 2, 6), action[:4].reshape(2, 2, *action.shape[1:])
  )
  np.testing.assert_allclose(
    rows["cost"]["mean"].reshape(-1), outputs["cost"]["mean"][:4], rtol=1e-5
  )
  assert set(agent.codecs) == {"value", "q", "cost"}


def test_no_unroll_evaluates_an_action():
  agent = make(ARM, {"q": q()})
  params = random_params(agent.init, KEY)
  timestep = timesteps("fm", observation=np.ones((2, 1, 3), np.float32))
  state = agent.initial_state(params, 1)
  outputs, _ = agent.unroll(params, KEY, timestep, state, "online")
  assert set(outputs) == {"embedding", "value"}
  assert {path.split("/")[0] for path in params} >= {"q", "value", "mlp"}


def test_without_action_heads_there_is_nothing_to_ask():
  assert make(ARM).evaluate_action is None


@pytest.mark.parametrize(
  "name, message",
  [
    ("embedding", "'embedding' is the core's output"),
    ("value", r"agent.action_heads: 'value' is in agent.heads too"),
  ],
)
def test_names_that_are_taken(name, message):
  with pytest.raises(ValueError, match=message):
    make(ARM, {name: q()})


@pytest.mark.parametrize("positive", [True, False])
def test_a_constant_is_the_same_everywhere(positive):
  head = networks.constant_head(0.25, positive)
  agent = make(ARM, heads={"policy": q(), "temperature": head})
  params = agent.init(KEY)
  timestep = timesteps("fm", observation=np.ones((2, 1, 3), np.float32))

  def read(params):
    state = agent.initial_state(params, 1)
    outputs, _ = agent.unroll(params, KEY, timestep, state, "online")
    return outputs["temperature"]["mean"]

  np.testing.assert_allclose(read(params), np.full((2, 1), 0.25), rtol=1e-6)
  (path,) = [path for path in params if path.startswith("temperature")]
  (value,) = params[path].values()
  assert value.shape == ()
  gradient = jax.grad(lambda params: read(params)[0, 0])(params)
  (found,) = gradient[path].values()
  np.testing.assert_allclose(found, 0.25 if positive else 1.0, rtol=1e-6)
  lower = {**params, path: {"value": value - 5.0}}
  assert (read(lower)[0, 0] > 0) == positive


def test_a_positive_constant_must_begin_so():
  with pytest.raises(ValueError, match="initial must be above 0, got 0"):
    networks.constant_head(0.0)
  networks.constant_head(0.0, positive=False)


def test_a_detached_head_predicts_as_before_and_moves_nothing_below():
  timestep = timesteps("fm", observation=np.ones((2, 1, 3), np.float32))

  def loss(params, agent):
    state = agent.initial_state(params, 1)
    outputs, _ = agent.unroll(params, KEY, timestep, state, "online")
    return outputs["value"]["mean"].sum()

  plain = make(ARM, heads={"value": q()})
  detached = make(ARM, heads={"value": networks.detached_head(q())})
  params = random_params(plain.init, KEY)
  a, b = [jax.value_and_grad(loss)(params, x) for x in (plain, detached)]
  np.testing.assert_allclose(a[0], b[0], rtol=1e-6)
  for path in params:
    moved = any(np.any(leaf) for leaf in jax.tree.leaves(b[1][path]))
    assert moved == path.startswith("value")
  assert detached.codecs["value"] is codecs.SCALAR


def test_two_gaussian_policies_have_deviations_of_their_own():
  head = networks.gaussian_policy_head()
  params = make(ARM, heads={"one": head, "two": head}).init(KEY)
  assert all(path.split("/")[0] in ("one", "two", "mlp") for path in params)


def test_a_sample_has_its_own_likelihood():
  gaussian = distributions.squashed_gaussian(
    ContinuousActions(np.array([-2.0, 0.0]), np.array([2.0, 1.0]))
  )
  prediction = {
    "loc": jnp.array([[0.3, -0.2], [9.0, 0.1]]),
    "scale": jnp.array([[0.5, 1.0], [0.5, 1.0]]),
  }
  action, log_prob = gaussian.sample_with_log_prob(prediction, KEY)
  np.testing.assert_array_equal(action, gaussian.sample(prediction, KEY))
  expected = gaussian.log_prob(prediction, action)
  np.testing.assert_allclose(log_prob[0], expected[0], rtol=1e-4)
  # At its bound an action no longer tells how far beyond it was drawn.
  assert log_prob[1] > expected[1] + 1.0
  slope = jax.grad(
    lambda loc: gaussian.sample_with_log_prob({**prediction, "loc": loc}, KEY)[
      0
    ].sum()
  )(prediction["loc"])
  assert (slope[0] > 0).all()


def test_a_discrete_sample_has_its_own_likelihood():
  logits = {"logits": jnp.log(jnp.array([[0.2, 0.8], [0.5, 0.5]]))}
  categorical = distributions.CATEGORICAL
  action, log_prob = categorical.sample_with_log_prob(logits, KEY)
  np.testing.assert_array_equal(action, categorical.sample(logits, KEY))
  np.testing.assert_allclose(
    log_prob, categorical.log_prob(logits, action), rtol=1e-6
  )
