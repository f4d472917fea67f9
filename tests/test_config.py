"""Gin files and the command line: what is read, refused, and called."""

import pathlib
import random
import re
import sys
from typing import Literal

import gin
import pytest

from neurorl import config, gin_files, registry
from neurorl.config import ConfigError
from tests import small

GIN_CONFIGS = gin_files.gin_configs()
ALGORITHMS = [
  "qlearning.gin",
  "dqn.gin",
  "alphazero.gin",
  "alphazero_puct.gin",
  "muzero.gin",
  "gumbel_muzero.gin",
  "alphazero_deep_sea.gin",
  "muzero_reanalyse.gin",
  "prioritized_dqn.gin",
  "rainbow.gin",
  "bootstrapped_dqn.gin",
  "sac.gin",
  "td3.gin",
  "discrete_sac.gin",
  "vmpo.gin",
  "ppo_rnd.gin",
  *small.ROLLOUTS,
  *small.DQNS,
  *small.QLEARNINGS,
]
# Algorithms that need tasks, and bring the environment that has them: no other
# may follow.
WITH_TASKS = ["successor_features.gin", "usfa.gin"]
ENVIRONMENTS = sorted(
  {path.name for path in GIN_CONFIGS.glob("env_*.gin")}
  - {"env_collect.gin", *small.LIBRARIES}
)


@pytest.fixture(autouse=True)
def isolated(tmp_path, monkeypatch):
  """An empty current directory, and a table that forgets the test."""
  config.register_all()
  components, modules = dict(registry._COMPONENTS), set(sys.modules)
  monkeypatch.setattr(sys, "path", list(sys.path))
  monkeypatch.chdir(tmp_path)
  yield
  registry._COMPONENTS.clear()
  registry._COMPONENTS.update(components)
  for name in set(sys.modules) - modules:
    if str(tmp_path.parent) in str(getattr(sys.modules[name], "__file__", "")):
      del sys.modules[name]


@pytest.fixture
def parts():
  """Components that return what they were given: `@node()` in `@top()`."""

  @registry.component
  def node(a=None, b=None, c=None):
    return {"a": a, "b": b, "c": c}

  @registry.component
  def top(a=None, b=None, c=None):
    return {"a": a, "b": b, "c": c}

  @registry.component
  def typed(
    integer: int = 0,
    number: float = 0.0,
    flag: bool = False,
    name: str = "",
    maybe: int | None = None,
    several: tuple[int, ...] = (),
    pair: tuple[int, str] = (0, ""),
    table: dict[str, float] | None = None,
    choice: Literal["a", "b"] | None = None,
  ):
    return locals()

  @registry.component
  def strict(size: int):
    if size < 1:
      raise ValueError(f"strict.size must be >= 1, got {size}")
    return size

  @registry.component
  def vague(size: int = 1, rate: float = 0.5):
    raise ValueError("it is wrong")


# Makes `top` reachable, and so what it refers to.
TOP = "train.environment = @top()\n"


def write(text, name="a.gin"):
  path = pathlib.Path(name)
  path.parent.mkdir(parents=True, exist_ok=True)
  path.write_text(text)
  return str(path)


def load(text, *bindings, named=()):
  """Loads text; named pairs are what --gin.NAME=VALUE gives."""
  given = [f"{name} = {value}" for name, value in named]
  return config.load([write(text)], [*bindings, *given])


def refusal(function, *arguments, **settings):
  with pytest.raises(ConfigError) as error:
    function(*arguments, **settings)
  message = str(error.value)
  assert len(message.splitlines()) <= 3
  for word in ["Traceback", "bindings string", "malformed node", "  Got "]:
    assert word not in message
  return message


def values(found):
  return {str(key): binding.value for key, binding in found.bindings.items()}


# Reading.


@pytest.mark.parametrize(
  "text, wanted",
  [
    ("top.a = 3", {"top.a": 3}),
    ("top.a = -3", {"top.a": -3}),
    ("top.a = 1_000_000", {"top.a": 1_000_000}),
    ("top.a = -2.5e-3  # slow", {"top.a": -2.5e-3}),
    ("top.a = 'it is'\r\ntop.b = None\r\n", {"top.a": "it is", "top.b": None}),
    ("top:\n\ta = 1\n\tb = 2\n", {"top.a": 1, "top.b": 2}),
    ("top:\n  # one\n  a = 1\n\n  b = 2", {"top.a": 1, "top.b": 2}),
    ("top.a = (\n  1,\n  2,  # two\n)\n", {"top.a": (1, 2)}),
    ("top.a = [1,\n2]\ntop.b = ()", {"top.a": [1, 2], "top.b": ()}),
    ("top.a = (5)", {"top.a": 5}),
    ("top.a = {'x': [True, -1], 2: ()}", {"top.a": {"x": [True, -1], 2: ()}}),
    ("top.a = 'one' ' two'", {"top.a": "one two"}),
    ("# nothing\n\n  # at all\n", {}),
  ],
)
def test_values(parts, text, wanted):
  pathlib.Path("a.gin").write_bytes((TOP + text).encode())
  pathlib.Path("b.gin").write_bytes(text.encode())
  found = values(config.load(["a.gin"]))
  reference = found.pop("train.environment")
  assert repr(reference) == "@top()"
  assert found == wanted
  included = write("include 'b.gin'\n" + TOP, "c.gin")
  found = values(config.load([included]))
  found.pop("train.environment")
  assert found == wanted


