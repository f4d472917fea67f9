"""A run's own learning curve, drawn when it ends."""

from __future__ import annotations

import sys
from typing import Literal

from neurorl.logging_types import Logger, LoggerRecipe, RunInfo
from neurorl.plots import curves, figures, groups, run_folders, style
from neurorl.registry import component


@component
def learning_curve(
  x: Literal["environment_steps", "seconds"] = "environment_steps",
) -> LoggerRecipe:
  """Draws the run's returns, in evaluation and in training, when it ends.

  What is drawn is the table of `metrics_file`, so name that as well; the
  pictures are `plots/learning_curve.png` and `.svg` in the run directory.
  If they cannot be drawn a warning says why, and the run ends as it would.

  Args:
    x: the column of steps or time.

  Returns:
    The logger's recipe.

  Raises:
    ValueError: if there is no such axis.
  """
  allowed = ("environment_steps", "seconds")
  if x not in allowed:
    raise ValueError(
      f"learning_curve.x = {x!r}: one of {', '.join(map(repr, allowed))}"
    )

  def build(info: RunInfo) -> Logger:
    def finish(summary) -> None:
      del summary
      try:
        _draw(info, x)
      except Exception as error:  # a picture ends no run
        print(
          f"warning: no learning curve was drawn ({error or type(error)})",
          file=sys.stderr,
          flush=True,
        )

    return Logger(write=lambda rows: None, finish=finish)

  return build


def _draw(info: RunInfo, x: str) -> None:
  run = run_folders.read(info.run_dir)
  (group,) = groups.group([run], by="run")
  panel = {}
  for name in ("evaluation", "training"):
    metric = f"{name}/episode_return"
    measured = [curves.points(s, x, metric) for s in group.seeds.values()]
    if any(at.size for at, _ in measured):
      panel[name] = curves.curve(group, x, metric)
  seeds = f"{len(group.seeds)} seeds" if len(group.seeds) > 1 else "1 seed"
  words = [group.label, group.environment, seeds]
  title = ", ".join(word for word in words if word)
  with style.styled():
    figure = figures.learning_curves({title: panel}, x, "episode return")
    style.save(figure, info.run_dir / "plots" / "learning_curve")
