"""Trains what this project claims to learn, and holds it against thresholds.

python binaries/verify.py --suite=learning
python binaries/verify.py --suite=variants
python binaries/verify.py --suite=search
python binaries/verify.py --suite=simulations

Each row is one run of binaries/train.py. A row passes if the interquartile
mean over its seeds and episodes reaches the threshold, and no seed's mean falls
short of 0.8 of it (for a score that random play makes negative: of the way
from random play). Other actors that the evaluator judged by the same parameters
are beside it. The table goes to docs/results/.
"""

import concurrent.futures
import csv
import dataclasses
import datetime
import json
import os
import pathlib
import subprocess
import sys
import tempfile

from absl import app, flags

_ROOT = pathlib.Path(__file__).resolve().parent.parent

_SUITE = flags.DEFINE_enum(
  "suite",
  "learning",
  ["learning", "variants", "search", "simulations"],
  "Which table to make.",
)
_ONLY = flags.DEFINE_multi_string("only", [], "Rows to run; by default all.")
_SEEDS = flags.DEFINE_integer("seeds", 5, "Seeds per row, from 0.")
_JOBS = flags.DEFINE_integer("jobs", 1, "Runs at a time.")
_OUT = flags.DEFINE_string(
  "out", str(_ROOT / "docs" / "results"), "Where the table is kept."
)


@dataclasses.dataclass(frozen=True)
class Row:
  """One claim.

  Attributes:
    name: of the row.
    arguments: of binaries/train.py.
    least: what the score must reach; None if `most` is claimed.
    most: what it must not exceed.
    random: the mean return of random play, where it is negative.
  """

  name: str
  arguments: tuple[str, ...]
  least: float | None = None
  most: float | None = None
  random: float | None = None

  @property
  def floor(self) -> float | None:
    """What no seed may fall short of."""
    if self.least is None:
      return None
    if self.random is None:
      return 0.8 * self.least
    return self.least - 0.2 * (self.least - self.random)

  def passes(self, score: dict) -> bool:
    """Says whether a summary's score holds the claim."""
    if self.most is not None:
      return score["iqm"] <= self.most
    if self.least is None:
      return True
    return score["iqm"] >= self.least and min(score["per_seed"]) >= self.floor


def _files(*names: str) -> tuple[str, ...]:
  return tuple(f"--gin_file={name}" for name in names)


def _variant(name: str, *bindings: str) -> Row:
  arguments = (*_files("qlearning.gin"), "--gin.TOTAL_STEPS=100_000")
  text = "\n".join(bindings)
  return Row(name, (*arguments, f"--gin_bindings={text}"), least=0.95)


_LEARNING = [
  Row("catch", _files("qlearning.gin"), least=0.99),
  Row("cartpole", _files("qlearning.gin", "env_cartpole.gin"), least=475.0),
  Row("cartpole_dqn", _files("dqn.gin", "env_cartpole.gin"), least=490.0),
  Row(
    "memory_chain_20",
    _files("qlearning.gin", "env_memory_chain.gin"),
    least=0.95,
  ),
  Row(
    "memory_chain_20_no_core",
    (
      *_files("qlearning.gin", "env_memory_chain.gin"),
      "--gin.agent.core=None",
    ),
    most=0.3,
  ),
]

