import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from neurorl.ops import codecs, transforms

SQUASH = transforms.signed_hyperbolic(0.01)
# A new codec earns the tests below by one line here: the codec, and scalars in
# the task's units that it can mean, [2, 3].
CODECS = {
  "scalar": (codecs.scalar_codec(), [[-3.0, -0.5, 0.0], [0.1, 7.0, 400.0]]),
  "scalar, squashed": (
    codecs.scalar_codec(SQUASH),
    [[-90.0, -8.0, -0.5], [0.0, 3.0, 400.0]],
  ),
  "two_hot": (
    codecs.two_hot(-2.0, 4.0, 13),
    # the ends, on a step, between steps
    [[-2.0, 4.0, 1.5], [-1.9, 0.25, 3.99]],
  ),
  "two_hot, uneven": (
    codecs.two_hot(-1.0, 0.9, 7),
    [[-1.0, 0.9, 0.0], [-0.95, 0.3, 0.89]],
  ),
  "two_hot, two steps": (
    codecs.two_hot(0.0, 1.0, 2),
    [[0.0, 1.0, 0.5], [0.25, 0.01, 0.9]],
  ),
  "two_hot, squashed": (
    codecs.two_hot(-10.0, 10.0, 21, SQUASH),
    [[-90.0, -8.0, -0.5], [0.0, 3.0, 99.0]],
  ),
  "bernoulli": (codecs.bernoulli(), [[0.02, 0.1, 0.5], [0.6, 0.9, 0.98]]),
}
DISTRIBUTIONS = [name for name in CODECS if not name.startswith("scalar")]
TWO_HOTS = [name for name in CODECS if name.startswith("two_hot")]


def targets(name):
  """Some scalars in the network's units, `[2, 3]`."""
  codec, values = CODECS[name]
  return codec.transform.apply(jnp.array(values))


def gradient(codec, raw, scalar):
  return jax.grad(lambda raw: codec.cross_entropy(raw, scalar).sum())(raw)


def wanted(codec, scalar):
  """The distribution that the cross-entropy asks for, by its gradient."""
  raw = jnp.zeros((*scalar.shape, *codec.shape))
  return np.asarray(jax.nn.softmax(raw) - gradient(codec, raw, scalar))


def encode(codec, scalar):
  """What a head should put out for scalars in the network's units."""
  if codec.cross_entropy is None:
    return scalar
  if not codec.shape:
    return jnp.log(scalar / (1 - scalar))
  return jnp.log(jnp.maximum(wanted(codec, scalar), 1e-12))


@pytest.mark.parametrize("name", CODECS)
def test_decode_undoes_encode(name):
  codec, values = CODECS[name]
  raw = encode(codec, targets(name))
  assert raw.shape == (2, 3, *codec.shape)
  np.testing.assert_allclose(codec.read(raw), targets(name), atol=3e-5)
  np.testing.assert_allclose(codec.decode(raw), values, rtol=1e-3, atol=2e-4)


