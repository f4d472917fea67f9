"""Kills training at random moments, resumes it, and compares the result.

python binaries/verify_resume.py
python binaries/verify_resume.py --file=ppo.gin --kills=3 --terms=1

Each file of `--file` is trained twice to the end: once undisturbed, and once
ended by `kill -9` and by SIGTERM at random moments, each time gone on with by
the same command. The moments are seeded: some while it starts, some while it
saves, the others after as many more steps as chance says. The checksums of the
last states and the rows of metrics must be the same.
"""

import csv
import dataclasses
import json
import pathlib
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable

from absl import app, flags

_ROOT = pathlib.Path(__file__).resolve().parent.parent
_FILES = flags.DEFINE_multi_string(
  "file", ["qlearning.gin", "alphazero.gin", "ppo.gin"], "What to train."
)
_KILLS = flags.DEFINE_integer("kills", 20, "Ends by kill -9.")
_TERMS = flags.DEFINE_integer("terms", 5, "Ends by SIGTERM.")
_SEED = flags.DEFINE_integer("seed", 0, "Of the moments.")
_STEPS = flags.DEFINE_integer(
  "steps", None, "Environment steps of a run; by default some 20 s of them."
)
_BINDINGS = flags.DEFINE_multi_string("gin_bindings", [], "More of them.")


_WARM_START = 8.0  # seconds
# What takes some 20 seconds on two cores: moments are real time.
_ENOUGH_STEPS = {
  "qlearning.gin": 400_000,
  "alphazero.gin": 150_000,
  "ppo.gin": 6_000_000,
}


def _steps(file: str) -> int:
  return _STEPS.value or _ENOUGH_STEPS.get(file, 200_000)


def _command(file: str, run_dir: pathlib.Path) -> list[str]:
  steps = _steps(file)
  return [
    sys.executable,
    str(_ROOT / "binaries" / "train.py"),
    f"--gin_file={file}",
    f"--run_dir={run_dir}",
    f"--gin.TOTAL_STEPS={steps}",
    f"--gin.train.steps_per_chunk={steps // 60}",
    f"--gin.evaluator.every_steps={steps // 3}",
    f"--gin.checkpoints.every_steps={steps // 20}",
    *(f"--gin_bindings={text}" for text in _BINDINGS.value),
  ]


def _train(command: list[str]) -> None:
  done = subprocess.run(command, capture_output=True, text=True, check=False)
  if done.returncode:
    raise SystemExit(f"{' '.join(command)}:\n{done.stderr}")


def _steps_done(run_dir: pathlib.Path) -> int:
  try:
    lines = (run_dir / "metrics.csv").read_text().splitlines()
    return int(lines[-1].split(",")[1])
  except (OSError, ValueError, IndexError):
    return 0


@dataclasses.dataclass(frozen=True)
class _End:
  """How and when a process is ended.

  Attributes:
    number: of the signal.
    steps: that the run has first to go on by.
    seconds: to wait after that.
    saving: whether to wait also until a checkpoint is being written.
  """

  number: int
  steps: int
  seconds: float
  saving: bool


def _ends(rng: random.Random, steps: int, startup: float) -> list[_End]:
  """Draws them all: a fifth while it starts, a fifth while it saves."""
  numbers = [signal.SIGKILL] * _KILLS.value + [signal.SIGTERM] * _TERMS.value
  rng.shuffle(numbers)
  ends = []
  for i, number in enumerate(numbers):
    further = rng.randint(1, max(1, steps // len(numbers)))
    if i % 5 == 0:
      end = _End(number, 0, rng.uniform(0.0, 1.2 * startup), saving=False)
    else:
      end = _End(number, further, rng.uniform(0.0, 0.3), saving=i % 5 == 1)
    ends.append(end)
  return ends


def _saving(run_dir: pathlib.Path) -> bool:
  return any((run_dir / "checkpoints").glob(".*.partial"))


def _disturb(command: list[str], run_dir: pathlib.Path, end: _End) -> bool:
  """Ends a run that began, or went on; says whether it did."""
  target = _steps_done(run_dir) + end.steps if end.steps else 0
  process = subprocess.Popen(
    command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
  )
  begun = time.time()

  def wait_for(condition: Callable[[], bool]) -> None:
    while process.poll() is None and not condition():
      time.sleep(0.002)

  wait_for(lambda: _steps_done(run_dir) >= target)
  reached = time.time()
  wait_for(lambda: time.time() - reached >= end.seconds)
  if end.saving:
    wait_for(lambda: _saving(run_dir))
  saving = _saving(run_dir)
  if process.poll() is None:
    process.send_signal(end.number)
  moment = time.time() - begun
  _, stderr = process.communicate()
  name = signal.Signals(end.number).name
  expected = {signal.SIGKILL: (-9,), signal.SIGTERM: (143, -15)}[end.number]
  if process.returncode not in (*expected, 0):
    raise SystemExit(f"{name}: exit {process.returncode}:\n{stderr}")
  landed = process.returncode != 0
  print(
    f"{name} after {moment:.1f} s: {'ended' if landed else 'had finished'} at "
    f"{_steps_done(run_dir):,} steps{', while saving' if saving else ''}",
    flush=True,
  )
  return landed


def _result(run_dir: pathlib.Path) -> tuple[str, list[dict[str, str]]]:
  """The checksum of the last state, and the rows without their timing."""
  newest = max((run_dir / "checkpoints").glob("[0-9]*"))
  digest = json.loads((newest / "manifest.json").read_text())["digest"]
  with (run_dir / "metrics.csv").open() as file:
    rows = list(csv.DictReader(file))
  timing = ("seconds", "steps_per_second")
  return digest, [
    {k: v for k, v in row.items() if k not in timing} for row in rows
  ]


def _verify(file: str, folder: pathlib.Path) -> bool:
  """Trains a file both ways, and says whether the results are the same."""
  _train(_command(file, folder / "alone"))
  summary = json.loads((folder / "alone" / "summary.json").read_text())
  rng = random.Random(f"{_SEED.value} {file}")
  # Gone on with, it finds its programs compiled.
  startup = min(summary["seconds_to_first_update"], _WARM_START)
  ends = _ends(rng, _steps(file), startup)
  run_dir = folder / "disturbed"
  command = _command(file, run_dir)
  landed = 0
  for end in ends:
    landed += _disturb(command, run_dir, end)
    if (run_dir / "summary.json").exists():
      break
  if not (run_dir / "summary.json").exists():
    _train(command)
  (digest, rows), (other, others) = map(
    _result, (folder / "alone", folder / "disturbed")
  )
  same = digest == other and rows == others
  print(
    f"{file}: ended {landed} times of {len(ends)}; state {digest[:16]} and "
    f"{other[:16]}, {len(rows)} and {len(others)} rows: "
    f"{'the same' if same else 'DIFFERENT'}",
    flush=True,
  )
  if landed < len(ends):
    print("it finished before every end had come: take more --steps")
  return same and landed == len(ends)


def main(_) -> None:
  """Verifies each file; exits 1 if one went on otherwise than undisturbed."""
  with tempfile.TemporaryDirectory() as folder:
    same = [_verify(file, pathlib.Path(folder, file)) for file in _FILES.value]
  sys.exit(not all(same))


if __name__ == "__main__":
  app.run(main)
