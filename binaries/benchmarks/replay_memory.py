"""What a million steps of replay take: DQN on Breakout, stored as bytes."""

import pathlib
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from typing import Any

_TRAIN = str(pathlib.Path(__file__).resolve().parents[1] / "train.py")


def measure(
  environment: str, repeats: int, only: Sequence[str] = ()
) -> list[dict[str, Any]]:
  """Trains DQN on Breakout with a million steps of bytes; measures the peak.

  Args:
    environment: ignored.
    repeats: ignored; each process runs once.
    only: ignored.

  Returns:
    Rows of megabytes.
  """
  del environment, repeats, only
  found = {}
  for capacity in (20_000, 1_000_000):
    child = (
      "import runpy, sys; sys.argv = sys.argv[1:]; code = 0\n"
      "try: runpy.run_path(sys.argv[0], run_name='__main__')\n"
      "except SystemExit as end: code = end.code\n"
      "lines = open('/proc/self/status').read().splitlines()\n"
      "print(next(x.split()[1] for x in lines if x.startswith('VmHWM')))\n"
      "sys.exit(code)"
    )
    with tempfile.TemporaryDirectory() as folder:
      done = subprocess.run(
        [
          sys.executable,
          "-c",
          child,
          _TRAIN,
          "--gin_file=dqn.gin",
          "--gin_file=env_minatar_breakout.gin",
          f"--gin.uniform_replay.capacity={capacity}",
          "--gin.uniform_replay.store_as=uint8",
          "--gin.uniform_replay.updates_per_add=1",
          "--gin.train.unroll_length=50",
          "--gin.TOTAL_STEPS=1_100_000",
          "--gin.evaluator.episodes=8",
          "--gin.evaluator.every_steps=0",
          "--gin.train.steps_per_chunk=100_000",
          "--gin_bindings=train.checkpoints = None",
          f"--run_dir={folder}/run",
        ],
        check=True,
        capture_output=True,
        text=True,
      )
    peak = int(done.stdout.split()[-1]) * 1024
    found[f"peak of the process, capacity {capacity:,}"] = peak / 1e6
  small, large = found.values()
  found["peak of a million steps less that of 20,000"] = large - small
  # Observation 400, action 4, reward 4, discount 4, two flags 2.
  found["bytes of 980,000 steps"] = 980_000 * 414 / 1e6
  return [{"what": name, "MB": value} for name, value in found.items()]
