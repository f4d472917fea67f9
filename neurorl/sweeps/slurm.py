"""A sweep as an array job of SLURM."""

from __future__ import annotations

import pathlib
import shlex
from collections.abc import Sequence

from neurorl.runs.files import write_whole

_SCRIPT = """#!/bin/bash
#SBATCH --job-name={name}
#SBATCH --array=0-{last}{at_once}
#SBATCH --output={out}/%a.slurm.log
#SBATCH --open-mode=append
#SBATCH --requeue
#SBATCH --signal=USR1@120
{options}
# A line of commands.txt is a run. SLURM signals the steps of a job: the run is
# one, by srun; one that was ended early goes back into the queue and goes on.
command=$(sed -n "$((SLURM_ARRAY_TASK_ID + 1))p" {commands})
eval "srun $command"
code=$?
if [ "$code" -eq 143 ]; then
  scontrol requeue "${{SLURM_ARRAY_JOB_ID}}_${{SLURM_ARRAY_TASK_ID}}"
fi
exit "$code"
"""


def write(
  out: pathlib.Path,
  commands: Sequence[Sequence[str]],
  jobs: int | None,
  options: str,
) -> pathlib.Path:
  """Writes the job's script, and the command of each of its tasks.

  Args:
    out: the sweep's folder.
    commands: the words of each run's command.
    jobs: how many may run at once; None for no limit.
    options: of sbatch, such as '--time=04:00:00 --gres=gpu:1'.

  Returns:
    The script, for sbatch.

  Raises:
    OSError: if it cannot be written.
  """
  out = out.resolve()
  lines = [shlex.join(words) for words in commands]
  write_whole(out / "commands.txt", "\n".join(lines) + "\n")
  script = _SCRIPT.format(
    name=shlex.quote(out.name),
    last=len(commands) - 1,
    at_once=f"%{jobs}" if jobs else "",
    out=out,
    options="".join(f"#SBATCH {x}\n" for x in shlex.split(options)),
    commands=shlex.quote(str(out / "commands.txt")),
  )
  path = out / "sweep.slurm"
  write_whole(path, script)
  return path
