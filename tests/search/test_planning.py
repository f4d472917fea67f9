"""Searches whose results are known."""

import functools

import jax
import mctx
import numpy as np
import pytest

from neurorl import search
from neurorl.search import planning
from tests import plans

GUMBEL = functools.partial(mctx.gumbel_muzero_policy, gumbel_scale=0.0)
SEARCHES = {
  "gumbel": GUMBEL,
  "puct": functools.partial(mctx.muzero_policy, temperature=0.0),
}
G = plans.GAMMA


def run(environment, agent, policy, num_simulations, batch_size=4, **settings):
  task, root = plans.begin(environment, agent, batch_size)
  model = search.environment_model()(agent, task, plans.HEADS, "acting")
  return jax.jit(
    lambda key: search.plan(
      policy,
      model,
      plans.HEADS,
      (),
      key,
      root,
      num_simulations,
      **settings,
    )
  )(jax.random.key(0))


@pytest.mark.parametrize("name", SEARCHES)
def test_the_best_arm_of_a_bandit_is_found(name):
  pays = [0.1, 0.5, 0.9, 0.3]
  found = run(plans.bandit(pays), plans.agent(4), SEARCHES[name], 100)
  np.testing.assert_array_equal(found.action, 2)
  assert found.policy.argmax(axis=-1).tolist() == [2] * 4
  assert found.policy[:, 2].min() > 0.6
  np.testing.assert_allclose(found.policy.sum(axis=-1), 1.0, rtol=1e-5)
  np.testing.assert_array_equal(found.visits.sum(axis=-1), 100)


@pytest.mark.parametrize("name", SEARCHES)
def test_a_bandit_is_worth_the_mean_of_what_its_visits_paid(name):
  pays = np.array([0.1, 0.5, 0.9, 0.3])
  found = run(plans.bandit(pays), plans.agent(4), SEARCHES[name], 20)
  # The root's own estimate, 0, counts as one visit.
  expected = (found.visits * pays).sum(axis=-1) / 21
  np.testing.assert_allclose(found.value, expected, rtol=1e-5)


@pytest.mark.parametrize("num_simulations", [1, 2, 5, 20])
@pytest.mark.parametrize("name", SEARCHES)
def test_the_value_of_a_chain_is_its_closed_form(name, num_simulations):
  """The agent thinks that nothing is worth anything.

  The i-th simulation sees the rewards of the first i steps of three. Further
  ones go beyond the end, where the environment pays on, and find nothing more.
  """
  found = run(plans.chain(3), plans.agent(1), SEARCHES[name], num_simulations)
  sums = np.cumsum([0.0, 1.0, G, G**2])
  seen = [sums[min(i, 3)] for i in range(num_simulations + 1)]
  np.testing.assert_allclose(found.value, np.mean(seen), rtol=1e-5)


@pytest.mark.parametrize("name", SEARCHES)
def test_a_timeout_is_worth_what_the_agent_thinks_of_it(name):
  """However often the search comes back to it."""
  agent = plans.agent(1, value=lambda seen: 5.0 * (seen[..., 0] == 2))
  found = run(plans.chain(2, "timeout"), agent, SEARCHES[name], 10)
  returns = [0.0, 1.0] + 9 * [1 + G + G**2 * 5.0]
  np.testing.assert_allclose(found.value, np.mean(returns), rtol=1e-5)


@pytest.mark.parametrize("name", SEARCHES)
def test_true_values_are_confirmed(name):
  def value(seen):
    left = 6 - seen[..., 0]
    return (1 - G**left) / (1 - G)

  environment = plans.chain(6, num_actions=2)
  found = run(environment, plans.agent(2, value), SEARCHES[name], 30)
  np.testing.assert_allclose(found.value, (1 - G**6) / (1 - G), rtol=1e-5)


def test_equal_rows_get_different_noise():
  environment, agent = plans.bandit([0.0] * 4), plans.agent(4)
  noisy = run(environment, agent, mctx.gumbel_muzero_policy, 4, batch_size=64)
  assert set(noisy.action.tolist()) == {0, 1, 2, 3}
  dirichlet = run(environment, agent, mctx.muzero_policy, 8, batch_size=64)
  assert len({tuple(row) for row in dirichlet.visits.tolist()}) > 8


@pytest.mark.parametrize("name", SEARCHES)
def test_invalid_actions_are_not_taken(name):
  pays = [0.1, 0.5, 0.9, 0.3]
  invalid = np.tile([False, False, True, False], (4, 1))
  found = run(
    plans.bandit(pays),
    plans.agent(4),
    SEARCHES[name],
    50,
    invalid_actions=invalid,
  )
  np.testing.assert_array_equal(found.action, 1)
  np.testing.assert_array_equal(found.visits[:, 2], 0)
  np.testing.assert_array_equal(found.policy[:, 2], 0.0)


def test_searches_that_cannot_run_are_refused():
  with pytest.raises(ValueError, match="num_simulations must be >= 1, got 0"):
    planning.check(GUMBEL, 0, "search_actor")
  with pytest.raises(ValueError, match="without chance nodes"):
    planning.check(mctx.stochastic_muzero_policy, 4, "search_actor")


@pytest.mark.parametrize(
  "policy, setting, value",
  [
    (mctx.gumbel_muzero_policy, "max_depth", 0),
    (mctx.gumbel_muzero_policy, "max_num_considered_actions", 0),
    (mctx.gumbel_muzero_policy, "gumbel_scale", -1.0),
    (mctx.muzero_policy, "dirichlet_fraction", 1.5),
    (mctx.muzero_policy, "dirichlet_alpha", 0.0),
    (mctx.muzero_policy, "pb_c_init", -1.0),
    (mctx.muzero_policy, "pb_c_base", 0.0),
  ],
)
def test_settings_out_of_range(policy, setting, value):
  chosen = functools.partial(policy, **{setting: value})
  with pytest.raises(ValueError, match=f"{policy.__name__}.{setting} must be"):
    search.check(chosen, 4, "search_actor")
  search.check(policy, 4, "search_actor")