def test_a_byte_order_mark_is_no_text(parts):
  assert load("\ufeff" + TOP + "top.a = 1").call("top")["a"] == 1


def test_an_empty_file_binds_nothing():
  assert values(load("")) == {}


@pytest.mark.parametrize(
  "value, wanted",
  [
    ("%SIZE", 7),
    ("[%SIZE, (%SIZE, {'x': %SIZE})]", [7, (7, {"x": 7})]),
    ("{%NAME: %SIZE}", {"n": 7}),
    ("@node()", {"a": 7, "b": None, "c": None}),
    (
      "{'x': [@node(), (@other/node(), %SIZE)]}",
      {
        "x": [
          {"a": 7, "b": None, "c": None},
          ({"a": 7, "b": 1, "c": None}, 7),
        ]
      },
    ),
  ],
)
def test_macros_and_references_in_containers(parts, value, wanted):
  text = TOP + "SIZE = 7\n" + f"top.a = {value}\n"
  text += "NAME = 'n'\n" if "NAME" in value else ""
  text += "node.a = %SIZE\n" if "node" in value else ""
  text += "other/node.b = 1\n" if "other" in value else ""
  assert load(text).call("top")["a"] == wanted


def test_later_files_and_then_the_command_line_win(parts):
  write(TOP + "top.a = 1\ntop.b = 1\ntop.c = 1\n", "one.gin")
  write("top.b = 2\ntop.c = 2\n", "two.gin")
  found = config.load(["one.gin", "two.gin"], ["top.c = 3"])
  assert found.call("top") == {"a": 1, "b": 2, "c": 3}
  assert found.notes == ()


def test_an_including_file_wins_over_what_it_includes(parts):
  write(TOP + "top.a = 1\ntop.b = 1\n", "base.gin")
  assert load("include 'base.gin'\ntop.a = 2\n").call("top")["a"] == 2


# Finding files.


def test_includes_are_sought_beside_the_including_file_first(parts):
  write(TOP + "top.a = 'beside'\n", "folder/part.gin")
  write("include 'part.gin'\n", "folder/main.gin")
  write("this would not parse", "part.gin")
  write("neither would this", "base.gin")
  write("include 'base.gin'\n", "other/main.gin")
  found = config.load(["folder/main.gin"])
  assert found.call("top")["a"] == "beside"
  # Shipped files come before those of the current directory.
  shipped = write("include 'qlearning.gin'\nSEED = 5\n", "other/q.gin")
  assert values(config.load([shipped]))["SEED"] == 5


def test_includes_are_sought_in_the_current_directory_last(parts):
  write(TOP + "top.a = 1\n", "part.gin")
  write("include 'part.gin'\n", "folder/main.gin")
  assert config.load(["folder/main.gin"]).call("top")["a"] == 1


def test_files_of_the_current_directory_hide_shipped_ones(parts):
  write(TOP + "top.a = 'mine'\n", "qlearning.gin")
  assert config.load(["qlearning.gin"]).call("top")["a"] == "mine"


def test_shipped_files_are_found_from_anywhere():
  places = [b.place.file for b in config.load(["dqn.gin"]).bindings.values()]
  assert set(places) == {"dqn.gin", "base.gin"}


@pytest.mark.parametrize("text", ["include 'a.gin'", "include 'b.gin'"])
def test_circular_includes(text):
  write("include 'a.gin'\n", "b.gin")
  message = refusal(load, text)
  assert message.startswith("circular include: a.gin -> ")
  assert message.endswith("a.gin")


@pytest.mark.parametrize(
  "name, words",
  [
    ("qlearnin.gin", ["no gin file 'qlearnin.gin'", "'qlearning.gin'"]),
    ("qlearning", ["no gin file 'qlearning'", "'qlearning.gin'"]),
    ("my_tsak.gin", ["no gin file 'my_tsak.gin'", "'my_task.gin'"]),
    ("folder.gin", ["'folder.gin' is a folder"]),
  ],
)
def test_missing_files(name, words):
  write("", "my_task.gin")
  pathlib.Path("folder.gin").mkdir()
  for message in [
    refusal(config.load, [name]),
    refusal(load, f"\n\ninclude '{name}'\n"),
  ]:
    for word in words:
      assert word in message
  assert message.startswith("a.gin:3: ")


