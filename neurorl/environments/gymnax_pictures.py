"""Pictures of gymnax's states, by its own drawings or by their observations."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from neurorl.environments import adapting, pictures
from neurorl.types import Tree


def renderer(
  env: Any, params: Any, name: str, observation: Tree
) -> Callable[[Tree], np.ndarray] | None:
  """Finds a way to draw an environment's states.

  Args:
    env: with gymnax's interface.
    params: its parameters.
    name: of the environment.
    observation: its spec.

  Returns:
    `state -> [H, W, 3] uint8`; None where there is none. That of classic
    control raises `ValueError` where pygame is not installed.
  """
  if type(env).__module__.startswith("gymnax.environments.classic_control"):
    return lambda state: _classic(name, state, params)
  if hasattr(env, "get_obs") and pictures.is_grid(observation):
    return lambda state: pictures.paint(_observe(env, state, params))
  if hasattr(env, "render"):
    return lambda state: _drawn(env, state, params)
  return None


def _observe(env: Any, state: Tree, params: Any) -> np.ndarray:
  """Gymnax's environments order these parameters each in its own way."""
  given = {"state": state, "params": params, "key": jax.random.key(0)}
  names = inspect.signature(env.get_obs).parameters
  return env.get_obs(**{name: given[name] for name in given if name in names})


def _classic(name: str, state: Tree, params: Any) -> np.ndarray:
  # pygame would look for a screen and a sound card, and greet.
  os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
  for driver in ("SDL_VIDEODRIVER", "SDL_AUDIODRIVER"):
    os.environ.setdefault(driver, "dummy")
  adapting.library("pygame", "pictures")
  from gymnax.visualize import vis_gym

  return np.asarray(vis_gym.render_gym_frame(name, state, params), np.uint8)


def _drawn(env: Any, state: Tree, params: Any) -> np.ndarray:
  """Reads back what an environment draws on a figure of matplotlib."""
  from matplotlib import pyplot
  from matplotlib.backends import backend_agg

  env.render(state, params)
  figure = pyplot.gcf()
  try:
    canvas = backend_agg.FigureCanvasAgg(figure)
    canvas.draw()
    return np.array(canvas.buffer_rgba())[..., :3].copy()
  finally:
    pyplot.close(figure)
