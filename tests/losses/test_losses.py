import jax
import jax.numpy as jnp
import numpy as np
import pytest

from neurorl import losses
from neurorl.loss_types import TermOutput
from neurorl.ops import codecs, schedules, transforms
from tests.sequences import loss_inputs, timesteps

# Column 0: a middle, then a time-out, then a reset. gamma is a half.
# Column 1: a termination, then a reset, then a middle; its values are zeros.
STEPS = timesteps("fmof", "ftfm", reward=[[0, 0], [1, 2], [2, 0], [0, 4]])
ACTION = np.array([[0, 0], [1, 1], [2, 2], [0, 0]])
ONLINE = np.zeros((4, 2, 3), np.float32)
ONLINE[:, 0] = [[1, 5, 0], [3, 2, 0], [0, 4, 1], [7, 8, 9]]
TARGET = np.zeros((4, 2, 3), np.float32)
TARGET[:, 0] = [[6, 6, 6], [10, 20, 30], [60, 50, 40], [99, 99, 99]]
ONES = np.ones(2, np.float32)
# The transitions that count.
COUNTS = ([0, 1, 0, 2], [0, 0, 1, 1])

BOOTSTRAPS = {
  # what steps 1 and 2 of column 0 are worth, hence 1 + v/2 and 2 + v/2
  "double_q": (losses.double_q, [10, 50], [6, 27]),
  "max_q": (losses.max_q, [30, 60], [16, 32]),
  "sarsa": (losses.sarsa, [20, 40], [11, 22]),
  "expected_q": (
    lambda head="q": losses.expected_q(losses.target_greedy(), head),
    [30, 60],
    [16, 32],
  ),
  # By what `inputs` takes for them: the target's first and its last actions'.
  "target_value": (losses.target_value, [10, 60], [6, 32]),
  "search_value": (losses.search_value, [30, 40], [16, 22]),
}
OF_HEADS = [name for name in BOOTSTRAPS if name != "search_value"]


def _mean(values):
  return {"mean": jnp.asarray(values)}


def _raw(values):
  return {"raw": jnp.asarray(values)} | _mean(values)


def inputs(online=ONLINE, target=TARGET, steps=STEPS, action=ACTION, **more):
  heads = {"q": _raw(online), "value": _raw(online[:, :, 0])}
  return loss_inputs(
    steps,
    gamma=0.5,
    online=heads,
    target={"q": _mean(target), "value": _mean(target[:, :, 0])},
    action=action,
    **{"extras": {"search_value": jnp.asarray(target[:, :, -1])}} | more,
  )


def regression(target=None, distance=None, **parameters):
  return losses.regression(
    prediction=losses.action_value(**parameters),
    target=target or losses.one_step_returns(bootstrap=losses.double_q()),
    distance=distance or losses.squared_error(),
  )


def apply(recipe, loss_inputs, weights=ONES):
  loss = recipe(None, None)
  params, state = loss.init(jax.random.key(0), 2)
  output, after = loss.apply(params, state, loss_inputs, weights)
  assert jax.tree.structure(after) == jax.tree.structure(state)
  return output


def constant(value):
  """A term whose loss and error are an array `[T, B]`."""
  return lambda inputs: TermOutput(
    jnp.asarray(value, jnp.float32), -jnp.asarray(value, jnp.float32), {}
  )


def test_action_value_reads_the_action_that_was_taken():
  predicted = losses.action_value()(inputs())
  np.testing.assert_array_equal(predicted.raw[:, 0], [1, 2, 1])
  assert predicted.codec is codecs.SCALAR


def test_action_value_takes_all_that_its_codec_reads():
  codec = codecs.two_hot(0.0, 1.0, 2)
  raw = np.stack([ONLINE, 10 * ONLINE], axis=-1)
  predicted = losses.action_value()(inputs(online=raw, codecs={"q": codec}))
  expected = [[1, 10], [2, 20], [1, 10]]
  np.testing.assert_array_equal(predicted.raw[:, 0], expected)
  assert predicted.codec is codec


