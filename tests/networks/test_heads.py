import functools

import haiku as hk
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from neurorl import networks
from neurorl.ops import codecs, transforms
from neurorl.types import ContinuousActions, DiscreteActions, EnvironmentSpec
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
# A new head earns the tests below by one line: its recipe, and what it predicts
# of one state.
HEADS = {
  "q_head": (networks.q_head, (A,)),
  "dueling_q_head": (networks.dueling_q_head, (A,)),
  "scalar_head": (networks.scalar_head, ()),
  "policy_head": (networks.policy_head, (A,)),
  "quantile_q_head": (networks.quantile_q_head, (A,)),
  "implicit_quantile_q_head": (networks.implicit_quantile_q_head, (A,)),
}
SCALARS = ["q_head", "dueling_q_head", "scalar_head"]
QUANTILES = ["quantile_q_head", "implicit_quantile_q_head"]
OF_ACTIONS = [name for name, (_, shape) in HEADS.items() if shape]
PARAMETERS = {
  "linear": {"hidden_sizes": ()},
  "hidden": {"hidden_sizes": (6,)},
  "normalised": {"hidden_sizes": (6,), "layer_norm": True},
  "noisy": {"hidden_sizes": (6,), "linear": networks.noisy_linear()},
}
CODECS = {
  "scalar": codecs.scalar_codec(),
  "squashed": codecs.scalar_codec(transforms.signed_hyperbolic(0.1)),
  "two_hot": codecs.two_hot(-2.0, 3.0, 7),
  "two_hot, squashed": codecs.two_hot(
    -1.0, 1.0, 4, transforms.signed_hyperbolic(0.1)
  ),
  "bernoulli": codecs.bernoulli(),
}
EMBEDDING = jax.random.normal(jax.random.key(1), (4, 2, D))


def build(recipe, spec=DISCRETE, mode="evaluating"):
  """Returns parameters that are nowhere zero, and the applied function.

  In any mode but evaluation the function takes a key, too.
  """
  transformed = hk.transform(lambda x, m: recipe.build(spec)(x, None, m))
  params = random_params(
    functools.partial(transformed.init, m="online"),
    jax.random.key(0),
    EMBEDDING[0],
  )
  if mode == "evaluating":
    return params, jax.jit(lambda p, x: transformed.apply(p, None, x, mode))
  return params, jax.jit(lambda p, x, key: transformed.apply(p, key, x, mode))


def assert_close(x, y):
  np.testing.assert_allclose(x, y, rtol=1e-4, atol=1e-5)


def assert_leading_axes_agree(params, apply):
  both = apply(params, EMBEDDING)
  for t in range(2):
    one = apply(params, EMBEDDING[t])
    assert set(one) == set(both)
    jax.tree.map(assert_close, one, jax.tree.map(lambda x, t=t: x[t], both))


def assert_every_parameter_learns(params, apply):
  def loss(params):
    mean = apply(params, EMBEDDING)["mean"]
    return jnp.sum(jnp.square(mean - jnp.arange(mean.shape[-1])))

  for leaf in jax.tree.leaves(jax.jit(jax.grad(loss))(params)):
    assert np.abs(leaf).max() > 0


@pytest.mark.parametrize("parameters", PARAMETERS)
@pytest.mark.parametrize("name", HEADS)
def test_a_mean_for_everything_predicted(name, parameters):
  recipe, shape = HEADS[name]
  params, apply = build(recipe(**PARAMETERS[parameters]))
  mean = np.asarray(apply(params, EMBEDDING)["mean"])
  assert mean.shape == (4, 2, *shape)
  # It tells states and, if it is of them, actions apart.
  assert np.ptp(mean, axis=(0, 1)).min() > 0
  if shape:
    assert np.ptp(mean, axis=-1).min() > 0
  assert_leading_axes_agree(params, apply)


@pytest.mark.parametrize("parameters", PARAMETERS)
@pytest.mark.parametrize("name", HEADS)
def test_every_parameter_learns(name, parameters):
  params, apply = build(HEADS[name][0](**PARAMETERS[parameters]), mode="online")
  key = jax.random.key(3)
  assert_every_parameter_learns(params, lambda p, x: apply(p, x, key))


