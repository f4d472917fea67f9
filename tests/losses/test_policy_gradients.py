import jax
import jax.numpy as jnp
import numpy as np
import pytest

from neurorl import losses, types
from neurorl.ops import codecs, distributions
from tests.sequences import loss_inputs, timesteps

# Column 0: a middle, a time-out, a reset. Column 1: a termination, a reset.
STEPS = timesteps("fmof", "ftfm", reward=[[0, 0], [1, 2], [2, 0], [0, 4]])
VALID = np.array([[1, 1], [1, 0], [0, 1]], np.float32)
T, B, A = 3, 2, 3
RNG = np.random.default_rng(0)
LOGITS = RNG.normal(size=(T + 1, B, A)).astype(np.float32)
ACTION = RNG.integers(0, A, (T + 1, B))
BEFORE = RNG.normal(size=(T + 1, B)).astype(np.float32) - 1.0
ADVANTAGE = np.array([[3, -1], [0.5, 99], [50, 2]], np.float32)
VALUE = RNG.normal(size=(T + 1, B)).astype(np.float32)
GIVEN = losses.recorded("advantage")


def log_softmax(x):
  return x - np.log(np.exp(x).sum(-1, keepdims=True))


LOG_PROB = np.take_along_axis(
  log_softmax(LOGITS), ACTION[..., None], axis=-1
).squeeze(-1)


def inputs(logits=LOGITS, value=VALUE, before=BEFORE, advantage=ADVANTAGE):
  case = loss_inputs(
    STEPS,
    0.5,
    online={
      "policy": {"logits": jnp.asarray(logits)},
      "value": {"mean": jnp.asarray(value), "raw": jnp.asarray(value)},
    },
    target={"value": {"mean": jnp.asarray(value)}},
    action=ACTION,
    extras={
      "log_prob": jnp.asarray(before),
      "advantage": jnp.concatenate([advantage, jnp.zeros((1, B))]),
      "value": jnp.asarray(VALUE) + 0.3,
    },
  )
  agent = types.Agent(
    *[None] * 5,
    {"value": codecs.SCALAR},
    {"policy": distributions.CATEGORICAL},
  )
  return case._replace(agent=agent)


def without_last(case):
  online, target = [
    jax.tree.map(lambda x: x[:-1], x) for x in (case.online, case.target)
  ]
  return case._replace(online=online, target=target)


def test_policy_gradient():
  output = losses.policy_gradient(GIVEN)(inputs())
  np.testing.assert_allclose(output.loss, -ADVANTAGE * LOG_PROB[:-1], rtol=1e-5)
  np.testing.assert_array_equal(output.error, ADVANTAGE)


@pytest.mark.parametrize("normalise", [False, True])
def test_clipped_surrogate_equals_a_plain_loop(normalise):
  term = losses.clipped_surrogate(GIVEN, epsilon=0.2, normalise=normalise)
  output = term(inputs())
  counted = ADVANTAGE[VALID > 0]
  for t, b in np.ndindex(T, B):
    better = ADVANTAGE[t, b]
    if normalise:
      better = (better - counted.mean()) / counted.std()
    ratio = np.exp(LOG_PROB[t, b] - BEFORE[t, b])
    clipped = min(max(ratio, 0.8), 1.2)
    wanted = -min(ratio * better, clipped * better)
    np.testing.assert_allclose(output.loss[t, b], wanted, rtol=1e-4)
    assert output.metrics["clipped"][t, b] == (ratio != clipped)
    np.testing.assert_allclose(
      output.metrics["divergence"][t, b], ratio - 1 - np.log(ratio), rtol=1e-3
    )


def test_on_policy_its_gradient_is_the_policy_gradient():
  case = inputs(before=LOG_PROB)

  def gradient(term):
    def loss(logits):
      output = term(case._replace(online={"policy": {"logits": logits}}))
      return (output.loss * VALID).sum()

    return jax.grad(loss)(jnp.asarray(LOGITS))

  surrogate = losses.clipped_surrogate(GIVEN, normalise=False)
  np.testing.assert_allclose(
    gradient(surrogate), gradient(losses.policy_gradient(GIVEN)), rtol=1e-5
  )


