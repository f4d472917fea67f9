"""Evaluates a trained agent, from its run directory.

python binaries/evaluate.py --run_dir=runs/qlearning-20261123-170000
python binaries/evaluate.py --run_dir=RUN --policy=acting --episodes=1000
python binaries/evaluate.py --run_dir=RUN --gin.gymnax.name=Catch-bsuite
"""

import csv
import dataclasses
import json
import pathlib

import jax
import jax.numpy as jnp
from absl import flags

from neurorl import command_line, compilation, programs, run_flags
from neurorl.ops import statistics
from neurorl.training import executables

flags.adopt_module_key_flags(run_flags)

_EPISODES = flags.DEFINE_integer(
  "episodes", None, "Per seed; by default the run's own number.", lower_bound=1
)
_OUT = flags.DEFINE_string(
  "out", None, "A CSV file, a row per episode; by default in the run directory."
)


def _evaluate(command: command_line.Command) -> None:
  config = command.config
  programs.check_out(_OUT.value)
  experiment = command_line.build(config.call, config)
  with compilation.settings(debug=False):
    agents = run_flags.load(experiment, command)
    evaluator = command_line.build(lambda: _evaluator(experiment), config)
    reports = run_flags.play(
      lambda: _play(evaluator, experiment, agents), command
    )
  _write(agents, reports)


def _evaluator(experiment):
  evaluator = experiment.evaluator
  if _EPISODES.value is not None:
    evaluator = dataclasses.replace(evaluator, episodes=_EPISODES.value)
  if run_flags.policy() == "acting":
    evaluator = dataclasses.replace(
      evaluator, actor=experiment.actor, beside={}
    )
  return evaluator


def _play(evaluator, experiment, agents):
  """Evaluates the agents of all seeds in one program."""
  evaluate = evaluator.build(experiment.task, agents[0].agent)
  keys = jax.random.split(jax.random.key(run_flags.seed()), len(agents))
  params = jax.tree.map(lambda *x: jnp.stack(x), *[a.params for a in agents])
  function = executables.over_seeds(
    lambda params_and_key: evaluate(*params_and_key), len(agents)
  )
  lowered = jax.jit(function).lower((params, keys))
  return jax.device_get(executables.compile_(lowered)((params, keys)))


def _write(agents, reports) -> None:
  """Prints a summary, and keeps it and every episode."""
  steps = sum(agent.environment_steps for agent in agents) // len(agents)
  name = f"evaluation-{run_flags.policy()}-{steps}"
  out = pathlib.Path(_OUT.value or run_flags.fresh(name, ".csv"))
  summaries = {}
  try:
    with out.open("w", newline="") as file:
      writer = csv.writer(file)
      writer.writerow(
        ("policy", "seed", "episode", "episode_return", "length", "capped")
      )
      for name, report in reports.items():
        summaries[name] = statistics.summarise(report.episode_return)
        writer.writerows(_episodes(name, agents, report))
    summary = {"environment_steps": steps, **summaries}
    out.with_suffix(".json").write_text(json.dumps(summary, indent=2) + "\n")
  except OSError as error:
    raise command_line.CommandError(
      f"cannot write to {out}: {error.strerror}; name another by --out", 2
    ) from None
  for name, score in summaries.items():
    low, high = score["ci95"]
    seeds = " ".join(f"{x:.3f}" for x in score["per_seed"])
    print(
      f"{name}: IQM {score['iqm']:.3f}, 95% interval [{low:.3f}, {high:.3f}]"
    )
    print(f"  mean {score['mean']:.3f}; per seed {seeds}")
  print(f"  after {steps:,} environment steps; episodes in {out}")


def _episodes(name: str, agents, report):
  for i, agent in enumerate(agents):
    for episode, row in enumerate(
      zip(
        report.episode_return[i],
        report.episode_length[i],
        report.capped[i],
        strict=True,
      )
    ):
      value, length, capped = (x.item() for x in row)
      yield name, agent.seed, episode, value, length, capped


def main() -> None:
  """Runs the program; the console script `neurorl-evaluate`."""
  command_line.run(_evaluate, run_flags.first_files)


if __name__ == "__main__":
  main()
