"""Starts training of several seeds on several cores again and again.

python binaries/verify_starts.py --starts=50

XLA's CPU runtime has hung on programs of several seeds or devices. Every start
trains four seeds for a few chunks; one that takes too long has hung. The table
says how many ended, and how long they took.
"""

import pathlib
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence

from absl import flags

from neurorl import programs

flags.adopt_module_key_flags(programs)

_TRAIN = str(pathlib.Path(__file__).resolve().parent / "train.py")
_STARTS = flags.DEFINE_integer("starts", 50, "How many.", lower_bound=1)
_SEEDS = flags.DEFINE_integer("seeds", 4, "Of each.", lower_bound=1)
_STEPS = flags.DEFINE_integer("steps", 20_000, "Of each seed.", lower_bound=1)
_FILES = flags.DEFINE_multi_string(
  "gin_file", ["qlearning.gin", "env_cartpole.gin"], "What is trained."
)
_LIMIT = flags.DEFINE_float(
  "limit", 180.0, "Seconds after which a start has hung."
)


def _start(folder: str, number: int) -> float:
  begun = time.monotonic()
  command = [sys.executable, _TRAIN, f"--run_dir={folder}/{number}"]
  command += [f"--gin_file={file}" for file in _FILES.value]
  command += [f"--gin.NUM_SEEDS={_SEEDS.value}"]
  command += [f"--gin.TOTAL_STEPS={_STEPS.value}"]
  command += ["--gin_bindings=train.loggers = [@metrics_file()]"]
  command += ["--gin_bindings=train.checkpoints = None"]
  try:
    subprocess.run(
      command, check=True, capture_output=True, text=True, timeout=_LIMIT.value
    )
  except subprocess.TimeoutExpired:
    raise programs.CommandError(
      f"start {number} had not ended after {_LIMIT.value:.0f} s", 3
    ) from None
  except subprocess.CalledProcessError as error:
    raise programs.CommandError(f"start {number}: {error.stderr}", 3) from error
  return time.monotonic() - begun


def _main(arguments: Sequence[str]) -> None:
  if len(arguments) > 1:
    raise programs.CommandError(f"unexpected argument '{arguments[1]}'", 2)
  with tempfile.TemporaryDirectory() as folder:
    seconds = [_start(folder, number) for number in range(_STARTS.value)]
  print(
    f"{len(seconds)} starts of {_SEEDS.value} seeds ended; seconds: first "
    f"{seconds[0]:.1f}, median {statistics.median(seconds):.1f}, longest "
    f"{max(seconds):.1f}"
  )


def main() -> None:
  """Runs the program."""
  programs.run(_main)


if __name__ == "__main__":
  main()
