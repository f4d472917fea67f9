"""What a person is told while a run goes on."""

import pathlib
import sys
import types

import pytest

from neurorl import loggers, logging_types


@pytest.fixture
def shown(monkeypatch, capsys):
  """Returns a function of (seconds, steps, whether it learned) -> a line."""
  now = [0.0]
  clock = types.SimpleNamespace(monotonic=lambda: now[0])
  module = sys.modules[loggers.terminal.__module__]
  monkeypatch.setattr(module, "time", clock)

  def begin(resumed_at=0):
    info = logging_types.RunInfo(
      pathlib.Path("run"), ("seed",), 1_000, (0,), {}, resumed_at
    )
    logger = loggers.terminal(lines=1_000)(info)

    def line(seconds, steps, learned=True):
      now[0] = seconds
      row = {"seed": 0.0, "budget_steps": steps}
      logger.write([row | ({"loss/total": 1.0} if learned else {})])
      return capsys.readouterr().out

    return line

  return begin


def test_time_left_is_of_what_learns_once_compiled(shown):
  line = shown()
  # Ninety seconds of compiling, and steps that only collect.
  assert "left" not in line(90.0, 100.0, learned=False)
  assert "left" not in line(90.1, 200.0, learned=False)
  assert "left" not in line(92.1, 300.0)
  # 100 steps in 2 s, and 600 to go; then 300 in 12 s, and 400 to go.
  assert "  12s left" in line(94.1, 400.0)
  assert "  16s left" in line(104.1, 600.0)
  assert "   0s left" in line(110.0, 1_000.0)


def test_time_left_of_a_run_that_goes_on(shown):
  line = shown(resumed_at=500)
  assert "left" not in line(60.0, 600.0)
  assert "   3s left" in line(61.0, 700.0)


def test_every_row_is_a_line_and_holds_what_was_said_before(shown):
  line = shown()
  assert "loss 1" in line(1.0, 100.0)
  later = line(2.0, 300.0, learned=False)
  assert later.startswith("[######..............]  30%") and "loss 1" in later
