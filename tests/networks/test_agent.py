import functools

import haiku as hk
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from neurorl import networks
from neurorl.types import (
  DiscreteActions,
  EnvironmentSpec,
)
from tests.sequences import random_params, timesteps

T, B, A = 7, 3, 3
SPEC = EnvironmentSpec(
  "choices",
  {
    "place": jax.ShapeDtypeStruct((4,), jnp.float32),
    "light": jax.ShapeDtypeStruct((), jnp.uint8),
  },
  jax.ShapeDtypeStruct((), jnp.int32),
  DiscreteActions(A),
)
AGENTS = {
  "no core": networks.agent(networks.mlp((6,)), {"q": networks.q_head()}),
  "lstm": networks.agent(
    networks.mlp((6,)),
    {"q": networks.dueling_q_head((5,)), "other": networks.q_head((4,))},
    networks.lstm(5, learn_initial_state=True),
  ),
  "gru": networks.agent(
    networks.mlp((6,)), {"q": networks.q_head()}, networks.gru(5)
  ),
}
RECURRENT = ["lstm", "gru"]
KEY = jax.random.key(3)


def observed(seed):
  rng = np.random.default_rng(seed)
  return timesteps(
    "fmmmtfm",
    "mmmmmmm",
    "mofmofm",
    observation={
      "place": rng.normal(size=(T, B, 4)).astype(np.float32),
      "light": rng.integers(0, 2, (T, B)).astype(np.uint8),
    },
  )


STEPS = observed(0)


def at(tree, t):
  return jax.tree.map(lambda x: x[t], tree)


@functools.cache
def make(name):
  """Returns an agent and parameters that are nowhere zero."""
  agent = AGENTS[name](SPEC)
  params = random_params(agent.init, jax.random.key(0), scale=0.3)
  return agent, params


def unroll(agent, params, steps, state, mode="online"):
  return jax.jit(agent.unroll, static_argnums=4)(
    params, KEY, steps, state, mode
  )


def assert_close(x, y):
  jax.tree.map(
    lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5), x, y
  )


@pytest.mark.parametrize("name", AGENTS)
def test_unroll_equals_steps(name):
  agent, params = make(name)
  _, start = unroll(agent, params, observed(1), agent.initial_state(params, B))
  step = jax.jit(agent.step, static_argnums=4)
  state, outputs = start, []
  for t in range(T):
    output, state = step(params, KEY, at(STEPS, t), state, "online")
    outputs.append(output)
  unrolled, final = unroll(agent, params, STEPS, start)
  assert_close(unrolled, jax.tree.map(lambda *xs: jnp.stack(xs), *outputs))
  assert_close(final, state)


@pytest.mark.parametrize("name", AGENTS)
def test_outputs_are_named_by_head_and_shaped_by_actions(name):
  agent, params = make(name)
  outputs, _ = unroll(agent, params, STEPS, agent.initial_state(params, B))
  heads = {"q", "other"} if name == "lstm" else {"q"}
  assert set(outputs) == heads | {"embedding"}
  for head in heads:
    assert outputs[head]["mean"].shape == (T, B, A)
  size = 5 if name in RECURRENT else 6
  assert outputs["embedding"].shape == (T, B, size)


@pytest.mark.parametrize("name", RECURRENT)
def test_an_episode_begins_with_the_initial_state(name):
  agent, params = make(name)
  initial = agent.initial_state(params, B)
  _, used = unroll(agent, params, observed(1), initial)
  from_used, _ = unroll(agent, params, STEPS, used)
  from_initial, _ = unroll(agent, params, STEPS, initial)
  differs = np.abs(from_used["q"]["mean"] - from_initial["q"]["mean"]).max(-1)
  # Row 0 begins an episode at once, row 1 never, row 2 after its time-out.
  np.testing.assert_array_equal(differs[:, 0], 0.0)
  assert (differs[:, 1] > 1e-5).all()
  assert (differs[:2, 2] > 1e-5).all()
  np.testing.assert_array_equal(differs[2:, 2], 0.0)