def test_scalar_reads_what_the_online_parameters_put_out():
  codec = codecs.two_hot(0.0, 1.0, 2)
  raw = np.arange(16.0).reshape(4, 2, 2)
  case = loss_inputs(
    STEPS, 0.5, {"v": {"raw": raw}}, {"v": {"raw": -raw}}, codecs={"v": codec}
  )
  predicted = losses.scalar(head="v")(case)
  np.testing.assert_array_equal(predicted.raw, raw)
  assert predicted.codec is codec
  with pytest.raises(ValueError, match="scalar reads 'raw' of head 'value', w"):
    losses.scalar()(loss_inputs(STEPS, 0.5, {"value": {"mean": raw}}))


@pytest.mark.parametrize(
  ("target", "wanted"),
  [
    (losses.rewards, [[1, 2], [2, 0], [0, 4]]),
    # Only the termination ends the discounts, which are without gamma.
    (losses.discounts, [[1, 0], [1, 1], [1, 1]]),
  ],
)
def test_what_a_transition_brings(target, wanted):
  np.testing.assert_array_equal(target()(inputs()), wanted)


@pytest.mark.parametrize("name", BOOTSTRAPS)
def test_bootstraps(name):
  bootstrap, worth, wanted = BOOTSTRAPS[name]
  values = bootstrap()(inputs())
  assert values.shape == (4, 2)
  np.testing.assert_array_equal(values[1:3, 0], worth)
  target = losses.one_step_returns(bootstrap=bootstrap())(inputs())
  np.testing.assert_array_equal(target[:2, 0], wanted)
  np.testing.assert_array_equal(target[[0, 2], 1], [2, 4])


def test_one_step_loss_by_hand():
  output = apply(losses.losses(terms={"q": regression()}), inputs())
  # Targets 6, 27 and 2, 4; predictions 1, 2 and 0, 0; one transition of either
  # column starts at a last step and does not count.
  expected = (0.5 * 5**2 + 0.5 * 25**2 + 0.5 * 2**2 + 0.5 * 4**2) / 4
  np.testing.assert_allclose(output.loss, expected)
  np.testing.assert_allclose(output.errors[:2, 0], [5, 25])
  np.testing.assert_allclose(output.errors[[0, 2], 1], [2, 4])
  metrics = {name: float(value) for name, value in output.metrics.items()}
  assert metrics == {
    "loss/q": expected,
    "loss/total": expected,
    "q/prediction": 3 / 4,
    "q/target": 39 / 4,
    "q/absolute_error": 36 / 4,
  }


def test_gradient_by_hand():
  def loss(online):
    recipe = losses.losses(terms={"q": regression()})
    return apply(recipe, inputs(online=online)).loss

  # d/dq .5 (q - target)^2 / 4 = (q - target) / 4 at the actions taken.
  expected = np.zeros((4, 2, 3))
  expected[0, 0, 0], expected[1, 0, 1] = -5 / 4, -25 / 4
  expected[0, 1, 0], expected[2, 1, 2] = -2 / 4, -4 / 4
  np.testing.assert_allclose(jax.grad(loss)(jnp.asarray(ONLINE)), expected)


def test_importance_weights_multiply_columns():
  recipe = losses.losses(terms={"q": regression()})
  weights = np.array([1.0, 2.0], np.float32)
  output = apply(recipe, inputs(), weights)
  np.testing.assert_allclose(output.loss, (12.5 + 312.5 + 2 * (2 + 8)) / 4)
  # They do not change what the buffer is told, nor the metrics of terms.
  unweighted = apply(recipe, inputs())
  np.testing.assert_array_equal(output.errors, unweighted.errors)
  assert output.metrics["q/target"] == unweighted.metrics["q/target"]


def test_huber_is_linear_beyond_delta():
  distance = losses.huber(delta=2.0)
  wanted = jnp.array([-1.0, 2.0, 5.0, -25.0])
  actual = distance(codecs.SCALAR, jnp.zeros(4), wanted)
  np.testing.assert_allclose(actual, [0.5, 2.0, 8.0, 48.0])
  output = apply(
    losses.losses(terms={"q": regression(distance=losses.huber())}), inputs()
  )
  np.testing.assert_allclose(output.loss, (4.5 + 24.5 + 1.5 + 3.5) / 4)


def test_squared_error_is_halved():
  actual = losses.squared_error()(
    codecs.SCALAR, jnp.array([1.0, -2.0]), jnp.array([4.0, 0.0])
  )
  np.testing.assert_allclose(actual, [4.5, 2.0])


