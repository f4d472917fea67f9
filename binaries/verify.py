"""Trains what this project claims to learn, and holds it against thresholds.

python binaries/verify.py --suite=learning
python binaries/verify.py --suite=variants
python binaries/verify.py --suite=families
python binaries/verify.py --suite=search
python binaries/verify.py --suite=simulations

Each row is one run of binaries/train.py. A row passes if the interquartile
mean over its seeds and episodes reaches the threshold, and no seed's mean falls
short of 0.8 of it (for a score that random play makes negative: of the way
from random play). Other actors that the evaluator judged by the same parameters
are beside it. The table goes to docs/results/; `--only` runs the rows that it
names, and replaces them in today's table.
"""

import concurrent.futures
import csv
import datetime
import json
import os
import pathlib
import subprocess
import sys
import tempfile

import verify_claims
from absl import app, flags

_ROOT = pathlib.Path(__file__).resolve().parent.parent

_SUITE = flags.DEFINE_enum(
  "suite",
  "learning",
  list(verify_claims.TABLES),
  "Which table to make.",
)
_ONLY = flags.DEFINE_multi_string("only", [], "Rows to run; by default all.")
_SEEDS = flags.DEFINE_integer("seeds", 5, "Seeds per row, from 0.")
_JOBS = flags.DEFINE_integer("jobs", 1, "Runs at a time.")
_OUT = flags.DEFINE_string(
  "out", str(_ROOT / "docs" / "results"), "Where the table is kept."
)


_COLUMNS = (
  "row",
  "claim",
  "iqm",
  "ci95_low",
  "ci95_high",
  "per_seed",
  "beside",
  "floor",
  "budget_steps_per_seed",
  "seconds",
  "holds",
  "revision",
  "jax",
  "device",
  "arguments",
)


def _run(row: verify_claims.Row) -> dict | None:
  """Trains; returns the summary, or None if the run failed."""
  with tempfile.TemporaryDirectory() as folder:
    run_dir = pathlib.Path(folder) / "run"
    command = [
      sys.executable,
      str(_ROOT / "binaries" / "train.py"),
      *row.arguments,
      f"--gin.NUM_SEEDS={_SEEDS.value}",
      f"--run_dir={run_dir}",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
      print(f"{row.name} failed:\n{done.stderr[-2000:]}", flush=True)
      return None
    versions = json.loads((run_dir / "versions.json").read_text())
    summary = json.loads((run_dir / "summary.json").read_text())
    return summary | {"versions": versions}


def _record(row: verify_claims.Row, summary: dict | None) -> dict[str, object]:
  claim = "" if row.least is None else f">= {row.least}"
  if row.most is not None:
    claim = f"<= {row.most}"
  if summary is None:
    return dict.fromkeys(_COLUMNS, "") | {"row": row.name, "holds": "NO"}
  score = summary["evaluation"]["episode_return"]
  return {
    "row": row.name,
    "claim": claim,
    "iqm": round(score["iqm"], 4),
    "ci95_low": round(score["ci95"][0], 4),
    "ci95_high": round(score["ci95"][1], 4),
    "per_seed": " ".join(f"{x:.3f}" for x in score["per_seed"]),
    "beside": _beside(summary),
    "floor": "" if row.floor is None else round(row.floor, 4),
    "budget_steps_per_seed": summary["budget_steps"] // _SEEDS.value,
    "seconds": round(summary["seconds"]),
    "holds": "yes" if row.passes(score) else "NO",
    "revision": summary["versions"]["git_revision"],
    "jax": summary["versions"]["jax"],
    "device": summary["versions"]["devices"][0],
    "arguments": " ".join(row.arguments).replace(f"{_ROOT}/", ""),
  }


def _beside(summary: dict) -> str:
  found = []
  for name, report in summary.items():
    if name.startswith("evaluation/"):
      score = report["episode_return"]
      low, high = score["ci95"]
      found.append(
        f"{name.removeprefix('evaluation/')}: {score['iqm']:.3f} "
        f"[{low:.3f}, {high:.3f}]"
      )
  return "; ".join(found)


def _merge(
  path: pathlib.Path, records: list[dict[str, object]]
) -> list[dict[str, object]]:
  """Keeps the rows of today's table that were not run this time."""
  found: dict[object, dict[str, object]] = {}
  if path.exists():
    with path.open(newline="") as file:
      found = {record["row"]: record for record in csv.DictReader(file)}
  found |= {record["row"]: record for record in records}
  order = [row.name for row in verify_claims.TABLES[_SUITE.value]]
  return [found[name] for name in order if name in found]


def _write(records: list[dict[str, object]]) -> pathlib.Path:
  folder = pathlib.Path(_OUT.value)
  folder.mkdir(parents=True, exist_ok=True)
  date = datetime.date.today().isoformat()
  path = folder / f"{_SUITE.value}-{date}.csv"
  records = _merge(path, records)
  with path.open("w", newline="") as file:
    writer = csv.DictWriter(file, _COLUMNS)
    writer.writeheader()
    writer.writerows(records)
  names = [name for name in _COLUMNS if name != "arguments"]
  lines = [
    f"# {_SUITE.value}, {date}",
    "",
    f"`python binaries/verify.py --suite={_SUITE.value}`: seeds 0 to "
    f"{_SEEDS.value - 1}, greedy evaluation of 128 episodes a seed with the "
    "final parameters, interquartile mean with a 95 % bootstrap interval. The "
    "arguments of each run are in the CSV file beside this one.",
    "",
    "| " + " | ".join(names) + " |",
    "|" + "---|" * len(names),
  ]
  for record in records:
    lines.append("| " + " | ".join(str(record[n]) for n in names) + " |")
  path.with_suffix(".md").write_text("\n".join(lines) + "\n")
  return path


def main(_) -> None:
  """Runs the suite and writes its table; exits 1 if a claim does not hold."""
  table = verify_claims.TABLES[_SUITE.value]
  rows = [r for r in table if not _ONLY.value or r.name in _ONLY.value]
  # Runs side by side would fight over threads that each thinks its own.
  if _JOBS.value > 1:
    flag = "--xla_cpu_multi_thread_eigen=false"
    os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {flag}"
  records = []
  with concurrent.futures.ThreadPoolExecutor(_JOBS.value) as pool:
    for row, summary in zip(rows, pool.map(_run, rows), strict=True):
      records.append(_record(row, summary))
      print(
        {k: v for k, v in records[-1].items() if k != "arguments"}, flush=True
      )
  print(_write(records))
  sys.exit(any(record["holds"] == "NO" for record in records))


if __name__ == "__main__":
  app.run(main)