@pytest.mark.parametrize("name", RECURRENT)
def test_no_gradient_crosses_the_beginning_of_an_episode(name):
  agent, params = make(name)
  start = agent.initial_state(params, B)

  def after(place):
    observation = {**STEPS.observation, "place": place}
    steps = STEPS._replace(observation=observation)
    outputs, _ = unroll(agent, params, steps, start)
    return jnp.square(outputs["q"]["mean"][5:, 0]).sum()

  gradient = jax.jit(jax.grad(after))(STEPS.observation["place"])
  np.testing.assert_array_equal(gradient[:5], 0.0)
  assert (np.abs(gradient[5:, 0]).max(axis=-1) > 0).all()


@pytest.mark.parametrize("name", AGENTS)
def test_init_makes_every_parameter_that_unrolling_learns(name):
  agent, params = make(name)
  start = agent.initial_state(params, B)

  def loss(params):
    outputs, _ = unroll(agent, params, STEPS, start)
    return sum(
      jnp.square(output["mean"] - jnp.arange(A)).sum()
      for head, output in outputs.items()
      if head != "embedding"
    )

  gradients = jax.jit(jax.grad(loss))(params)
  paths, _ = jax.tree_util.tree_flatten_with_path(gradients)
  still = [path for path, leaf in paths if not np.abs(leaf).max() > 0]
  assert not still
  # lstm: torso 2, core 3 and 2 initial, dueling 4 x 2, other 2 x 2
  expected = {"no core": 2 + 2, "gru": 2 + 3 + 2, "lstm": 2 + 3 + 2 + 8 + 4}
  assert len(paths) == expected[name]


def test_init_is_a_function_of_its_key():
  agent, _ = make("gru")
  init = jax.jit(agent.init)
  one, same, other = [init(jax.random.key(seed)) for seed in (0, 0, 1)]
  jax.tree.map(np.testing.assert_array_equal, one, same)
  differ = jax.tree.map(lambda x, y: bool((x != y).any()), one, other)
  assert any(jax.tree.leaves(differ))


def test_the_state_has_a_row_for_every_environment():
  agent, params = make("gru")
  assert agent.initial_state(params, 5).shape == (5, 5)
  assert jax.tree.leaves(make("no core")[0].initial_state({}, 5)) == []


def noisy_head(spec):
  """A head that uses all it is given: the key, the timestep, the mode."""

  def apply(embedding, timestep, mode):
    noise = jax.random.normal(hk.next_rng_key(), embedding.shape[:-1])
    return {
      "mean": noise * (mode == "acting"),
      "reward": timestep.reward,
      "actions": jnp.full(embedding.shape[:-1], spec.actions.num_actions),
    }

  return apply


def test_heads_get_the_key_the_timestep_and_the_mode():
  agent = networks.agent(
    networks.mlp(()), {"noise": networks.HeadRecipe(noisy_head)}
  )(SPEC)
  params = agent.init(jax.random.key(0))
  steps = STEPS._replace(reward=jnp.arange(T * B, dtype=jnp.float32))
  steps = steps._replace(reward=steps.reward.reshape(T, B))

  def noise(seed, mode):
    outputs, _ = agent.unroll(params, jax.random.key(seed), steps, (), mode)
    np.testing.assert_array_equal(outputs["noise"]["reward"], steps.reward)
    np.testing.assert_array_equal(outputs["noise"]["actions"], A)
    return outputs["noise"]["mean"]

  np.testing.assert_array_equal(noise(0, "evaluating"), 0.0)
  np.testing.assert_array_equal(noise(0, "acting"), noise(0, "acting"))
  assert (noise(0, "acting") != noise(1, "acting")).all()


def test_an_agent_needs_a_head():
  with pytest.raises(ValueError, match=r"agent\.heads is empty; bind"):
    networks.agent(networks.mlp(), {})


def test_embedding_is_no_name_for_a_head():
  with pytest.raises(ValueError, match="'embedding' is the core's output"):
    networks.agent(networks.mlp(), {"embedding": networks.q_head()})