@pytest.mark.parametrize(
  "distance", [losses.squared_error(), losses.huber(delta=0.1)]
)
def test_distances_of_scalars_read_by_the_codec(distance):
  codec = codecs.two_hot(-1.0, 1.0, 3)
  raw = jnp.log(jnp.array([[0.5, 0.25, 0.25], [0.125, 0.125, 0.75]]))
  wanted = jnp.array([0.5, 0.6])
  np.testing.assert_allclose(
    distance(codec, raw, wanted),
    distance(codecs.SCALAR, jnp.array([-0.25, 0.625]), wanted),
    rtol=1e-4,
  )


# Transitions that count bring 1, .25, -.5 and 3; others bring a 9.
BRINGING = timesteps(
  "fmof", "ftfm", reward=[[0, 0], [1, -0.5], [0.25, 9], [9, 3]]
)


def rewarded(raw, codec, distance):
  """The loss of a head of rewards."""
  recipe = losses.losses(
    terms={
      "r": losses.regression(losses.scalar("r"), losses.rewards(), distance)
    }
  )
  case = loss_inputs(
    BRINGING, 0.5, online={"r": {"raw": raw}}, codecs={"r": codec}
  )
  return apply(recipe, case)


def test_cross_entropy_by_hand():
  codec = codecs.two_hot(-1.0, 1.0, 3)
  # Everywhere 1/2, 1/4, 1/4 of -1, 0 and 1: a mean of -1/4.
  a, b = np.log([2, 4])
  raw = jnp.broadcast_to(jnp.array([5 - a, 5 - b, 5 - b]), (4, 2, 3))

  def loss(raw):
    return rewarded(raw, codec, losses.cross_entropy()).loss

  output = rewarded(raw, codec, losses.cross_entropy())
  # For 1, .25, -.5, and 3, which is clipped to 1.
  expected = (b + b + (a + b) / 2 + b) / 4
  np.testing.assert_allclose(output.loss, expected, rtol=1e-4)
  gradient = np.zeros((4, 2, 3))
  gradient[COUNTS] = [0.5, 0.25, 0.25]
  gradient[[0, 2], [0, 1], 2] -= 1
  gradient[1, 0, 1:] -= [0.75, 0.25]
  gradient[0, 1, :2] -= 0.5
  np.testing.assert_allclose(jax.grad(loss)(raw), gradient / 4, atol=1e-5)
  np.testing.assert_allclose(output.errors[:2, 0], [1.25, 0.5], rtol=1e-5)
  np.testing.assert_allclose(output.errors[[0, 2], 1], [-0.25, 3.25], rtol=1e-5)
  metrics = {name: float(value) for name, value in output.metrics.items()}
  assert metrics == pytest.approx(
    {
      "loss/r": expected,
      "loss/total": expected,
      "r/prediction": -0.25,
      "r/target": (1 + 0.25 - 0.5 + 3) / 4,
      "r/absolute_error": (1.25 + 0.5 + 0.25 + 3.25) / 4,
      "r/beyond_support": 1 / 4,
      "r/least_target": -0.5,
      "r/greatest_target": 3,
    },
    rel=1e-4,
  )


@pytest.mark.parametrize(
  ("codec", "beyond", "reach"),
  [
    (codecs.two_hot(-4.0, 4.0, 9), 0, (-0.5, 3)),
    (codecs.two_hot(-0.5, 3.0, 9), 0, (-0.5, 3)),
    (codecs.two_hot(-0.4, 3.0, 9), 1 / 4, (-0.5, 3)),
    (codecs.two_hot(0.5, 2.0, 9), 3 / 4, (-0.5, 3)),
    (codecs.bernoulli(), 2 / 4, (-0.5, 3)),
    # sqrt(3 + 1) - 1 + .03 is what a head is asked for.
    (
      codecs.two_hot(-2.0, 1.1, 5, transforms.signed_hyperbolic(0.01)),
      0,
      (-(1.5**0.5 - 1 + 0.005), 1.03),
    ),
    (
      codecs.two_hot(-2.0, 1.0, 5, transforms.signed_hyperbolic(0.01)),
      1 / 4,
      (-(1.5**0.5 - 1 + 0.005), 1.03),
    ),
  ],
)
@pytest.mark.parametrize(
  "distance", [losses.cross_entropy(), losses.squared_error()]
)
def test_targets_beyond_a_support_are_counted(codec, beyond, reach, distance):
  metrics = rewarded(jnp.zeros((4, 2, *codec.shape)), codec, distance).metrics
  assert float(metrics["r/beyond_support"]) == beyond
  found = [metrics["r/least_target"], metrics["r/greatest_target"]]
  np.testing.assert_allclose(found, reach, rtol=1e-5)


