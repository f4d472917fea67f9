"""Acting by search."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import mctx
import numpy as np
import pytest

from neurorl import actors, search
from neurorl.ops import schedules
from neurorl.types import ContinuousActions, Progress
from tests import plans

PAYS = [0.1, 0.5, 0.9, 0.3]


def act(environment, agent, batch_size=64, seed=0, fraction=0.0, **settings):
  settings = {"search": mctx.gumbel_muzero_policy, **settings}
  recipe = actors.search_actor(search.environment_model(), **settings)
  task, root = plans.begin(environment, agent, batch_size)
  actor = recipe(agent, task)
  return jax.jit(actor.step)(
    (),
    jax.random.split(jax.random.key(seed)),
    root.timestep,
    root.env_state,
    agent.initial_state((), batch_size),
    actor.init(jax.random.key(0), batch_size),
    Progress(jnp.float32(fraction), jnp.int32(0)),
  )


def test_what_was_found_is_recorded():
  output = act(plans.bandit(PAYS), plans.agent(4), num_simulations=40)
  assert output.action.shape == (64,) and output.action.dtype == jnp.int32
  extras = output.extras
  np.testing.assert_array_equal(extras["search_visits"].sum(axis=-1), 40)
  np.testing.assert_allclose(extras["search_policy"].sum(axis=-1), 1, rtol=1e-5)
  assert (extras["search_policy"].argmax(axis=-1) == 2).all()
  paid = (extras["search_visits"] * np.array(PAYS)).sum(axis=-1) / 41
  np.testing.assert_allclose(extras["search_value"], paid, rtol=1e-5)
  # The agent saw one step, not those that were simulated.
  np.testing.assert_array_equal(output.agent_state, 1)


@pytest.mark.parametrize(
  "policy", [mctx.gumbel_muzero_policy, mctx.muzero_policy]
)
def test_greedy_is_the_best_action_and_has_no_noise(policy):
  environment, agent = plans.bandit(PAYS), plans.agent(4)
  # PUCT with few simulations keeps to the arm that it tried first.
  settings = {"num_simulations": 100, "search": policy}
  for seed in range(3):
    found = act(environment, agent, seed=seed, greedy=True, **settings)
    assert (found.action == 2).all()
  noisy = act(environment, agent, **{**settings, "num_simulations": 4})
  assert len(set(noisy.action.tolist())) > 1


def test_temperature_follows_its_schedule():
  settings = {
    "search": functools.partial(mctx.muzero_policy, dirichlet_fraction=0.0),
    "num_simulations": 40,
    "temperature": schedules.linear_schedule(1.0, 0.0),
  }
  environment, agent = plans.bandit(PAYS), plans.agent(4)
  early = act(environment, agent, batch_size=400, fraction=0.0, **settings)
  late = act(environment, agent, fraction=1.0, **settings)
  visits = np.asarray(early.extras["search_visits"])
  most = visits.argmax(axis=-1)
  often = (early.action == most).mean()
  np.testing.assert_allclose(often, visits.max(axis=-1).mean() / 40, atol=0.08)
  assert 0.1 < often < 0.9
  most = np.asarray(late.extras["search_visits"]).argmax(axis=-1)
  np.testing.assert_array_equal(late.action, most)


def test_invalid_actions_of_the_environment_are_not_taken():
  environment = plans.bandit(PAYS)._replace(
    invalid_actions=lambda state: jnp.array([False, True, True, False])
  )
  found = act(environment, plans.agent(4), num_simulations=16)
  assert set(found.action.tolist()) <= {0, 3}
  np.testing.assert_array_equal(found.extras["search_policy"][:, 1:3], 0.0)


def test_mistakes_are_named():
  model = search.environment_model()
  gumbel = mctx.gumbel_muzero_policy
  message = r"search_actor\.num_simulations must be >= 1, got 0"
  with pytest.raises(ValueError, match=message):
    actors.search_actor(model, gumbel, num_simulations=0)
  with pytest.raises(ValueError, match="this search has none; bind"):
    actors.search_actor(model, gumbel, temperature=0.5)
  with pytest.raises(ValueError, match=r"search_actor\.temperature must be in"):
    actors.search_actor(model, mctx.muzero_policy, temperature=-0.5)
  environment = plans.bandit(PAYS)
  reach = ContinuousActions(np.full(1, -1.0), np.full(1, 1.0))
  arm = dataclasses.replace(environment.spec, name="arm", actions=reach)
  recipe = actors.search_actor(model, gumbel)
  task, _ = plans.begin(environment._replace(spec=arm), plans.agent(4), 1)
  with pytest.raises(ValueError, match="search_actor needs discrete actions"):
    recipe(plans.agent(4), task)


def test_a_missing_head_is_named():
  settings = {"value_head": "worth", "num_simulations": 2}
  message = "reads head 'worth', but agent.heads has policy, value"
  with pytest.raises(ValueError, match=message):
    act(plans.bandit(PAYS), plans.agent(4), **settings)
