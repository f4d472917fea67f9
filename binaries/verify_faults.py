"""Plants faults in a copy of the library, and demands that tests notice.

python binaries/verify_faults.py

A test suite that stays green when the mask is removed is not a test suite. The
table of faults and of the tests that caught them goes to docs/results/.
"""

import datetime
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

import planted_faults
from absl import app, flags

_ROOT = pathlib.Path(__file__).resolve().parent.parent

_OUT = flags.DEFINE_string(
  "out", str(_ROOT / "docs" / "results"), "Where the table is kept."
)


_ONLY = flags.DEFINE_multi_string(
  "only", [], "Faults to plant, by name; by default all. Keeps no table."
)


def _plant(fault: planted_faults.Fault) -> list[str]:
  """Returns the names of the tests that fail with the fault in place."""
  with tempfile.TemporaryDirectory() as folder:
    for name in ("neurorl", "tests", "gin_configs", "binaries"):
      shutil.copytree(_ROOT / name, pathlib.Path(folder) / name)
    shutil.copy(_ROOT / "pyproject.toml", folder)
    path = pathlib.Path(folder) / "neurorl" / fault.file
    text = path.read_text()
    if text.count(fault.old) != 1:
      raise ValueError(f"{fault.name}: {fault.file} has no one '{fault.old}'")
    path.write_text(text.replace(fault.old, fault.new))
    done = subprocess.run(
      [sys.executable, "-m", "pytest", "-n", "2", *fault.tests],
      cwd=folder,
      env={**os.environ, "PYTHONPATH": folder},
      capture_output=True,
      text=True,
      check=False,
    )
  failed = re.findall(r"^FAILED \S+::(\w+)", done.stdout, re.MULTILINE)
  if done.returncode not in (0, 1):
    raise RuntimeError(done.stdout + done.stderr)
  return sorted(set(failed))


def main(_) -> None:
  """Plants every fault; exits 1 if one goes unnoticed."""
  date = datetime.date.today().isoformat()
  lines = [
    f"# Planted faults, {date}",
    "",
    "`python binaries/verify_faults.py`",
    "",
    "| fault | in | tests that fail |",
    "|---|---|---|",
  ]
  unnoticed = False
  for fault in planted_faults.FAULTS:
    if _ONLY.value and fault.name not in _ONLY.value:
      continue
    failed = _plant(fault)
    unnoticed |= not failed
    shown = ", ".join(f"`{name}`" for name in failed) or "NONE"
    lines.append(f"| {fault.name} | `{fault.file}` | {shown} |")
    print(lines[-1], flush=True)
  if not _ONLY.value:
    path = pathlib.Path(_OUT.value) / f"faults-{date}.md"
    path.write_text("\n".join(lines) + "\n")
  sys.exit(unnoticed)


if __name__ == "__main__":
  app.run(main)
