"""The README's commands: those of its tour are run, the others read."""

import pathlib
import re
import shlex

import pytest
import yaml

from neurorl import config
from neurorl.sweeps import sweep_file
from tests import processes, small

ROOT = pathlib.Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text()


def _commands(text):
  """The lines that call a program here: its name, and its arguments."""
  for line in re.findall(r"^ {4}python binaries/(.*)$", text, re.MULTILINE):
    program, *arguments = shlex.split(line)
    yield program.removesuffix(".py"), arguments


def _section(title):
  return README.split(f"\n## {title}\n")[1].split("\n## ")[0]


# What makes a command of the tour short, whatever the core is.
SIZES = small.sizes("qlearning.gin").replace("lstm.hidden_size = 16\n", "")
SHORT = {
  "train": [f"--gin_bindings={SIZES}"],
  "evaluate": ["--episodes=4"],
  "record": ["--episodes=2"],
  "watch": ["--episodes=1", "--max_frames=2", "--trace_steps=8"],
  "sweep": ["--count=1"],
}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
  """A checkout as the tour sees it, with a sweep of short runs."""
  found = tmp_path_factory.mktemp("checkout")
  for name in ("binaries", "docs"):
    (found / name).symlink_to(ROOT / name)
  sweeps = found / "gin_configs" / "sweeps"
  sweeps.mkdir(parents=True)
  described = yaml.safe_load(
    (ROOT / "gin_configs" / "sweeps" / "catch.yaml").read_text()
  )
  described["command"] += SHORT["train"]
  (sweeps / "catch.yaml").write_text(yaml.safe_dump(described))
  (variant,) = re.findall(r"```\n(# my_variant.gin.*?)```", README, re.DOTALL)
  (found / "my_variant.gin").write_text(variant)
  return found


def test_the_tour_can_be_taken(place):
  """In its order: later commands look at what earlier ones have left."""
  before = {path.name for path in place.iterdir()}
  commands = list(_commands(_section("A tour")))
  assert len(commands) >= 10
  for program, arguments in commands:
    # Such short runs are over before that.
    ends_early = "--max_seconds=20" in arguments
    words = [w.replace("_seconds=20", "_seconds=0.1") for w in arguments]
    done = processes.run(program, *words, *SHORT.get(program, []), cwd=place)
    assert done.returncode == (143 if ends_early else 0), (arguments, done)
  # `processes` keeps what is compiled there.
  left = {path.name for path in place.iterdir()} - before - {"neurorl"}
  assert left == {"runs"}
  assert (place / "runs" / "mine.csv").exists()
  assert list((place / "runs" / "mine" / "plots").glob("*.png"))
  assert list((place / "runs" / "sweep-catch").glob("runs.csv"))


def _others():
  taken = list(_commands(_section("A tour")))
  return [found for found in _commands(README) if found not in taken]


@pytest.mark.parametrize(
  "program, arguments",
  [pytest.param(*c, id=" ".join([c[0], *c[1]])) for c in _others()],
)
def test_every_other_command_could_be_run(program, arguments):
  text = (ROOT / "binaries" / f"{program}.py").read_text()
  text += "".join(
    (ROOT / "neurorl" / name).read_text()
    for name in ("command_line.py", "run_flags.py", "programs.py")
  )
  files, bindings = [], []
  for argument in arguments:
    if not argument.startswith("--"):
      if program == "sweep":
        assert sweep_file.read(str(ROOT / argument))
      continue
    name, _, value = argument[2:].partition("=")
    if name == "gin_file":
      files.append(value)
    elif name == "gin_bindings":
      bindings.append(value)
    elif name.startswith("gin."):
      bindings.append(f"{name[4:]} = {value}")
    else:
      assert f'"{name}"' in text, name
  if files:
    assert config.load(files, bindings)


def test_what_it_points_to_is_there():
  for path in re.findall(r"\]\(((?!http)[^)#]+)", README):
    assert (ROOT / path).exists(), path
