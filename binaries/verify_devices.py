"""Trains the same on one device, on several, and by several processes.

python binaries/verify_devices.py --seeds=10

Every seed is a run of its own, so that its environments are what is split. The
table has the interquartile mean of the final scores over the seeds, its 95 %
interval, and whether that mean lies in the interval of one device.
"""

import json
import os
import pathlib
import socket
import subprocess
import sys
import tempfile
from collections.abc import Sequence

import numpy as np
from absl import flags

from neurorl import programs
from neurorl.ops import statistics

flags.adopt_module_key_flags(programs)

_TRAIN = str(pathlib.Path(__file__).resolve().parent / "train.py")
_SEEDS = flags.DEFINE_integer("seeds", 10, "How many, from 0.", lower_bound=2)
_STEPS = flags.DEFINE_integer(
  "steps", 100_000, "Of each seed: few, or all scores are the best there is."
)
_FILES = flags.DEFINE_multi_string(
  "gin_file", ["ppo.gin", "env_cartpole.gin"], "What is trained."
)
# Processes, and the devices of each.
_WAYS = {
  "one device": (1, 1),
  "4 devices": (1, 4),
  "2 processes of 2 devices": (2, 2),
}


def _command(folder: pathlib.Path, seed: int, devices: int) -> list[str]:
  command = [sys.executable, _TRAIN, f"--run_dir={folder}"]
  command += [f"--gin_file={file}" for file in _FILES.value]
  command += [f"--gin.SEED={seed}", f"--gin.TOTAL_STEPS={_STEPS.value}"]
  command += [f"--gin_bindings=train.num_devices = {devices}"]
  command += ["--gin_bindings=train.loggers = [@metrics_file()]"]
  command += ["--gin_bindings=train.checkpoints = None"]
  return command


def _free_address() -> str:
  with socket.socket() as free:
    free.bind(("127.0.0.1", 0))
    return f"127.0.0.1:{free.getsockname()[1]}"


def _score(
  folder: pathlib.Path, seed: int, processes: int, devices: int
) -> float:
  """Trains one seed; returns the mean return of its final evaluation."""
  command = _command(folder, seed, processes * devices)
  address = _free_address()
  env = {
    **os.environ,
    "JAX_NUM_CPU_DEVICES": str(devices),
    "JAX_COORDINATOR_BIND_ADDRESS": address,
  }
  if processes > 1:
    command += ["--distributed", f"--coordinator={address}"]
    command += [f"--num_processes={processes}"]
  running = []
  for i in range(processes):
    mine = [f"--process_id={i}"] if processes > 1 else []
    running.append(
      subprocess.Popen(
        [*command, *mine], env=env, stdout=subprocess.DEVNULL, stderr=-1
      )
    )
  told = [process.communicate()[1].decode() for process in running]
  for process, text in zip(running, told, strict=True):
    if process.returncode:
      raise programs.CommandError(f"{' '.join(command)}: {text[-2000:]}", 3)
  summary = json.loads((folder / "summary.json").read_text())
  return summary["evaluation"]["episode_return"]["mean"]


def _main(arguments: Sequence[str]) -> None:
  if len(arguments) > 1:
    raise programs.CommandError(f"unexpected argument '{arguments[1]}'", 2)
  scores = {way: [] for way in _WAYS}
  with tempfile.TemporaryDirectory() as folder:
    for seed in range(_SEEDS.value):
      for number, (way, sizes) in enumerate(_WAYS.items()):
        run = pathlib.Path(folder) / f"{seed}-{number}"
        scores[way].append(_score(run, seed, *sizes))
        print(f"seed {seed}, {way}: {scores[way][-1]:.1f}", flush=True)
  print(_table(scores))


def _table(scores: dict[str, list[float]]) -> str:
  """Lays the scores out as Markdown."""
  lines = ["| on | per seed | iqm | 95 % | in that of one device |"]
  lines.append("|---|---|---|---|---|")
  bounds = statistics.bootstrap_interval(
    np.array(scores["one device"])[:, None]
  )
  for way, found in scores.items():
    mean = statistics.interquartile_mean(np.array(found))
    low, high = statistics.bootstrap_interval(np.array(found)[:, None])
    inside = "yes" if bounds[0] <= mean <= bounds[1] else "NO"
    each = " ".join(f"{x:.1f}" for x in found)
    lines.append(
      f"| {way} | {each} | {mean:.1f} | {low:.1f} to {high:.1f} | {inside} |"
    )
  return "\n".join(lines)


def main() -> None:
  """Runs the program."""
  programs.run(_main)


if __name__ == "__main__":
  main()