def test_text_that_is_not_utf8():
  pathlib.Path("a.gin").write_bytes(b"# fine\nENVIRONMENT = '\xff\xfe'\n")
  message = refusal(config.load, ["a.gin"])
  assert message.startswith("a.gin:2: byte 0xff is not UTF-8")


# Mistakes: text after TOP (line 1), what the message holds.

MISTAKES = [
  # names
  ("nod.a = 1", ["a.gin:2", "unknown component 'nod'", "'node'"]),
  ("top.a = @nod()", ["a.gin:2", "unknown component 'nod'", "'node'"]),
  ("top.a = {\n'x': @nod()\n}", ["a.gin:3", "unknown component 'nod'"]),
  ("nod:\n  a = 1", ["a.gin:3", "unknown component 'nod'", "'node'"]),
  ("typed.intger = 1", ["a.gin:2", "no parameter 'intger'", "'integer'"]),
  ("strict.sise = 1", ["a.gin:2", "no parameter 'sise'", "'size'"]),
  ("jax.nn.elu.x = 1", ["a.gin:2", "jax.nn.elu.x", "run-time"]),
  ("top.a = %SIZ\nSIZE = 1\ntop.b = %SIZE", ["a.gin:2", "%SIZ", "'SIZE'"]),
  ("top.a = %SIZE", ["a.gin:2", "%SIZE is not defined"]),
  ("SIZ = 1\nSIZE = 2\ntop.b = %SIZE", ["a.gin:2: SIZ = 1", "reads", "'SIZE'"]),
  ("size = 1", ["a.gin:2", "'size' is neither", "upper case", "strict.size"]),
  ("SIZE = 1\nsize = 1", ["a.gin:3", "'size' is neither", "'SIZE'"]),
  ("node = 1", ["a.gin:2", "bind a parameter of node"]),
  ("top.a = @node", ["a.gin:2", "write @node()"]),
  # macros
  ("a/SIZE = 1", ["a.gin:2", "a/SIZE", "a macro has no scope"]),
  ("top.a = %a/SIZE", ["a.gin:2", "%a/SIZE", "a macro has no scope"]),
  ("NODE = @node()\ntop.a = %NODE", ["a.gin:2", "@node()", "a literal"]),
  ("X = [1, {'x': @node()}]", ["a.gin:2", "@node()", "a literal"]),
  ("X = 1\nY = %X\ntop.a = %Y", ["a.gin:3", "%X", "a literal"]),
  ("SIZE = 1", ["a.gin:2: SIZE = 1", "nothing reads %SIZE"]),
  # bound twice
  ("top.a = 1\ntop.a = 1", ["a.gin:3", "top.a is bound twice", "a.gin:2"]),
  ("top.a = 1\ntop:\n  a = 2", ["a.gin:4", "bound twice", "a.gin:2"]),
  ("X = 1\nX = 2\ntop.a = %X", ["a.gin:3", "X is bound twice", "a.gin:2"]),
  # idle
  ("node.a = 1", ["a.gin:2: node.a = 1", "nothing that train reaches calls"]),
  ("s/node.a = 1\ntop.a = @t/node()", ["no call of node has scope 's'", "t"]),
  (
    "top.a = @scope/node()\nscoep/node.a = 1",
    ["a.gin:3: scoep/node.a = 1", "scope 'scoep'", "'scope'"],
  ),
  (
    "top.a = @s/node()\nnode.a = 1\ns/node.a = 2",
    ["a.gin:3: node.a = 1", "another binding overrides it"],
  ),
  # slots
  ("agent.torso = @q_head()\ntop.a = @agent()", ["a.gin:2", "q_head is not"]),
  (
    "agent.torso = @q_head()\ntop.a = @agent()",
    ["agent.torso", "@mlp()", "@minatar_cnn()"],
  ),
  (
    "agent.heads = {'q': @lstm()}\ntop.a = @agent()",
    ["a.gin:2", "lstm is not what agent.heads takes", "@q_head()"],
  ),
  ("train.seed = @lstm()", ["a.gin:2", "lstm is not what train.seed takes"]),
  # values
  ("top.a =", ["a.gin:2", "no value"]),
  ("top.a =\n\ntop.b = 1", ["a.gin:2", "no value", "'top.a ='"]),
  ("top.a = true", ["a.gin:2", "'top.a = true'", "write True"]),
  ("top.a = False\ntop.b = none", ["a.gin:3", "write None"]),
  ("top.a = null", ["a.gin:2", "write None"]),
  ("top.a = inf", ["a.gin:2", "write a number"]),
  ("top.a = Catch-bsuite", ["a.gin:2", "a string is quoted: 'Catch-bsuite'"]),
  ("top.a = x  # y", ["a.gin:2", "a string is quoted: 'x'"]),
  ("top.a = node()", ["a.gin:2", "a component is written @node()"]),
  ("top.a = @node(3)", ["a.gin:2", "a reference is @name()"]),
  ("top.a = 3 + 4", ["a.gin:2", "one literal", "'top.a = 3 + 4'"]),
  ("top.a = 1, 2", ["a.gin:2", "one literal", "'top.a = 1, 2'"]),
  ("top.a = 1; top.b = 2", ["a.gin:2", "one literal"]),
  ("top.a = {1, 2}", ["a.gin:2", "a dict is {key: value, ...}"]),
  ("top.a = {[1]: 2}", ["a.gin:2", "a dict's keys are strings or numbers"]),
  ("top.a = (1, 2]", ["a.gin:2", "expected ',' or ')'"]),
  ("top.a = [1, 2", ["'[' of line 2", "never closed"]),
  ("top.a = [1,\ntop.b = 2", ["a.gin:3", "within the '[' of line 2"]),
  ("top.a = 'x", ["a.gin:2", "cannot read the value"]),
  ("top.a = '''x\ny", ["a.gin:2", "string", "never closed"]),
  # statements
  ("top.a 3", ["a.gin:2", "expected NAME = VALUE", "'top.a 3'"]),
  ("%X = 3", ["a.gin:2", "expected NAME = VALUE", "'%X = 3'"]),
  ("top . a = 3", ["a.gin:2", "scope/component.parameter"]),
  ("top..a = 3", ["a.gin:2", "scope/component.parameter"]),
  ("top: 3", ["a.gin:2", "block's bindings stand on lines of their own"]),
  ("top:\n", ["block 'top:' holds no binding"]),
  ("top:\n  # nothing\nnode.a = 1", ["block 'top:' holds no binding"]),
  ("nod:\n", ["block 'nod:' holds no binding"]),
  ("top:\n  a = 1\n    b = 2", ["a.gin:4", "indented as the lines around"]),
  ("top:\n    a = 1\n  b = 2", ["a.gin:4", "indented as the lines around"]),
  ("top:\n  a 1", ["a.gin:3", "expected PARAMETER = VALUE"]),
  ("include part.gin", ["a.gin:2", "include takes the quoted name"]),
  ("import not_there.at_all", ["a.gin:2", "no module 'not_there.at_all'"]),
]


