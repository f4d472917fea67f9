import jax
import jax.numpy as jnp
import numpy as np
import pytest
import rlax

from neurorl import losses
from neurorl.ops import codecs, transforms
from tests.sequences import loss_inputs, timesteps

GAMMA, A, N = 0.5, 3, 7
# A middle, a termination and its reset; a middle, a time-out and its reset.
KINDS = ("fmmtfmmm", "fmofmmmm")
CODEC = codecs.two_hot(-3.0, 3.0, N)
SQUASHED = codecs.two_hot(-1.5, 1.5, N, transforms.signed_hyperbolic(0.01))
SOFT = losses.epsilon_soft(losses.online_greedy(), 0.4)


def case(head, kinds=KINDS, codec=CODEC, seed=0):
  """Random sequences of two environments, and what a head predicts."""
  rng = np.random.default_rng(seed)
  shape = (len(kinds[0]), len(kinds))

  def predicted():
    x = jnp.asarray(rng.normal(size=(*shape, A, N)), jnp.float32)
    if head == "raw":
      return {"raw": x, "mean": codec.decode(x)}
    taus = jnp.asarray(rng.random((*shape, N)), jnp.float32)
    return {"quantiles": x, "mean": x.mean(axis=-1), "taus": taus}

  return loss_inputs(
    timesteps(*kinds, reward=rng.normal(size=shape)),
    GAMMA,
    online={"q": predicted()},
    target={"q": predicted()},
    action=rng.integers(0, A, shape),
    codecs={"q": codec},
  )


def parts(inputs):
  """What a loop over transitions reads, as NumPy arrays."""
  timestep = inputs.steps.timestep
  return (
    np.asarray(timestep.reward),
    np.asarray(inputs.discount),
    np.asarray(timestep.last),
    np.asarray(inputs.steps.action),
  )


def sums(inputs, t, b, n):
  """Rewards of up to n transitions, their discount, and where they lead."""
  reward, discount, last, _ = parts(inputs)
  total, scale = 0.0, 1.0
  for k in range(t, min(t + n, len(discount))):
    total += scale * reward[k + 1, b]
    scale *= discount[k, b]
    if last[k + 1, b]:
      break
  return total, scale, k + 1


def softmax(x):
  x = np.exp(x - x.max(axis=-1, keepdims=True))
  return x / x.sum(axis=-1, keepdims=True)


def project(values, chances, low=-3.0, high=3.0):
  """Onto N equal steps, value by value."""
  result, step = np.zeros(N), (high - low) / (N - 1)
  for value, chance in zip(values, chances, strict=True):
    place = (np.clip(value, low, high) - low) / step
    below = min(int(place), N - 2)
    result[below] += chance * (below + 1 - place)
    result[below + 1] += chance * (place - below)
  return result


@pytest.mark.parametrize("n", [1, 3])
@pytest.mark.parametrize("policy", [losses.target_greedy(), SOFT])
def test_categorical_td_equals_a_plain_loop(policy, n):
  inputs = case("raw")
  output = losses.categorical_td(policy, n)(inputs)
  pi = np.asarray(policy(inputs))
  online = np.asarray(inputs.online["q"]["raw"])
  target = softmax(np.asarray(inputs.target["q"]["raw"]))
  atoms, (_, _, _, action) = np.linspace(-3, 3, N), parts(inputs)
  for t, b in np.ndindex(7, 2):
    total, scale, arrival = sums(inputs, t, b, n)
    chances = pi[arrival, b] @ target[arrival, b]
    wanted = project(total + scale * atoms, chances)
    logits = online[t, b, action[t, b]]
    log_chances = np.log(softmax(logits))
    loss = -wanted @ log_chances
    divergence = loss + np.sum(wanted * np.log(np.maximum(wanted, 1e-30)))
    np.testing.assert_allclose(output.loss[t, b], loss, rtol=1e-4)
    np.testing.assert_allclose(output.error[t, b], divergence, atol=1e-4)
    metrics = {k: float(v[t, b]) for k, v in output.metrics.items()}
    beyond = chances[np.abs(total + scale * atoms) > 3 + 1e-4].sum()
    assert metrics == pytest.approx(
      {
        "prediction": np.exp(log_chances) @ atoms,
        "target": wanted @ atoms,
        "absolute_error": abs(np.exp(log_chances) @ atoms - wanted @ atoms),
        "beyond_support": beyond,
      },
      abs=1e-4,
    )


