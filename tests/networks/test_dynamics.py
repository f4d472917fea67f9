import functools

import haiku as hk
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from neurorl import networks
from neurorl.types import ContinuousActions, DiscreteActions, EnvironmentSpec
from tests.sequences import random_params

T, B, D, A = 4, 3, 5, 3


def spec(action, actions):
  observation = jax.ShapeDtypeStruct((2,), jnp.float32)
  return EnvironmentSpec("some", observation, action, actions)


def bounded(*shape):
  return spec(
    jax.ShapeDtypeStruct(shape, jnp.float32),
    ContinuousActions(np.full(shape, -1.0), np.full(shape, 1.0)),
  )


SPECS = {
  "discrete": spec(jax.ShapeDtypeStruct((), jnp.int32), DiscreteActions(A)),
  "number": bounded(),
  "vector": bounded(2),
  "matrix": bounded(2, 3),
}
# New dynamics earn all tests below by one line here: the recipe, and how many
# parameters it has.
DYNAMICS = {
  "residual": (networks.residual_dynamics((6,)), 2 + 2),
  "residual, linear": (networks.residual_dynamics(()), 2),
  "residual, normalised": (
    networks.residual_dynamics((6, 7), jax.nn.tanh, layer_norm=True),
    2 * 4 + 2,
  ),
  "recurrent": (networks.recurrent_dynamics(), 3),
}
NORMS = {"min_max_norm": networks.min_max_norm, "rms_norm": networks.rms_norm}
EMBEDDING = jax.random.normal(jax.random.key(1), (T, B, D))


def some_actions(name, *leading):
  action = SPECS[name].action
  shape = (*leading, *action.shape)
  if name == "discrete":
    return jnp.arange(np.prod(shape)).reshape(shape) % A
  return jax.random.uniform(jax.random.key(2), shape, minval=-1.0)


@functools.cache
def make(name, actions):
  """Returns parameters that are nowhere zero, and the applied function."""
  recipe, _ = DYNAMICS[name]
  transformed = hk.without_apply_rng(
    hk.transform(lambda x, action: recipe(SPECS[actions])(x, action))
  )
  params = random_params(
    transformed.init,
    jax.random.key(0),
    EMBEDDING[0],
    some_actions(actions, B),
  )
  return params, jax.jit(transformed.apply)


