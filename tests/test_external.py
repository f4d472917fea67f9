"""Every entry of the table of third-party components, called by gin."""

import functools
import inspect

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from neurorl import config, external, registry

# What must be bound.
MINIMAL = {
  "optax.adaptive_grad_clip": {"clipping": 0.1},
  "optax.add_noise": {"eta": 0.1, "gamma": 0.5, "seed": 0},
  "optax.clip": {"max_delta": 1.0},
  "optax.clip_by_global_norm": {"max_norm": 1.0},
  "optax.ema": {"decay": 0.9},
  "optax.scale": {"step_size": 2.0},
  "optax.trace": {"decay": 0.9},
  "hk.initializers.Constant": {"constant": 0.5},
  "mctx.qtransform_by_min_max": {"min_value": -1.0, "max_value": 3.0},
}
TRANSFORMS = [n for n in external._CONSTRUCTORS if n.startswith("optax.")]
INITIALIZERS = [n for n in external._CONSTRUCTORS if n.startswith("hk.")]
ACTIVATIONS = [n for n in external._FUNCTIONS if n.startswith("jax.")]
QTRANSFORMS = [n for n in external._FUNCTIONS if n.startswith("mctx.")]
SEARCHES = list(external._SEARCHES)
ALL = [*TRANSFORMS, *INITIALIZERS, *ACTIVATIONS, *QTRANSFORMS, *SEARCHES]
# Where a component goes, by how its name begins: a file, and a slot there.
SLOTS = {
  "optax.": ("qlearning.gin", "optimizer.transforms"),
  "jax.nn.": ("qlearning.gin", "mlp.activation"),
  "hk.": ("qlearning.gin", "q_head.activation"),
  "mctx.qtransform": ("alphazero.gin", "mctx.gumbel_muzero_policy.qtransform"),
  "mctx.": ("alphazero.gin", "search_actor.search"),
}


def write(name, tmp_path, **settings):
  """Writes a gin file that calls `@name()`."""
  settings = {**MINIMAL.get(name, {}), **settings}
  lines = [f"{name}.{key} = {value}" for key, value in settings.items()]
  file, slot = next(
    place for prefix, place in SLOTS.items() if name.startswith(prefix)
  )
  reference = f"[@{name}()]" if name.startswith("optax.") else f"@{name}()"
  path = tmp_path / "a.gin"
  lines = [f"include '{file}'", f"{slot} = {reference}", *lines]
  path.write_text("\n".join(lines) + "\n")
  return str(path)


def call(name, tmp_path, **settings):
  """Calls `@name()` by way of a gin file."""
  settings = {key: repr(value) for key, value in settings.items()}
  return config.load([write(name, tmp_path, **settings)]).call(name)


def test_the_table_is_whole():
  config.register_all()
  assert set(ALL) == {n for n in registry.components() if "." in n}
  assert len(ALL) > 40


@pytest.mark.parametrize("name", TRANSFORMS)
def test_transforms_take_their_defaults(name, tmp_path):
  function = getattr(optax, name.rpartition(".")[2])
  defaults = {
    argument: parameter.default
    for argument, parameter in inspect.signature(function).parameters.items()
    if isinstance(parameter.default, int | float)
  }
  transform = call(name, tmp_path, **defaults)
  assert isinstance(transform, optax.GradientTransformation)


@pytest.mark.parametrize("name", TRANSFORMS)
def test_transforms(name, tmp_path):
  transform = call(name, tmp_path)
  assert isinstance(transform, optax.GradientTransformation)
  params = {"w": jnp.full((2, 3), 0.5)}
  updates, _ = transform.update(params, transform.init(params), params)
  assert updates["w"].shape == (2, 3)


@pytest.mark.parametrize("name", INITIALIZERS)
def test_initializers(name, tmp_path):
  import haiku as hk

  initializer = call(name, tmp_path)
  made = hk.transform(lambda: hk.get_parameter("w", (3, 3), init=initializer))
  w = made.init(jax.random.key(0))["~"]["w"]
  assert w.shape == (3, 3)
  assert np.isfinite(w).all()


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_functions(name, tmp_path):
  function = call(name, tmp_path)
  x = jnp.linspace(-3.0, 3.0, 7)
  wanted = getattr(jax.nn, name.rpartition(".")[2])(x)
  np.testing.assert_allclose(function(x), wanted, rtol=1e-6)