def test_masked_advantages_do_not_reach_what_is_normalised():
  term = losses.clipped_surrogate(GIVEN)
  other = np.where(VALID > 0, ADVANTAGE, -1234.0).astype(np.float32)
  np.testing.assert_allclose(
    term(inputs()).loss[VALID > 0],
    term(inputs(advantage=other)).loss[VALID > 0],
    rtol=1e-6,
  )


# r - 1 - log r of r = e is e - 2, 0.718.
@pytest.mark.parametrize("limit, proceeds", [(0.7, False), (0.73, True)])
def test_a_policy_that_has_gone_too_far_stays(limit, proceeds):
  term = losses.clipped_surrogate(GIVEN, kl_limit=limit)
  loss = losses.losses(terms={"p": term})(None, None)
  output, _ = loss.apply((), (), inputs(before=LOG_PROB - 1), jnp.ones(B))
  assert bool(output.proceed) is proceeds
  without = losses.losses(terms={"p": losses.clipped_surrogate(GIVEN)})
  output, _ = without(None, None).apply((), (), inputs(), jnp.ones(B))
  assert output.proceed is None


def test_entropy_bonus():
  p = np.exp(log_softmax(LOGITS))[:-1]
  output = losses.entropy_bonus()(inputs())
  entropy = -(p * np.log(p)).sum(-1)
  np.testing.assert_allclose(output.loss, -entropy, rtol=1e-5)


def test_advantages_are_returns_less_a_baseline():
  target = losses.advantages(
    returns=losses.lambda_returns(losses.target_value(), 0.9),
    baseline=losses.target_value(),
  )
  # Backwards, by the recursion of the generalised advantage estimate.
  reward = np.asarray(STEPS.reward)[1:]
  discount = 0.5 * np.asarray(STEPS.discount)[1:]
  goes_on = 1.0 - np.asarray(STEPS.last)[1:]
  wanted, last = np.zeros((T, B)), np.zeros(B)
  for t in reversed(range(T)):
    delta = reward[t] + discount[t] * VALUE[t + 1] - VALUE[t]
    last = delta + discount[t] * 0.9 * goes_on[t] * last
    wanted[t] = last
  np.testing.assert_allclose(
    np.asarray(target(inputs())) * VALID, wanted * VALID, rtol=1e-5
  )


def test_vtrace_term():
  term = losses.vtrace(lambda_=0.9, value_weight=0.25)
  output = term(inputs())
  assert output.loss.shape == (T, B)
  error = np.asarray(output.error)
  ratio = np.exp(LOG_PROB[:-1] - BEFORE[:-1])
  np.testing.assert_allclose(output.metrics["ratio"], ratio, rtol=1e-5)
  advantage = np.asarray(output.metrics["advantage"])
  wanted = -advantage * LOG_PROB[:-1] + 0.25 * 0.5 * error**2
  np.testing.assert_allclose(output.loss, wanted, rtol=1e-5)
  # The transition that terminates looks at its reward alone.
  clipped = min(1.0, ratio[0, 1])
  np.testing.assert_allclose(error[0, 1], clipped * (2.0 - VALUE[0, 1]), 1e-5)
  # The one that times out at the value of its own arrival.
  clipped = min(1.0, ratio[1, 0])
  wanted = clipped * (2.0 + 0.5 * VALUE[2, 0] - VALUE[1, 0])
  np.testing.assert_allclose(error[1, 0], wanted, 1e-5)