@pytest.mark.parametrize("text, words", MISTAKES)
def test_mistakes_in_a_file(parts, text, words):
  message = refusal(load, TOP + text)
  for word in words:
    assert word in message


def test_a_mistake_in_an_included_file_is_located_there(parts):
  write("\n\ntop.d = 1\n", "part.gin")
  message = refusal(load, TOP + "include 'part.gin'")
  assert message.startswith("part.gin:3: top has no parameter 'd'")


# Idle bindings.


def test_what_a_shipped_file_takes_from_another_is_no_news(tmp_path):
  files = ["recurrent_a2c.gin", "env_two_step.gin"]
  assert config.load(files).notes == ()
  # What the user said is another matter.
  mine = write("include 'recurrent_a2c.gin'\ngymnax.name = 'A'\n", "mine.gin")
  notes = config.load([mine, files[1]]).notes
  assert any("mine.gin:2: gymnax.name" in note for note in notes)


def test_what_a_later_file_made_idle_is_noted(parts):
  write(TOP + "X = 1\ntop.a = @node()\nnode.a = %X\n", "one.gin")
  write("top.a = 3\n", "two.gin")
  for found in [
    config.load(["one.gin", "two.gin"]),
    load("include 'one.gin'\ntop.a = 3\n"),
    config.load(["one.gin"], ["top.a = 3"]),
  ]:
    assert len(found.notes) == 2
    assert "one.gin:2: X = 1: nothing reads %X any more" in found.notes
    assert any(n.startswith("one.gin:4: node.a = %X") for n in found.notes)
    assert found.call("top")["a"] == 3


@pytest.mark.parametrize(
  "binding, words",
  [
    ("node.a = 1", ["command line: node.a = 1", "nothing that train reaches"]),
    ("SEDE = 1", ["command line: SEDE = 1", "nothing reads", "'SEED'"]),
    ("s/top.a = 1", ["command line: s/top.a = 1", "no call of top has scope"]),
  ],
)
def test_idle_bindings_of_the_command_line(parts, binding, words):
  text = TOP + "SEED = 1\ntop.b = %SEED\n"
  for message in [
    refusal(load, text, binding),
    refusal(load, text, named=[tuple(binding.split(" = "))]),
  ]:
    for word in words:
      assert word in message


