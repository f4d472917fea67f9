import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from neurorl import losses, networks, types
from neurorl.loss_types import LossInputs
from neurorl.ops import codecs, distributions
from neurorl.types import ContinuousActions, DiscreteActions, EnvironmentSpec
from tests.sequences import loss_inputs, random_params, timesteps

GAMMA, ALPHA = 0.5, 0.25
# Goes on into a time-out and begins anew; terminates, and begins anew.
STEPS = timesteps("fmof", "ftfm", reward=[[0, 0], [1, 2], [2, 0], [0, 4]])
T, B, A = 3, 2, 3
RNG = np.random.default_rng(0)
ACTION = RNG.uniform(-1, 1, (T + 1, B, 1)).astype(np.float32)
LOC, LOG_PROB, STATE, TARGET_STATE = RNG.normal(size=(4, T + 1, B)).astype(
  np.float32
)
Q, TARGET_Q = RNG.normal(size=(2, T + 1, B, 2, A)).astype(np.float32)
LOGITS = RNG.normal(size=(T + 1, B, A)).astype(np.float32)
CHOICE = RNG.integers(0, A, (T + 1, B))
# The twins' values: of the state plus a slope times the action.
ONLINE, TARGET = np.array([1.0, -2.0]), np.array([3.0, -1.0])

# A policy that always draws what it says it will, as likely as it says.
SAYS = distributions.CATEGORICAL._replace(
  sample_with_log_prob=lambda p, key: (p["loc"][..., None], p["log_prob"]),
  entropy=lambda p, key: -p["log_prob"],
)


def twins(raw):
  return {"mean": raw.mean(2), "members": {"mean": raw, "raw": raw}}


def judge(params, key, embedding, action, mode):
  del key, mode
  return {"q": twins(embedding + params * action)}


def constant(value):
  return {"mean": jnp.full((T + 1, B), value)}


def continuous(loc=LOC, state=STATE, params=ONLINE, alpha=ALPHA):
  agent = types.Agent(
    *[None] * 5,
    codecs={"q": codecs.SCALAR},
    distributions={"policy": SAYS},
    evaluate_action=judge,
  )
  policy = {"loc": jnp.asarray(loc), "log_prob": jnp.asarray(LOG_PROB)}
  inputs = loss_inputs(
    STEPS,
    GAMMA,
    online={
      "embedding": jnp.asarray(state)[..., None],
      "policy": policy,
      "temperature": constant(alpha),
    },
    target={"embedding": jnp.asarray(TARGET_STATE)[..., None]},
  )
  steps = inputs.steps._replace(action=jnp.asarray(ACTION))
  return inputs._replace(
    agent=agent,
    steps=steps,
    params=jnp.asarray(params, jnp.float32),
    target_params=jnp.asarray(TARGET, jnp.float32),
  )


def discrete(logits=LOGITS, q=Q, target_q=TARGET_Q, alpha=ALPHA):
  agent = types.Agent(
    *[None] * 5,
    codecs={"q": codecs.SCALAR},
    distributions={"policy": distributions.CATEGORICAL},
  )
  logits = jnp.asarray(logits)
  return loss_inputs(
    STEPS,
    GAMMA,
    online={
      "policy": {"logits": logits, "mean": jax.nn.softmax(logits)},
      "q": twins(jnp.asarray(q)),
      "temperature": constant(alpha),
    },
    target={"q": twins(jnp.asarray(target_q))},
    action=CHOICE,
  )._replace(agent=agent)


def critic(prediction):
  target = losses.one_step_returns(losses.soft_value())
  return losses.twin_regression(prediction, target, losses.squared_error())


def one_step(values):
  """Targets by hand: rewards, and what follows but for the termination."""
  goes_on = np.array([[1, 0], [1, 1], [0, 1]])
  rewards = np.array([[1.0, 2.0], [2.0, 0.0], [0.0, 4.0]])
  return rewards + GAMMA * goes_on * values[1:]


# Where a transition begins at a last step it does not count.
VALID = np.array([[1, 1], [1, 0], [0, 1]])


def valid_only(values):
  return np.asarray(values) * VALID


def test_critics_of_continuous_actions_by_hand():
  least = np.minimum(*(TARGET_STATE + slope * LOC for slope in TARGET))
  target = one_step(least - ALPHA * LOG_PROB)
  errors = [target - (STATE + s * ACTION[..., 0])[:-1] for s in ONLINE]
  output = critic(losses.scalar("q"))(continuous())
  np.testing.assert_array_equal(continuous().mask, VALID)
  np.testing.assert_allclose(
    valid_only(output.loss),
    valid_only(np.mean(0.5 * np.square(errors), axis=0)),
    rtol=1e-5,
  )
  np.testing.assert_allclose(
    valid_only(output.metrics["target"]), valid_only(target), rtol=1e-5
  )


