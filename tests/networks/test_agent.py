import functools

import haiku as hk
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from neurorl import networks
from neurorl.ops import codecs
from neurorl.types import ContinuousActions, DiscreteActions, EnvironmentSpec
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
TWO_HOT = codecs.two_hot(-1.0, 1.0, 5)
MODELS = {
  "model": networks.agent(
    networks.mlp((6,)),
    {"q": networks.q_head()},
    dynamics=networks.residual_dynamics((7,)),
  ),
  "recurrent model": networks.agent(
    networks.mlp((6,)),
    {"q": networks.q_head(), "policy": networks.policy_head((4,))},
    networks.gru(5),
    dynamics=networks.recurrent_dynamics(),
    transition_heads={
      "reward": networks.scalar_head((4,), codec=TWO_HOT),
      "discount": networks.scalar_head(codec=codecs.bernoulli()),
    },
    normalise=networks.min_max_norm(),
  ),
}
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
  **MODELS,
}
RECURRENT = ["lstm", "gru", "recurrent model"]
# What is predicted of a state beside 'q', and of a transition.
MORE = {"lstm": {"other"}, "recurrent model": {"policy"}}
TRANSITION = {"recurrent model": {"reward", "discount"}}
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
ACTION = jnp.asarray(np.random.default_rng(1).integers(0, A, (T, B)))


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


def imagine(agent, params, embedding, action, mode="online", key=KEY):
  return jax.jit(agent.imagine, static_argnums=4)(
    params, key, embedding, action, mode
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
  heads = {"q"} | MORE.get(name, set())
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
    seen = [outputs]
    if name in MODELS:
      seen.append(imagine(agent, params, outputs["embedding"], ACTION)[0])
    return sum(
      jnp.square(output["mean"] - jnp.arange(output["mean"].shape[-1])).sum()
      for outputs in seen
      for head, output in outputs.items()
      if head != "embedding"
    )

  gradients = jax.jit(jax.grad(loss))(params)
  paths, _ = jax.tree_util.tree_flatten_with_path(gradients)
  still = [path for path, leaf in paths if not np.abs(leaf).max() > 0]
  assert not still
  expected = {
    "no core": 2 + 2,
    "gru": 2 + 3 + 2,
    # torso 2, core 3 and 2 initial, dueling 4 x 2, other 2 x 2
    "lstm": 2 + 3 + 2 + 8 + 4,
    # torso 2, q 2, dynamics 2 x 2
    "model": 2 + 2 + 4,
    # torso 2, core 3, q 2, policy 2 x 2, dynamics 3, reward 2 x 2, discount 2
    "recurrent model": 2 + 3 + 2 + 4 + 3 + 4 + 2,
  }
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
      "reward": None if timestep is None else timestep.reward,
      "actions": jnp.full(embedding.shape[:-1], spec.actions.num_actions),
    }

  return apply


def staying(spec):
  """Dynamics of an action that changes nothing."""
  return lambda embedding, action: embedding


def test_heads_get_the_key_the_timestep_and_the_mode():
  agent = networks.agent(
    networks.mlp(()),
    {"noise": networks.HeadRecipe(noisy_head)},
    dynamics=staying,
  )(SPEC)
  params = agent.init(jax.random.key(0))
  steps = STEPS._replace(reward=jnp.arange(T * B, dtype=jnp.float32))
  steps = steps._replace(reward=steps.reward.reshape(T, B))

  def seen(seed, mode):
    outputs, _ = agent.unroll(params, jax.random.key(seed), steps, (), mode)
    np.testing.assert_array_equal(outputs["noise"]["reward"], steps.reward)
    return outputs["noise"]

  def imagined(seed, mode):
    embedding, key = jnp.zeros((T, B, 5)), jax.random.key(seed)
    outputs, _ = agent.imagine(params, key, embedding, ACTION, mode)
    # A model imagines states and no timesteps.
    assert outputs["noise"]["reward"] is None
    return outputs["noise"]

  for outputs in (seen, imagined):

    def noise(seed, mode, outputs=outputs):
      np.testing.assert_array_equal(outputs(seed, mode)["actions"], A)
      return outputs(seed, mode)["mean"]

    np.testing.assert_array_equal(noise(0, "evaluating"), 0.0)
    np.testing.assert_array_equal(noise(0, "acting"), noise(0, "acting"))
    assert (noise(0, "acting") != noise(1, "acting")).all()


@pytest.mark.parametrize("name", MODELS)
def test_states_and_transitions_are_imagined_for_any_leading_axes(name):
  agent, params = make(name)
  outputs, _ = unroll(agent, params, STEPS, agent.initial_state(params, B))
  imagined, embedding = imagine(agent, params, outputs["embedding"], ACTION)
  of_states = {"q", "embedding"} | MORE.get(name, set())
  of_transitions = TRANSITION.get(name, set())
  assert set(outputs) == of_states
  assert set(imagined) == of_states | of_transitions
  for head in of_states:
    same = jax.tree.map(jnp.shape, (imagined[head], outputs[head]))
    assert same[0] == same[1]
  for head in of_transitions:
    assert imagined[head]["mean"].shape == (T, B)
  np.testing.assert_array_equal(embedding, imagined["embedding"])
  one = imagine(agent, params, outputs["embedding"][2], ACTION[2])
  assert_close(one, at((imagined, embedding), 2))