def test_a_scalar_without_bounds_has_no_support():
  metrics = rewarded(
    jnp.zeros((4, 2)), codecs.SCALAR, losses.squared_error()
  ).metrics
  assert not {"r/beyond_support", "r/least_target"} & set(metrics)


def test_a_head_of_discounts_by_hand():
  # Whether the episode goes on: a chance of 3/4 where it does, twice, and of
  # 1/5 where it does; 1/3 where it ends.
  chance = np.full((4, 2), 0.99)
  chance[:2, 0], chance[[0, 2], 1] = 3 / 4, [1 / 3, 1 / 5]
  term = losses.regression(
    losses.scalar("d"), losses.discounts(), losses.cross_entropy()
  )
  case = loss_inputs(
    STEPS,
    0.5,
    online={"d": {"raw": jnp.log(chance / (1 - chance))}},
    codecs={"d": codecs.bernoulli()},
  )
  output = apply(losses.losses(terms={"d": term}), case)
  expected = -(2 * np.log(3 / 4) + np.log(1 - 1 / 3) + np.log(1 / 5)) / 4
  np.testing.assert_allclose(output.loss, expected, rtol=1e-5)
  np.testing.assert_allclose(
    output.metrics["d/prediction"], chance[COUNTS].mean(), rtol=1e-5
  )


def test_cross_entropy_needs_a_distribution():
  recipe = losses.losses(
    terms={"q": regression(distance=losses.cross_entropy())}
  )
  message = (
    "loss term 'q': cross_entropy needs a head whose codec is a distribution; "
    r"bind its codec = @two_hot\(\)"
  )
  with pytest.raises(ValueError, match=message):
    apply(recipe, inputs())


# Of two actions; where a transition does not count, a 9 was recorded.
POLICY = np.full((4, 2, 2), [0.3, 0.7])
POLICY[:2, 0] = [[1 / 2, 1 / 2], [1 / 4, 3 / 4]]
POLICY[[0, 2], 1] = [[1 / 5, 4 / 5], [9 / 10, 1 / 10]]
SEARCHED = np.full((4, 2, 2), 9.0)
SEARCHED[:2, 0] = [[1, 0], [1 / 4, 3 / 4]]
SEARCHED[[0, 2], 1] = [[1 / 2, 1 / 2], [0, 1]]


def distilled(logits, absorbing=None, name="search_policy"):
  case = loss_inputs(
    STEPS,
    0.5,
    online={"policy": {"logits": logits}},
    extras={name: jnp.asarray(SEARCHED)},
  )
  if absorbing is not None:
    case = case._replace(absorbing=jnp.asarray(absorbing, jnp.float32))
  term = losses.distillation(recorded=name)
  return apply(losses.losses(terms={"p": term}), case)


def entropy(*probabilities):
  return -sum(p * np.log(p) for p in probabilities)


def test_distillation_by_hand():
  # What is added to all logits is no matter.
  output = distilled(jnp.log(POLICY) + 3.0)
  divergences = [np.log(2), 0, -np.log(4 / 25) / 2 - np.log(2), np.log(10)]
  recorded = [0, entropy(1 / 4, 3 / 4), np.log(2), 0]
  np.testing.assert_allclose(
    output.loss, np.mean(divergences) + np.mean(recorded), rtol=1e-5
  )
  np.testing.assert_allclose(output.errors[COUNTS], divergences, atol=1e-6)
  own = np.log(2) + entropy(1 / 4, 3 / 4) + entropy(1 / 5, 4 / 5)
  own += entropy(9 / 10, 1 / 10)
  metrics = {name: float(value) for name, value in output.metrics.items()}
  assert metrics == pytest.approx(
    {
      "loss/p": float(output.loss),
      "loss/total": float(output.loss),
      "p/entropy": own / 4,
      "p/recorded_entropy": np.mean(recorded),
      "p/divergence": np.mean(divergences),
    },
    rel=1e-4,
  )