def test_a_binding_may_come_before_what_reads_it(parts):
  write("node.a = 1\ntop.a = @node()\n" + TOP, "one.gin")
  assert config.load(["one.gin"]).notes == ()
  write("node.a = 1\n", "knobs.gin")
  found = config.load(["knobs.gin", "one.gin"])
  assert found.call("top")["a"]["a"] == 1


def test_what_an_include_undoes_is_noted(parts):
  write(TOP + "X = 1\ntop.a = %X\n", "shared.gin")
  write("include 'shared.gin'\nX = 2\n", "mine.gin")
  write("include 'shared.gin'\n", "other.gin")
  assert config.load(["other.gin", "mine.gin"]).notes == ()
  (note,) = config.load(["mine.gin", "other.gin"]).notes
  assert "mine.gin:2: X = 2 is overridden by shared.gin:2" in note
  assert "name mine.gin after other.gin" in note


# Scopes.


def test_scopes_reach_nested_components(parts):
  text = (
    TOP
    + """
top.a = @s/node()
top.b = @node()
node.a = 'plain'
node.b = @strict()
strict.size = 1
s/node.a = 'scoped'
s/strict.size = 2
"""
  )
  assert load(text).call("top") == {
    "a": {"a": "scoped", "b": 2, "c": None},
    "b": {"a": "plain", "b": 1, "c": None},
    "c": None,
  }


@pytest.mark.parametrize("seed", range(20))
def test_what_is_live_is_what_gin_reads(parts, seed):
  """Random trees: our walk of the references against gin's own calls."""
  rng = random.Random(seed)
  for name in "pqrs":

    def function(x=0, y=0, child=None, name=name):
      return [name, x, y, child]

    function.__name__ = function.__qualname__ = f"part_{name}"
    registry.component(function)
  scopes = ["", "m/", "n/", "m/n/"]
  lines = {}
  for depth, name in enumerate("pqrs"):
    for scope in scopes:
      for argument in "xy":
        if rng.random() < 0.4:
          key = f"{scope}part_{name}.{argument}"
          lines[key] = repr(f"{key}")
      if depth < 3 and rng.random() < 0.8:
        child = f"@{rng.choice(scopes)}part_{'pqrs'[depth + 1]}()"
        lines[f"{scope}part_{name}.child"] = child
  lines["top.a"] = f"@{rng.choice(scopes)}part_p()"
  text = TOP + "\n".join(f"{key} = {value}" for key, value in lines.items())

  while True:  # idle bindings are errors: drop them one by one
    try:
      found = load(text)
      break
    except ConfigError as error:
      line = int(str(error).split(":")[1])
      kept = text.splitlines()
      kept[line - 1] = "# idle"
      text = "\n".join(kept)
  told = found.call("top")

  def leaves(value):
    if isinstance(value, list):
      return set().union(*map(leaves, value[1:]))
    return {value} if isinstance(value, str) else set()

  wanted = {v for v in values(found).values() if isinstance(v, str)}
  assert leaves(told["a"]) == wanted
  # Idle means idle: the bindings dropped would have changed nothing.
  gin.clear_config()
  for key, value in lines.items():
    scope, _, name = key.rpartition("/")
    component, _, argument = name.partition(".")
    if value.startswith("@"):
      value = value.replace("part_", "neurorl.part_").removeprefix("@")
      value = gin.config.ConfigurableReference(value.removesuffix("()"), True)
    else:
      value = value.strip("'")
    gin.bind_parameter((scope, f"neurorl.{component}", argument), value)
  config._ACTIVE.append((found, []))
  try:
    assert gin.get_configurable("neurorl.top")() == told
  finally:
    config._ACTIVE.clear()
    gin.clear_config()


# The command line.


@pytest.mark.parametrize(
  "text, wanted, notes",
  [
    ("top.a=3", {"a": 3}, 0),
    ("top.a = 'x'", {"a": "x"}, 0),
    ("top.a=Catch-bsuite", {"a": "Catch-bsuite"}, 1),
    ("top.a=/a/b c=d", {"a": "/a/b c=d"}, 1),
    ("top.a=3d  # comment", {"a": "3d"}, 1),
    ("top.a=it's", {"a": "it's"}, 1),
    ("top.a=1\ntop.b=Catch-bsuite", {"a": 1, "b": "Catch-bsuite"}, 1),
    ("top.a=(\n1,\n2)\ntop.b=x-y", {"a": (1, 2), "b": "x-y"}, 1),
    ("\n  top.a = x-y\n  top.b = 2\n", {"a": "x-y", "b": 2}, 1),
    ("top:\n  a = 1\n  b = 2\ntop.c = x-y", {"a": 1, "b": 2, "c": "x-y"}, 1),
    ("top.a=@s/node()\ns/node.a=2", {"a": {"a": 2, "b": None, "c": None}}, 0),
    ("top.a = 1\ntop.a = 2", {"a": 2}, 0),
    ("# nothing", {}, 0),
    ("", {}, 0),
  ],
)
def test_bindings_of_the_command_line(parts, text, wanted, notes):
  found = load(TOP, text)
  assert found.call("top") == {"a": None, "b": None, "c": None} | wanted
  assert len(found.notes) == notes
  for note in found.notes:
    assert note.startswith("command line: top.")
    assert "read as a string" in note


