"""Every entry of the table of third-party components, called by gin."""

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
}
TRANSFORMS = [n for n in external._CONSTRUCTORS if n.startswith("optax.")]
INITIALIZERS = [n for n in external._CONSTRUCTORS if n.startswith("hk.")]
FUNCTIONS = list(external._FUNCTIONS)
ALL = [*TRANSFORMS, *INITIALIZERS, *FUNCTIONS]


def call(name, tmp_path, **settings):
  """Calls `@name()` by way of a gin file."""
  settings = {**MINIMAL.get(name, {}), **settings}
  lines = [f"{name}.{key} = {value!r}" for key, value in settings.items()]
  path = tmp_path / "a.gin"
  slot = {"optax": "optimizer.transforms", "jax": "mlp.activation"}.get(
    name.partition(".")[0], "q_head.activation"
  )
  text = f"include 'qlearning.gin'\n{slot} = @{name}()\n"
  if slot == "optimizer.transforms":
    text = text.replace(f"@{name}()", f"[@{name}()]")
  lines = [line for line in lines if "max_norm = 10" not in line]
  path.write_text(text + "\n".join(lines) + "\n")
  return config.load([str(path)]).call(name)


def test_the_table_is_whole():
  config.register_all()
  assert set(ALL) == {n for n in registry.components() if "." in n}
  assert len(ALL) > 40


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


@pytest.mark.parametrize("name", FUNCTIONS)
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


@pytest.mark.parametrize("name", ALL)
def test_misspelt_arguments(name, tmp_path):
  parameters = list(registry.find(name).parameters)
  wrong = f"{parameters[0]}x" if parameters else "scale"
  with pytest.raises(config.ConfigError) as error:
    call(name, tmp_path, **{wrong: 1})
  assert f"{name} has no parameter '{wrong}'" in str(error.value)
  if parameters:
    assert f"'{parameters[0]}'" in str(error.value)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_run_time_arguments_are_denied(name, tmp_path):
  with pytest.raises(config.ConfigError, match="is a run-time argument"):
    call(name, tmp_path, x=1)


@pytest.mark.parametrize("name", [n for n in MINIMAL if "noise" not in n])
def test_missing_arguments(name, tmp_path):
  (argument,) = MINIMAL[name]
  path = tmp_path / "a.gin"
  path.write_text("")
  with pytest.raises(config.ConfigError, match=f"{name}.{argument} must be"):
    config.load([str(path)]).call(name)
