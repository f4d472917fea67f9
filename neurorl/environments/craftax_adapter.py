"""Craftax and Craftax-Classic, whose clock is told apart from death.

The library's `done` folds both. Its step takes the parameters that it judges
by, so a step without a time limit says who died, and the clock is ours to read.
Matthews et al. (2024), https://arxiv.org/abs/2402.16801
"""

from __future__ import annotations

import contextlib
import functools
import math
import sys
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from neurorl import compilation
from neurorl.environments import adapting, pictures
from neurorl.environments.timesteps import restart, transition
from neurorl.registry import component
from neurorl.types import Array, Environment, EnvironmentSpec, Tree

_NAMES = (
  "Craftax-Symbolic-v1",
  "Craftax-Pixels-v1",
  "Craftax-Classic-Symbolic-v1",
  "Craftax-Classic-Pixels-v1",
)
_NEVER = 2**31 - 1  # transitions; the clock is an int32


@component
def craftax(
  name: str = "Craftax-Symbolic-v1",
  parameters: Mapping[str, Any] | None = None,
  vector: bool = False,
) -> Environment:
  """Makes Craftax or Craftax-Classic.

  Death, in Classic also in lava, and the last boss beaten terminate; the time
  limit `max_timesteps` (100,000, in Classic 10,000) times out.

  A symbolic observation is `{'map' [rows, columns, planes] bool, 'status'
  float32}`: what lies where, and the inventory with the body's state; in this
  order they are the library's vector, in a quarter of its memory. The pixels
  are `[H, W, 3]` float32 between 0 and 1.

  Matthews et al. (2024), https://arxiv.org/abs/2402.16801

  Args:
    name: 'Craftax-Symbolic-v1', 'Craftax-Classic-Symbolic-v1', or either with
      'Pixels'.
    parameters: fields of its `EnvParams` to change, such as
      `{'max_timesteps': 1_000}`.
    vector: whether a symbolic observation is the library's float32 vector.

  Returns:
    The environment.

  Raises:
    ValueError: if craftax is not installed, or has no such environment or
      parameter.
  """
  adapting.check_name("craftax.name", name, _NAMES)
  library = adapting.library("craftax.craftax_env", "craftax")
  with _quiet():
    if "Pixels" in name:
      _keep_textures(_package(name))
    env = library.make_craftax_env_from_name(name, auto_reset=False)
  params = adapting.replaced(
    f"craftax.parameters: {name}", env.default_params, dict(parameters or {})
  )
  endless = adapting.replaced(name, params, {"max_timesteps": _NEVER})
  seen_as = _splitter(env) if "Symbolic" in name and not vector else _whole

  # A trace takes seconds and the loop asks for several; under jit it is kept.
  @jax.jit
  def reset(key):
    seen, state = env.reset_env(key, params)
    return state, restart(seen_as(seen))

  state_spec, first = adapting.strong(jax.eval_shape(reset, jax.random.key(0)))

  @jax.jit
  def step(key, state, action):
    seen, state, reward, dead, _ = env.step_env(key, state, action, endless)
    late = state.timestep >= params.max_timesteps
    timestep = transition(seen_as(seen), reward, dead, late)
    return adapting.held((state_spec, first), (state, timestep))

  space = adapting.action_space(
    f"craftax.name = '{name}'", env.action_space(params)
  )
  spec = EnvironmentSpec(
    name, first.observation, adapting.action_spec(space), space
  )
  return Environment(
    reset, step, spec, render=_renderer(_package(name)), slow_reset=True
  )


def _whole(seen: Array) -> Array:
  return seen.astype(jnp.float32)


def _splitter(env: Any) -> Callable[[Array], Tree]:
  """Parts the library's vector into its map of zeros and ones, and the rest."""
  shape = sys.modules[type(env).__module__].get_map_obs_shape()
  size = math.prod(shape)

  def split(seen):
    return {
      "map": seen[:size].reshape(shape) > 0.0,
      "status": seen[size:].astype(jnp.float32),
    }

  return split


def _package(name: str) -> str:
  part = "craftax_classic" if "Classic" in name else "craftax"
  return f"craftax.{part}"


def _keep_textures(package: str) -> None:
  """Moves the textures' cache out of the library's own folder.

  It makes them once, in minutes, and would write megabytes to where it is
  installed, which may be read-only.
  """
  constants = adapting.library(f"{package}.constants", "craftax")
  folder = compilation.cache_folder().parent / "textures"
  with contextlib.suppress(OSError):
    folder.mkdir(parents=True, exist_ok=True)
    constants.TEXTURE_CACHE_FILE = str(folder / f"{package}.pbz2")


def _renderer(package: str) -> Callable[[Tree], np.ndarray]:
  @functools.cache
  def drawing():
    module = adapting.library(f"{package}.renderer", "craftax")
    with _quiet():
      _keep_textures(package)
      size = module.BLOCK_PIXEL_SIZE_IMG
      return jax.jit(module.make_craftax_pixel_renderer(size))

  def render(state):
    pixels = np.asarray(drawing()(state))
    return pictures.enlarge(np.clip(pixels, 0.0, 255.0).astype(np.uint8))

  return render


def _quiet() -> contextlib.AbstractContextManager:
  """The library prints to where a program's own results go."""
  return contextlib.redirect_stdout(sys.stderr)