@pytest.mark.parametrize("double", [False, True])
def test_categorical_td_equals_rlax_on_single_transitions(double):
  inputs = case("raw", kinds=("mm", "mt"))
  policy = losses.online_greedy() if double else losses.target_greedy()
  output = losses.categorical_td(policy)(inputs)
  online, target = inputs.online["q"], inputs.target["q"]
  atoms = jnp.linspace(-3, 3, N)
  expected = jax.vmap(
    rlax.categorical_double_q_learning, (None, 0, 0, 0, 0, None, 0, 0)
  )(
    atoms,
    online["raw"][0],
    inputs.steps.action[0],
    inputs.steps.timestep.reward[1],
    inputs.discount[0],
    atoms,
    target["raw"][1],
    (online if double else target)["mean"][1],
  )
  np.testing.assert_allclose(output.loss[0], expected, rtol=1e-5)


def test_a_categorical_return_is_added_up_in_the_units_of_the_task():
  inputs = case("raw", kinds=("mm",), codec=SQUASHED)
  output = losses.categorical_td(losses.target_greedy())(inputs)
  squash = SQUASHED.transform
  atoms = np.linspace(-1.5, 1.5, N)
  reward = float(inputs.steps.timestep.reward[1, 0])
  values = reward + GAMMA * np.asarray(squash.invert(atoms))
  target = inputs.target["q"]
  best = int(target["mean"][1, 0].argmax())
  chances = softmax(np.asarray(target["raw"][1, 0, best]))
  wanted = project(np.asarray(squash.apply(values)), chances, -1.5, 1.5)
  logits = inputs.online["q"]["raw"][0, 0, int(inputs.steps.action[0, 0])]
  np.testing.assert_allclose(
    output.loss[0, 0], -wanted @ np.log(softmax(np.asarray(logits))), rtol=1e-4
  )