@pytest.mark.parametrize("name", MODELS)
def test_what_is_imagined_depends_on_state_and_action(name):
  agent, params = make(name)
  outputs, _ = unroll(agent, params, STEPS, agent.initial_state(params, B))

  def means(embedding, action):
    imagined, _ = imagine(agent, params, embedding, action)
    del imagined["embedding"]
    return [
      np.asarray(output["mean"]).reshape(T, B, -1)
      for output in imagined.values()
    ]

  embedding = outputs["embedding"]
  for here, by_action, by_state in zip(
    means(embedding, ACTION),
    means(embedding, (ACTION + 1) % A),
    means(jnp.roll(embedding, 1, axis=0), ACTION),
    strict=True,
  ):
    assert (np.abs(here - by_action).max(axis=-1) > 1e-6).all()
    assert (np.abs(here - by_state).max(axis=-1) > 1e-6).all()


def test_the_heads_of_states_are_those_of_imagined_states():
  agent = networks.agent(
    networks.mlp((6,)),
    {"q": networks.q_head((4,)), "policy": networks.policy_head()},
    networks.gru(5),
    dynamics=staying,
    normalise=networks.min_max_norm(),  # twice is once
  )(SPEC)
  params = random_params(agent.init, jax.random.key(0))
  outputs, _ = unroll(agent, params, STEPS, agent.initial_state(params, B))
  imagined, _ = imagine(agent, params, outputs["embedding"], ACTION)
  assert_close(imagined, outputs)


def told(spec):
  """A head that says what embedding it is given."""
  return lambda embedding, timestep, mode: {"mean": embedding}


def test_what_is_seen_and_what_is_imagined_is_normalised():
  plain, normalised = [
    networks.agent(
      networks.mlp((6,)),
      {"told": networks.HeadRecipe(told)},
      networks.gru(5),
      dynamics=lambda spec: (
        lambda embedding, action: 10 * embedding + action[..., None]
      ),
      transition_heads={"told_too": networks.HeadRecipe(told)},
      normalise=normalise,
    )(SPEC)
    for normalise in (None, lambda x: 2 * x + 1)
  ]
  params = random_params(plain.init, jax.random.key(0))
  start = plain.initial_state(params, B)
  raw, _ = unroll(plain, params, STEPS, start)
  seen, final = unroll(normalised, params, STEPS, start)
  assert_close(seen["embedding"], 2 * raw["embedding"] + 1)
  # The core goes on from what it put out itself.
  assert_close(final, raw["embedding"][-1])
  imagined, embedding = imagine(normalised, params, seen["embedding"], ACTION)
  assert_close(embedding, 2 * (10 * seen["embedding"] + ACTION[..., None]) + 1)
  np.testing.assert_array_equal(imagined["embedding"], embedding)
  # Heads read what is normalised.
  np.testing.assert_array_equal(seen["told"]["mean"], seen["embedding"])
  for head in ("told", "told_too"):
    np.testing.assert_array_equal(imagined[head]["mean"], embedding)
  bare, _ = imagine(plain, params, raw["embedding"], ACTION)
  assert_close(bare["told"]["mean"], 10 * raw["embedding"] + ACTION[..., None])


def test_only_an_agent_with_dynamics_can_imagine():
  can = {name: make(name)[0].imagine is not None for name in AGENTS}
  assert can == {name: name in MODELS for name in AGENTS}


def test_an_agent_has_the_codecs_of_its_scalars():
  agent, _ = make("recurrent model")
  assert set(agent.codecs) == {"q", "reward", "discount"}
  assert agent.codecs["q"] == codecs.SCALAR
  assert agent.codecs["reward"] is TWO_HOT
  assert (agent.codecs["discount"].low, agent.codecs["discount"].high) == (0, 1)


def test_a_model_takes_the_actions_of_the_environment():
  reaching = EnvironmentSpec(
    "arm",
    SPEC.observation,
    jax.ShapeDtypeStruct((2,), jnp.float32),
    ContinuousActions(np.full(2, -1.0), np.full(2, 1.0)),
  )
  agent = networks.agent(
    networks.mlp((6,)),
    {"value": networks.scalar_head()},
    dynamics=networks.residual_dynamics((7,)),
  )(reaching)
  params = agent.init(jax.random.key(0))
  action = jnp.zeros((T, B, 2))
  outputs, _ = imagine(agent, params, jnp.ones((T, B, 6)), action)
  other, _ = imagine(agent, params, jnp.ones((T, B, 6)), action + 0.5)
  assert outputs["value"]["mean"].shape == (T, B)
  assert (outputs["value"]["mean"] != other["value"]["mean"]).all()


def test_an_agent_needs_a_head():
  with pytest.raises(ValueError, match=r"agent\.heads is empty; bind"):
    networks.agent(networks.mlp(), {})


@pytest.mark.parametrize(
  ("heads", "more", "message"),
  [
    ("embedding", {}, "the name 'embedding' is the core's output; rename it"),
    (
      "q",
      {"dynamics": staying, "transition_heads": "embedding"},
      "the name 'embedding' is the core's output; rename it",
    ),
    (
      "q",
      {"dynamics": staying, "transition_heads": "q"},
      r"agent\.transition_heads: 'q' is in agent\.heads too; rename one",
    ),
    (
      "q",
      {"transition_heads": "reward"},
      r"agent\.transition_heads: 'reward' needs a model; bind agent\.dynamics",
    ),
  ],
)
def test_heads_that_no_agent_can_have(heads, more, message):
  if "transition_heads" in more:
    transition_heads = {more["transition_heads"]: networks.scalar_head()}
    more = more | {"transition_heads": transition_heads}
  with pytest.raises(ValueError, match=message):
    networks.agent(networks.mlp(), {heads: networks.q_head()}, **more)
