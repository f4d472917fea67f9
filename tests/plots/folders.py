"""Run directories made by hand."""

import json

COLUMNS = (
  "seed",
  "budget_steps",
  "environment_steps",
  "training/episode_return",
  "evaluation/episode_return",
  "seconds",
)


def write(path, rows, columns=COLUMNS, **about):
  """Makes a run directory with these rows of metrics.

  Args:
    path: of the folder.
    rows: of cells; None is an empty one.
    columns: their names.
    **about: `files` of the command line, `settings`, `finished`.

  Returns:
    The path.
  """
  path.mkdir(parents=True)
  lines = [columns, *rows]
  text = "\n".join(
    ",".join("" if cell is None else str(cell) for cell in line)
    for line in lines
  )
  (path / "metrics.csv").write_text(text + "\n")
  files = about.get("files", ["ppo.gin", "env_catch.gin"])
  words = ["binaries/train.py", *(f"--gin_file={name}" for name in files)]
  (path / "command.txt").write_text(" ".join(words) + "\n")
  settings = {
    "train.environment": "@gymnax()",
    "gymnax.name": "'Catch-bsuite'",
    "gymnax.arguments": "None",
    "train.seed": str(rows[0][0]) if rows else "0",
    "train.num_seeds": "1",
  }
  settings |= about.get("settings", {})
  (path / "run.json").write_text(json.dumps({"settings": settings}))
  if about.get("finished", True):
    (path / "summary.json").write_text("{}")
  return path


def rows(seed, values, evaluated=(), start=10, every=10):
  """Rows of a seed: training's values, and evaluation's at some of them."""
  return [
    (
      seed,
      start + i * every,
      start + i * every,
      value,
      evaluated[i] if i < len(evaluated) else None,
      (start + i * every) / 100,
    )
    for i, value in enumerate(values)
  ]
