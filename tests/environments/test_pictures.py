"""Pictures of states."""

import sys

import jax
import numpy as np
import pytest

from neurorl import environments
from neurorl.environments import pictures
from tests.environments import library_cases


def _middles(picture, rows, columns):
  height, width = picture.shape[0] // rows, picture.shape[1] // columns
  return picture[height // 2 :: height, width // 2 :: width]


def test_planes_have_colours_of_their_own():
  planes = np.zeros((3, 4, 2))
  planes[0, 0, 0] = planes[1, 3, 0] = planes[2, 2, 1] = 1.0
  cells = _middles(pictures.paint(planes), 3, 4)
  assert (cells[0, 0] == cells[1, 3]).all()
  kinds = np.unique(cells.reshape(-1, 3), axis=0)
  assert len(kinds) == 3  # two planes and the ground
  assert (cells[0, 0] != cells[2, 2]).any()
  assert (cells == cells[0, 1]).all(axis=-1).sum() == 9


def test_one_plane_is_grey_by_its_values():
  cells = _middles(pictures.paint([[0, 1, 2], [4, 0, 0], [0, 0, 0]]), 3, 3)
  assert (cells == cells[..., :1]).all()
  shades = cells[..., 0].astype(int)
  assert shades[0, 0] < shades[0, 1] < shades[0, 2] < shades[1, 0] == 255


def test_catch_shows_its_ball_and_its_paddle():
  environment = environments.gymnax("Catch-bsuite")
  state, timestep = environment.reset(jax.random.key(0))
  picture = environment.render(state)
  assert picture.dtype == np.uint8 and picture.shape == (320, 160, 3)
  bright = _middles(picture, 10, 5)[..., 0] == 255
  np.testing.assert_array_equal(bright, timestep.observation > 0)


@pytest.mark.parametrize("name", ["Breakout-MinAtar", "FourRooms-misc"])
def test_gymnax_has_pictures(name):
  library_cases.check_picture(environments.gymnax(name))


def test_classic_control_has_pictures_by_pygame():
  pytest.importorskip("pygame")
  library_cases.check_picture(environments.gymnax("CartPole-v1"))


def test_without_pygame_its_extra_is_named(monkeypatch):
  monkeypatch.setitem(sys.modules, "pygame", None)
  environment = environments.gymnax("CartPole-v1")
  state, _ = environment.reset(jax.random.key(0))
  with pytest.raises(ValueError, match=r"pip install 'neurorl\[pictures\]'"):
    environment.render(state)


def test_where_there_is_nothing_to_see_there_is_none():
  assert environments.gymnax("UmbrellaChain-bsuite").render is None


def test_a_wrapper_passes_the_picture_on():
  plain = environments.gymnax("Catch-bsuite")
  limited = environments.limit_episode(plain, 3)
  state, _ = limited.reset(jax.random.key(0))
  np.testing.assert_array_equal(limited.render(state), plain.render(state[0]))