@pytest.mark.parametrize("name", CODECS)
def test_leading_axes_agree(name):
  codec, _ = CODECS[name]
  scalar = targets(name)
  raw = jax.random.normal(jax.random.key(0), (2, 3, *codec.shape))
  functions = [lambda raw, _: codec.read(raw), lambda raw, _: codec.decode(raw)]
  if codec.cross_entropy:
    functions.append(codec.cross_entropy)
  for function in functions:
    both = function(raw, scalar)
    assert both.shape == (2, 3)
    assert np.ptp(both) > 0.1
    for at in (1, (0, 2)):
      one = function(raw[at], scalar[at])
      np.testing.assert_allclose(one, both[at], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_the_cross_entropy_is_least_where_the_mean_is_the_target(name):
  codec, _ = CODECS[name]
  scalar = targets(name)
  best = encode(codec, scalar)
  np.testing.assert_allclose(gradient(codec, best, scalar), 0.0, atol=1e-6)
  # Convex, so elsewhere it is more.
  least = codec.cross_entropy(best, scalar)
  for seed in range(3):
    other = jax.random.normal(jax.random.key(seed), best.shape)
    assert (codec.cross_entropy(other, scalar) > least).all()


@pytest.mark.parametrize("name", TWO_HOTS)
def test_a_target_is_spread_over_its_two_nearest_steps(name):
  codec, _ = CODECS[name]
  (count,) = codec.shape
  steps = np.linspace(codec.low, codec.high, count)
  for scalar, probabilities in zip(
    targets(name).ravel(),
    wanted(codec, targets(name)).reshape(-1, count),
    strict=True,
  ):
    np.testing.assert_allclose(probabilities.sum(), 1.0, rtol=1e-5)
    assert probabilities.min() > -1e-4
    # All lies within a step of the target, and has it as its mean.
    far = abs(steps - scalar) > (steps[1] - steps[0]) * (1 + 1e-4)
    np.testing.assert_allclose(probabilities[far], 0.0, atol=1e-6)
    np.testing.assert_allclose(probabilities @ steps, scalar, atol=3e-5)


def test_golden_two_hot():
  codec = codecs.two_hot(-1.0, 1.0, 3)
  scalar = jnp.array([-1.0, -0.75, 0.0, 0.5, 1.0])
  # The steps are -1, 0 and 1.
  expected = [[1, 0, 0], [0.75, 0.25, 0], [0, 1, 0], [0, 0.5, 0.5], [0, 0, 1]]
  np.testing.assert_allclose(wanted(codec, scalar), expected, atol=2e-5)
  raw = jnp.log(jnp.array([0.5, 0.3, 0.2]))
  np.testing.assert_allclose(codec.read(raw), 0.2 - 0.5, rtol=1e-5)
  np.testing.assert_allclose(
    codec.cross_entropy(raw, jnp.float32(-0.75)),
    -0.75 * math.log(0.5) - 0.25 * math.log(0.3),
    rtol=1e-4,
  )


@pytest.mark.parametrize("name", TWO_HOTS)
def test_cross_entropy_equals_a_plain_two_hot(name):
  codec, _ = CODECS[name]
  (count,) = codec.shape
  rng = np.random.default_rng(0)
  raw = 2 * rng.normal(size=(40, count))
  # A fifth lies beyond either end.
  scalar = np.linspace(codec.low, codec.high, 40) * 1.4
  expected = []
  for logits, x in zip(raw, scalar, strict=True):
    place = (min(max(x, codec.low), codec.high) - codec.low) * (count - 1)
    place /= codec.high - codec.low
    below = min(int(place), count - 2)
    log_probabilities = logits - np.log(np.exp(logits).sum())
    expected.append(
      -(below + 1 - place) * log_probabilities[below]
      - (place - below) * log_probabilities[below + 1]
    )
  actual = codec.cross_entropy(
    jnp.asarray(raw, jnp.float32), jnp.asarray(scalar, jnp.float32)
  )
  np.testing.assert_allclose(actual, expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", DISTRIBUTIONS)
@pytest.mark.parametrize("beyond", [1e-3, 1.0, 1e6, np.inf])
def test_targets_beyond_the_support_are_clipped_to_it(name, beyond):
  codec, _ = CODECS[name]
  raw = jax.random.normal(jax.random.key(0), codec.shape)
  for end, outside in [
    (codec.low, codec.low - beyond),
    (codec.high, codec.high + beyond),
  ]:
    at, out = [
      jax.value_and_grad(codec.cross_entropy)(raw, jnp.float32(x))
      for x in (end, outside)
    ]
    jax.tree.map(np.testing.assert_array_equal, at, out)
    inside = 0.9 * end + 0.1 * (codec.low + codec.high) / 2
    assert codec.cross_entropy(raw, jnp.float32(inside)) != at[0]


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_what_is_read_lies_within_the_support(name):
  codec, _ = CODECS[name]
  raw = 100 * jax.random.normal(jax.random.key(0), (99, *codec.shape))
  read = np.asarray(codec.read(raw))
  assert codec.low - 1e-5 <= read.min() < read.max() <= codec.high + 1e-5
  gradients = jax.grad(lambda raw: codec.read(raw).sum())(raw)
  assert np.isfinite(gradients).all()


def test_golden_bernoulli():
  codec = codecs.bernoulli()
  raw = jnp.log(jnp.array([0.5, 3.0]))
  np.testing.assert_allclose(codec.read(raw), [1 / 3, 3 / 4], rtol=1e-6)
  np.testing.assert_allclose(
    codec.cross_entropy(raw, jnp.array([1.0, 0.25])),
    [math.log(3), -0.25 * math.log(0.75) - 0.75 * math.log(0.25)],
    rtol=1e-6,
  )


def test_a_scalar_means_anything_and_is_no_distribution():
  codec = codecs.scalar_codec()
  assert codec == codecs.SCALAR
  assert codec.cross_entropy is None
  assert (codec.shape, codec.low, codec.high) == ((), -math.inf, math.inf)


@pytest.mark.parametrize(
  "make", [codecs.scalar_codec, lambda t: codecs.two_hot(-3.0, 3.0, 7, t)]
)
def test_a_transform_moves_what_is_decoded_and_not_what_is_read(make):
  plain, squashed = make(None), make(SQUASH)
  raw = jax.random.normal(jax.random.key(2), (5, *plain.shape))
  read = plain.read(raw)
  np.testing.assert_array_equal(plain.decode(raw), read)
  np.testing.assert_array_equal(squashed.read(raw), read)
  np.testing.assert_array_equal(squashed.decode(raw), SQUASH.invert(read))
  assert np.abs(squashed.decode(raw) - read).max() > 0.1


@pytest.mark.parametrize(
  ("arguments", "message"),
  [
    ((1.0, 1.0, 5), r"two_hot.low = 1.0 must be below two_hot.high = 1.0"),
    ((2.0, -2.0, 5), r"two_hot.low = 2.0 must be below two_hot.high = -2.0"),
    ((0.0, 1.0, 1), r"two_hot.num_bins must be >= 2, got 1"),
  ],
)
def test_an_empty_support_is_refused(arguments, message):
  with pytest.raises(ValueError, match=message):
    codecs.two_hot(*arguments)