def test_a_component_read_as_a_string_is_noted(parts):
  (note,) = load(TOP, "top.a = node").notes
  assert "read as a string (the component is @node())" in note


@pytest.mark.parametrize(
  "text, words",
  [
    ("top.a=true", ["write True"]),
    ("top.a=FALSE", ["write False"]),
    ("top.a=none", ["write None"]),
    ("top.a=nan", ["write a number"]),
    ("top.a=@nod()", ["unknown component 'nod'", "'node'"]),
    ("top.a=(1,", ["'(' of line 1 is never closed"]),
    ("top.a='x", ["cannot read the value"]),
    ("top.a=", ["no value"]),
    ("top.b=x-y\ntop.a=[1", ["'[' of line 1 is never closed"]),
    ("top.a", ["expected NAME = VALUE", "'top.a'"]),
    ("top.a = None\nfoo bar", ["expected NAME = VALUE", "'foo bar'"]),
    ("top.d=x-y", ["top has no parameter 'd'"]),
    ("sede=3", ["'sede' is neither component.parameter nor a macro"]),
    ("include 'dqn.gin'", ["only bindings are allowed here"]),
    ("import os", ["only bindings are allowed here"]),
  ],
)
def test_mistakes_on_the_command_line(parts, text, words):
  message = refusal(load, TOP, text)
  assert message.startswith("command line: ")
  for word in words:
    assert word in message


@pytest.mark.parametrize(
  "name, value, wanted",
  [
    ("SIZE", "3", 3),
    ("SIZE", "Catch-bsuite", "Catch-bsuite"),
    ("SIZE", "[1,\n2]", [1, 2]),
    ("top.a", "-1e-3", -1e-3),
    ("top.a", "@s/strict()", 9),
  ],
)
def test_named_values(parts, name, value, wanted):
  text = TOP + "SIZE = 1\ntop.a = %SIZE\ntop.b = [@s/strict(), %SIZE]\n"
  text += "strict.size = 1\n"
  named = [(name, value), ("s/strict.size", "9")]
  assert load(text, named=named).call("top")["a"] == wanted


# Calling.


@pytest.mark.parametrize(
  "binding, expected, got",
  [
    ("integer = 'x'", "int", "str"),
    ("integer = 1.5", "int", "float"),
    ("integer = True", "int", "bool"),
    ("integer = None", "int", "NoneType"),
    ("number = 'x'", "float", "str"),
    ("number = True", "float", "bool"),
    ("flag = 1", "bool", "int"),
    ("flag = 'False'", "bool", "str"),
    ("name = 3", "str", "int"),
    ("maybe = 'x'", "int or None", "str"),
    ("several = 3", "a list of int", "int"),
    ("several = (1, 'x')", "a list of int", "tuple"),
    ("several = 'ab'", "a list of int", "str"),
    ("pair = (1, 2)", "", "tuple"),
    ("pair = (1,)", "", "tuple"),
    ("table = {'x': 'y'}", "a dict of float or None", "dict"),
    ("table = [1.0]", "a dict of float or None", "list"),
    ("choice = 'c'", "'a' or 'b' or None", "'c'"),
    ("choice = 3", "'a' or 'b' or None", "int"),
  ],
)
def test_values_of_a_wrong_type(parts, binding, expected, got):
  text = TOP + f"top.a = @typed()\ntyped.{binding}\n"
  message = refusal(load(text).call, "top")
  assert message.startswith(f"typed.{binding}: expected {expected}")
  assert f", got {got}\n  typed." in message
  assert message.endswith("is set at a.gin:3")


def test_values_of_a_right_type(parts):
  text = (
    TOP
    + """
top.a = @typed()
typed:
  integer = -3
  number = 3
  flag = True
  name = ''
  maybe = None
  several = [1, 2]
  pair = (1, 'x')
  table = {'x': 1, 'y': 0.5}
  choice = 'b'
"""
  )
  assert load(text).call("top")["a"] == {
    "integer": -3,
    "number": 3,
    "flag": True,
    "name": "",
    "maybe": None,
    "several": [1, 2],
    "pair": (1, "x"),
    "table": {"x": 1, "y": 0.5},
    "choice": "b",
  }