def test_critics_of_discrete_actions_by_hand():
  policy = np.exp(LOGITS) / np.exp(LOGITS).sum(-1, keepdims=True)
  values = np.zeros((T + 1, B))
  for t, b in np.ndindex(T + 1, B):
    for a in range(A):
      value = min(TARGET_Q[t, b, 0, a], TARGET_Q[t, b, 1, a])
      value -= ALPHA * np.log(policy[t, b, a])
      values[t, b] += policy[t, b, a] * value
  target = one_step(values)
  expected = np.zeros((T, B))
  for t, b in np.ndindex(T, B):
    for member in Q[t, b, :, CHOICE[t, b]]:
      expected[t, b] += 0.5 * np.square(target[t, b] - member) / 2
  output = critic(losses.action_value())(discrete())
  np.testing.assert_allclose(
    valid_only(output.loss), valid_only(expected), rtol=1e-5
  )


def test_n_steps_bootstrap_where_an_episode_or_a_sequence_ends():
  target = losses.n_step_returns(losses.soft_value(), n=3)
  values = np.asarray(losses.soft_value()(continuous()))
  found = np.asarray(target(continuous()))
  # To the time-out and its value; to the termination.
  np.testing.assert_allclose(
    found[0, 0], 1 + GAMMA * (2 + GAMMA * values[2, 0]), rtol=1e-5
  )
  np.testing.assert_allclose(found[0, 1], 2.0, rtol=1e-5)
  np.testing.assert_allclose(found[2, 1], 4 + GAMMA * values[3, 1], rtol=1e-5)


def test_policies_of_continuous_actions_by_hand():
  least = np.minimum(*(STATE + slope * LOC for slope in ONLINE))
  output = losses.soft_policy_gradient()(continuous())
  np.testing.assert_allclose(
    output.loss, (ALPHA * LOG_PROB - least)[:-1], rtol=1e-5
  )

  def loss(loc, state, params, alpha):
    inputs = continuous(loc, state, params, alpha)
    return losses.soft_policy_gradient()(inputs).loss.sum()

  by_action, *others = jax.grad(loss, (0, 1, 2, 3))(
    jnp.asarray(LOC), jnp.asarray(STATE), jnp.asarray(ONLINE), ALPHA
  )
  slope = np.where(LOC > 0, -2.0, 1.0)  # of the twin that says less
  np.testing.assert_allclose(by_action[:-1], -slope[:-1], rtol=1e-5)
  assert not by_action[-1].any()
  for gradient in others:
    assert not np.any(gradient)


def test_a_soft_policy_is_where_its_gradient_ends():
  least = Q.min(axis=2)

  def loss(logits, q=Q, alpha=ALPHA):
    return losses.soft_policy_gradient()(discrete(logits, q, alpha=alpha)).loss

  best = jnp.asarray(least / ALPHA)
  gradient = jax.grad(lambda x: loss(x).sum())
  np.testing.assert_allclose(gradient(best), 0.0, atol=1e-6)
  assert (gradient(best + jnp.eye(A)[0])[:-1, :, 0] > 1e-4).all()
  np.testing.assert_allclose(
    loss(best),
    -ALPHA * jax.nn.logsumexp(least / ALPHA, axis=-1)[:-1],
    rtol=1e-4,
  )
  by_values = jax.grad(lambda q: loss(best, q).sum())(jnp.asarray(Q))
  by_alpha = jax.grad(lambda x: loss(best, alpha=x).sum())(ALPHA)
  assert not by_values.any() and not by_alpha


def test_the_softmax_of_values_is_worth_their_soft_maximum():
  single = TARGET_Q[:, :, :1].repeat(2, axis=2)
  inputs = discrete(logits=single[:, :, 0] / ALPHA, target_q=single)
  np.testing.assert_allclose(
    losses.soft_value()(inputs), losses.soft_q(ALPHA)(inputs), rtol=1e-5
  )
  greedy = discrete(logits=1e4 * single[:, :, 0], target_q=single)
  np.testing.assert_allclose(
    losses.soft_value()(greedy), losses.max_q()(greedy), rtol=1e-5
  )


def test_without_members_a_head_is_its_own_least():
  inputs = discrete()
  mean = jnp.asarray(TARGET_Q[:, :, 0])
  alone = inputs._replace(target={"q": {"mean": mean}})
  both = discrete(target_q=TARGET_Q[:, :, :1].repeat(2, axis=2))
  np.testing.assert_allclose(
    losses.soft_value()(alone), losses.soft_value()(both), rtol=1e-6
  )


def test_a_single_critic_is_regression():
  term = losses.regression(
    losses.action_value(),
    losses.one_step_returns(losses.soft_value()),
    losses.squared_error(),
  )
  single = {"mean": Q[:, :, 0], "raw": Q[:, :, 0]}
  inputs = discrete()
  inputs = inputs._replace(online={**inputs.online, "q": single})
  np.testing.assert_array_equal(
    critic(losses.action_value())(inputs).loss, term(inputs).loss
  )


