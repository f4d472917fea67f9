import haiku as hk
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from neurorl import networks
from neurorl.networks.convolutions import Convolution
from tests.sequences import random_params

IMAGE = (6, 5, 2)
SPECS = {
  "vector": jax.ShapeDtypeStruct((5,), jnp.float32),
  "scalar": jax.ShapeDtypeStruct((), jnp.int32),
  "image": jax.ShapeDtypeStruct(IMAGE, jnp.bool_),
  "bytes": jax.ShapeDtypeStruct(IMAGE, jnp.uint8),
  "integers": jax.ShapeDtypeStruct((3,), jnp.int32),
  "part integers": {
    "a": jax.ShapeDtypeStruct((2, 2), jnp.uint8),
    "b": jax.ShapeDtypeStruct((2,), jnp.float32),
    "c": jax.ShapeDtypeStruct((), jnp.int32),
  },
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
  "impala_resnet": (
    networks.impala_resnet(channels=(3, 4), hidden_size=7),
    7,
    ("image", "bytes", "tree"),
  ),
  "embed": (networks.embed(2, size=4), 12, ("integers",)),
  "embed, part": (networks.embed(2, size=4), 22, ("part integers",)),
  "dictionary": (
    networks.dictionary(
      {
        "reward": networks.mlp((2,)),
        "observation": networks.minatar_cnn(channels=3, hidden_size=4),
        "action": networks.mlp(()),
      }
    ),
    9,
    ("tree",),
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
  observation = observe(SPECS[spec], 2)
  before = apply(params, observation)
  leaves, structure = jax.tree.flatten(observation)
  for i, leaf in enumerate(leaves):
    others = leaf.at[0].set((1 - leaf[0]).astype(leaf.dtype))
    changed = [*leaves[:i], others, *leaves[i + 1 :]]
    after = apply(params, jax.tree.unflatten(structure, changed))
    assert np.abs(after[0] - before[0]).max() > 1e-4
    np.testing.assert_array_equal(after[1], before[1])


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
    (lambda: networks.impala_resnet((4, 0)), r"positive, got \[4, 0, 256\]"),
    (lambda: networks.embed(0), r"positive, got \[0, 64\]"),
  ],
)
def test_sizes_must_be_positive(make, message):
  with pytest.raises(ValueError, match=message):
    make()


def test_embed_looks_every_integer_up_in_its_leafs_table():
  spec = SPECS["part integers"]
  params, apply = build(networks.embed(3, size=2), spec)
  observation = {
    "a": jnp.array([[[0, 2], [1, 0]]], jnp.uint8),
    "b": jnp.array([[7.0, 8.0]]),
    "c": jnp.array([1]),
  }
  a, c = (np.asarray(params["embed"][f"table_{i}"]) for i in (0, 2))
  expected = np.concatenate([a[0], a[2], a[1], a[0], [7.0, 8.0], c[1]])
  np.testing.assert_array_equal(apply(params, observation), expected[None])


@pytest.mark.parametrize("value", [-4, -1, 3, 100])
def test_embed_makes_nan_of_what_its_table_lacks(value):
  params, apply = build(networks.embed(3, size=2), SPECS["integers"])
  found = apply(params, jnp.array([[0, value, 2], [0, 1, 2]]))
  np.testing.assert_array_equal(
    np.isnan(found), [[False] * 2 + [True] * 2 + [False] * 2, [False] * 6]
  )


@pytest.mark.parametrize("spec", [SPECS["vector"], SPECS["image"], {}])
def test_embed_needs_integers(spec):
  with pytest.raises(ValueError, match=r"embed looks integers up.* = @mlp\(\)"):
    build(networks.embed(3), spec)


