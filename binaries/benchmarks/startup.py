"""Command to first update, with an empty and with a warm cache."""

import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time

_TRAIN = str(pathlib.Path(__file__).resolve().parents[1] / "train.py")


def measure(environment: str, repeats: int) -> dict[str, float]:
  """Times command to first update with an empty and with a warm cache."""
  del repeats
  found = {}
  with tempfile.TemporaryDirectory() as folder:
    variables = {**os.environ, "XDG_CACHE_HOME": folder}
    variables.pop("JAX_COMPILATION_CACHE_DIR", None)
    for name in ("cold", "warm 1", "warm 2"):
      run_dir = pathlib.Path(folder) / name
      begun = time.time()
      subprocess.run(
        [
          sys.executable,
          _TRAIN,
          "--gin_file=qlearning.gin",
          f"--gin.ENVIRONMENT={environment}",
          "--gin.TOTAL_STEPS=10_000",
          f"--run_dir={run_dir}",
        ],
        check=True,
        capture_output=True,
        env=variables,
      )
      summary = json.loads((run_dir / "summary.json").read_text())
      found[f"{name}: first update (s)"] = summary["seconds_to_first_update"]
      found[f"{name}: whole command (s)"] = time.time() - begun
      for stage, seconds in summary["startup"].items():
        found[f"{name}: {stage} (s)"] = seconds
  return found