def test_functions_take_what_is_bound(tmp_path):
  leaky = call("jax.nn.leaky_relu", tmp_path, negative_slope=0.5)
  np.testing.assert_allclose(leaky(jnp.float32(-2.0)), -1.0)
  with pytest.raises(config.ConfigError, match="negative_slope = 'x'"):
    call("jax.nn.leaky_relu", tmp_path, negative_slope="x")


@pytest.mark.parametrize(
  ("name", "argument", "value", "message"),
  [
    ("optax.clip_by_global_norm", "max_norm", -1.0, "above 0, got -1.0"),
    ("optax.clip", "max_delta", 0, "above 0, got 0"),
    ("optax.scale_by_adam", "b1", 1.0, "at least 0 and below 1, got 1.0"),
    ("optax.scale_by_adam", "b1", True, "at least 0 and below 1, got True"),
    ("optax.scale_by_rms", "decay", -0.1, "at least 0 and below 1, got -0.1"),
    ("optax.scale_by_adam", "eps", -1e-8, "at least 0, got -1e-08"),
    ("optax.add_decayed_weights", "weight_decay", -0.1, "at least 0, got -0.1"),
  ],
)
def test_numbers_out_of_range(name, argument, value, message, tmp_path):
  with pytest.raises(ValueError) as error:
    call(name, tmp_path, **{argument: value})
  assert f"{name}.{argument} must be {message}" in str(error.value)


@pytest.mark.parametrize("name", ALL)
def test_misspelt_arguments(name, tmp_path):
  parameters = list(registry.find(name).parameters)
  wrong = f"{parameters[0]}x" if parameters else "scale"
  with pytest.raises(config.ConfigError) as error:
    call(name, tmp_path, **{wrong: 1})
  assert f"{name} has no parameter '{wrong}'" in str(error.value)
  if parameters:
    assert f"'{parameters[0]}'" in str(error.value)


@pytest.mark.parametrize(
  ("name", "argument"),
  [
    *[(name, "x") for name in ACTIVATIONS],
    *[
      (n, argument) for n in QTRANSFORMS for argument in ("tree", "node_index")
    ],
    *[
      (name, argument)
      for name in SEARCHES
      for argument in (
        "params",
        "rng_key",
        "root",
        "recurrent_fn",
        "invalid_actions",
        "loop_fn",
      )
    ],
  ],
)
def test_run_time_arguments_are_denied(name, argument, tmp_path):
  message = f"{name}.{argument} is a run-time argument, given by the library"
  with pytest.raises(config.ConfigError, match=message):
    call(name, tmp_path, **{argument: 1})


@pytest.mark.parametrize(
  ("name", "argument"),
  [
    *[(name, "num_simulations") for name in SEARCHES],
    ("mctx.muzero_policy", "temperature"),
  ],
)
def test_what_the_actor_gives_is_denied_and_said_where(
  name, argument, tmp_path
):
  message = (
    f"{name}.{argument} is given by the actor; bind search_actor.{argument}"
  )
  with pytest.raises(config.ConfigError, match=message):
    call(name, tmp_path, **{argument: 1})


def search(policy, rewards, logits=None, num_simulations=32):
  """Searches bandits, one a row, by rewards `[B, A]` of their actions."""
  import mctx

  rewards = jnp.array(rewards)
  logits = jnp.zeros(rewards.shape) if logits is None else jnp.array(logits)
  rows, nothing = jnp.arange(len(rewards)), jnp.zeros(len(rewards))

  def recurrent_fn(params, key, action, embedding):
    output = mctx.RecurrentFnOutput(
      reward=params[rows, action],
      discount=nothing,
      prior_logits=logits,
      value=nothing,
    )
    return output, embedding

  run = functools.partial(
    policy, recurrent_fn=recurrent_fn, num_simulations=num_simulations
  )
  return jax.jit(run)(
    params=rewards,
    rng_key=jax.random.key(0),
    root=mctx.RootFnOutput(
      prior_logits=logits, value=nothing, embedding=nothing
    ),
  )


def visits(found):
  return np.asarray(found.search_tree.summary().visit_counts)


@pytest.mark.parametrize("name", SEARCHES)
def test_searches(name, tmp_path):
  policy = call(name, tmp_path)
  found = search(policy, [[0.0, 1.0, 0.5], [1.0, 0.0, 0.5]])
  np.testing.assert_array_equal(np.argmax(found.action_weights, -1), [1, 0])
  np.testing.assert_array_equal(visits(found).sum(axis=-1), [32, 32])