def test_vtrace_teaches_the_value_by_its_error_alone():
  def loss(value):
    return (losses.vtrace(value_weight=2.0)(inputs(value=value)).loss).sum()

  found = jax.grad(loss)(jnp.asarray(VALUE))
  error = losses.vtrace()(inputs()).error
  np.testing.assert_allclose(found[:-1], -2.0 * error, rtol=1e-4, atol=1e-6)
  np.testing.assert_array_equal(found[-1], 0.0)


def test_clipped_regression_equals_a_plain_loop():
  term = losses.clipped_regression(
    losses.scalar(), GIVEN, losses.squared_error(), epsilon=0.1
  )
  output = term(inputs())
  for t, b in np.ndindex(T, B):
    old = VALUE[t, b] + 0.3
    near = min(max(VALUE[t, b], old - 0.1), old + 0.1)
    wanted = 0.5 * max(
      (VALUE[t, b] - ADVANTAGE[t, b]) ** 2, (near - ADVANTAGE[t, b]) ** 2
    )
    np.testing.assert_allclose(output.loss[t, b], wanted, rtol=1e-5)


def test_clipped_regression_needs_plain_scalars():
  case = inputs()
  agent = case.agent._replace(codecs={"value": codecs.two_hot(0.0, 1.0, 2)})
  raw = jnp.zeros((T + 1, B, 2))
  case = case._replace(agent=agent, online={"value": {"raw": raw}})
  term = losses.clipped_regression(
    losses.scalar(), GIVEN, losses.squared_error()
  )
  with pytest.raises(ValueError, match="needs a head of plain scalars"):
    term(case)


@pytest.mark.parametrize(
  "term",
  [
    losses.policy_gradient(GIVEN),
    losses.clipped_surrogate(GIVEN),
    losses.entropy_bonus(),
    losses.regression(losses.scalar(), GIVEN, losses.squared_error()),
    losses.clipped_regression(losses.scalar(), GIVEN, losses.squared_error()),
    losses.advantages(GIVEN, losses.target_value()),
  ],
)
def test_what_does_not_bootstrap_needs_nothing_of_the_last_step(term):
  jax.tree.map(
    np.testing.assert_array_equal,
    term(without_last(inputs())),
    term(inputs()),
  )


VALUES = losses.target_value()


@pytest.mark.parametrize("length", [1, T])
@pytest.mark.parametrize(
  "term",
  [
    losses.one_step_returns(VALUES),
    losses.lambda_returns(VALUES, 0.0),
    losses.n_step_returns(VALUES, 1),
    losses.vtrace(),
  ],
)
def test_what_bootstraps_cannot_do_without_the_last_step(term, length):
  case = inputs()
  case = jax.tree.map(
    lambda x: x[: length + 1],
    case._replace(
      agent=None, key=None, progress=None, depth=None, has_target=None
    ),
  )._replace(
    agent=case.agent,
    has_target=case.has_target,
    mask=case.mask[:length],
    discount=case.discount[:length],
    absorbing=case.absorbing[:length],
  )
  term(case)
  with pytest.raises((AssertionError, ValueError, TypeError)):
    term(without_last(case))


@pytest.mark.parametrize(
  "make, message",
  [
    (lambda: losses.clipped_surrogate(GIVEN, 0.0), "epsilon must be above 0"),
    (lambda: losses.clipped_surrogate(GIVEN, kl_limit=0.0), "kl_limit must be"),
    (lambda: losses.vtrace(lambda_=1.5), r"lambda_ must be in \[0, 1\]"),
    (lambda: losses.vtrace(clip_rho=0.0), "clip_rho must be above 0"),
    (
      lambda: losses.clipped_regression(None, None, None, 0.0),
      "epsilon must be > 0",
    ),
  ],
)
def test_numbers_out_of_range(make, message):
  with pytest.raises(ValueError, match=message):
    make()


def test_a_policy_head_is_asked_for_by_name():
  with pytest.raises(ValueError, match=r"head 'polcy'.*policy heads policy"):
    losses.policy_gradient(GIVEN, head="polcy")(inputs())