def test_distillation_moves_the_policy_to_what_was_recorded():
  gradient = jax.grad(lambda logits: distilled(logits).loss)(jnp.log(POLICY))
  expected = np.zeros((4, 2, 2))
  expected[COUNTS] = (POLICY - SEARCHED)[COUNTS] / 4
  np.testing.assert_allclose(gradient, expected, atol=1e-6)


def test_distillation_reads_the_extra_that_it_is_told_to():
  logits = jnp.log(POLICY)
  np.testing.assert_array_equal(
    distilled(logits, name="other").loss, distilled(logits).loss
  )


def test_nobody_acts_where_a_model_has_imagined_the_end():
  absorbing = np.zeros((3, 2))
  absorbing[0, 0] = absorbing[2, 1] = 1

  def loss(logits):
    return distilled(logits, absorbing).loss

  value, gradient = jax.value_and_grad(loss)(jnp.log(POLICY))
  # They count, as a loss of 0.
  rest = entropy(1 / 4, 3 / 4) - np.log(4 / 25) / 2
  np.testing.assert_allclose(value, rest / 4, rtol=1e-5)
  expected = np.zeros((4, 2, 2))
  expected[0, 1] = [1 / 5 - 1 / 2, 4 / 5 - 1 / 2]
  np.testing.assert_allclose(gradient, expected / 4, atol=1e-6)


def consistent(imagined, seen, absorbing=((0, 0),) * 3, depth=2):
  case = loss_inputs(
    STEPS, 0.5, {"embedding": imagined}, {"embedding": seen}, depth=depth
  )._replace(absorbing=jnp.asarray(absorbing, jnp.float32))
  return apply(losses.losses(terms={"c": losses.consistency()}), case)


SEEN = np.full((4, 2, 2), [3.0, 4.0])


@pytest.mark.parametrize(
  ("imagined", "distance"),
  [
    ([3.0, 4.0], 0.0),
    ([0.3, 0.4], 0.0),
    ([4.0, 3.0], 1 - 24 / 25),
    ([-4.0, 3.0], 1.0),
    ([-6.0, -8.0], 2.0),
  ],
)
def test_consistency_by_hand(imagined, distance):
  # Of four that count, three are alike.
  embedding = jnp.asarray(SEEN).at[0, 1].set(jnp.array(imagined))
  embedding = embedding.at[2, 0].set(-1.0).at[1, 1].set(-1.0)
  output = consistent(embedding, SEEN)
  np.testing.assert_allclose(output.loss, distance / 4, atol=1e-6)
  np.testing.assert_allclose(output.errors[0, 1], distance, atol=1e-6)
  # What was seen itself is not imagined.
  np.testing.assert_array_equal(consistent(embedding, SEEN, depth=0).loss, 0)


def test_consistency_turns_what_is_imagined_to_what_is_seen():
  def loss(imagined, absorbing):
    return consistent(imagined, SEEN, absorbing).loss

  # Nothing is imagined at one step; two do not count; one is beyond the end.
  imagined = jnp.full((4, 2, 2), jnp.array([4.0, 3.0])).at[0, 1].set(0.0)
  absorbing = np.zeros((3, 2))
  absorbing[1, 0] = 1
  value, gradient = jax.value_and_grad(loss)(imagined, absorbing)
  np.testing.assert_allclose(value, (0.04 + 0.04 + 1) / 4, rtol=1e-5)
  # Of 1 - cos, orthogonal to (4, 3): (cos x - seen / 5) / 5 for x = (.8, .6)
  expected = np.zeros((4, 2, 2))
  expected[0, 0] = expected[2, 1] = (
    24 / 25 * np.array([0.8, 0.6]) - np.array([0.6, 0.8])
  ) / 5
  # From nothing it is finite, and goes there.
  nothing = np.array(gradient[0, 1])
  assert np.isfinite(nothing).all() and (nothing < 0).all()
  np.testing.assert_allclose(
    gradient.at[0, 1].set(0.0), expected / 4, atol=1e-6
  )


def test_huber_delta_must_be_positive():
  with pytest.raises(ValueError, match=r"huber\.delta must be above 0, got 0"):
    losses.huber(delta=0)