def assert_close(x, y):
  np.testing.assert_allclose(x, y, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("actions", SPECS)
@pytest.mark.parametrize("name", DYNAMICS)
def test_an_embedding_for_any_leading_axes(name, actions):
  params, apply = make(name, actions)
  action = some_actions(actions, T, B)
  both = apply(params, EMBEDDING, action)
  assert both.shape == (T, B, D)
  for at in (1, (2, 1)):
    one = apply(params, EMBEDDING[at], action[at])
    assert one.shape == EMBEDDING[at].shape
    assert_close(one, both[at])


@pytest.mark.parametrize("actions", SPECS)
@pytest.mark.parametrize("name", DYNAMICS)
def test_both_embedding_and_every_part_of_the_action_matter(name, actions):
  params, apply = make(name, actions)
  embedding, action = EMBEDDING[0, 0], some_actions(actions)
  here = apply(params, embedding, action)
  changed = [(embedding.at[d].add(0.5), action) for d in range(D)]
  if actions == "discrete":
    changed += [(embedding, action + other) for other in range(1, A)]
  else:
    changed += [
      (embedding, action.at[at].add(0.5)) for at in np.ndindex(action.shape)
    ]
  # All of them lead elsewhere, each elsewhere than the others.
  there = np.stack([here, *(apply(params, *other) for other in changed)])
  apart = np.abs(there[:, None] - there[None]).max(axis=-1)
  assert (apart + np.eye(len(there)) > 1e-3).all()


@pytest.mark.parametrize("actions", SPECS)
@pytest.mark.parametrize("name", DYNAMICS)
def test_every_parameter_learns(name, actions):
  params, apply = make(name, actions)
  action = some_actions(actions, T, B)

  def loss(params, embedding):
    return jnp.square(apply(params, embedding, action)).sum()

  gradients, by_embedding = jax.jit(jax.grad(loss, (0, 1)))(params, EMBEDDING)
  leaves = jax.tree.leaves(gradients)
  assert len(leaves) == DYNAMICS[name][1]
  assert all(np.abs(leaf).max() > 0 for leaf in leaves)
  assert (np.abs(by_embedding).max(axis=-1) > 0).all()


def test_residual_dynamics_add_to_the_embedding():
  params, apply = make("residual, linear", "discrete")
  (last,) = params.values()
  action = some_actions("discrete", T, B)
  both = np.concatenate([EMBEDDING, np.eye(A)[action]], axis=-1)
  assert_close(
    apply(params, EMBEDDING, action), EMBEDDING + both @ last["w"] + last["b"]
  )


@pytest.mark.parametrize(("gate", "kept"), [(100.0, False), (-100.0, True)])
def test_recurrent_dynamics_keep_or_replace_the_embedding(gate, kept):
  params, apply = make("recurrent", "discrete")
  (path,) = params
  # The first gate, on or off, says how much of the embedding is replaced.
  bias = params[path]["b"].at[:D].set(gate)
  params = {path: {**params[path], "b": bias}}
  action = some_actions("discrete", T, B)
  following = apply(params, 3 * EMBEDDING, action)
  if kept:
    assert_close(following, 3 * EMBEDDING)
  else:
    assert np.abs(3 * EMBEDDING).max() > 2 > 1 >= np.abs(following).max()


def test_sizes_must_be_positive():
  message = r"residual_dynamics.hidden_sizes must be positive, got \[8, 0\]"
  with pytest.raises(ValueError, match=message):
    networks.residual_dynamics(hidden_sizes=(8, 0))


def test_golden_norms():
  x = jnp.array([[1.0, 3.0, 2.0], [-5.0, -5.0, 5.0], [7.0, 7.0, 7.0]])
  np.testing.assert_allclose(
    networks.min_max_norm()(x),
    [[0.0, 1.0, 0.5], [0.0, 0.0, 1.0], [0.0, 0.0, 0.0]],
  )
  rms = np.sqrt(14 / 3)  # 1 + 9 + 4 over 3
  np.testing.assert_allclose(
    networks.rms_norm()(x),
    [[1 / rms, 3 / rms, 2 / rms], [-1.0, -1.0, 1.0], [1.0, 1.0, 1.0]],
    rtol=1e-5,
  )


@pytest.mark.parametrize("name", NORMS)
def test_norms_are_of_every_embedding_alone_and_forget_its_scale(name):
  normalise = NORMS[name]()
  both = normalise(EMBEDDING)
  assert both.shape == EMBEDDING.shape
  assert_close(normalise(EMBEDDING[2, 1]), both[2, 1])
  assert_close(normalise(100 * EMBEDDING), both)
  assert_close(normalise(both), both)


@pytest.mark.parametrize("name", NORMS)
def test_norms_of_nothing_are_finite_and_so_are_their_gradients(name):
  normalise = NORMS[name](epsilon=0.25)
  nothing = jnp.zeros(D)
  np.testing.assert_array_equal(normalise(nothing), 0.0)
  jacobian = jax.jacobian(normalise)(nothing)
  assert np.isfinite(jacobian).all()
  # The range is taken for 1/4 and the mean square for 0 + 1/4.
  x = jnp.array([0.1, 0.0])
  expected = {
    "min_max_norm": [0.4, 0.0],
    "rms_norm": [0.1 / np.sqrt(0.01 / 2 + 0.25), 0.0],
  }
  np.testing.assert_allclose(normalise(x), expected[name], rtol=1e-5)


@pytest.mark.parametrize("epsilon", [0.0, -1e-3])
@pytest.mark.parametrize("name", NORMS)
def test_epsilon_must_be_positive(name, epsilon):
  message = rf"{name}\.epsilon must be above 0, got {epsilon}"
  with pytest.raises(ValueError, match=message):
    NORMS[name](epsilon=epsilon)
