import haiku as hk
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from neurorl import networks
from tests.sequences import random_params

IMAGE = (6, 5, 2)
SPECS = {
  "vector": jax.ShapeDtypeStruct((5,), jnp.float32),
  "scalar": jax.ShapeDtypeStruct((), jnp.int32),
  "image": jax.ShapeDtypeStruct(IMAGE, jnp.bool_),
  "bytes": jax.ShapeDtypeStruct(IMAGE, jnp.uint8),
  "tree": {
    "observation": jax.ShapeDtypeStruct(IMAGE, jnp.float32),
    "action": jax.ShapeDtypeStruct((3,), jnp.float32),
    "reward": jax.ShapeDtypeStruct((), jnp.float32),
  },
}
# torso, output size, the observations that it reads
TORSOS = {
  "mlp": (networks.mlp((8, 7)), 7, tuple(SPECS)),
  "mlp, normalised": (networks.mlp((7,), layer_norm=True), 7, tuple(SPECS)),
  "minatar_cnn": (
    networks.minatar_cnn(channels=3, hidden_size=7),
    7,
    ("image", "bytes", "tree"),
  ),
}
CASES = [
  (torso, spec) for torso, (_, _, specs) in TORSOS.items() for spec in specs
]


def observe(spec, *leading, seed=0):
  rng = np.random.default_rng(seed)
  return jax.tree.map(
    lambda x: jnp.asarray(
      rng.integers(0, 2, (*leading, *x.shape))
      if x.dtype != jnp.float32
      else rng.normal(size=(*leading, *x.shape)),
      x.dtype,
    ),
    spec,
  )


def build(recipe, spec):
  """Returns the parameters and the applied function."""
  transformed = hk.without_apply_rng(hk.transform(lambda x: recipe(spec)(x)))
  params = random_params(transformed.init, jax.random.key(0), observe(spec, 2))
  return params, jax.jit(transformed.apply)


@pytest.mark.parametrize(("name", "spec"), CASES)
def test_leading_axes_agree(name, spec):
  recipe, size, _ = TORSOS[name]
  params, apply = build(recipe, SPECS[spec])
  observation = observe(SPECS[spec], 4, 3)
  both = apply(params, observation)
  assert both.shape == (4, 3, size) and both.dtype == jnp.float32
  for t in range(2):
    one = apply(params, jax.tree.map(lambda x, t=t: x[t], observation))
    assert one.shape == (3, size)
    np.testing.assert_allclose(one, both[t], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("name", "spec"), CASES)
def test_every_leaf_is_read_and_rows_do_not_mix(name, spec):
  recipe, _, _ = TORSOS[name]
  params, apply = build(recipe, SPECS[spec])
  observation = jax.tree.map(
    lambda x: x.astype(jnp.float32), observe(SPECS[spec], 2)
  )
  gradient = jax.jit(jax.grad(lambda x: jnp.square(apply(params, x)[0]).sum()))
  for leaf in jax.tree.leaves(gradient(observation)):
    assert np.abs(leaf[0]).max() > 0
    np.testing.assert_array_equal(leaf[1], 0.0)


def test_mlp_without_layers_flattens_leaves_in_order():
  spec = {"b": SPECS["scalar"], "a": jax.ShapeDtypeStruct((2, 2), jnp.uint8)}
  _, apply = build(networks.mlp(()), spec)
  observation = {
    "b": jnp.array([7, 8]),
    "a": jnp.arange(8, dtype=jnp.uint8).reshape(2, 2, 2),
  }
  vectors = apply({}, observation)
  np.testing.assert_array_equal(vectors, [[0, 1, 2, 3, 7], [4, 5, 6, 7, 8]])
  assert vectors.dtype == jnp.float32


def test_mlp_is_linear_layers_and_activations():
  spec = SPECS["vector"]
  params, apply = build(networks.mlp((4, 3), activation=jnp.tanh), spec)
  x = np.asarray(observe(spec, 2))
  expected = x
  for i in range(2):
    layer = params[f"mlp/linear_{i}"]
    expected = np.tanh(expected @ layer["w"] + layer["b"])
  np.testing.assert_allclose(apply(params, x), expected, rtol=1e-4, atol=1e-6)


def test_layer_norm_forgets_the_scale_of_observations():
  spec = SPECS["vector"]
  x = observe(spec, 2)
  for layer_norm, equal in [(True, True), (False, False)]:
    params, apply = build(networks.mlp((6,), layer_norm=layer_norm), spec)
    params["mlp/linear_0"]["b"] *= 0
    close = np.allclose(apply(params, x), apply(params, 100 * x), atol=1e-2)
    assert close == equal


def test_minatar_cnn_equals_plain_loops():
  spec = SPECS["tree"]
  params, apply = build(networks.minatar_cnn(3, 4), spec)
  params = jax.tree.map(np.asarray, params)
  observation = observe(spec, 2)
  conv = next(v for k, v in params.items() if k.endswith("conv"))
  linear = next(v for k, v in params.items() if k.endswith("linear_0"))
  image = np.asarray(observation["observation"])
  height, width, _ = IMAGE
  seen = np.zeros((2, height - 2, width - 2, 3))
  for i in range(height - 2):
    for j in range(width - 2):
      patch = image[:, i : i + 3, j : j + 3, :, None]
      seen[:, i, j] = (patch * conv["w"]).sum((1, 2, 3)) + conv["b"]
  seen = np.maximum(seen, 0).reshape(2, -1)
  # The other leaves follow in order: the action, then the reward.
  others = [observation["action"], observation["reward"][:, None]]
  joined = np.concatenate([seen, *others], axis=1)
  expected = np.maximum(joined @ linear["w"] + linear["b"], 0)
  assert expected.max() > 0
  np.testing.assert_allclose(
    apply(params, observation), expected, rtol=1e-4, atol=1e-5
  )


@pytest.mark.parametrize(
  "spec",
  [
    SPECS["vector"],
    {"left": SPECS["image"], "right": SPECS["image"]},
    jax.ShapeDtypeStruct((2, 5, 1), jnp.float32),
  ],
)
def test_minatar_cnn_says_what_it_reads_and_what_there_is(spec):
  message = r"reads one image \[H, W, C\].*\(.*5.*\).* = @mlp\(\) reads any"
  with pytest.raises(ValueError, match=message):
    build(networks.minatar_cnn(), spec)


def test_mlp_needs_an_observation():
  with pytest.raises(ValueError, match="no observation to read"):
    networks.mlp()({})


@pytest.mark.parametrize(
  ("make", "message"),
  [
    (lambda: networks.mlp((8, 0)), r"mlp.hidden_sizes must .*\[8, 0\]"),
    (lambda: networks.minatar_cnn(channels=0), r"positive, got \[0, 128\]"),
    (lambda: networks.minatar_cnn(hidden_size=-1), r"positive, got \[16, -1\]"),
  ],
)
def test_sizes_must_be_positive(make, message):
  with pytest.raises(ValueError, match=message):
    make()