_VARIANTS = [
  _variant("gru", "agent.core = @gru()"),
  _variant(
    "uniform_replay",
    "train.buffer = @uniform_replay()",
    "uniform_replay.capacity = 100_000",
    "uniform_replay.min_size = 2_000",
    "uniform_replay.batch_size = 32",
    "uniform_replay.sequence_length = 20",
    "uniform_replay.period = 10",
    "uniform_replay.updates_per_add = 4",
  ),
  _variant(
    "n_step_huber",
    "regression.target = @n_step_returns()",
    "n_step_returns.bootstrap = @double_q()",
    "n_step_returns.n = 5",
    "regression.distance = @huber()",
  ),
  _variant("dueling", "agent.heads = {'q': @dueling_q_head()}"),
  _variant("sarsa", "lambda_returns.bootstrap = @sarsa()"),
  _variant(
    "periodic_copy",
    "train.target_params = @periodic_copy()",
    "periodic_copy.period = 100",
  ),
  _variant("polyak", "polyak.step_size = 0.005"),
  _variant(
    "signed_hyperbolic",
    "q_head.codec = @scalar_codec()\n"
    "scalar_codec.transform = @signed_hyperbolic()",
  ),
  _variant(
    "adam_cosine_warm_up",
    "optimizer.learning_rate = @warmup_schedule()",
    "warmup_schedule.schedule = @cosine_schedule()",
    "warmup_schedule.until = 0.05",
  ),
  Row(
    "own_core",
    (
      f"--gin_file={_ROOT / 'docs/examples/my_variant.gin'}",
      "--gin.TOTAL_STEPS=100_000",
    ),
    least=0.95,
  ),
  Row(
    "own_core_and_environment",
    (
      f"--gin_file={_ROOT / 'docs/examples/my_variant.gin'}",
      "--gin_bindings=train.environment = @grid_walk()",
      "--gin.TOTAL_STEPS=100_000",
    ),
    least=0.95,
  ),
]

# Long rows first: they run side by side.
_PLANNING = [
  Row(
    "muzero_cartpole",
    _files("muzero.gin", "env_cartpole.gin"),
    least=475.0,
  ),
  Row(
    "muzero_catch",
    (*_files("muzero.gin"), "--gin.TOTAL_STEPS=300_000"),
    least=0.95,
  ),
  # The best return is 1 less the cost of eight moves to the right, 0.01.
  Row(
    "alphazero_deep_sea", _files("alphazero_deep_sea.gin"), least=0.95 * 0.99
  ),
  Row(
    "alphazero_cartpole",
    (
      *_files("alphazero.gin", "env_cartpole.gin"),
      "--gin.TOTAL_STEPS=200_000",
    ),
    least=490.0,
  ),
  *(
    Row(
      f"alphazero_catch_{name}",
      (
        *_files("alphazero.gin"),
        "--gin.TOTAL_STEPS=100_000",
        f"--gin_bindings=agent.core = {core}",
      ),
      least=0.99,
    )
    for name, core in [("lstm", "@lstm()"), ("gru", "@gru()"), ("none", "None")]
  ),
]

_SIMULATIONS = (2, 4, 8, 16, 32)


def _by_simulations(file: str) -> Row:
  """Trains a little, then plays with few and with many simulations."""
  beside = "'policy_head': @greedy()"
  for n in _SIMULATIONS:
    beside += f", '{n}': @s{n}/search_actor()"
  bindings = [f"evaluator.beside = {{{beside}}}"]
  for n in _SIMULATIONS:
    bindings += [
      f"s{n}/search_actor.num_simulations = {n}",
      f"s{n}/search_actor.greedy = True",
    ]
  return Row(
    file.removesuffix(".gin"),
    (
      *_files(file, "env_cartpole.gin"),
      "--gin.TOTAL_STEPS=50_000",
      "--gin_bindings=" + "\n".join(bindings),
    ),
  )


_BY_SIMULATIONS = [
  _by_simulations(file)
  for file in ("alphazero.gin", "muzero.gin", "gumbel_muzero.gin")
]

_TABLES = {
  "learning": _LEARNING,
  "variants": _VARIANTS,
  "search": _PLANNING,
  "simulations": _BY_SIMULATIONS,
}

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


def _run(row: Row) -> dict | None:
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


def _record(row: Row, summary: dict | None) -> dict[str, object]:
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


def _write(records: list[dict[str, object]]) -> pathlib.Path:
  folder = pathlib.Path(_OUT.value)
  folder.mkdir(parents=True, exist_ok=True)
  date = datetime.date.today().isoformat()
  path = folder / f"{_SUITE.value}-{date}.csv"
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
  table = _TABLES[_SUITE.value]
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
  if not _ONLY.value:
    print(_write(records))
  sys.exit(any(record["holds"] == "NO" for record in records))


if __name__ == "__main__":
  app.run(main)
