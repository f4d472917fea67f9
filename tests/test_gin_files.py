"""Every shipped gin file builds once gin is cleared, and trains."""

import pathlib
import sys

import gin
import pytest

from binaries import readme_table
from neurorl import config, gin_files, training
from tests import small

_DOCS = pathlib.Path(__file__).resolve().parent.parent / "docs"
# Each algorithm and each environment at least once; the sizes are cut.
PAIRS = [
  ("qlearning.gin", "env_minatar_breakout.gin"),
  ("dqn.gin", "env_minatar_breakout.gin"),
  ("qlearning.gin", "env_memory_chain.gin"),
  ("dqn.gin", "env_cartpole.gin"),
  ("qlearning.gin", "env_catch.gin"),
  ("alphazero.gin", "env_cartpole.gin"),
  ("alphazero_puct.gin", "env_catch.gin"),
  ("muzero.gin", "env_catch.gin"),
  ("gumbel_muzero.gin", "env_catch.gin"),
  ("muzero_reanalyse.gin", "env_catch.gin"),
  ("alphazero_deep_sea.gin", "env_deep_sea.gin"),
  ("rainbow.gin", "env_cartpole.gin"),
  ("prioritized_dqn.gin", "env_cartpole.gin"),
  ("bootstrapped_dqn.gin", "env_deep_sea.gin"),
  ("sac.gin", None),  # they name their environment themselves
  ("td3.gin", None),
  ("discrete_sac.gin", "env_cartpole.gin"),
  ("vmpo.gin", "env_catch.gin"),
  ("ppo_rnd.gin", "env_deep_sea.gin"),
  ("ppo_continuous.gin", None),
  ("ppo.gin", "env_discounting_chain.gin"),
  ("recurrent_ppo.gin", "env_umbrella_chain.gin"),
  ("a2c.gin", "env_acrobot.gin"),
  ("reinforce.gin", "env_catch.gin"),
  ("impala.gin", "env_catch.gin"),
  ("recurrent_a2c.gin", "env_two_step.gin"),
  ("pqn.gin", "env_catch.gin"),
  ("recurrent_pqn.gin", "env_memory_chain.gin"),
  *[(file, "env_collect.gin") for file in small.SUCCESSORS],
  *[(file, "env_cartpole.gin") for file in small.DQNS],
  *[(file, "env_catch.gin") for file in small.QLEARNINGS],
  ("recurrent_ppo.gin", "env_craftax.gin"),
  ("recurrent_pqn.gin", "env_craftax_classic.gin"),
  ("recurrent_ppo.gin", "env_xland_minigrid.gin"),
  ("recurrent_ppo.gin", "env_navix.gin"),
  ("qlearning.gin", "env_pgx.gin"),
]
# Slow to compile, and others see such images in every run.
THOROUGH = [
  ("muzero.gin", "env_minatar_breakout.gin"),
  ("rainbow.gin", "env_minatar_breakout.gin"),
]
# A core is one binding, in every file whose agent may have one; sizes aside.
CORES = {
  "ctrnn": "ctrnn.hidden_size = 8",
  "gru": "gru.hidden_size = 8",
  "gtrxl": "gtrxl.hidden_size = 8\ngtrxl.memory_size = 4",
  "linear_attention": "linear_attention.hidden_size = 8",
  "lru": "lru.hidden_size = 8\nlru.state_size = 4",
  "min_gru": "min_gru.hidden_size = 8",
  "rnn": "rnn.hidden_size = 8",
  "s5": "s5.hidden_size = 8\ns5.state_size = 4",
  "stacked": """
stacked.cores = [@residual()]
stacked.repeats = 2
residual.core = @normalised()
normalised.core = @s5()
s5.hidden_size = 8
s5.state_size = 4""",
}


def test_every_file_is_in_a_pair():
  shipped = {path.name for path in gin_files.gin_configs().glob("*.gin")}
  paired = {name for pair in PAIRS for name in pair if name}
  assert paired == shipped - {"base.gin"}