def test_dictionary_puts_torsos_side_by_side():
  spec = SPECS["tree"]
  recipe = networks.dictionary(
    {"reward": networks.mlp(()), "action": networks.mlp((4,))}
  )
  params, apply = build(recipe, spec)
  assert list(params) == ["action/mlp/linear_0"]
  observation = observe(spec, 2)
  layer = params["action/mlp/linear_0"]
  action = np.maximum(observation["action"] @ layer["w"] + layer["b"], 0)
  expected = np.concatenate([observation["reward"][:, None], action], axis=1)
  found = apply(params, observation)
  np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
  ("key", "spec", "message"),
  [
    ("rewards", SPECS["tree"], r"no 'rewards'; did you mean 'reward'\?"),
    ("zzz", SPECS["tree"], r"no 'zzz'; allowed: action, observation, reward"),
    ("reward", SPECS["vector"], r"has no keys, it is .*5.*@mlp\(\) reads any"),
  ],
)
def test_dictionary_names_a_key_that_is_not_there(key, spec, message):
  with pytest.raises(ValueError, match=rf"dictionary.torsos: .*{message}"):
    build(networks.dictionary({key: networks.mlp()}), spec)


def test_dictionary_needs_a_torso():
  with pytest.raises(ValueError, match=r"dictionary.torsos is empty; bind"):
    networks.dictionary({})


def test_impala_resnet_halves_the_image_in_every_section():
  spec = jax.ShapeDtypeStruct((10, 10, 4), jnp.float32)
  params, _ = build(networks.impala_resnet(), spec)
  last = next(v for k, v in params.items() if k.endswith("linear_0"))
  assert last["w"].shape == (2 * 2 * 32, 256)  # 10, 5, 3, 2
  convolutions = [k for k in params if "conv" in k]
  assert len(convolutions) == 3 * 5


def test_impala_resnet_scales_bytes():
  spec = jax.ShapeDtypeStruct((6, 5, 2), jnp.uint8)
  recipe = networks.impala_resnet((3,), 4)
  params, apply = build(recipe, spec)
  _, apply_floats = build(recipe, spec)
  image = jnp.asarray(np.random.default_rng(0).integers(0, 256, (2, 6, 5, 2)))
  np.testing.assert_allclose(
    apply(params, image.astype(jnp.uint8)),
    apply_floats(params, image.astype(jnp.float32) / 255.0),
    rtol=1e-5,
  )


def test_a_residual_block_of_zeros_changes_nothing():
  spec = jax.ShapeDtypeStruct((4, 4, 2), jnp.float32)
  params, apply = build(networks.impala_resnet((3,), 4), spec)
  image = observe(spec, 2)
  with_blocks = apply(params, image)
  for name in params:
    if name.endswith(("conv_2", "conv_4")):  # the last of each block
      params[name] = jax.tree.map(jnp.zeros_like, params[name])
  first = next(v for k, v in params.items() if k.endswith("conv_0"))
  out = next(v for k, v in params.items() if k.endswith("linear_0"))

  def without_blocks(x):
    x = hk.max_pool(hk.Conv2D(3, 3)(x), (3, 3, 1), (2, 2, 1), "SAME")
    return jax.nn.relu(hk.Linear(4)(jax.nn.relu(x).reshape(2, -1)))

  reference = hk.without_apply_rng(hk.transform(without_blocks))
  expected = reference.apply({"conv2_d": first, "linear": out}, image)
  np.testing.assert_allclose(apply(params, image), expected, rtol=1e-4)
  assert np.abs(with_blocks - expected).max() > 1e-2


@pytest.mark.parametrize("padding", ["SAME", "VALID"])
def test_a_convolution_is_that_of_haiku(padding):
  image = jax.random.normal(jax.random.key(0), (2, 5, 6, 3))
  theirs = hk.without_apply_rng(
    hk.transform(lambda x: hk.Conv2D(4, 3, padding=padding, name="c")(x))
  )
  ours = hk.without_apply_rng(
    hk.transform(lambda x: Convolution(4, padding, name="c")(x))
  )
  params = random_params(theirs.init, jax.random.key(0), image)
  shapes = jax.tree.map(jnp.shape, ours.init(jax.random.key(0), image))
  assert shapes == jax.tree.map(jnp.shape, params)
  np.testing.assert_allclose(
    ours.apply(params, image), theirs.apply(params, image), rtol=1e-4, atol=1e-5
  )