@pytest.mark.parametrize(
  "make",
  [
    losses.one_step_returns,
    lambda **k: losses.n_step_returns(n=1, **k),
    lambda **k: losses.lambda_returns(lambda_=0.0, **k),
  ],
)
def test_a_transform_estimates_returns_in_the_units_of_the_task(make):
  # The head puts out 2.08, which stands for 8 with epsilon .01: sqrt(8 + 1) - 1
  # + .08. The return is 11 + .5 * 8 = 15, for which sqrt(15 + 1) - 1 + .15 =
  # 3.15 stands.
  codec = codecs.scalar_codec(transforms.signed_hyperbolic(0.01))
  raw = jnp.array([[[0.0]], [[2.08]]])
  case = inputs(
    target=codec.decode(raw),
    online=raw,
    steps=timesteps("mm", reward=[[0], [11]]),
    action=np.zeros((2, 1)),
    codecs={"q": codec},
  )
  target = make(bootstrap=losses.max_q())
  np.testing.assert_allclose(target(case), [[15]], rtol=1e-4)
  output = regression(target)(case)
  np.testing.assert_allclose(output.error, [[3.15]], rtol=1e-4)
  np.testing.assert_allclose(output.loss, [[0.5 * 3.15**2]], rtol=1e-4)


def test_terms_are_weighted_by_numbers_and_schedules():
  one, two, three = np.full((3, 3, 2), [[[1.0]], [[10.0]], [[100.0]]])
  recipe = losses.losses(
    terms={"a": constant(one), "b": constant(two), "c": constant(three)},
    weights={"b": 0.5, "c": schedules.linear_schedule(0.0, 4.0)},
  )
  output = apply(recipe, inputs(fraction=0.25))
  np.testing.assert_allclose(output.loss, 1 + 0.5 * 10 + 1.0 * 100)
  # Metrics are unweighted but for the total.
  assert float(output.metrics["loss/a"]) == 1
  assert float(output.metrics["loss/b"]) == 10
  assert float(output.metrics["loss/c"]) == 100
  np.testing.assert_allclose(output.metrics["loss/total"], 106)


@pytest.mark.parametrize(("priority", "told"), [(None, -1.0), ("b", -10.0)])
def test_the_buffer_is_told_the_errors_of_one_term(priority, told):
  recipe = losses.losses(
    terms={"a": constant(np.ones((3, 2))), "b": constant(np.full((3, 2), 10))},
    priority=priority,
  )
  np.testing.assert_array_equal(
    apply(recipe, inputs()).errors, np.full((3, 2), told)
  )


@pytest.mark.parametrize("junk", [1e30, np.inf, -np.inf, np.nan])
def test_whatever_a_term_says_where_masked_changes_nothing(junk):
  mask = inputs().mask
  assert mask.sum() == 4

  # No gradient can pass a NaN that it goes through, so the junk is a constant.
  def junk_term(case):
    q = losses.action_value()(case).raw
    loss = jnp.square(q) + jnp.where(case.mask > 0, 0.0, junk)
    return TermOutput(loss, loss, {"loss_again": loss})

  def clean_term(case):
    loss = jnp.square(losses.action_value()(case).raw)
    return TermOutput(loss, loss, {"loss_again": loss})

  def evaluate(term):
    def loss(online):
      output = apply(losses.losses(terms={"q": term}), inputs(online=online))
      return output.loss, output.metrics

    (value, metrics), gradient = jax.value_and_grad(loss, has_aux=True)(
      jnp.asarray(ONLINE)
    )
    return value, metrics, gradient

  actual, expected = evaluate(junk_term), evaluate(clean_term)
  assert np.abs(expected[2]).max() > 0
  jax.tree.map(np.testing.assert_array_equal, actual, expected)


TARGETS = {
  "one_step": losses.one_step_returns,
  "n_step": lambda **k: losses.n_step_returns(n=2, **k),
  "lambda": lambda **k: losses.lambda_returns(lambda_=0.9, **k),
}


