"""Records episodes of a trained agent: a row per step, and arrays beside it.

python binaries/record.py --run_dir=runs/qlearning-20261123-170000
python binaries/record.py --run_dir=RUN --policy=acting --episodes=300
python binaries/record.py --run_dir=RUN --gin.gymnax.name=Catch-bsuite

Seeds are subjects. What the columns and arrays mean is in docs/records.md.
"""

import pathlib

import numpy as np
from absl import flags

from neurorl import command_line, compilation, programs, run_flags
from neurorl.training import recording, records

flags.adopt_module_key_flags(run_flags)

_EPISODES = flags.DEFINE_integer(
  "episodes", 32, "Whole episodes, per seed.", lower_bound=1
)
_ENVIRONMENTS = flags.DEFINE_integer(
  "environments",
  None,
  "In lockstep, per seed; by default as many as the run trained in.",
  lower_bound=1,
)
_VALUE_HEAD = flags.DEFINE_string(
  "value_head",
  None,
  "Whose values are recorded; by default 'value', 'q', or the only one.",
)
_OUT = flags.DEFINE_string(
  "out",
  None,
  "A CSV file, a row per step; its arrays lie beside it, under the same name "
  "with .npz. By default in the run directory.",
)


def _record(command: command_line.Command) -> None:
  programs.check_out(_OUT.value)
  experiment = command_line.build(command.config.call, command.config)
  with compilation.settings(debug=False):
    agents = run_flags.load(experiment, command)
    settings = recording.Settings(
      actor=run_flags.actor(experiment),
      episodes=_EPISODES.value,
      environments=_ENVIRONMENTS.value or experiment.num_envs,
      max_steps=experiment.evaluator.max_steps,
      seed=run_flags.seed(),
      value_head=_VALUE_HEAD.value,
    )

    def play():
      return recording.play(
        run_flags.task(experiment),
        agents[0].agent,
        [agent.params for agent in agents],
        [agent.seed for agent in agents],
        settings,
      )

    rows = run_flags.play(play, command).rows
  steps = sum(agent.environment_steps for agent in agents) // len(agents)
  _write(rows, steps)


def _write(rows, steps: int) -> None:
  """Writes the files, and says what is in them."""
  stem = f"record-{run_flags.policy()}-{steps}"
  out = pathlib.Path(_OUT.value or run_flags.fresh(stem, ".csv")).expanduser()
  try:
    beside = records.write(out, rows)
  except OSError as error:
    raise command_line.CommandError(
      f"cannot write to {out}: {error.strerror}; name another by --out", 2
    ) from None
  for subject in np.unique(rows.subject):
    mine = rows.subject == subject
    lasts = int(rows.timestep.last[mine].sum())
    reward = float(rows.timestep.reward[mine].sum()) / lasts
    print(f"subject {subject}: {lasts} episodes, mean return {reward:.3f}")
  if rows.value is None:
    print("no head says what states are worth: no values, no TD errors")
  print(f"{len(rows.step):,} rows, after {steps:,} environment steps, in {out}")
  print(f"arrays in {beside}: {', '.join(records.arrays(rows))}")


def main() -> None:
  """Runs the program; the console script `neurorl-record`."""
  command_line.run(_record, run_flags.first_files)


if __name__ == "__main__":
  main()
