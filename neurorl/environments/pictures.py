"""Pictures of grids for people: planes, or one plane, in distinct colours."""

from __future__ import annotations

import colorsys
from typing import Any

import numpy as np

from neurorl.types import Tree

_SIZE = 320  # pixels of the longer side, about


def is_grid(spec: Tree) -> bool:
  """Whether an observation can be painted: `[H, W]` or `[H, W, C]`."""
  shape = getattr(spec, "shape", ())
  return len(shape) in (2, 3) and min(shape[:2]) > 2


def paint(observation: Any) -> np.ndarray:
  """Paints the planes of a grid, each in a colour of its own.

  Where planes overlap the last wins; entries between 0 and the grid's greatest
  are dim.

  Args:
    observation: `[H, W]` or `[H, W, C]`, of numbers that are not negative.

  Returns:
    `[H', W', 3]` uint8, each cell a square of pixels.
  """
  planes = np.asarray(observation, np.float32)
  planes = planes.reshape(*planes.shape[:2], -1)
  planes = np.clip(planes / max(planes.max(), 1e-6), 0.0, 1.0)
  picture = np.full((*planes.shape[:2], 3), 24.0)
  for i, colour in enumerate(_colours(planes.shape[-1])):
    seen = planes[..., i, None]
    picture = np.where(seen > 0.0, seen * colour + (1.0 - seen) * 24.0, picture)
  cells = enlarge(picture.astype(np.uint8))
  factor = cells.shape[0] // picture.shape[0]
  if factor >= 12:  # lines between cells
    cells[::factor] = 48
    cells[:, ::factor] = 48
  return cells


def enlarge(picture: np.ndarray) -> np.ndarray:
  """Makes each pixel a square, so that a person can see it.

  Args:
    picture: `[H, W, 3]`.

  Returns:
    The picture, larger by a whole factor.
  """
  factor = max(_SIZE // max(picture.shape[:2]), 1)
  return picture.repeat(factor, axis=0).repeat(factor, axis=1)


def _colours(count: int) -> np.ndarray:
  """Hues, `[count, 3]`, neighbours far apart; one alone is white."""
  if count == 1:
    return np.full((1, 3), 255.0)
  golden = (5**0.5 - 1) / 2
  hues = [colorsys.hsv_to_rgb(i * golden % 1, 0.65, 1.0) for i in range(count)]
  return 255.0 * np.array(hues)