@pytest.mark.parametrize(
  ("name", "noise"),
  [
    ("mctx.gumbel_muzero_policy", "gumbel_scale"),
    ("mctx.muzero_policy", "dirichlet_fraction"),
  ],
)
def test_searches_take_what_is_bound(name, noise, tmp_path):
  # All rows are one: only noise, of their own, tells them apart.
  rewards, logits = np.zeros((32, 3)), np.full((32, 3), [0.0, 0.1, 0.2])

  def differ(policy):
    found = visits(search(policy, rewards, logits, num_simulations=5))
    return (found != found[0]).any()

  assert differ(call(name, tmp_path))
  still = call(name, tmp_path, **{noise: 0.0})
  assert not differ(still)
  # What is bound is a default: who searches may still say otherwise.
  assert differ(functools.partial(still, **{noise: 1.0}))
  with pytest.raises(config.ConfigError, match=f"{noise} = 'x'"):
    call(name, tmp_path, **{noise: "x"})


class Node:
  """A node of a search tree, all that Q-transforms read of it.

  It is worth 1 and has three actions, of which the last was never taken.
  """

  children_visits = jnp.array([[3, 1, 0]])
  children_prior_logits = jnp.zeros((1, 3))
  node_values = raw_values = jnp.ones(1)

  def qvalues(self, index):
    return jnp.array([[4.0, 0.0, 2.0]])[index]


@pytest.mark.parametrize(
  ("name", "settings", "expected"),
  [
    ("by_min_max", {}, [5 / 4, 1 / 4, 0]),
    ("by_min_max", {"max_value": 7.0}, [5 / 8, 1 / 8, 0]),
    ("by_parent_and_siblings", {}, [1, 0, 0]),
    ("by_parent_and_siblings", {"epsilon": 8.0}, [1 / 2, 0, 0]),
    # What was not taken is worth a mean of 1 and, 4 times, of 2, which is the
    # mean of 4 and 0. That is 1.8 of 4. Then all is scaled by .1 (50 + 3).
    ("completed_by_mix_value", {}, [5.3, 0, 5.3 * 1.8 / 4]),
    ("completed_by_mix_value", {"value_scale": 1.0}, [53, 0, 53 * 1.8 / 4]),
    ("completed_by_mix_value", {"rescale_values": False}, [21.2, 0, 9.54]),
    ("completed_by_mix_value", {"use_mixed_value": False}, [5.3, 0, 5.3 / 4]),
  ],
)
def test_qtransforms(name, settings, expected, tmp_path):
  if name == "completed_by_mix_value":  # which alphazero.gin does not rescale
    settings = {"rescale_values": True, **settings}
  function = call(f"mctx.qtransform_{name}", tmp_path, **settings)
  actual = function(Node(), jnp.int32(0))
  np.testing.assert_allclose(actual, expected, rtol=1e-5)


@pytest.mark.parametrize("name", SEARCHES)
def test_a_search_takes_a_qtransform(name, tmp_path):
  reference = "@mctx.qtransform_by_min_max()"
  path = write(name, tmp_path, qtransform=reference)
  with open(path, "a") as file:
    file.write("mctx.qtransform_by_min_max.min_value = 0.0\n")
    file.write("mctx.qtransform_by_min_max.max_value = 1.0\n")
  bound = config.load([path]).call(name)
  rewards = [[0.0, 0.01, 0.02]]
  scaled = write(name, tmp_path)
  if "gumbel" in name:  # which in alphazero.gin takes them as they are
    with open(scaled, "a") as file:
      file.write("mctx.qtransform_completed_by_mix_value.rescale_values = True")
  otherwise = config.load([scaled]).call(name)
  found, otherwise = [
    search(policy, rewards).action_weights for policy in (bound, otherwise)
  ]
  # Taken as they are, these rewards are much the same, but not if they are
  # scaled by their range.
  assert found.max() < 0.5 < otherwise.max()


@pytest.mark.parametrize("name", [n for n in MINIMAL if "noise" not in n])
def test_missing_arguments(name, tmp_path):
  missing = " and ".join(f"{name}.{argument}" for argument in MINIMAL[name])
  path = tmp_path / "a.gin"
  path.write_text("")
  with pytest.raises(config.ConfigError, match=f"{missing} must be bound"):
    config.load([str(path)]).call(name)