DRAWS = {
  name: functools.partial(make, linear=networks.noisy_linear())
  for name, (make, _) in HEADS.items()
}
DRAWS["implicit_quantile_q_head"] = networks.implicit_quantile_q_head


@pytest.mark.parametrize("mode", ["acting", "online", "target"])
@pytest.mark.parametrize("name", DRAWS)
def test_what_is_drawn_is_drawn_for_every_row_and_call(name, mode):
  params, apply = build(DRAWS[name](), mode=mode)
  alike = jnp.broadcast_to(EMBEDDING[0, 0], (4, 2, D))
  one, again, other = [
    np.asarray(apply(params, alike, jax.random.key(seed))["mean"])
    for seed in (0, 0, 1)
  ]
  np.testing.assert_array_equal(one, again)
  assert np.abs(one - other).min() > 0
  rows = one.reshape(8, -1)
  assert len(np.unique(rows[:, 0])) == 8


@pytest.mark.parametrize("name", DRAWS)
def test_nothing_is_drawn_in_evaluation(name):
  # It needs no key, either.
  params, apply = build(DRAWS[name]())
  alike = jnp.broadcast_to(EMBEDDING[0, 0], (4, 2, D))
  mean = np.asarray(apply(params, alike)["mean"])
  np.testing.assert_allclose(mean, np.broadcast_to(mean[0, 0], mean.shape))


def test_noise_has_the_deviation_that_its_parameters_say():
  recipe = networks.q_head(linear=networks.noisy_linear())
  params, apply = build(recipe, mode="acting")
  _, quiet = build(recipe)
  x = jnp.broadcast_to(EMBEDDING[0, 0], (60_000, D))
  noise = apply(params, x, jax.random.key(0))["mean"] - quiet(params, x)["mean"]
  # E f(e)^2 = E |e| = sqrt(2 / pi), for either factor.
  root = np.sqrt(2 / np.pi)
  layer = params["q"]
  variance = np.square(EMBEDDING[0, 0]) @ np.square(layer["w_scale"]) * root**2
  variance = variance + np.square(layer["b_scale"]) * root
  np.testing.assert_allclose(noise.mean(axis=0), np.zeros(A), atol=0.02)
  np.testing.assert_allclose(noise.var(axis=0), variance, rtol=0.05)


def test_noise_begins_as_the_paper_has_it():
  recipe = networks.q_head(linear=networks.noisy_linear(scale=0.3))
  transformed = hk.transform(
    lambda x: recipe.build(DISCRETE)(x, None, "online")
  )
  layer = transformed.init(jax.random.key(0), EMBEDDING)["q"]
  np.testing.assert_allclose(layer["w_scale"], np.full((D, A), 0.3 * D**-0.5))
  np.testing.assert_allclose(layer["b_scale"], np.full(A, 0.3 * D**-0.5))
  assert 0 < np.abs(layer["w"]).max() <= D**-0.5
  with pytest.raises(
    ValueError, match=r"noisy_linear\.scale must be >= 0, got"
  ):
    networks.noisy_linear(scale=-0.1)


@pytest.mark.parametrize("mode", ["acting", "evaluating", "online", "target"])
@pytest.mark.parametrize("name", QUANTILES)
def test_quantiles_and_their_fractions(name, mode):
  learns = mode in ("online", "target")
  if name == "quantile_q_head":
    count, recipe = 7, networks.quantile_q_head(num_quantiles=7)
  else:
    count = 4 if learns else 7
    recipe = networks.implicit_quantile_q_head(num_samples=4, num_acting=7)
  assert recipe.codec is None
  params, apply = build(recipe, mode=mode)
  key = () if mode == "evaluating" else (jax.random.key(0),)
  outputs = apply(params, EMBEDDING, *key)
  assert set(outputs) == {"mean", "quantiles", "taus"}
  assert outputs["quantiles"].shape == (4, 2, A, count)
  assert outputs["taus"].shape == (4, 2, count)
  assert_close(outputs["mean"], outputs["quantiles"].mean(axis=-1))
  middles = np.broadcast_to((np.arange(count) + 0.5) / count, (4, 2, count))
  if mode == "evaluating" or name == "quantile_q_head":
    assert_close(outputs["taus"], middles)
  else:
    assert outputs["taus"].min() >= 0 and outputs["taus"].max() < 1
    assert len(np.unique(outputs["taus"])) == 8 * count