@pytest.mark.parametrize("bootstrap", BOOTSTRAPS)
@pytest.mark.parametrize("target", TARGETS)
def test_huge_values_where_masked_change_neither_loss_nor_gradient(
  target, bootstrap
):
  recipe = losses.losses(
    terms={
      "q": regression(
        TARGETS[target](bootstrap=BOOTSTRAPS[bootstrap][0]()), losses.huber()
      )
    }
  )
  clean = inputs()
  masked = STEPS.last[:-1]

  def evaluate(junk):
    def loss(online):
      case = clean._replace(online={"q": _raw(online)})
      if junk:  # the reward and discount of a transition that does not count
        timestep = case.steps.timestep
        reward = timestep.reward.at[1:].set(
          jnp.where(masked, 1e30, timestep.reward[1:])
        )
        timestep = timestep._replace(reward=reward)
        case = case._replace(
          steps=case.steps._replace(timestep=timestep),
          discount=jnp.where(masked, 1e3, case.discount),
        )
      return apply(recipe, case).loss

    return jax.value_and_grad(loss)(jnp.asarray(ONLINE))

  (loss, gradient), (junk_loss, junk_gradient) = evaluate(False), evaluate(True)
  assert float(loss) > 0 and np.abs(gradient).max() > 0
  np.testing.assert_array_equal(loss, junk_loss)
  np.testing.assert_array_equal(gradient, junk_gradient)


def test_the_prediction_at_a_last_step_does_not_count():
  recipe = losses.losses(
    terms={"q": regression(losses.one_step_returns(bootstrap=losses.max_q()))}
  )
  clean = apply(recipe, inputs())
  online = ONLINE.copy()
  online[2, 0] = online[1, 1] = 1e15
  junk = apply(recipe, inputs(online=online))
  np.testing.assert_array_equal(clean.loss, junk.loss)
  online[1, 0] = 1e15
  assert apply(recipe, inputs(online=online)).loss > 1e20


@pytest.mark.parametrize("bootstrap", BOOTSTRAPS)
@pytest.mark.parametrize("target", TARGETS)
def test_targets_have_no_gradient(target, bootstrap):
  make = TARGETS[target](bootstrap=BOOTSTRAPS[bootstrap][0]())

  def total(values):
    return make(inputs(online=values[0], target=values[1])).sum()

  gradient = jax.grad(total)(jnp.stack([ONLINE, TARGET]))
  np.testing.assert_array_equal(gradient, 0.0)


def test_nothing_that_counts_is_a_loss_of_zero():
  steps = timesteps("oo", "tt")
  case = inputs(ONLINE[:2], TARGET[:2], steps=steps, action=ACTION[:2])
  output = apply(losses.losses(terms={"q": regression()}), case)
  assert float(output.loss) == 0.0


@pytest.mark.parametrize(
  ("term", "reader"),
  [
    (lambda: regression(head="qq"), "action_value"),
    *[
      (
        lambda make=make: regression(
          losses.one_step_returns(bootstrap=make(head="qq"))
        ),
        name,
      )
      for name, (make, _, _) in BOOTSTRAPS.items()
      if name in OF_HEADS
    ],
    (
      lambda: losses.regression(
        losses.scalar(head="qq"), losses.rewards(), losses.squared_error()
      ),
      "scalar",
    ),
    (lambda: losses.distillation(head="qq"), "distillation"),
  ],
)
def test_an_unknown_head_names_the_term_the_reader_and_the_heads(term, reader):
  recipe = losses.losses(terms={"value": term()})
  message = (
    f"loss term 'value': {reader} reads head 'qq', but agent.heads has q, "
    "value; did you mean 'q'"
  )
  with pytest.raises(ValueError, match=message):
    apply(recipe, inputs())


@pytest.mark.parametrize("field", ["weights", "priority"])
def test_a_weight_or_priority_of_no_term_is_refused(field):
  wrong = {"weights": {"polizy": 1.0}, "priority": "polizy"}[field]
  with pytest.raises(ValueError, match=r"'polizy' is not one .* mean 'policy'"):
    losses.losses(terms={"policy": regression()}, **{field: wrong})


def test_no_terms_are_refused():
  with pytest.raises(ValueError, match=r"losses\.terms is empty"):
    losses.losses(terms={})


def test_a_term_of_another_shape_is_refused():
  recipe = losses.losses(terms={"q": constant(np.ones((4, 2)))})
  with pytest.raises(AssertionError):
    apply(recipe, inputs())
