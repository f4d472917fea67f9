"""Policies, and the targets that are made by them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from neurorl import losses
from tests.sequences import loss_inputs, timesteps

GAMMA, A = 0.5, 3
# A middle, a termination and its reset; a middle, a time-out and its reset.
KINDS = ("fmmtfmmm", "fmofmmmm")
LENGTH = len(KINDS[0])


def case(seed=0, kinds=KINDS, **changes):
  """Random sequences of two environments, with what an actor recorded."""
  rng = np.random.default_rng(seed)
  shape = (len(kinds[0]), len(kinds))
  values = {
    "online": rng.normal(size=(*shape, A)),
    "target": rng.normal(size=(*shape, A)),
    "action": rng.integers(0, A, shape),
    "reward": rng.normal(size=shape),
    "log_prob": np.log(rng.uniform(0.05, 1.0, shape)),
  } | changes
  arrays = {name: jnp.asarray(value) for name, value in values.items()}
  inputs = loss_inputs(
    timesteps(*kinds, reward=arrays["reward"]),
    GAMMA,
    online={"q": {"mean": arrays["online"].astype(jnp.float32)}},
    target={"q": {"mean": arrays["target"].astype(jnp.float32)}},
    action=arrays["action"],
    extras={"log_prob": arrays["log_prob"].astype(jnp.float32)},
  )
  return inputs, {name: np.asarray(value) for name, value in arrays.items()}


def taken(values, action):
  return np.take_along_axis(values, action[..., None], axis=-1)[..., 0]


POLICIES = {
  "target_greedy": losses.target_greedy,
  "online_greedy": losses.online_greedy,
  "epsilon_soft": lambda **k: losses.epsilon_soft(
    losses.target_greedy(**k), 0.3
  ),
}


@pytest.mark.parametrize("name", POLICIES)
def test_policies_are_probabilities_without_gradient(name):
  inputs, _ = case()
  policy = POLICIES[name]()(inputs)
  assert policy.shape == (LENGTH, 2, A)
  assert policy.min() >= 0
  np.testing.assert_allclose(policy.sum(axis=-1), np.ones((LENGTH, 2)))
  gradient = jax.grad(
    lambda q: POLICIES[name]()(inputs._replace(online={"q": {"mean": q}})).var()
  )(inputs.online["q"]["mean"])
  np.testing.assert_array_equal(gradient, 0)


def test_greedy_policies_take_the_best_by_either_network():
  inputs, arrays = case()
  for policy, name in [
    (losses.target_greedy(), "target"),
    (losses.online_greedy(), "online"),
  ]:
    best = np.eye(A)[arrays[name].argmax(axis=-1)]
    np.testing.assert_array_equal(policy(inputs), best)


def test_all_that_are_best_are_equally_likely():
  values = np.zeros((2, 1, A))
  values[1, 0] = [4, 1, 4]
  inputs, _ = case(kinds=("mm",), target=values)
  expected = [[[1 / 3] * 3], [[1 / 2, 0, 1 / 2]]]
  np.testing.assert_allclose(losses.target_greedy()(inputs), expected)


def test_epsilon_soft_by_hand():
  inputs, _ = case(kinds=("mm",), target=np.full((2, 1, A), [1.0, 3, 2]))
  policy = losses.epsilon_soft(losses.target_greedy(), 0.3)
  np.testing.assert_allclose(
    policy(inputs), np.full((2, 1, A), [0.1, 0.8, 0.1]), rtol=1e-6
  )
  with pytest.raises(ValueError, match=r"epsilon must be in \[0, 1\], got 1.5"):
    losses.epsilon_soft(losses.target_greedy(), 1.5)


def test_expectations_of_greedy_policies_are_known_bootstraps():
  inputs, _ = case()
  for policy, bootstrap in [
    (losses.target_greedy(), losses.max_q()),
    (losses.online_greedy(), losses.double_q()),
  ]:
    expected = losses.expected_q(policy)(inputs)
    np.testing.assert_allclose(expected, bootstrap(inputs), rtol=1e-6)


def test_expected_q_by_hand():
  inputs, _ = case(kinds=("mm",), target=np.full((2, 1, A), [1.0, 5, 3]))
  policy = losses.epsilon_soft(losses.target_greedy(), 0.3)
  # .1 * 1 + .8 * 5 + .1 * 3
  np.testing.assert_allclose(
    losses.expected_q(policy)(inputs), np.full((2, 1), 4.4), rtol=1e-6
  )


@pytest.mark.parametrize("temperature", [0.03, 1.0, 20.0])
def test_soft_q_is_the_value_of_the_softmax_and_its_entropy(temperature):
  inputs, arrays = case()
  q = arrays["target"] / temperature
  policy = np.exp(q - q.max(axis=-1, keepdims=True))
  policy /= policy.sum(axis=-1, keepdims=True)
  entropy = -np.sum(policy * np.log(np.maximum(policy, 1e-300)), axis=-1)
  expected = np.sum(policy * arrays["target"], axis=-1) + temperature * entropy
  actual = losses.soft_q(temperature)(inputs)
  np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-5)


def test_soft_q_of_no_temperature_is_the_maximum():
  inputs, _ = case()
  np.testing.assert_allclose(
    losses.soft_q(1e-4)(inputs), losses.max_q()(inputs), atol=2e-4
  )
  with pytest.raises(ValueError, match=r"soft_q\.temperature must be above 0"):
    losses.soft_q(0.0)


def test_munchausen_rewards_by_hand():
  # Probabilities of 1/4 and 3/4 at a temperature of .5: .5 * log(1/4) = -.69.
  q = 0.5 * np.log(np.full((3, 1, 2), [1.0, 3.0])) + 7.0
  inputs, _ = case(
    kinds=("mmm",),
    target=q,
    action=np.array([[0], [1], [0]]),
    reward=np.array([[9.0], [2.0], [4.0]]),
  )
  for low, floor in [(-1.0, 0.5 * np.log(1 / 4)), (-0.2, -0.2)]:
    actual = losses.munchausen_rewards(0.5, 0.9, low)(inputs)
    expected = [2 + 0.9 * floor, 4 + 0.9 * 0.5 * np.log(3 / 4)]
    np.testing.assert_allclose(actual[:, 0], expected, rtol=1e-4)


def test_nobody_acts_in_states_imagined_beyond_the_end():
  inputs, arrays = case()
  inputs = inputs._replace(absorbing=jnp.ones((LENGTH - 1, 2)))
  actual = losses.munchausen_rewards()(inputs)
  np.testing.assert_allclose(actual, arrays["reward"][1:], rtol=1e-6)


def test_munchausen_is_refused_what_is_no_temperature_or_bound():
  with pytest.raises(ValueError, match=r"munchausen_rewards\.temperature must"):
    losses.munchausen_rewards(temperature=0)
  with pytest.raises(ValueError, match="low must be <= 0, got 1"):
    losses.munchausen_rewards(low=1.0)


TARGETS = {
  "one_step": losses.one_step_returns,
  "n_step": lambda **k: losses.n_step_returns(n=3, **k),
  "lambda": lambda **k: losses.lambda_returns(lambda_=0.8, **k),
  "retrace": lambda bootstrap, **k: losses.retrace(
    losses.target_greedy(), 0.8, **k
  ),
}


@pytest.mark.parametrize("name", TARGETS)
def test_returns_add_up_the_rewards_they_are_given(name):
  inputs, _ = case()
  more = jnp.arange(14.0).reshape(7, 2)

  def source(inputs):
    return losses.rewards()(inputs) + more

  reward = inputs.steps.timestep.reward.at[1:].add(more)
  timestep = inputs.steps.timestep._replace(reward=reward)
  richer = inputs._replace(steps=inputs.steps._replace(timestep=timestep))
  make = TARGETS[name]
  actual = make(bootstrap=losses.max_q(), rewards=source)(inputs)
  expected = make(bootstrap=losses.max_q())(richer)
  np.testing.assert_allclose(actual, expected, rtol=1e-5)


def test_watkins_by_hand():
  # Values of the actions at steps 0 to 4 are [v, v + 1]: the second is greedy.
  # The actions after the first transition are greedy, not, greedy, greedy.
  values = np.array([0.0, 10, 20, 30, 40])
  target = np.stack([values, values + 1], axis=-1)[:, None]
  inputs, _ = case(
    kinds=("mmmmm",),
    target=target,
    action=np.array([[0], [1], [0], [1], [1]]),
    reward=np.array([[0.0], [1], [2], [3], [4]]),
  )
  target = losses.lambda_returns(
    losses.max_q(), 1.0, cut=losses.exploratory(losses.target_greedy())
  )
  # From the end: 4 + .5*41; 3 + .5*24.5, as the action there is greedy; 2 +
  # .5*21, as at step 2 it is not; 1 + .5*12.5. What was done at step 0 itself
  # does not matter.
  np.testing.assert_allclose(
    target(inputs)[:, 0], [7.25, 12.5, 15.25, 24.5], rtol=1e-6
  )


def test_n_steps_end_where_the_next_action_is_exploratory():
  inputs, arrays = case()
  policy = losses.target_greedy()
  actual = losses.n_step_returns(
    losses.max_q(), 3, cut=losses.exploratory(policy)
  )(inputs)
  best = arrays["target"].max(axis=-1)
  last = np.asarray(inputs.steps.timestep.last)
  explores = arrays["action"] != arrays["target"].argmax(axis=-1)
  expected = np.zeros((LENGTH - 1, 2))
  for t, b in np.ndindex(LENGTH - 1, 2):
    scale = 1.0
    for k in range(t, min(t + 3, LENGTH - 1)):
      expected[t, b] += scale * arrays["reward"][k + 1, b]
      scale *= float(inputs.discount[k, b])
      if last[k + 1, b] or explores[k + 1, b]:
        break
    expected[t, b] += scale * best[k + 1, b]
  np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("greedy", "like"), [(True, 0.8), (False, 0.0)])
def test_watkins_is_pengs_or_one_step(greedy, like):
  _, arrays = case()
  best = arrays["target"].argmax(axis=-1)
  inputs, _ = case(action=best if greedy else (best + 1) % A)
  cut = losses.exploratory(losses.target_greedy())
  watkins = losses.lambda_returns(losses.max_q(), 0.8, cut=cut)(inputs)
  other = losses.lambda_returns(losses.max_q(), like)(inputs)
  np.testing.assert_allclose(watkins, other, rtol=1e-6)


def retrace(inputs, lambda_=1.0, policy=None):
  policy = policy or losses.epsilon_soft(losses.target_greedy(), 0.4)
  return losses.retrace(policy, lambda_)(inputs)


@pytest.mark.parametrize("lambda_", [0.0, 0.7, 1.0])
def test_retrace_equals_a_plain_loop(lambda_):
  inputs, arrays = case()
  policy = losses.epsilon_soft(losses.target_greedy(), 0.4)
  pi = np.asarray(policy(inputs))
  value = np.sum(pi * arrays["target"], axis=-1)
  q = taken(arrays["target"], arrays["action"])
  ratio = taken(pi, arrays["action"]) / np.exp(arrays["log_prob"])
  last = np.asarray(inputs.steps.timestep.last)
  discount = np.asarray(inputs.discount)
  expected = np.zeros((LENGTH - 1, 2))
  for t, b in np.ndindex(LENGTH - 1, 2):
    scale, k = 1.0, t
    base = 0.0
    while True:
      error = arrays["reward"][k + 1, b] + discount[k, b] * value[k + 1, b]
      expected[t, b] += scale * (error - base)
      if last[k + 1, b] or k + 1 == LENGTH - 1:
        break
      scale *= discount[k, b] * lambda_ * min(1.0, ratio[k + 1, b])
      k, base = k + 1, q[k + 1, b]
  np.testing.assert_allclose(
    retrace(inputs, lambda_), expected, rtol=1e-4, atol=1e-5
  )


def test_retrace_of_the_policy_that_acts_looks_at_all():
  # The greedy policy, always: Q(lambda) of any kind.
  _, arrays = case()
  inputs, _ = case(
    action=arrays["target"].argmax(axis=-1), log_prob=np.zeros((LENGTH, 2))
  )
  actual = retrace(inputs, 0.7, losses.target_greedy())
  expected = losses.lambda_returns(losses.max_q(), 0.7)(inputs)
  np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-6)


def test_retrace_of_a_greedy_policy_ends_where_it_would_not_act_so():
  _, arrays = case()
  inputs, _ = case(action=(arrays["target"].argmax(axis=-1) + 1) % A)
  actual = retrace(inputs, 1.0, losses.target_greedy())
  expected = losses.one_step_returns(losses.max_q())(inputs)
  np.testing.assert_allclose(actual, expected, rtol=1e-6)


def test_a_recorded_probability_matters_only_where_episodes_go_on():
  inputs, arrays = case()
  last = np.asarray(inputs.steps.timestep.last)
  first = np.asarray(inputs.steps.timestep.first)
  other, _ = case(log_prob=np.where(last | first, 0.0, arrays["log_prob"]))
  counts = np.asarray(inputs.mask) > 0
  np.testing.assert_array_equal(
    np.asarray(retrace(inputs))[counts], np.asarray(retrace(other))[counts]
  )
  other, _ = case(log_prob=0 * arrays["log_prob"])
  difference = np.abs(np.asarray(retrace(inputs) - retrace(other)))
  assert difference[counts].max() > 1e-3


@pytest.mark.parametrize("lambda_", [-0.1, 1.1])
def test_lambda_of_retrace_is_checked(lambda_):
  with pytest.raises(ValueError, match=r"retrace\.lambda_ must be in \[0, 1\]"):
    losses.retrace(losses.target_greedy(), lambda_)


def test_a_sequence_too_short_for_retrace_is_refused():
  inputs, _ = case(kinds=("mm",))
  message = r"retrace\.lambda_ = 1\.0 needs sequences of at least 2"
  with pytest.raises(ValueError, match=message):
    retrace(inputs)


# What reads a head, by how it names itself.
READERS = {
  "target_greedy": losses.one_step_returns(
    losses.expected_q(losses.target_greedy("qq"))
  ),
  "online_greedy": losses.one_step_returns(
    losses.expected_q(losses.online_greedy("qq"))
  ),
  "expected_q": losses.one_step_returns(
    losses.expected_q(losses.target_greedy(), "qq")
  ),
  "soft_q": losses.one_step_returns(losses.soft_q(head="qq")),
  "munchausen_rewards": losses.munchausen_rewards(head="qq"),
  "conservative": losses.conservative("qq"),
  "categorical_td": losses.categorical_td(losses.target_greedy(), head="qq"),
  "quantile_td": losses.quantile_td(losses.target_greedy(), head="qq"),
}


@pytest.mark.parametrize("name", READERS)
def test_who_reads_a_head_that_is_not_there_says_so(name):
  inputs, _ = case()
  message = f"{name} reads head 'qq', but agent.heads has q"
  with pytest.raises(ValueError, match=message):
    READERS[name](inputs)