def test_a_refusal_names_the_macro_too(parts):
  text = TOP + "top.a = @strict()\nstrict.size = %SIZE\nSIZE = 1\n"
  message = refusal(load(text, "SIZE = 0").call, "top")
  assert message == (
    "strict.size must be >= 1, got 0\n"
    "  strict.size is set at a.gin:3 to %SIZE, which is set at command line"
  )


def test_a_refusal_that_names_no_parameter_lists_all(parts):
  text = TOP + "top.a = @vague()\nvague.rate = 1.0\n"
  message = refusal(load(text).call, "top")
  assert message == "vague: it is wrong\n  vague.rate is set at a.gin:3"


def test_a_longer_name_is_not_located():
  text = "include 'qlearning.gin'\n"
  found = load(text)
  assert "\n" not in found.locate("train.seeds and my_train.seed are wrong")
  assert found.locate("train.seed is wrong").count("\n") == 1


def test_missing_parameters(parts):
  message = refusal(load(TOP + "top.a = @strict()\n").call, "top")
  assert message == "strict.size must be bound"


def test_an_unknown_root():
  message = refusal(load("include 'dqn.gin'").call, "trian")
  assert "unknown component 'trian'; did you mean 'train'" in message


@pytest.mark.parametrize("fails", [False, True])
def test_gin_is_clear_after_a_call(parts, fails):
  found = load(TOP + f"top.a = @strict()\nstrict.size = {0 if fails else 3}\n")
  assert gin.config_str() == ""
  if fails:
    refusal(found.call, "top")
  else:
    assert found.call("top")["a"] == 3
  assert gin.config_str() == ""
  # Nor does one configuration reach another.
  assert load(TOP + "top.b = 1\n").call("top")["a"] is None


# Users' modules.

TASKS = """
from neurorl import component

@component
def own_task(size: int = 2):
  return size
"""


def test_a_module_beside_the_gin_file(parts):
  write(TASKS, "lab/my_tasks.py")
  text = TOP + "import my_tasks\ntop.a = @my_tasks.own_task()\n"
  write(text + "own_task.size = 5\n", "lab/a.gin")
  found = config.load(["lab/a.gin"])
  assert found.call("top")["a"] == 5
  assert found.imports == ("my_tasks",)
  assert [path.name for path in found.local_modules] == ["my_tasks.py"]


def test_a_module_of_a_package(parts):
  write("", "my_lab/__init__.py")
  write(TASKS, "my_lab/tasks.py")
  text = TOP + "import my_lab.tasks\ntop.a = @my_lab.tasks.own_task()\n"
  found = load(text + "my_lab.tasks.own_task.size = 4\n")
  assert found.call("top")["a"] == 4
  assert [path.name for path in found.local_modules] == ["my_lab"]


def test_two_components_of_one_name(parts):
  write(TASKS.replace("own_task", "lstm"), "my_cores.py")
  message = refusal(load, "\nimport my_cores\n")
  assert message.startswith("a.gin:2: import my_cores failed")
  assert "my_cores.lstm" in message
  assert "neurorl.networks.cores.lstm" in message


@pytest.mark.parametrize(
  "code, words",
  [
    ("import not_there_either", ["No module named 'not_there_either'"]),
    ("1 / 0", ["ZeroDivisionError"]),
    ("def f(:", ["SyntaxError"]),
  ],
)
def test_a_module_that_fails(code, words):
  write(code, "my_broken.py")
  message = refusal(load, "import my_broken\n")
  for word in ["a.gin:1: import my_broken failed", *words]:
    assert word in message


# Written back.


def test_the_text_of_a_configuration_reads_as_the_same(
  parts, tmp_path, monkeypatch
):
  write(TASKS, "my_tasks.py")
  text = (
    TOP
    + """
import my_tasks
SIZE = 3
IDLE = 1
NAME = "it's\\n\\"two\\" lines"
top:
  a = {'x': [@node(), @s/node()], -1: (%NAME,)}
  b = @s/t/node()
  c = [1e-7, -2, None, True, 1e22, ()]
node.a = @my_tasks.own_task()
node.b = %IDLE
own_task.size = %SIZE
s/own_task.size = 4
s/node.c = 's'
s/t/node.c = 'st'
"""
  )
  found = load(text, "node.b = 0", named=[("SIZE", "9")])
  assert found.notes  # IDLE
  wanted = found.call("top")
  assert wanted["a"]["x"][0]["a"] == 9

  elsewhere = tmp_path / "elsewhere"
  elsewhere.mkdir()
  (elsewhere / "config.gin").write_text(found.text("Written.\n\nBy a test."))
  for module in found.local_modules:
    (elsewhere / module.name).write_bytes(module.read_bytes())
    module.unlink()
  sys.modules.pop("my_tasks")
  monkeypatch.chdir(elsewhere)
  again = config.load(["config.gin"])
  assert again.notes == ()
  live = {k: v for k, v in values(found).items() if k != "IDLE"}
  assert values(again) == live
  assert again.call("top") == wanted
  # And once more: a fixed point, but for the places.
  third = config.load([write(again.text(), "third.gin")])
  assert values(third) == values(again)


