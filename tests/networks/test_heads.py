import haiku as hk
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from neurorl import networks
from neurorl.types import (
  ContinuousActions,
  DiscreteActions,
  EnvironmentSpec,
)
from tests.sequences import random_params

A, D = 3, 5
DISCRETE = EnvironmentSpec(
  "choices",
  jax.ShapeDtypeStruct((D,), jnp.float32),
  jax.ShapeDtypeStruct((), jnp.int32),
  DiscreteActions(A),
)
CONTINUOUS = EnvironmentSpec(
  "arm",
  DISCRETE.observation,
  jax.ShapeDtypeStruct((2,), jnp.float32),
  ContinuousActions(np.full(2, -1.0), np.full(2, 1.0)),
)
HEADS = {
  "q_head": networks.q_head,
  "dueling_q_head": networks.dueling_q_head,
}
PARAMETERS = {
  "linear": {"hidden_sizes": ()},
  "hidden": {"hidden_sizes": (6,)},
  "normalised": {"hidden_sizes": (6,), "layer_norm": True},
}
EMBEDDING = jax.random.normal(jax.random.key(1), (4, 2, D))


def build(recipe, spec=DISCRETE):
  """Returns parameters that are nowhere zero, and the applied function."""
  transformed = hk.without_apply_rng(
    hk.transform(lambda x: recipe.build(spec)(x, None, "online"))
  )
  params = random_params(transformed.init, jax.random.key(0), EMBEDDING[0])
  return params, jax.jit(transformed.apply)


@pytest.mark.parametrize("parameters", PARAMETERS)
@pytest.mark.parametrize("name", HEADS)
def test_a_mean_for_every_action_and_leading_axes_agree(name, parameters):
  params, apply = build(HEADS[name](**PARAMETERS[parameters]))
  both = apply(params, EMBEDDING)
  assert both["mean"].shape == (4, 2, A)
  for t in range(2):
    one = apply(params, EMBEDDING[t])
    assert set(one) == set(both)
    np.testing.assert_allclose(one["mean"], both["mean"][t], rtol=1e-4)
  assert np.ptp(np.asarray(both["mean"]), axis=-1).min() > 0


@pytest.mark.parametrize("parameters", PARAMETERS)
@pytest.mark.parametrize("name", HEADS)
def test_every_parameter_learns(name, parameters):
  params, apply = build(HEADS[name](**PARAMETERS[parameters]))

  def loss(params):
    q = apply(params, EMBEDDING)["mean"]
    return jnp.sum(jnp.square(q - jnp.arange(A)))

  for leaf in jax.tree.leaves(jax.jit(jax.grad(loss))(params)):
    assert np.abs(leaf).max() > 0


@pytest.mark.parametrize("name", HEADS)
def test_continuous_actions_are_refused(name):
  message = rf"{name} needs discrete actions, but arm has continuous\[2\]"
  with pytest.raises(ValueError, match=message):
    build(HEADS[name](), CONTINUOUS)


@pytest.mark.parametrize("name", HEADS)
def test_sizes_must_be_positive(name):
  message = rf"{name}.hidden_sizes must be positive, got \[8, 0\]"
  with pytest.raises(ValueError, match=message):
    HEADS[name](hidden_sizes=(8, 0))


def test_q_head_is_linear_in_its_last_layer():
  params, apply = build(networks.q_head(hidden_sizes=(4,)))
  hidden, last = params["q_hidden/linear_0"], params["q"]
  x = np.asarray(EMBEDDING)
  expected = (
    np.maximum(x @ hidden["w"] + hidden["b"], 0) @ last["w"] + last["b"]
  )
  np.testing.assert_allclose(
    apply(params, EMBEDDING)["mean"], expected, rtol=1e-4, atol=1e-5
  )


def test_dueling_advantages_have_mean_zero():
  params, apply = build(networks.dueling_q_head(hidden_sizes=()))
  value = EMBEDDING @ params["value"]["w"] + params["value"]["b"]
  advantage = EMBEDDING @ params["advantage"]["w"] + params["advantage"]["b"]
  q = np.asarray(apply(params, EMBEDDING)["mean"])
  np.testing.assert_allclose(
    q.mean(axis=-1, keepdims=True), value, rtol=1e-4, atol=1e-5
  )
  # What remains is the advantages but for a constant.
  np.testing.assert_allclose(
    q - q[..., :1], advantage - advantage[..., :1], rtol=1e-4, atol=1e-5
  )


@pytest.mark.parametrize(
  ("stream", "shift"), [("advantage", 0.0), ("value", 3)]
)
def test_only_the_value_moves_all_actions(stream, shift):
  params, apply = build(networks.dueling_q_head(hidden_sizes=(4,)))
  moved = jax.tree.map(lambda x: x, params)
  moved[stream]["b"] = params[stream]["b"] + 3.0
  difference = (
    apply(moved, EMBEDDING)["mean"] - apply(params, EMBEDDING)["mean"]
  )
  np.testing.assert_allclose(difference, np.full((4, 2, A), shift), atol=1e-5)