def test_implicit_quantiles_by_hand():
  recipe = networks.implicit_quantile_q_head(
    num_acting=2, num_cosines=3, hidden_sizes=()
  )
  params, apply = build(recipe)
  taus = np.array([0.25, 0.75])
  cosines = np.cos(np.pi * np.outer(taus, np.arange(3)))
  layer, out = params["taus/linear"], params["quantiles"]
  seen = np.maximum(cosines @ layer["w"] + layer["b"], 0)
  x = np.asarray(EMBEDDING)[..., None, :] * seen
  expected = np.swapaxes(x @ out["w"] + out["b"], -1, -2)
  assert_close(apply(params, EMBEDDING)["quantiles"], expected)


@pytest.mark.parametrize(
  ("make", "size"),
  [
    (networks.quantile_q_head, "num_quantiles"),
    (networks.implicit_quantile_q_head, "num_samples"),
    (networks.implicit_quantile_q_head, "num_acting"),
    (networks.implicit_quantile_q_head, "num_cosines"),
  ],
)
def test_numbers_of_quantiles_must_be_positive(make, size):
  with pytest.raises(
    ValueError, match=rf"{make.__name__}\..* must be positive"
  ):
    make(**{size: 0})


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("name", SCALARS)
def test_a_codec_decodes_what_is_put_out(name, codec):
  make, shape = HEADS[name]
  codec = CODECS[codec]
  recipe = make(hidden_sizes=(6,), codec=codec)
  assert recipe.codec is codec
  params, apply = build(recipe)
  outputs = apply(params, EMBEDDING)
  assert set(outputs) == {"mean", "raw"}
  assert outputs["raw"].shape == (4, 2, *shape, *codec.shape)
  assert outputs["mean"].shape == (4, 2, *shape)
  assert_close(outputs["mean"], codec.decode(outputs["raw"]))
  # No two numbers of a state's raw output are one.
  assert len(np.unique(outputs["raw"][0, 0])) == outputs["raw"][0, 0].size
  assert_leading_axes_agree(params, apply)
  assert_every_parameter_learns(params, apply)


@pytest.mark.parametrize("name", SCALARS)
def test_without_a_codec_a_scalar_is_itself(name):
  recipe = HEADS[name][0]()
  assert recipe.codec == codecs.SCALAR
  params, apply = build(recipe)
  outputs = apply(params, EMBEDDING)
  np.testing.assert_array_equal(outputs["mean"], outputs["raw"])


@pytest.mark.parametrize("name", OF_ACTIONS)
def test_continuous_actions_are_refused(name):
  message = rf"{name} needs discrete actions, but arm has continuous\[2\]"
  with pytest.raises(ValueError, match=message):
    build(HEADS[name][0](), CONTINUOUS)


def test_a_scalar_of_the_state_asks_for_no_kind_of_action():
  params, apply = build(networks.scalar_head(), CONTINUOUS)
  assert apply(params, EMBEDDING)["mean"].shape == (4, 2)


@pytest.mark.parametrize("name", HEADS)
def test_sizes_must_be_positive(name):
  message = rf"{name}.hidden_sizes must be positive, got \[8, 0\]"
  with pytest.raises(ValueError, match=message):
    HEADS[name][0](hidden_sizes=(8, 0))


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


def test_a_policy_is_a_softmax_of_its_logits():
  recipe = networks.policy_head()
  assert recipe.codec is None
  params, apply = build(recipe)
  outputs = apply(params, EMBEDDING)
  logits = EMBEDDING @ params["policy"]["w"] + params["policy"]["b"]
  assert_close(outputs["logits"], logits)
  weights = np.exp(logits)
  assert_close(outputs["mean"], weights / weights.sum(axis=-1, keepdims=True))