@pytest.mark.parametrize("name", ALGORITHMS)
def test_the_text_shows_places_and_defaults(name):
  text = config.load([name], ["SEED = 7"]).text("One\nTwo")
  assert text.startswith("# One\n# Two\n")
  assert "SEED = 7  # command line\n" in text
  assert "max_steps = 10000  (default)" in text
  # Where a variant does not say it, the file that it stems from does.
  includes = re.compile("^include '(.*)'$", re.M)
  while (parent := includes.findall((GIN_CONFIGS / name).read_text())[0]) != (
    "base.gin"
  ):
    name = parent
  assert f"  agent = @agent()  # {name}:" in text


# Shipped files.


@pytest.mark.parametrize(
  "files",
  [[a] for a in ALGORITHMS + WITH_TASKS]
  + [[a, e] for a in ALGORITHMS for e in ENVIRONMENTS]
  + [["dqn.gin", "env_collect.gin"]]
  + [["qlearning.gin", e] for e in small.LIBRARIES],
  ids="+".join,
)
def test_shipped_files(files):
  if files[-1] in small.LIBRARIES:
    pytest.importorskip(small.LIBRARIES[files[-1]])
  found = config.load(files)
  experiment = found.call()
  if experiment.environment.spec.name in ("collect_objects", "two_step"):
    # They are none of gymnax, and have their own discount.
    assert experiment.discount == 0.9
  else:
    assert "nothing reads" not in " ".join(found.notes)
    assert experiment.discount == 0.99
  again = config.load([write(found.text())])
  live = config.bindings_lib.live_keys(found.bindings)
  assert again.bindings.keys() == live
  assert {k: b.value for k, b in again.bindings.items()} == {
    k: found.bindings[k].value for k in live
  }
  assert again.call().environment.spec == experiment.environment.spec


def test_every_shipped_file_is_tested():
  names = {path.name for path in GIN_CONFIGS.glob("*.gin")}
  included = {"base.gin"}
  assert names == {
    *(ALGORITHMS + WITH_TASKS + ENVIRONMENTS),
    *small.LIBRARIES,
    "env_collect.gin",
    *included,
  }


@pytest.mark.parametrize(
  "path", sorted(GIN_CONFIGS.glob("*.gin")), ids=lambda path: path.name
)
def test_shipped_files_say_what_they_are(path):
  lines = path.read_text().splitlines()
  assert lines[0].startswith(f"# {path.name}: ")
  assert max(map(len, lines)) <= 100


def test_what_a_shipped_file_takes_from_its_parent_is_not_noted(tmp_path):
  assert config.load(["muzero.gin"]).notes == ()
  mine = tmp_path / "mine.gin"
  mine.write_text("include 'qlearning.gin'\nlstm.hidden_size = 8\n")
  (note,) = config.load([str(mine)], ["agent.core = None"]).notes
  assert "mine.gin:2: lstm.hidden_size = 8" in note


def test_a_users_own_file_comes_before_the_command_line(tmp_path):
  own = tmp_path / "user.gin"
  own.write_text("wandb.entity = 'us'\nwandb.mode = 'auto'\n")
  files, line = ["qlearning.gin"], ["wandb.mode = 'off'"]
  table = config.load(files, line, own).table()
  assert table["wandb.entity"] == "us" and table["wandb.mode"] == "off"
  assert config.load(files, [], own).table()["wandb.mode"] == "auto"
  # What a run has no use for is no mistake there, as it is elsewhere.
  without = ["train.loggers = []"]
  assert "wandb.entity" not in config.load(files, without, own).table()
  own.write_text("wandb.entty = 'us'\n")
  with pytest.raises(ConfigError, match=r"user\.gin:1.*'entity'"):
    config.load(files, [], own)


def test_a_users_own_file_is_found(tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  shipped = gin_files.gin_configs() / "user.gin"
  assert gin_files.user_file() == (shipped if shipped.exists() else None)
  own = tmp_path / "gin_configs" / "user.gin"
  own.parent.mkdir()
  own.touch()
  assert gin_files.user_file() == own


def test_the_table_is_flat_and_has_what_is_read():
  table = config.load(["qlearning.gin"], ["agent.core = @gru()"]).table()
  assert table["train.num_envs"] == table["NUM_ENVS"] == 32
  assert table["agent.core"] == "@gru()" and "lstm.hidden_size" not in table
