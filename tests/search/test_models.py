"""What is simulated is what the environment does, up to the end."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from neurorl import environments, search
from tests import plans


def model_of(environment, agent):
  task, root = plans.begin(environment, agent, 3)
  made = search.environment_model()(agent, task, plans.HEADS, "acting")
  return made, root, made.root(root)


@pytest.mark.parametrize("name", ["CartPole-v1", "Catch-bsuite"])
def test_simulated_transitions_are_the_environments(name):
  environment = environments.gymnax(name)
  num_actions = environment.spec.actions.num_actions
  agent = plans.agent(num_actions)
  model, root, node = model_of(environment, agent)
  simulate, step = jax.jit(model.step), jax.jit(jax.vmap(environment.step))
  state, last = root.env_state, root.timestep.last
  for t in range(30):
    key = jax.random.key(t)
    action = jax.random.randint(key, (3,), 0, num_actions)
    outcome, node = simulate((), key, action, node)
    # The environments are deterministic: any key will do.
    state, timestep = step(jax.random.split(key, 3), state, action)
    running = ~np.asarray(last)
    np.testing.assert_array_equal(
      outcome.reward[running], timestep.reward[running]
    )
    np.testing.assert_allclose(
      outcome.discount[running], plans.GAMMA * timestep.discount[running]
    )
    jax.tree.map(
      lambda a, b, running=running: np.testing.assert_allclose(
        a[running], b[running], rtol=1e-6
      ),
      node.env_state,
      state,
    )
    last |= timestep.last
    np.testing.assert_array_equal(node.last, last)
  assert last.any()


@pytest.mark.parametrize(
  ("ends", "discount", "value"),
  [("termination", 0.0, 0.0), ("timeout", 1.0, 20.0)],
)
def test_beyond_the_end_nothing_is_paid(ends, discount, value):
  """A termination is worth nothing, a time-out what the agent thinks of it."""
  agent = plans.agent(1, value=lambda seen: 10.0 * seen[..., 0])
  model, _, node = model_of(plans.chain(2, ends), agent)
  action, key = jnp.zeros(3, jnp.int32), jax.random.key(0)
  outcomes = []
  for _ in range(5):
    outcome, node = model.step((), key, action, node)
    outcomes.append([outcome.reward[0], outcome.discount[0], outcome.value[0]])
  rewards, discounts, values = np.array(outcomes).T
  np.testing.assert_array_equal(rewards, [1, 1, 0, 0, 0])
  arrives = 0.0 if ends == "termination" else plans.GAMMA
  np.testing.assert_allclose(discounts, [plans.GAMMA, arrives] + 3 * [discount])
  # A value that is multiplied by a discount of 0 may be anything.
  if value:
    np.testing.assert_array_equal(values, [10, 20, 20, 20, 20])


def test_rows_have_keys_of_their_own():
  model, _, node = model_of(plans.chain(9, noise=1.0), plans.agent(1))
  outcome, _ = model.step((), jax.random.key(0), jnp.zeros(3, jnp.int32), node)
  assert len(set(np.asarray(outcome.reward).tolist())) == 3


def test_the_agents_memory_goes_with_the_node():
  model, root, node = model_of(plans.chain(9), plans.agent(1))
  np.testing.assert_array_equal(root.agent_state, 1)
  _, node = model.step((), jax.random.key(0), jnp.zeros(3, jnp.int32), node)
  np.testing.assert_array_equal(node.agent_state, 2)


def test_garbage_beyond_the_end_is_not_read():
  """Some environments make NaNs when they are stepped beyond their end."""
  chain = plans.chain(1)

  def step(key, place, action):
    place, timestep = chain.step(key, place, action)
    junk = jnp.where(place > 1, jnp.nan, 0.0)
    return place, timestep._replace(
      reward=timestep.reward + junk,
      discount=timestep.discount + junk,
      observation=timestep.observation + junk,
    )

  agent = plans.agent(1, value=lambda seen: seen[..., 0])
  model, _, node = model_of(chain._replace(step=step), agent)
  for _ in range(3):
    key, action = jax.random.key(0), jnp.zeros(3, jnp.int32)
    outcome, node = model.step((), key, action, node)
    assert all(np.isfinite(x).all() for x in outcome)


def test_invalid_actions_have_no_prior():
  environment = plans.chain(9, num_actions=3)._replace(
    invalid_actions=lambda place: jnp.arange(3) == place
  )
  model, _, node = model_of(environment, plans.agent(3))
  outcome, _ = model.step((), jax.random.key(0), jnp.zeros(3, jnp.int32), node)
  prior = jax.nn.softmax(outcome.logits)
  np.testing.assert_allclose(prior, np.tile([0.5, 0.0, 0.5], (3, 1)))


def imagining(**outputs):
  """An agent whose model adds the action to its embedding."""
  heads = {
    "policy": {"logits": jnp.zeros((3, 2))},
    "value": {"mean": jnp.full(3, 7.0)},
    **{name: {"mean": jnp.full(3, x)} for name, x in outputs.items()},
  }

  def imagine(params, key, embedding, action, mode):
    del params, key, mode
    embedding = embedding + action[:, None]
    return {"embedding": embedding, **heads}, embedding

  return plans.agent(2)._replace(imagine=imagine)


@pytest.mark.parametrize(
  ("discount_head", "discount"), [(None, 0.9), ("goes_on", 0.9 * 0.25)]
)
def test_learned_model_reads_its_heads(discount_head, discount):
  agent = imagining(reward=3.0, goes_on=0.25)
  task, root = plans.begin(plans.chain(9, num_actions=2), agent, 3)
  root = root._replace(outputs={**root.outputs, "embedding": jnp.zeros((3, 4))})
  recipe = search.learned_model(discount_head=discount_head)
  model = recipe(agent, task, plans.HEADS, "acting")
  action = jnp.array([0, 1, 1])
  outcome, node = model.step((), jax.random.key(0), action, model.root(root))
  np.testing.assert_array_equal(node[:, 0], action)
  np.testing.assert_array_equal(outcome.reward, 3.0)
  np.testing.assert_array_equal(outcome.value, 7.0)
  np.testing.assert_allclose(outcome.discount, discount, rtol=1e-6)


def test_learned_model_needs_an_agent_with_a_model():
  agent = plans.agent(1)
  task, _ = plans.begin(plans.chain(2), agent, 1)
  with pytest.raises(ValueError, match=r"bind agent\.dynamics ="):
    search.learned_model()(agent, task, plans.HEADS, "acting")
