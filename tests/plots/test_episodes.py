import itertools

import numpy as np
import PIL.Image
import pytest

from neurorl.plots import episodes, stay, traces


def episode(length=6, size=(8, 12), **parts):
  steps = np.arange(length)
  frames = np.zeros((length, *size, 3), np.uint8)
  frames[steps, steps] = 255
  parts = {
    "action": steps % 2,
    "value": steps / 2.0,
    "probabilities": np.tile([0.25, 0.75], (length, 1)),
    "action_values": np.stack([-steps, steps], axis=-1) * 1.0,
    **parts,
  }
  return episodes.Episode(
    "mine",
    frames,
    reward=1.0 * (steps == 3),
    last=steps == length - 1,
    **parts,
  )


NOTHING = dict.fromkeys(["value", "probabilities", "action_values"])


def read(path):
  with PIL.Image.open(path) as image:
    found = []
    for i in range(image.n_frames):
      image.seek(i)
      found.append((np.asarray(image.convert("RGB")), image.info["duration"]))
  return found


@pytest.mark.parametrize(
  "parts",
  [{}, NOTHING, {**NOTHING, "action": np.full((6, 2), 0.5)}],
  ids=["all", "frames", "vectors"],
)
def test_every_step_is_drawn_and_ends_stay_longer(parts, tmp_path):
  path = tmp_path / "mine.gif"
  episodes.animate(path, [episode(**parts), episode(3)], 10.0)
  found = read(path)
  assert len(found) == 9
  durations = [duration for _, duration in found]
  assert durations == [100] * 5 + [1100] + [100] * 2 + [1100]
  for (before, _), (after, _) in itertools.pairwise(found[:6]):
    assert (before != after).any()


@pytest.mark.parametrize("length", [1, 5, 40])
def test_a_grid_holds_first_and_last(length, tmp_path, monkeypatch):
  seen = []
  caption = episodes._caption
  monkeypatch.setattr(
    episodes, "_caption", lambda e, t: seen.append(t) or caption(e, t)
  )
  episodes.grid(tmp_path / "mine.png", episode(length, (40, 40)), most=8)
  assert seen[0] == 0 and seen[-1] == length - 1
  assert len(set(seen)) == len(seen) == min(8, length)
  assert (tmp_path / "mine.png").exists()


def test_what_is_seen_may_be_a_picture():
  grey = np.arange(24, dtype=np.uint8).reshape(2, 3, 4, 1)
  drawn = episodes.pictures(grey)
  assert drawn.shape == (2, 3, 4, 3)
  np.testing.assert_array_equal(drawn[..., 2], grey[..., 0])
  assert episodes.pictures(drawn) is not None
  assert episodes.pictures(drawn.astype(np.float32)) is None  # of what range?
  assert episodes.pictures(np.zeros((2, 10, 10, 4), np.uint8)) is None
  assert episodes.pictures(np.zeros((2, 3, 3), np.uint8)) is None


def test_captions():
  one = episode()
  assert episodes._caption(one, 0) == "step 0: action 0\nvalue 0.00"
  assert episodes._caption(one, 3) == "step 3: action 1\nreward 1, value 1.50"
  assert episodes._caption(one, 5) == "step 5: end\nreward 0"
  vectors = episode(**{**NOTHING, "action": np.full((6, 2), 0.5)})
  assert episodes._caption(vectors, 1) == "step 1: action 0.50, 0.50\nreward 0"


def test_what_was_never_learned_is_not_drawn(monkeypatch):
  drawn = []
  line = episodes._line
  monkeypatch.setattr(
    episodes, "_line", lambda *rest: drawn.append(line(*rest)) or drawn[-1]
  )
  worth = np.array([1.0, 2.0, 3.0, 900.0])
  one = episode(4, value=worth, action_values=np.stack([worth, -worth], -1))
  marks = []
  for _ in episodes._draw(one):
    marks.append(drawn[0].get_ydata()[0])
  (values, _) = drawn[0].axes.lines
  for found in (values.get_ydata(), marks):
    np.testing.assert_array_equal(found, [1.0, 2.0, 3.0, np.nan])
  for axis in drawn[0].figure.axes:
    assert axis.get_ylabel() == "" or axis.get_ylim()[1] < 4.0


def test_traces_and_bars_are_pictures(tmp_path):
  steps = np.arange(5.0)
  last = steps == 4
  errors = np.where(last, np.nan, 0.5)
  trace = traces.Trace("mine", steps, steps, steps + errors, errors, last)
  traces.traces(tmp_path / "traces.png", trace)
  each = np.array([[0.9, 0.6, 0.5, 0.9]])
  none = np.full(4, np.nan)  # one subject has no interval
  stay.stay_bars(tmp_path / "stay.png", each[0], none, none, each)
  for name, least in [("traces.png", 900), ("stay.png", 700)]:
    with PIL.Image.open(tmp_path / name) as image:
      assert image.size[0] >= least
      assert len(np.unique(np.asarray(image.convert("L")))) > 10
