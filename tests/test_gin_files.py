"""Every shipped gin file builds once gin is cleared, and trains."""

import gin
import pytest

from neurorl import config, gin_files, training
from tests import small

# Each algorithm and each environment at least once; the sizes are cut.
PAIRS = [
  ("qlearning.gin", "env_minatar_breakout.gin"),
  ("dqn.gin", "env_minatar_breakout.gin"),
  ("qlearning.gin", "env_memory_chain.gin"),
  ("dqn.gin", "env_cartpole.gin"),
  ("qlearning.gin", "env_catch.gin"),
  ("alphazero.gin", "env_cartpole.gin"),
  ("alphazero_puct.gin", "env_catch.gin"),
  ("muzero.gin", "env_minatar_breakout.gin"),
  ("gumbel_muzero.gin", "env_catch.gin"),
  ("muzero_reanalyse.gin", "env_catch.gin"),
  ("alphazero_deep_sea.gin", "env_deep_sea.gin"),
  ("rainbow.gin", "env_minatar_breakout.gin"),
  ("prioritized_dqn.gin", "env_cartpole.gin"),
  ("bootstrapped_dqn.gin", "env_deep_sea.gin"),
  *[(file, "env_cartpole.gin") for file in small.DQNS],
  *[(file, "env_catch.gin") for file in small.QLEARNINGS],
]


def test_every_file_is_in_a_pair():
  shipped = {path.name for path in gin_files.gin_configs().glob("*.gin")}
  assert {name for pair in PAIRS for name in pair} == shipped - {"base.gin"}


@pytest.mark.parametrize("algorithm, environment", PAIRS)
def test_trains_two_chunks_and_so_does_its_saved_configuration(
  algorithm, environment, tmp_path
):
  sizes = small.sizes(algorithm)
  if "minatar" in environment:  # its network has no `mlp`
    sizes = sizes.replace("mlp.hidden_sizes = (16,)", "")
    sizes += "minatar_cnn.hidden_size = 16\n"
  loaded = config.load(
    [algorithm, environment], [sizes, "evaluator.max_steps = 20"]
  )
  saved = tmp_path / "config.gin"
  saved.write_text(loaded.text())
  again = config.load([str(saved)])
  assert again.notes == ()
  results = []
  for number, loaded_config in enumerate((loaded, again)):
    experiment = loaded_config.call()
    assert gin.config_str() == ""
    run_dir = tmp_path / str(number)
    run_dir.mkdir()
    program = training.build(experiment)
    summary = training.run(experiment, program, run_dir)
    assert summary["learner_updates"] > 20
    results.append(summary["evaluation"])
  assert results[0] == results[1]


@pytest.mark.parametrize("name", sorted({a for a, _ in PAIRS}))
def test_a_file_fits_on_a_screen_and_says_where_it_is_from(name):
  text = (gin_files.gin_configs() / name).read_text()
  assert text.startswith(f"# {name}: ")
  assert "http" in text.split("\n\n")[0]
  assert len(text.splitlines()) <= 60
