"""Draws episodes of a trained agent: what it saw, did and thought.

python binaries/watch.py --run_dir=runs/qlearning-20261123-170000
python binaries/watch.py --run_dir=RUN --episodes=5 --subject=2
python binaries/watch.py --run_dir=RUN --policy=acting --out=pictures/mine

It writes the traces of rewards, values, targets and TD errors of one sequence
and, where the environment can be drawn or shows pictures, an animation of the
episodes and a grid of frames of the first.
"""

import pathlib
from collections.abc import Callable

import jax
import numpy as np
from absl import flags

from neurorl import command_line, compilation, programs, run_flags
from neurorl.plots import episodes as episodes_lib
from neurorl.plots import traces as traces_lib
from neurorl.training import recording

flags.adopt_module_key_flags(run_flags)

_EPISODES = flags.DEFINE_integer(
  "episodes", 3, "In the animation.", lower_bound=1
)
_SUBJECT = flags.DEFINE_integer(
  "subject", None, "The seed whose agent plays; by default the run's first."
)
_VALUE_HEAD = flags.DEFINE_string(
  "value_head",
  None,
  "Whose values are drawn; by default 'value', 'q', or the only one.",
)
_MAX_FRAMES = flags.DEFINE_integer(
  "max_frames", 400, "Of the animation; the rest is not drawn.", lower_bound=1
)
_TRACE_STEPS = flags.DEFINE_integer(
  "trace_steps", 200, "Steps of the traces, from the first.", lower_bound=2
)
_FPS = flags.DEFINE_float(
  "fps", 5.0, "Frames per second.", lower_bound=0.1, upper_bound=50.0
)
_OUT = flags.DEFINE_string(
  "out",
  None,
  "How the pictures' names begin; by default a name in the run's folder "
  "'plots'.",
)


def _watch(command: command_line.Command) -> None:
  programs.check_out(_OUT.value)
  experiment = command_line.build(command.config.call, command.config)
  place = _place(experiment)
  with compilation.settings(debug=False):
    agent = run_flags.load(experiment, command)[place]
    task = run_flags.task(experiment)
    settings = recording.Settings(
      actor=run_flags.actor(experiment),
      episodes=_EPISODES.value,
      environments=1,
      max_steps=experiment.evaluator.max_steps,
      seed=run_flags.seed(),
      value_head=_VALUE_HEAD.value,
      keep_states=task.environment.render is not None,
    )
    played = run_flags.play(
      lambda: recording.play(
        task, agent.agent, [agent.params], [agent.seed], settings
      ),
      command,
    )
  stem = _stem(agent)
  try:
    _draw(stem, task.environment, played)
  except OSError as error:
    raise command_line.CommandError(
      f"cannot write {stem}*: {error.strerror}; name others by --out", 2
    ) from None


def _place(experiment) -> int:
  """Which of the run's agents is asked for."""
  seeds = range(experiment.seed, experiment.seed + experiment.num_seeds)
  if _SUBJECT.value is None:
    return 0
  if _SUBJECT.value not in seeds:
    raise command_line.CommandError(
      f"--subject={_SUBJECT.value}: the run has seeds "
      f"{', '.join(map(str, seeds))}",
      2,
    )
  return seeds.index(_SUBJECT.value)


def _stem(agent) -> pathlib.Path:
  """How the pictures' names begin."""
  if _OUT.value:
    return pathlib.Path(_OUT.value).expanduser()
  folder = run_flags.run_dir() / "plots"
  folder.mkdir(exist_ok=True)
  name = f"{run_flags.policy()}-{agent.environment_steps}"
  return folder / f"{name}-seed{agent.seed}"


def _draw(stem: pathlib.Path, environment, played) -> None:
  rows = played.rows
  for episode in np.unique(rows.episode):
    mine = rows.episode == episode
    reward = float(rows.timestep.reward[mine].sum())
    print(f"episode {episode}: {mine.sum() - 1} transitions, return {reward:g}")
  if rows.value is None:
    print("no traces: no head says what states are worth; see --value_head")
  else:
    _kept(traces_lib.traces, _named(stem, "traces.png"), _trace(rows))
  try:
    frames = _frames(environment.render, played)
  except ValueError as error:  # what draws it is not installed
    print(f"no animation: {error}")
    return
  if frames is None:
    print(
      f"no animation: {environment.spec.name} has no picture of itself "
      "(Environment.render)"
    )
    return
  drawn = _episodes(frames, rows)
  gif, grid = _named(stem, "episodes.gif"), _named(stem, "frames.png")
  _kept(episodes_lib.animate, gif, drawn, _FPS.value)
  _kept(episodes_lib.grid, grid, drawn[0])


def _named(stem: pathlib.Path, kind: str) -> pathlib.Path:
  return stem.with_name(f"{stem.name}-{kind}")


def _kept(draw: Callable[..., None], path: pathlib.Path, *what) -> None:
  draw(path, *what)
  print(path, flush=True)


def _trace(rows) -> traces_lib.Trace:
  """The first steps, of as many episodes as they reach into."""
  few = slice(0, _TRACE_STEPS.value)
  timestep = rows.timestep
  return traces_lib.Trace(
    f"subject {rows.subject[0]}, from its first episode on",
    timestep.reward[few],
    rows.chosen[few],
    (rows.chosen + rows.td_error)[few],
    rows.td_error[few],
    timestep.last[few],
    of_actions=rows.action_values is not None or rows.action.ndim > 1,
  )


def _frames(render, played) -> np.ndarray | None:
  """Pictures of the first steps: the environment's own, or what was seen."""
  steps = len(played.rows.step)
  total = min(steps, _MAX_FRAMES.value)
  if render is None:
    leaves = jax.tree.leaves(played.rows.timestep.observation)
    seen = [episodes_lib.pictures(leaf[:total]) for leaf in leaves]
    frames = next((x for x in seen if x is not None), None)
  else:
    each = [np.asarray(render(played.state(row))) for row in range(total)]
    frames = np.stack(each)
  if frames is not None and total < steps:
    print(f"the animation ends after {total} frames; see --max_frames")
  return frames


def _episodes(frames: np.ndarray, rows) -> list[episodes_lib.Episode]:
  """The first episodes, as far as there are frames."""
  found = []
  for episode in np.unique(rows.episode[: len(frames)]):
    mine = np.flatnonzero(rows.episode[: len(frames)] == episode)

    def of(values, mine=mine):
      return jax.tree.map(lambda x: x[mine], values)

    found.append(
      episodes_lib.Episode(
        f"subject {rows.subject[0]}, episode {episode}",
        frames[mine],
        of(rows.action),
        of(rows.timestep.reward),
        of(rows.timestep.last),
        of(rows.value),
        of(rows.probabilities),
        of(rows.action_values),
      )
    )
  return found


def main() -> None:
  """Runs the program; the console script `neurorl-watch`."""
  command_line.run(_watch, run_flags.first_files)


if __name__ == "__main__":
  main()
