"""The command line as a user meets it: a process, its words, its exit code."""

import json
import os
import pathlib
import subprocess
import sys

import pytest

from tests import processes, small

ROOT = pathlib.Path(__file__).resolve().parent.parent
TRAIN = str(ROOT / "binaries" / "train.py")
SMALL = (
  "--gin.NUM_ENVS=8",
  "--gin.TOTAL_STEPS=800",
  "--gin.lstm.hidden_size=8",
  "--gin.q_head.hidden_sizes=(8,)",
  "--gin.mlp.hidden_sizes=(8,)",
  "--gin.prioritized_replay.min_size=400",
  "--gin.prioritized_replay.updates_per_add=1",
  "--gin.train.steps_per_chunk=200",
  "--gin.evaluator.episodes=2",
)


def train(*arguments, cwd):
  return subprocess.run(
    [sys.executable, TRAIN, *arguments],
    cwd=cwd,
    capture_output=True,
    text=True,
    check=False,
    timeout=300,
    env={**os.environ, "XDG_CACHE_HOME": str(cwd)},
  )


def _write(folder, **files):
  for name, text in files.items():
    suffix = ".py" if text.startswith("from neurorl") else ".gin"
    (folder / f"{name}{suffix}").write_text(text)


OWN = """from neurorl import component

@component
def lstm(hidden_size: int = 3):
  \"\"\"Takes a name that is taken.\"\"\"
"""
LIES = """from neurorl import component, environments, types
import jax, jax.numpy as jnp

@component
def liar():
  \"\"\"Sees three numbers and says two.\"\"\"
  number = lambda n: jax.ShapeDtypeStruct(n, jnp.float32)
  spec = types.EnvironmentSpec(
    "liar", number((2,)), jax.ShapeDtypeStruct((), jnp.int32),
    types.DiscreteActions(2),
  )
  def reset(key):
    return jnp.zeros(()), environments.restart(jnp.zeros(2))
  def step(key, state, action):
    return state, environments.transition(jnp.zeros(3), 0.0, False, False)
  return types.Environment(reset, step, spec)
"""
Q = "--gin_file=qlearning.gin"
A = "--gin_file=alphazero.gin"
# What is wrong -> arguments, and what the message must say.
BAD = {
  "no file named": ([], ["--gin_file=NAME", "qlearning.gin"]),
  "unknown file": (
    ["--gin_file=qlerning.gin"],
    ["qlerning", "'qlearning.gin'"],
  ),
  "unknown component": (
    [Q, "--gin_bindings=agent.core = @lstn()"],
    ["lstn", "'lstm'"],
  ),
  "unknown parameter": (
    [Q, "--gin.lstm.hiden_size=3"],
    ["hiden_size", "'hidden_size'"],
  ),
  "unknown macro": ([Q, "--gin.NUM_ENV=3"], ["NUM_ENV", "NUM_ENVS"]),
  "unknown environment": (
    [Q, "--gin.ENVIRONMENT=Catch-bsuit"],
    ["Catch-bsuit", "'Catch-bsuite'", "command line"],
  ),
  "unknown environment parameter": (
    [Q, "--gin.gymnax.parameters={'max_steps': 3}"],
    ["max_steps", "max_steps_in_episode"],
  ),
  "unknown flag": ([Q, "--run_dri=x"], ["run_dri"]),
  "stray argument": ([Q, "catch"], ["catch", "--gin_file"]),
  "circular include": (["--gin_file=a.gin"], ["a.gin -> b.gin -> a.gin"]),
  "idle binding": ([Q, "--gin.gru.hidden_size=3"], ["gru.hidden_size", "gru"]),
  "idle in a file": (["--gin_file=idle.gin"], ["idle.gin:2", "gru"]),
  "misspelt scope": (
    [Q, "--gin_bindings=reression/huber.delta = 1.0"],
    ["reression"],
  ),
  "sequence longer than the buffer": (
    [Q, "--gin.prioritized_replay.sequence_length=100000"],
    ["sequence", "100000", "capacity = 100000", "qlearning.gin:"],
  ),
  "capacity that does not fit": (
    [Q, "--gin.prioritized_replay.capacity=300"],
    ["capacity = 300", "command line"],
  ),
  "batch that does not fit": (
    [Q, "--gin.prioritized_replay.batch_size=1000000"],
    ["batch_size = 1000000", "9984 sequences", "command line"],
  ),
  "period that does not fit": (
    [Q, "--gin.prioritized_replay.period=7"],
    ["period = 7", "unroll_length = 10"],
  ),
  "zero steps": ([Q, "--gin.TOTAL_STEPS=0"], ["total_steps", "got 0"]),
  "negative environments": ([Q, "--gin.NUM_ENVS=-4"], ["num_envs", "got -4"]),
  "steps as text": ([Q, "--gin.TOTAL_STEPS=many"], ["total_steps", "'many'"]),
  "true": ([Q, "--gin.mlp.layer_norm=true"], ["True"]),
  "discrete head, continuous actions": (
    [Q, "--gin.ENVIRONMENT=Pendulum-v1"],
    ["discrete", "Pendulum-v1"],
  ),
  "missing head": (
    [Q, "--gin.action_value.head=value"],
    ["loss term 'q'", "action_value", "'value'", "agent.heads has q"],
  ),
  "a head as a torso": (
    [Q, "--gin_bindings=agent.torso = @q_head()"],
    ["q_head", "agent.torso", "@mlp()"],
  ),
  "seed out of range": (
    [Q, "--gin.SEED=4294967296"],
    ["4294967296", "2**32"],
  ),
  "run directory in use": ([Q, "--run_dir=."], ["--run_dir=.", "in use"]),
  "run directory unwritable": (
    [Q, "--run_dir=/dev/null/run"],
    ["/dev/null/run"],
  ),
  "two components of one name": (
    ["--gin_file=twice.gin"],
    ["two components are called 'lstm'", "neurorl.networks.cores.lstm", "own"],
  ),
  "learning rate of zero": (
    [Q, "--gin.LEARNING_RATE=0.0"],
    ["optimizer.learning_rate"],
  ),
  "negative learning rate": (
    [Q, "--gin.LEARNING_RATE=-1.0"],
    ["optimizer.learning_rate", "got -1"],
  ),
  "more memory than there is": (
    [Q, "--gin.prioritized_replay.capacity=2_000_000_000"],
    ["GB", "capacity"],
  ),
  "more steps than can be told apart": (
    [Q, "--gin.prioritized_replay.capacity=20_000_000_000"],
    ["capacity = 20000000000", "2**31"],
  ),
  "n-step beyond the sequence": (
    [
      "--gin_file=dqn.gin",
      "--gin_bindings=regression.target = @n_step_returns()\n"
      "n_step_returns.bootstrap = @max_q()\nn_step_returns.n = 5",
    ],
    ["loss term 'q'", "n_step_returns.n = 5", "sequence_length"],
  ),
  "burn-in without a core": (
    ["--gin_file=dqn.gin", "--gin.uniform_replay.burn_in=5"],
    ["uniform_replay.burn_in = 5", "agent.core"],
  ),
  "an environment alone": (
    ["--gin_file=env_cartpole.gin"],
    ["no gin file binds train", "qlearning.gin"],
  ),
  "base alone": (["--gin_file=base.gin"], ["train.agent", "qlearning.gin"]),
  "an environment that is not what it says": (
    ["--gin_file=liar.gin"],
    ["liar", "step: timestep.observation", "float32[3]", "float32[2]"],
  ),
  "no simulations": (
    [A, "--gin.search_actor.num_simulations=0"],
    ["search_actor.num_simulations must be >= 1, got 0", "command line"],
  ),
  "simulations bound at mctx": (
    [A, "--gin.mctx.gumbel_muzero_policy.num_simulations=4"],
    ["bind search_actor.num_simulations"],
  ),
  "a depth of nothing": (
    [A, "--gin.mctx.gumbel_muzero_policy.max_depth=0"],
    ["mctx.gumbel_muzero_policy.max_depth", "from 1", "got 0", "command line"],
  ),
  "more noise than there is": (
    [
      "--gin_file=alphazero_puct.gin",
      "--gin.mctx.muzero_policy.dirichlet_fraction=1.5",
    ],
    ["mctx.muzero_policy.dirichlet_fraction", "from 0 to 1", "got 1.5"],
  ),
  "a temperature that the search has not": (
    [A, "--gin.search_actor.temperature=0.5"],
    ["search_actor.temperature = 0.5", "gumbel_scale"],
  ),
  "a learned model without dynamics": (
    [A, "--gin_bindings=search_actor.model = @learned_model()"],
    ["learned_model", "agent.dynamics = @residual_dynamics()"],
  ),
  "a learned model without a reward": (
    [
      "--gin_file=muzero.gin",
      "--gin_bindings=agent.transition_heads = {}\n"
      "losses.terms = {'policy': @distillation(), 'value': @regression()}",
    ],
    ["learned_model reads head 'discount'", "policy, value"],
  ),
  "an unrolled loss without dynamics": (
    [
      A,
      "--gin_bindings=train.loss = @unrolled()\nunrolled.loss = @losses()",
    ],
    ["unrolled needs an agent with a model", "agent.dynamics"],
  ),
  "a norm below 0": (
    ["--gin_file=ppo.gin", "--gin.optax.clip_by_global_norm.max_norm=-1.0"],
    ["optax.clip_by_global_norm.max_norm must be above 0, got -1.0"],
  ),
  "more seeds than there is memory for": (
    ["--gin_file=ppo.gin", "--gin.NUM_SEEDS=1_000_000_000"],
    ["training keeps", "train.num_seeds"],
  ),
  "the name of an activation": (
    [A, "--gin_bindings=mlp.activation = 'relu'"],
    ["mlp.activation = 'relu'", "@jax.nn.relu()"],
  ),
  "an ensemble that is none": (
    ["--gin_file=dqn.gin", "--gin_bindings=train.actor = @thompson()"],
    ["thompson reads 'members' of head 'q'", "@ensemble_head()"],
  ),
  "consistency of what is seen": (
    [A, "--gin_bindings=losses.terms = {'c': @consistency()}"],
    ["loss term 'c'", "consistency", "train.loss = @unrolled()"],
  ),
  "an unroll longer than its sequence": (
    ["--gin_file=muzero.gin", "--gin.unrolled.steps=10"],
    ["unrolled.steps = 10", "sequence_length"],
  ),
  "search without a value": (
    [
      A,
      "--gin_bindings=agent.heads = {'policy': @policy_head()}\n"
      "losses.terms = {'policy': @distillation()}",
    ],
    ["reads head 'value'", "policy"],
  ),
  "search with continuous actions": (
    [A, "--gin.ENVIRONMENT=Pendulum-v1"],
    ["discrete", "Pendulum-v1"],
  ),
  "an empty support": (
    [A, "--gin.two_hot.low=20.0"],
    ["two_hot.low = 20.0", "two_hot.high = 20.0"],
  ),
  "cross-entropy without a distribution": (
    [Q, "--gin_bindings=regression.distance = @cross_entropy()"],
    ["loss term 'q'", "@two_hot()"],
  ),
  "distillation of what nobody records": (
    [A, "--gin.distillation.recorded=search_polcy"],
    ["loss term 'policy'", "search_polcy", "'search_policy'"],
  ),
  "too few steps": ([Q, "--gin.TOTAL_STEPS=640"], ["640", "2240"]),
  "made of itself": (
    [
      Q,
      "--gin_bindings=agent.core = @residual()",
      "--gin_bindings=residual.core = @residual()",
    ],
    ["command line: residual.core", "@inner/residual()"],
  ),
  "a coordinator without a port": (
    [Q, "--coordinator=here", "--num_processes=2", "--process_id=0"],
    ["--coordinator = 'here'", "node1:23456"],
  ),
  "a coordinator with a word for a port": (
    [Q, "--coordinator=HOST:PORT", "--num_processes=2", "--process_id=0"],
    ["--coordinator = 'HOST:PORT'", "node1:23456"],
  ),
  "a process too many": (
    [
      Q,
      "--coordinator=localhost:23456",
      "--num_processes=2",
      "--process_id=2",
    ],
    ["--process_id = 2", "--num_processes = 2"],
  ),
  "devices that cannot share": (
    [Q, "--gin_bindings=train.num_devices = 3"],
    ["train.num_devices = 3", "num_envs = 32"],
  ),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input(case, tmp_path):
  arguments, words = BAD[case]
  _write(
    tmp_path,
    a="include 'b.gin'\n",
    b="include 'a.gin'\n",
    idle="include 'qlearning.gin'\ngru.hidden_size = 3\n",
    twice="include 'qlearning.gin'\nimport own\n",
    own=OWN,
    lies=LIES,
    liar="include 'qlearning.gin'\nimport lies\ntrain.environment = @liar()\n",
  )
  done = processes.train(*arguments, cwd=tmp_path)
  assert done.returncode == 2, done.stderr
  assert done.stderr.startswith(("error: ", "note: ")), done.stderr
  message = done.stderr[done.stderr.index("error: ") :]
  for word in words:
    assert word in message, message
  assert "Traceback" not in done.stdout + done.stderr
  assert len(message.strip().splitlines()) <= 5, message
  assert not (tmp_path / "runs").exists()


def test_a_run_and_its_saved_configuration(tmp_path):
  """config.gin runs again elsewhere, users' module and all, alike."""
  lab = tmp_path / "lab"
  lab.mkdir()
  for name in ("my_lab.py", "my_lab.gin"):
    text = (ROOT / "docs" / "examples" / name).read_text()
    if name == "my_lab.py":  # a module that leans on one beside it
      text = text.replace("\nimport haiku", "\nimport leak\nimport haiku")
      text = text.replace("decay: float = 0.9", "decay: float = leak.DECAY")
    (lab / name).write_text(text)
  (lab / "leak.py").write_text("DECAY = 0.8\n")
  small = [word for word in SMALL if "lstm" not in word]
  first = train(
    f"--gin_file={lab / 'my_lab.gin'}",
    *small,
    f"--run_dir={tmp_path / 'first'}",
    cwd=tmp_path,
  )
  assert first.returncode == 0, first.stderr
  # The original is gone: only what the run saved is left.
  for path in lab.iterdir():
    path.unlink()
  elsewhere = tmp_path / "elsewhere"
  elsewhere.mkdir()
  again = train(
    f"--gin_file={tmp_path / 'first' / 'config.gin'}",
    f"--run_dir={tmp_path / 'again'}",
    cwd=elsewhere,
  )
  assert again.returncode == 0, again.stderr
  assert "note:" not in again.stderr
  assert _metrics(tmp_path / "first") == _metrics(tmp_path / "again")
  run = tmp_path / "first"
  kept = {path.name for path in run.iterdir()}
  assert kept == {
    "config.gin",
    "command.txt",
    "versions.json",
    "metrics.csv",
    "plots",
    "run.json",
    "checkpoints",
    ".lock",
    "summary.json",
    "leak.py",
    "my_lab.py",
  }
  versions = json.loads((run / "versions.json").read_text())
  assert versions["jax"] and versions["devices"]
  assert "--gin.NUM_ENVS=8" in (run / "command.txt").read_text()


def _metrics(run):
  rows = [x.split(",") for x in (run / "metrics.csv").read_text().splitlines()]
  timing = [rows[0].index(name) for name in ("seconds", "steps_per_second")]
  return [
    [cell for i, cell in enumerate(row) if i not in timing] for row in rows
  ]


def test_two_runs_of_one_command_are_alike_and_seeds_differ(tmp_path):
  for name, seed in [("a", 0), ("b", 0), ("c", 1)]:
    done = train(
      Q, *SMALL, f"--gin.SEED={seed}", f"--run_dir={name}", cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
  metrics = {name: _metrics(tmp_path / name) for name in "abc"}
  assert metrics["a"] == metrics["b"] != metrics["c"]


def test_the_last_word_on_the_command_line_wins(tmp_path):
  for words in (
    ["--gin.SEED=1", "--gin_bindings=SEED = 2"],
    ["--gin_bindings=SEED = 1", "--gin.SEED", "2"],
  ):
    printed = train(Q, *words, "--print_config", cwd=tmp_path).stdout
    assert "SEED = 2  # command line" in printed


def test_a_fresh_run_directory_each_time(tmp_path):
  done = train(Q, *SMALL, cwd=tmp_path)
  assert done.returncode == 0, done.stderr
  runs = list((tmp_path / "runs").iterdir())
  assert len(runs) == 1 and runs[0].name.startswith("qlearning-")
  assert "100%" in done.stdout and "evaluation return" in done.stdout


def test_five_seeds_on_cartpole_do_not_hang(tmp_path):
  done = train(
    Q,
    "--gin_file=env_cartpole.gin",
    *SMALL,
    "--gin.TOTAL_STEPS=4000",
    "--gin.NUM_SEEDS=5",
    "--run_dir=a",
    cwd=tmp_path,
  )
  assert done.returncode == 0, done.stderr
  summary = json.loads((tmp_path / "a" / "summary.json").read_text())
  assert len(summary["evaluation"]["episode_return"]["per_seed"]) == 5


def test_debug_names_the_operation_that_made_a_nan(tmp_path):
  done = train(
    Q,
    *SMALL,
    "--debug",
    "--gin_bindings=train.environment = @scale_reward()\n"
    "scale_reward.environment = @gymnax()\nscale_reward.scale = 1e39",
    "--run_dir=a",
    cwd=tmp_path,
  )
  assert done.returncode == 3, done.stderr
  assert "Traceback" not in done.stderr
  assert "invalid value (nan) encountered in" in done.stderr


def test_debug_is_a_short_run(tmp_path):
  sizes = f"--gin_bindings={small.sizes('dqn.gin')}"
  least = "--gin.uniform_replay.min_size=80"
  done = train(
    "--gin_file=dqn.gin",
    *(sizes, least, "--debug", "--run_dir=a"),
    cwd=tmp_path,
  )
  assert done.returncode == 0, done.stderr
  summary = json.loads((tmp_path / "a" / "summary.json").read_text())
  assert 0 < summary["learner_updates"] <= 8


def test_menu_and_descriptions(tmp_path):
  menu = train("--list_components", cwd=tmp_path).stdout
  for name in ("lstm", "optax.scale_by_adam", "jax.nn.relu", "regression"):
    assert f"\n  {name} " in menu
  folders = [line for line in menu.splitlines() if line[:1].strip()]
  assert folders[0].startswith("neurorl.") and "optax" in folders
  losses = menu[menu.index("neurorl.losses") :].split("\n\n")[0]
  assert "\n  regression " in losses and "\n  lstm " not in losses
  text = train("--describe=lstm", cwd=tmp_path).stdout
  assert "Hochreiter" in text and "lstm.hidden_size  = 128" in text
  wrong = train("--describe=lstn", cwd=tmp_path)
  assert wrong.returncode == 2 and "'lstm'" in wrong.stderr


def test_full_help_is_of_this_program(tmp_path):
  done = processes.train("--helpfull", cwd=tmp_path)
  assert done.returncode == 0
  text = done.stdout
  ours = text[: text.index("absl.app:")]
  for flag in ("gin_file", "run_dir", "[no]list_components", "[no]traceback"):
    line = f"\n  --{flag}: "
    assert ours.count(line) == text.count(line) == 1
  assert "absltest" not in text and "chex" not in text


def test_printed_configuration_is_a_configuration(tmp_path):
  printed = train(Q, "--gin.SEED=3", "--print_config", cwd=tmp_path).stdout
  assert "SEED = 3  # command line" in printed
  assert "# learn_initial_state = False  (default)" in printed
  (tmp_path / "printed.gin").write_text(printed)
  again = train("--gin_file=printed.gin", "--print_config", cwd=tmp_path)
  assert again.returncode == 0, again.stderr
  strip = [line.split("  # ")[0] for line in printed.splitlines()]
  assert [line.split("  # ")[0] for line in again.stdout.splitlines()] == strip


def test_help_is_light_and_in_order(tmp_path):
  done = train("--help", cwd=tmp_path)
  assert done.returncode == 0
  for flag in ("--gin_file", "--gin_bindings", "--describe", "--run_dir"):
    assert flag in done.stdout
  assert "Traceback" not in done.stderr