@pytest.mark.parametrize("codec", ["scalar", "two_hot"])
def test_dueling_advantages_have_mean_zero(codec):
  codec = CODECS[codec]
  params, apply = build(networks.dueling_q_head(hidden_sizes=(), codec=codec))

  def stream(name, size):
    linear = EMBEDDING @ params[name]["w"] + params[name]["b"]
    return linear.reshape(4, 2, size, *codec.shape)

  # For every number that a codec reads, not only for what it makes of them.
  raw = np.asarray(apply(params, EMBEDDING)["raw"])
  value, advantage = stream("value", 1), stream("advantage", A)
  assert_close(raw.mean(axis=2, keepdims=True), value)
  # What remains is the advantages but for what all actions share.
  assert_close(raw - raw[:, :, :1], advantage - advantage[:, :, :1])


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


@pytest.mark.parametrize("codec", ["scalar", "two_hot, squashed"])
def test_an_ensemble_is_its_members_and_their_priors(codec):
  codec = CODECS[codec]
  head = networks.q_head(hidden_sizes=(6,), codec=codec)
  recipe = networks.ensemble_head(head, size=4, prior_scale=0.5)
  assert recipe.codec is codec
  params, apply = build(recipe)
  outputs = apply(params, EMBEDDING)
  assert set(outputs) == {"mean", "members"}
  members = outputs["members"]
  assert members["raw"].shape == (4, 2, 4, A, *codec.shape)
  assert_close(members["mean"], codec.decode(members["raw"]))
  assert_close(outputs["mean"], members["mean"].mean(axis=2))
  _, apply_one = build(head)
  for i in range(4):
    one = {
      kind: apply_one(
        {
          name.removeprefix(f"{kind}/member/"): jax.tree.map(
            lambda x, i=i: x[i], layer
          )
          for name, layer in params.items()
          if name.startswith(kind)
        },
        EMBEDDING,
      )["raw"]
      for kind in ("members", "priors")
    }
    assert_close(members["raw"][:, :, i], one["members"] + 0.5 * one["priors"])
  assert_leading_axes_agree(params, apply)


def test_priors_learn_nothing_and_teach_nothing():
  head = networks.q_head(hidden_sizes=(6,))

  def gradients(prior_scale):
    recipe = networks.ensemble_head(head, 3, prior_scale)
    params, apply = build(recipe, mode="online")

    def loss(params, x):
      return apply(params, x, jax.random.key(0))["members"]["mean"].sum()

    return jax.grad(loss, (0, 1))(params, EMBEDDING)

  params, embedding = gradients(2.0)
  for name, layer in params.items():
    learned = [np.abs(leaf).max() > 0 for leaf in jax.tree.leaves(layer)]
    assert all(learned) if name.startswith("members") else not any(learned)
  # Where the members end, hence what is learned of the embedding, is the same.
  without, embedding_without = gradients(0.0)
  assert not [name for name in without if name.startswith("priors")]
  assert_close(embedding, embedding_without)


def test_members_begin_apart_and_are_called_again():
  recipe = networks.ensemble_head(networks.q_head(), 3, 1.0)

  def twice():
    with hk.name_scope("q"):
      head = recipe.build(DISCRETE)
    return [head(EMBEDDING, None, "online") for _ in range(2)]

  transformed = hk.transform(twice)
  params = transformed.init(jax.random.key(0))
  assert set(params) == {"q/members/member/q", "q/priors/member/q"}
  one, other = transformed.apply(params, jax.random.key(1))
  np.testing.assert_array_equal(one["mean"], other["mean"])
  values = np.asarray(one["members"]["mean"])
  assert np.abs(np.diff(values, axis=2)).min() > 0


def test_noisy_members_draw_apart():
  head = networks.q_head(linear=networks.noisy_linear())
  params, apply = build(networks.ensemble_head(head, 3), mode="acting")
  params = jax.tree.map(lambda x: jnp.broadcast_to(x[:1], x.shape), params)
  members = apply(params, EMBEDDING, jax.random.key(0))["members"]["mean"]
  assert np.abs(np.diff(members, axis=2)).min() > 0


@pytest.mark.parametrize(
  ("parameters", "message"),
  [
    ({"head": networks.policy_head()}, "must be a head of scalars, such as"),
    ({"size": 1}, "size must be >= 2, got 1"),
    ({"prior_scale": -1.0}, "prior_scale must be >= 0, got -1"),
  ],
)
def test_what_is_no_ensemble_is_refused(parameters, message):
  with pytest.raises(ValueError, match=message):
    networks.ensemble_head(**{"head": networks.q_head()} | parameters)