def _small(algorithm, environment):
  sizes = small.sizes(algorithm)
  files = [algorithm, environment] if environment else [algorithm]
  if "env_minatar_breakout.gin" in files:  # its network has no `mlp`
    sizes = sizes.replace("mlp.hidden_sizes = (16,)", "")
    sizes += "minatar_cnn.hidden_size = 16\n"
  return config.load(files, [sizes, "evaluator.max_steps = 20"])


def _saved(loaded, folder):
  path = folder / "config.gin"
  path.write_text(loaded.text())
  again = config.load([str(path)])
  assert again.notes == ()
  return again


def _train(loaded, folder):
  experiment = loaded.call()
  assert gin.config_str() == ""
  folder.mkdir()
  program = training.build(experiment)
  summary = training.run(experiment, program, folder)
  assert summary["learner_updates"] > 20
  return summary["evaluation"]


@pytest.mark.parametrize(
  "algorithm, environment",
  [*PAIRS, *(pytest.param(*x, marks=pytest.mark.thorough) for x in THOROUGH)],
)
def test_its_saved_configuration_trains_two_chunks(
  algorithm, environment, tmp_path
):
  if environment in small.LIBRARIES:
    pytest.importorskip(small.LIBRARIES[environment])
  _train(_saved(_small(algorithm, environment), tmp_path), tmp_path / "run")


def test_the_mixture_that_the_docs_take_apart_trains(tmp_path):
  sizes = small.sizes("qlearning.gin", core="lru")
  mixture = config.load([str(_DOCS / "examples/mixture.gin")], [sizes])
  _train(mixture, tmp_path / "run")


@pytest.mark.parametrize(
  "algorithm, environment",
  [
    ("qlearning.gin", "env_memory_chain.gin"),
    ("alphazero.gin", "env_cartpole.gin"),
    ("ppo.gin", "env_catch.gin"),
    ("sac.gin", None),
  ],
)
def test_a_saved_configuration_is_the_same_run(
  algorithm, environment, tmp_path
):
  loaded = _small(algorithm, environment)
  again = _saved(loaded, tmp_path)
  assert _train(loaded, tmp_path / "a") == _train(again, tmp_path / "b")


def test_the_readme_has_the_table_of_today():
  text = (gin_files.gin_configs().parent / "README.md").read_text()
  assert readme_table.rewrite(text) == text, "run binaries/readme_table.py"


@pytest.mark.parametrize("name", sorted({a for a, _ in PAIRS}))
def test_a_file_fits_on_a_screen_and_says_where_it_is_from(name):
  text = (gin_files.gin_configs() / name).read_text()
  assert text.startswith(f"# {name}: ")
  assert "http" in text.split("\n\n")[0]
  assert len(text.splitlines()) <= 60


@pytest.mark.parametrize("name", small.LIBRARIES)
def test_a_library_that_is_missing_is_named_before_anything_is_built(
  name, monkeypatch
):
  monkeypatch.setitem(sys.modules, small.LIBRARIES[name], None)
  loaded = config.load(["qlearning.gin", name])
  with pytest.raises(ValueError, match=r"is not installed: pip install"):
    loaded.call()


def _with_core(file, core):
  sizes = small.sizes(file)
  for name in ("lstm", "gru"):
    sizes = sizes.replace(f"{name}.hidden_size = 16\n", "")
  bindings = f"agent.core = @{core}()\n{CORES[core]}"
  return config.load([file], [sizes, bindings]).call()


@pytest.mark.parametrize("core", CORES)
@pytest.mark.parametrize(
  "file",
  ["qlearning.gin", "recurrent_ppo.gin", "recurrent_pqn.gin", "alphazero.gin"],
)
def test_any_core_takes_the_place_of_the_recurrent_one(file, core):
  training.build(_with_core(file, core))


@pytest.mark.parametrize("core", ["gtrxl", "stacked"])
def test_states_of_any_kind_go_through_replay(core, tmp_path):
  experiment = _with_core("qlearning.gin", core)
  program = training.build(experiment)
  summary = training.run(experiment, program, tmp_path)
  assert summary["learner_updates"] > 20