@pytest.mark.parametrize("huber", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("n", [1, 3])
@pytest.mark.parametrize("policy", [losses.target_greedy(), SOFT])
def test_quantile_td_equals_a_plain_loop(policy, n, huber):
  inputs = case("quantiles")
  output = losses.quantile_td(policy, n, huber=huber)(inputs)
  pi, (_, _, _, action) = np.asarray(policy(inputs)), parts(inputs)
  online = {k: np.asarray(v) for k, v in inputs.online["q"].items()}
  target = np.asarray(inputs.target["q"]["quantiles"])
  for t, b in np.ndindex(7, 2):
    total, scale, arrival = sums(inputs, t, b, n)
    quantiles, taus = online["quantiles"][t, b], online["taus"][t, b]
    quantiles, loss = quantiles[action[t, b]], 0.0
    for i, a, j in np.ndindex(N, A, N):
      delta = total + scale * target[arrival, b, a, j] - quantiles[i]
      size = abs(delta)
      if huber:
        size = rlax_huber(size, huber)
      weight = abs(taus[i] - (delta < 0))
      loss += pi[arrival, b, a] / N * weight * size
    np.testing.assert_allclose(output.loss[t, b], loss, rtol=1e-4)
    mean = total + scale * (pi[arrival, b] @ target[arrival, b]).mean()
    error = mean - quantiles.mean()
    np.testing.assert_allclose(output.error[t, b], error, atol=1e-5)
    metrics = {k: float(v[t, b]) for k, v in output.metrics.items()}
    assert metrics == pytest.approx(
      {
        "prediction": quantiles.mean(),
        "target": mean,
        "absolute_error": abs(error),
      },
      abs=1e-4,
    )


def rlax_huber(size, delta):
  return 0.5 * size**2 if size <= delta else delta * (size - 0.5 * delta)


@pytest.mark.parametrize("double", [False, True])
def test_quantile_td_equals_rlax_on_single_transitions(double):
  inputs = case("quantiles", kinds=("mm", "mt"))
  policy = losses.online_greedy() if double else losses.target_greedy()
  output = losses.quantile_td(policy)(inputs)
  online, target = inputs.online["q"], inputs.target["q"]

  def swap(x):  # rlax has quantiles first
    return jnp.swapaxes(x, -1, -2)

  expected = jax.vmap(
    lambda *arguments: rlax.quantile_q_learning(*arguments, huber_param=1.0)
  )(
    swap(online["quantiles"][0]),
    online["taus"][0],
    inputs.steps.action[0],
    inputs.steps.timestep.reward[1],
    inputs.discount[0],
    swap((online if double else target)["quantiles"][1]),
    swap(target["quantiles"][1]),
  )
  np.testing.assert_allclose(output.loss[0], expected, rtol=1e-5)


def test_quantile_td_of_a_soft_policy_equals_rlax():
  inputs = case("quantiles", kinds=("mm", "mt"))
  output = losses.quantile_td(SOFT)(inputs)
  online, target = inputs.online["q"], inputs.target["q"]
  expected = jax.vmap(
    lambda *arguments: rlax.quantile_expected_sarsa(*arguments, huber_param=1.0)
  )(
    jnp.swapaxes(online["quantiles"][0], -1, -2),
    online["taus"][0],
    inputs.steps.action[0],
    inputs.steps.timestep.reward[1],
    inputs.discount[0],
    jnp.swapaxes(target["quantiles"][1], -1, -2),
    SOFT(inputs)[1],
  )
  np.testing.assert_allclose(output.loss[0], expected, rtol=1e-5)


TERMS = {
  "categorical_td": (losses.categorical_td, "raw"),
  "quantile_td": (losses.quantile_td, "quantiles"),
}


@pytest.mark.parametrize("n", [1, 2])
@pytest.mark.parametrize("name", TERMS)
def test_means_agree_with_returns_of_scalars(name, n):
  # Well within the support the projection keeps the mean.
  make, head = TERMS[name]
  inputs = case(head)
  quarter = {"reward": 0.25 * inputs.steps.timestep.reward}
  timestep = inputs.steps.timestep._replace(**quarter)
  inputs = inputs._replace(steps=inputs.steps._replace(timestep=timestep))
  output = make(losses.target_greedy(), n)(inputs)
  target = losses.n_step_returns(losses.max_q(), n)(inputs)
  np.testing.assert_allclose(output.metrics["target"], target, atol=0.02)


@pytest.mark.parametrize("name", TERMS)
def test_rewards_may_be_others(name):
  make, head = TERMS[name]
  inputs = case(head)
  other = make(
    losses.target_greedy(), 2, rewards=lambda i: 0 * losses.rewards()(i)
  )(inputs)
  timestep = inputs.steps.timestep
  timestep = timestep._replace(reward=jnp.zeros_like(timestep.reward))
  poor = inputs._replace(steps=inputs.steps._replace(timestep=timestep))
  expected = make(losses.target_greedy(), 2)(poor)
  np.testing.assert_array_equal(other.loss, expected.loss)


def loss_of(name, inputs, n=2):
  make, _ = TERMS[name]
  terms = {"q": make(losses.online_greedy(), n)}
  return (
    losses.losses(terms=terms)(None, None)
    .apply((), (), inputs, jnp.ones(2))[0]
    .loss
  )


@pytest.mark.parametrize("name", TERMS)
def test_masked_transitions_and_targets_have_no_gradient(name):
  inputs = case(TERMS[name][1])
  entry = TERMS[name][1]

  def loss(online, target):
    return loss_of(
      name,
      inputs._replace(
        online={"q": {**inputs.online["q"], entry: online}},
        target={"q": {**inputs.target["q"], entry: target}},
      ),
    )

  online, target = jax.grad(loss, (0, 1))(
    inputs.online["q"][entry], inputs.target["q"][entry]
  )
  np.testing.assert_array_equal(target, 0)
  # Of the actions taken where transitions count, and nowhere else.
  learned = np.abs(online).max(axis=-1) > 0
  action = np.eye(A)[inputs.steps.action[:-1]] > 0
  np.testing.assert_array_equal(
    learned[:-1], action & (np.asarray(inputs.mask) > 0)[..., None]
  )
  assert not learned[-1].any()


@pytest.mark.parametrize("name", TERMS)
def test_what_is_beyond_an_end_changes_nothing(name):
  inputs = case(TERMS[name][1])
  entry = TERMS[name][1]

  def changed(step):
    target = inputs.target["q"]
    target = {**target, entry: target[entry].at[step, 0].add(1.0)}
    # Not by all alike, which is no change of probabilities.
    target[entry] = target[entry].at[step, 0, :, 0].add(1.0)
    return float(loss_of(name, inputs._replace(target={"q": target}), 3))

  same = float(loss_of(name, inputs, 3))
  # Column 0 terminates at step 3; nothing bootstraps from its reset, step 4.
  assert changed(3) == same
  assert changed(4) == same
  assert changed(7) != same


@pytest.mark.parametrize("name", TERMS)
def test_predictions_of_the_last_step_may_be_missing(name):
  # A fixed policy, and a target that needs all steps; the predictions do not.
  make, head = TERMS[name]
  inputs = case(head)
  term = make(losses.target_greedy())
  fewer = jax.tree.map(lambda x: x[:-1], inputs.online)
  np.testing.assert_array_equal(
    term(inputs._replace(online=fewer)).loss, term(inputs).loss
  )


@pytest.mark.parametrize("name", TERMS)
def test_what_is_out_of_range_is_refused(name):
  make, head = TERMS[name]
  with pytest.raises(ValueError, match=rf"{name}\.n must be >= 1, got 0"):
    make(losses.target_greedy(), 0)
  with pytest.raises(ValueError, match=rf"{name}\.n = 3 needs sequences of at"):
    make(losses.target_greedy(), 3)(case(head, kinds=("mmm", "mmm")))


def test_huber_must_not_be_negative():
  with pytest.raises(ValueError, match=r"quantile_td\.huber must be >= 0, got"):
    losses.quantile_td(losses.target_greedy(), huber=-1.0)


@pytest.mark.parametrize("codec", [codecs.SCALAR, codecs.bernoulli()])
def test_categorical_td_needs_a_categorical_distribution(codec):
  inputs = case("raw")
  inputs = inputs._replace(agent=inputs.agent._replace(codecs={"q": codec}))
  message = r"needs a head 'q' whose codec is a categorical .* @two_hot\(\)"
  with pytest.raises(ValueError, match=message):
    losses.categorical_td(losses.target_greedy())(inputs)


def test_a_head_of_another_kind_is_named():
  message = "categorical_td reads 'raw' of head 'q', which predicts mean, quan"
  with pytest.raises(ValueError, match=message):
    losses.categorical_td(losses.target_greedy())(case("quantiles"))
  message = "quantile_td reads 'quantiles' of head 'q', which predicts mean, r"
  with pytest.raises(ValueError, match=message):
    losses.quantile_td(losses.target_greedy())(case("raw"))


@pytest.mark.parametrize(
  "term, head",
  [
    (losses.categorical_td(losses.target_greedy()), "raw"),
    (losses.quantile_td(losses.target_greedy()), "quantiles"),
  ],
)
def test_what_is_predicted_of_the_last_step_must_be_there(term, head):
  inputs = case(head)
  online, target = [
    jax.tree.map(lambda x: x[:-1], x) for x in (inputs.online, inputs.target)
  ]
  with pytest.raises((AssertionError, TypeError, ValueError)):
    term(inputs._replace(online=online, target=target))