def test_temperature_rises_where_a_policy_has_decided_too_far():
  term = losses.entropy_constraint(target_entropy=0.5)

  def loss(alpha):
    return term(continuous(alpha=alpha)).loss

  np.testing.assert_allclose(
    loss(ALPHA), ALPHA * (-LOG_PROB[:-1] - 0.5), rtol=1e-5
  )
  slope = jax.jacobian(loss)(ALPHA)
  np.testing.assert_array_equal(slope < 0, -LOG_PROB[:-1] < 0.5)


@pytest.mark.parametrize(
  "inputs, expected",
  [(continuous(), -1.0), (discrete(), 0.98 * np.log(A))],
  ids=["continuous", "discrete"],
)
def test_usual_target_entropies(inputs, expected):
  output = losses.entropy_constraint()(inputs)
  wanted = output.metrics["entropy"] - output.error
  np.testing.assert_allclose(wanted, expected, rtol=1e-5)


# Gradients of a whole agent.

OBSERVATION = jax.ShapeDtypeStruct((4,), jnp.float32)
SPECS = {
  "continuous": EnvironmentSpec(
    "arm",
    OBSERVATION,
    jax.ShapeDtypeStruct((2,), jnp.float32),
    ContinuousActions(np.full(2, -1.0), np.full(2, 1.0)),
  ),
  "discrete": EnvironmentSpec(
    "choices",
    OBSERVATION,
    jax.ShapeDtypeStruct((), jnp.int32),
    DiscreteActions(A),
  ),
}
TERMS = {
  "critic": None,
  "policy": losses.soft_policy_gradient(),
  "temperature": losses.entropy_constraint(0.1),
}


@functools.cache
def moved(kind, term, detached=True):
  """The heads and modules that learn by a term."""
  spec = SPECS[kind]
  temperature = networks.constant_head(0.3)
  if kind == "continuous":
    policy = networks.gaussian_policy_head((5,), state_dependent_scale=True)
    q = networks.ensemble_head(networks.scalar_head((5,)), 2)
    more, action_heads = {}, {"q": q}
    prediction, action = losses.scalar("q"), ACTION.repeat(2, axis=2)
  else:
    policy = networks.policy_head((5,))
    q = networks.ensemble_head(networks.q_head((5,)), 2)
    more, action_heads = {"q": q}, None
    prediction, action = losses.action_value(), CHOICE
  if detached:
    policy = networks.detached_head(policy)
  heads = {"policy": policy, "temperature": temperature, **more}
  agent = networks.agent(
    networks.mlp((6,)), heads, networks.gru(5), action_heads=action_heads
  )(spec)
  key = jax.random.key(0)
  params = random_params(agent.init, key)
  observation = RNG.normal(size=(T + 1, B, 4)).astype(np.float32)
  timestep = STEPS._replace(observation=jnp.asarray(observation))
  term = TERMS[term] or critic(prediction)

  def loss(params):
    state = agent.initial_state(params, B)
    online, _ = agent.unroll(params, key, timestep, state, "online")
    inputs: LossInputs = loss_inputs(
      timestep, GAMMA, online=online, target=jax.lax.stop_gradient(online)
    )._replace(agent=agent, params=params, target_params=params)
    steps = inputs.steps._replace(action=jnp.asarray(action))
    output = term(inputs._replace(steps=steps))
    return (output.loss * inputs.mask).sum()

  gradient = jax.grad(loss)(params)
  return {
    path.split("/")[0]
    for path, leaves in gradient.items()
    if any(np.any(leaf) for leaf in jax.tree.leaves(leaves))
  }


@pytest.mark.parametrize("kind", SPECS)
def test_each_term_moves_its_own(kind):
  assert moved(kind, "critic") == {"q", "mlp", "gru"}
  assert moved(kind, "policy") == {"policy"}
  assert moved(kind, "temperature") == {"temperature"}
  # What is not detached teaches memory too, and values still not.
  assert moved(kind, "policy", False) == {"policy", "mlp", "gru"}


@pytest.mark.parametrize(
  "term, message",
  [
    (critic(losses.action_value()), r"twin_regression reads head 'q'"),
    (losses.soft_policy_gradient(), "soft_policy_gradient reads head 'q'"),
    (
      losses.soft_policy_gradient(policy="polciy"),
      "'polciy', but this agent has policy heads policy; did you mean 'policy'",
    ),
    (
      losses.entropy_constraint(temperature="temprature"),
      "reads head 'temprature'.*did you mean 'temperature'",
    ),
  ],
)
def test_what_is_missing_is_named(term, message):
  inputs = discrete()
  online = {k: v for k, v in inputs.online.items() if k != "q"}
  with pytest.raises(ValueError, match=message):
    term(inputs._replace(online=online))


def test_heads_that_read_actions_are_offered():
  inputs = discrete()._replace(target={"value": constant(1.0)})
  message = r"none that read actions; bind agent.action_heads = \{'q': "
  with pytest.raises(ValueError, match=message):
    losses.soft_value()(inputs)
