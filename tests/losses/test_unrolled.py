"""`unrolled` against a plain loop over roots, and by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from neurorl import losses
from neurorl.ops.codecs import SCALAR
from neurorl.types import Agent
from tests.sequences import loss_inputs, timesteps

K, GAMMA = 3, 0.9
# Ends of both kinds, in the middle and one after another.
COLUMNS = ("fmmtfmmmm", "mmofmmtfm", "mtfofmmmt", "mmmmmmmmm")
SHAPE = (len(COLUMNS[0]), len(COLUMNS))
RNG = np.random.default_rng(0)
REWARD = RNG.normal(size=SHAPE).astype(np.float32)
ACTION = RNG.integers(0, 2, SHAPE)
POLICY = RNG.dirichlet([1.0, 1.0], SHAPE).astype(np.float32)
ROOTS = RNG.normal(size=(*SHAPE, 1)).astype(np.float32)
WORTH = RNG.normal(size=SHAPE).astype(np.float32)  # the target's values
WEIGHTS = np.array([1.0, 0.5, 2.0, 1.5], np.float32)
CODECS = {"value": SCALAR, "reward": SCALAR, "goes_on": SCALAR}


def heads(embedding):
  e = embedding[..., 0]
  return {
    "embedding": embedding,
    "value": {"raw": 3 * e, "mean": 3 * e},
    "policy": {"logits": jnp.stack([e, -e], axis=-1)},
  }


def imagine(params, key, embedding, action, mode):
  del key, mode
  embedding = params * embedding + action[..., None]
  e = embedding[..., 0]
  transition = {"reward": {"raw": 2 * e}, "goes_on": {"raw": 1 - e}}
  return {**heads(embedding), **transition}, embedding


AGENT = Agent(None, None, None, None, imagine, CODECS)


def inputs(columns=COLUMNS, params=0.5, roots=ROOTS, agent=AGENT):
  reward = np.where(np.array([list(c) for c in columns]).T == "f", 0, REWARD)
  made = loss_inputs(
    timesteps(*columns, reward=reward),
    GAMMA,
    online=heads(jnp.asarray(roots)),
    target={"value": {"mean": jnp.asarray(WORTH)}},
    action=ACTION,
    extras={"search_policy": jnp.asarray(POLICY)},
  )
  return made._replace(agent=agent, params=jnp.float32(params))


def regression(prediction, target):
  return losses.regression(prediction, target, losses.squared_error())


VALUE = {
  "one_step": losses.one_step_returns(losses.target_value()),
  "lambda": losses.lambda_returns(losses.target_value(), 0.7),
  "n_step": losses.n_step_returns(losses.target_value(), 2),
}


def terms(value="lambda"):
  return {
    "value": regression(losses.scalar(), VALUE[value]),
    "policy": losses.distillation(),
    "reward": regression(losses.scalar("reward"), losses.rewards()),
    "goes_on": regression(losses.scalar("goes_on"), losses.discounts()),
  }


def apply(case, steps=K, scale=1.0, value="lambda"):
  recipe = losses.unrolled(losses.losses(terms=terms(value)), steps, scale)
  loss = recipe(AGENT, None)
  params, state = loss.init(jax.random.key(0), 2)
  return loss.apply(params, state, case, WEIGHTS)[0]


def plain(case, value):
  """Root by root, step by step; returns sums and counts `[K+1]` by term."""
  targets = np.asarray(VALUE[value](case))
  length, rows = targets.shape
  found = {name: np.zeros(K + 1) for name in terms()}
  count = np.zeros(K + 1)
  for b in range(rows):
    kinds = COLUMNS[b]
    for t in range(length):
      if kinds[t] in "to":
        continue
      e, over = float(ROOTS[t, b, 0]), False
      for k in range(K + 1):
        now = t + k
        if now >= length:
          break
        following = 0.5 * e + ACTION[now, b]
        wanted = 0.0 if over else targets[now, b]
        reward = 0.0 if over else REWARD[now + 1, b]
        goes_on = 0.0 if over or kinds[now + 1] == "t" else 1.0
        w = WEIGHTS[b]
        count[k] += 1
        found["value"][k] += w * 0.5 * (3 * e - wanted) ** 2
        found["reward"][k] += w * 0.5 * (2 * following - reward) ** 2
        found["goes_on"][k] += w * 0.5 * (1 - following - goes_on) ** 2
        if not over:
          p = POLICY[now, b]
          logits = np.array([e, -e])
          log_z = np.log(np.exp(logits).sum())
          found["policy"][k] -= w * (p * (logits - log_z)).sum()
        e, over = following, over or kinds[now + 1] == "t"
        if not over and kinds[now + 1] == "o":
          break
  return {name: sums / count for name, sums in found.items()}


@pytest.mark.parametrize("value", VALUE)
def test_equals_a_plain_loop_over_roots(value):
  output = apply(inputs(), value=value)
  expected = plain(inputs(), value)
  for name, by_depth in expected.items():
    np.testing.assert_allclose(
      output.metrics[f"loss/{name}"], by_depth[0], rtol=1e-4, err_msg=name
    )
    np.testing.assert_allclose(
      output.metrics[f"imagined/loss/{name}"],
      by_depth[1:].mean(),
      rtol=1e-4,
      err_msg=name,
    )
  total = sum(x[0] + x[1:].mean() for x in expected.values())
  np.testing.assert_allclose(output.loss, total, rtol=1e-4)


def test_the_buffer_is_told_the_errors_of_the_roots():
  case = inputs()
  wanted = VALUE["lambda"](case) - 3 * ROOTS[:-1, :, 0]
  np.testing.assert_allclose(apply(case).errors, wanted, rtol=1e-4, atol=1e-6)


def test_beyond_an_end_nothing_recorded_matters():
  """Of a sequence that ends at once and begins again, no root sees both."""
  case = inputs()

  def loss(reward):
    timestep = case.steps.timestep._replace(reward=reward)
    return apply(case._replace(steps=case.steps._replace(timestep=timestep)))

  before = loss(case.steps.timestep.reward)
  # The reward that came with the `f` after an end is nobody's.
  first = case.steps.timestep.first
  after = loss(jnp.where(first, 1e6, case.steps.timestep.reward))
  np.testing.assert_allclose(before.loss, after.loss, rtol=1e-6)


@pytest.mark.parametrize("scale", [0.0, 0.5, 1.0])
def test_the_gradient_is_scaled_at_every_imagined_step(scale):
  """A chain of identities: depth k's gradient comes back scale ** k."""

  def still(params, key, embedding, action, mode):
    return imagine(1.0, key, embedding, jnp.zeros_like(action), mode)

  agent = AGENT._replace(imagine=still)
  recipe = losses.unrolled(
    losses.losses(terms={"value": terms()["value"]}), K, scale
  )(agent, None)

  def loss(roots):
    case = inputs(("m" * SHAPE[0],) * SHAPE[1], roots=roots, agent=agent)
    return recipe.apply((), (), case, np.ones(4, np.float32))[0].loss

  case = inputs(("m" * SHAPE[0],) * SHAPE[1])
  target = np.asarray(VALUE["lambda"](case))
  gradient = jax.grad(loss)(jnp.asarray(ROOTS))[..., 0]
  length = SHAPE[0] - 1
  t = 2  # a root that all depths have
  error = 3 * (3 * ROOTS[t, :, 0] - target[t : t + K + 1]) / SHAPE[1]
  weights = [1 / length] + [
    scale**k / K / (length - k) for k in range(1, K + 1)
  ]
  expected = (np.array(weights)[:, None] * error).sum(axis=0)
  np.testing.assert_allclose(gradient[t], expected, rtol=1e-4)


def test_the_model_learns_only_from_what_is_imagined():
  gradient = jax.grad(lambda p: apply(inputs(params=p)).loss)(0.5)
  assert abs(gradient) > 1e-3


def test_mistakes_are_named():
  with pytest.raises(ValueError, match=r"unrolled\.steps must be >= 1, got 0"):
    losses.unrolled(losses.losses(terms=terms()), steps=0)
  with pytest.raises(ValueError, match=r"gradient_scale must be in \[0, 1\]"):
    losses.unrolled(losses.losses(terms=terms()), gradient_scale=2.0)
  recipe = losses.unrolled(losses.losses(terms=terms()))
  with pytest.raises(ValueError, match=r"bind agent\.dynamics"):
    recipe(AGENT._replace(imagine=None), None)
  with pytest.raises(ValueError, match="needs sequences of more transitions"):
    apply(inputs(), steps=8)
