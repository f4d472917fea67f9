"""Episodes as an animation, and as a grid of frames."""

from __future__ import annotations

import pathlib
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

# Colours that the colour-blind tell apart.
_BLUE, _ORANGE, _GREY = "#0077bb", "#ee7733", "#bbbbbb"


class Episode(NamedTuple):
  """One episode, or its beginning.

  Attributes:
    title: what to call it.
    frames: `[T, H, W, 3]` uint8.
    action: `[T]`, or `[T, D]` where actions are continuous; at a last step it
      is not shown.
    reward: `[T]`, for arriving at each step.
    last: `[T]` bool.
    value: `[T]`, or None; at a last step, of which nothing is learned, it is
      not shown.
    probabilities: `[T, A]`, or None.
    action_values: `[T, A]`, or None.
  """

  title: str
  frames: np.ndarray
  action: np.ndarray
  reward: np.ndarray
  last: np.ndarray
  value: np.ndarray | None = None
  probabilities: np.ndarray | None = None
  action_values: np.ndarray | None = None


def pictures(observation: np.ndarray) -> np.ndarray | None:
  """Takes observations for pictures, if they are any.

  Args:
    observation: `[T, ...]`.

  Returns:
    `[T, H, W, 3]`, where it was that or `[T, H, W, 1]`, and uint8; else None.
  """
  if observation.ndim != 4 or observation.dtype != np.uint8:
    return None
  if observation.shape[-1] not in (1, 3):
    return None
  return np.broadcast_to(observation, (*observation.shape[:-1], 3))


def animate(
  path: pathlib.Path, episodes: Sequence[Episode], frames_per_second: float
) -> None:
  """Draws episodes one after another, with what the agent thinks beside.

  Args:
    path: of the GIF.
    episodes: in order, at least one.
    frames_per_second: of the animation; the last frame of an episode stays a
      second longer.
  """
  import PIL.Image

  images, durations = [], []
  step = round(1000 / frames_per_second)
  for episode in episodes:
    for image, over in zip(_draw(episode), episode.last, strict=True):
      images.append(PIL.Image.fromarray(image).quantize(64))
      durations.append(step + 1000 * bool(over))
  images[0].save(
    path,
    save_all=True,
    append_images=images[1:],
    duration=durations,
    loop=0,
    optimize=True,
  )


def grid(path: pathlib.Path, episode: Episode, most: int = 12) -> None:
  """Draws frames of one episode, evenly spaced, its first and last included.

  Args:
    path: of the PNG.
    episode: what to draw.
    most: frames.
  """
  figure_class = _figure_class()
  count = min(most, len(episode.frames))
  chosen = np.unique(np.linspace(0, len(episode.frames) - 1, count).round())
  columns = min(4, len(chosen))
  rows = -(-len(chosen) // columns)
  height, width = episode.frames.shape[1:3]
  tall = 1.7 * min(max(height / width, 0.5), 2.0) + 0.45
  figure = figure_class(
    figsize=(1.7 * columns, rows * tall + 0.3), dpi=150, layout="constrained"
  )
  axes = figure.subplots(rows, columns, squeeze=False).ravel()
  for axis in axes:
    axis.axis("off")
  for axis, t in zip(axes, chosen.astype(int), strict=False):
    axis.imshow(episode.frames[t], interpolation="nearest")
    axis.set_title(_caption(episode, t), fontsize=8)
  figure.suptitle(episode.title, fontsize=9)
  figure.savefig(path)


def _figure_class():
  """The figure that needs no window; matplotlib is imported when used."""
  from matplotlib.figure import Figure

  return Figure


def _caption(episode: Episode, t: int) -> str:
  """Says in two lines what happens at a step."""
  done = "end" if episode.last[t] else _action(episode.action[t])
  words = [f"step {t}: {done}"]
  numbers = []
  if t:
    numbers.append(f"reward {episode.reward[t]:.2g}")
  if episode.value is not None and not episode.last[t]:
    numbers.append(f"value {episode.value[t]:.2f}")
  return "\n".join([*words, ", ".join(numbers)])


def _action(action: np.ndarray) -> str:
  if action.ndim:
    return f"action {', '.join(f'{x:.2f}' for x in action)}"
  return f"action {int(action)}"


def _draw(episode: Episode):
  """Yields the animation's images, `[H, W, 3]`; artists are moved, not made."""
  from matplotlib.backends.backend_agg import FigureCanvasAgg

  beside = [
    (name, values)
    for name, values in [
      ("probability", episode.probabilities),
      ("action value", episode.action_values),
    ]
    if values is not None
  ]
  if episode.action.ndim == 2:
    beside.append(("action", episode.action))
  rows = len(beside) + (episode.value is not None)
  figure = _figure_class()(
    figsize=(6.4, max(3.6, 1.5 * rows)), dpi=100, layout="constrained"
  )
  canvas = FigureCanvasAgg(figure)
  layout = [[0, i + 1] for i in range(rows)] or [[0]]
  axes = figure.subplot_mosaic(layout, width_ratios=[1, 1][: len(layout[0])])
  axes[0].axis("off")
  shown = axes[0].imshow(episode.frames[0], interpolation="nearest")
  bars = [
    _bars(axes[i + 1], name, values[~episode.last])
    for i, (name, values) in enumerate(beside)
  ]
  dot = None
  if episode.value is not None:
    worth = np.where(episode.last, np.nan, episode.value)
    dot = _line(axes[rows], worth, episode.reward)
  for t, frame in enumerate(episode.frames):
    shown.set_data(frame)
    axes[0].set_title(f"{episode.title}\n{_caption(episode, t)}", fontsize=9)
    for container, (_, values) in zip(bars, beside, strict=True):
      _move(container, episode, values, t)
    if dot:
      dot.set_data([t], [worth[t]])
    canvas.draw()
    figure.set_layout_engine("none")  # once is enough, and it takes long
    yield np.asarray(canvas.buffer_rgba())[..., :3].copy()


def _bars(axis, name: str, values: np.ndarray):
  count = values.shape[1]
  low, high = np.nanmin(values, initial=0.0), np.nanmax(values, initial=0.0)
  if name == "probability":
    low, high = 0.0, 1.0
  axis.set_ylim(low, high + 1e-6 + 0.05 * (high - low))
  if count <= 20:
    axis.set_xticks(range(count))
  axis.set_xlabel("dimension" if name == "action" else "action", fontsize=9)
  axis.set_ylabel(name, fontsize=9)
  axis.tick_params(labelsize=8)
  return axis.bar(range(count), np.zeros(count), color=_BLUE)


def _move(container, episode: Episode, values: np.ndarray, t: int) -> None:
  """Sets bars to a step's; the action that is taken stands out."""
  taken = -1
  if episode.action.ndim == 1 and not episode.last[t]:
    taken = int(episode.action[t])
  for i, bar in enumerate(container):
    bar.set_height(0.0 if episode.last[t] else values[t, i])
    bar.set_color(_ORANGE if i == taken else _BLUE)


def _line(axis, values: np.ndarray, rewards: np.ndarray):
  """Draws values and rewards of all steps; returns the mark of the present."""
  axis.plot(np.arange(len(values)), values, color=_BLUE, linewidth=1.5)
  paid = np.flatnonzero(rewards)
  axis.vlines(paid, 0.0, rewards[paid], color=_GREY, linewidth=1)
  axis.set_xlabel("step (grey: rewards)", fontsize=9)
  axis.set_ylabel("value", fontsize=9)
  axis.locator_params("x", integer=True)
  axis.tick_params(labelsize=8)
  (dot,) = axis.plot([], [], "o", color=_ORANGE)
  return dot
