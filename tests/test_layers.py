"""The layers of the house, read from its imports; and its manners."""

import ast
import importlib
import inspect
import pathlib
import pkgutil
import re
import subprocess
import sys

import pytest

import neurorl
from neurorl import external

PACKAGE = pathlib.Path(neurorl.__file__).parent
FRONT = (
  "bindings",
  "config",
  "external",
  "fingerprint",
  "gin_files",
  "reader",
  "syntax",
  "type_checks",
  "user_modules",
)
L0 = (
  "types",
  "head_types",
  "logging_types",
  "loss_types",
  "registry",
  "compilation",
)
ROOMS = (
  "networks",
  "environments",
  "buffers",
  "actors",
  "losses",
  "loggers",
  "plots",
  "runs",
)
# What each part may import of the others.
ALLOWED = {
  **{name: {*L0, *FRONT} for name in FRONT},
  **{name: set(L0) for name in L0},
  "ops": {*L0, "ops"},
  "search": {*L0, "ops", "search"},
  **{room: {*L0, "ops", room} for room in ROOMS},
  # Acting plans with a model, and so may a loss.
  "actors": {*L0, "ops", "search", "actors"},
  "losses": {*L0, "ops", "search", "losses"},
  "training": {*L0, "ops", *ROOMS, "training"},
  "programs": set(L0),
  # Runs are processes there.
  "sweeps": {*L0, "ops", "runs", "sweeps"},
  "command_line": {*L0, *FRONT, "programs"},
  "loading": {*L0, *FRONT, "runs", "training"},
  "plots": {*L0, "ops", "plots"},
  "run_flags": {*L0, "command_line", "loading", "training"},
}


def _modules():
  for path in sorted(PACKAGE.rglob("*.py")):
    relative = path.relative_to(PACKAGE)
    if relative.parts[0] not in ("__init__.py", "binaries"):
      yield path, relative.parts[0].removesuffix(".py")


def _imports(path):
  """Yields (module, whether at the top level) of every import in a file."""
  tree = ast.parse(path.read_text())
  for node in ast.walk(tree):
    if isinstance(node, ast.Import):
      for alias in node.names:
        yield alias.name, node in tree.body
    elif isinstance(node, ast.ImportFrom):
      module = node.module or ""
      yield module, node in tree.body
      for alias in node.names:
        yield f"{module}.{alias.name}", node in tree.body


def test_every_part_has_its_layer():
  assert {part for _, part in _modules()} == set(ALLOWED)


@pytest.mark.parametrize(
  "path, part", _modules(), ids=lambda x: getattr(x, "stem", x)
)
def test_imports_point_down(path, part):
  for module, _ in _imports(path):
    if module.startswith("neurorl."):
      imported = module.split(".")[1]
      assert imported in ALLOWED[part], f"{path} imports {module}"


@pytest.mark.parametrize(
  "library, home",
  [
    ("gin", "config.py"),
    ("haiku", "networks"),
    ("orbax", "runs"),
    ("wandb", "loggers"),
  ],
)
def test_one_home(library, home):
  for path, _ in _modules():
    names = {module.split(".")[0] for module, _ in _imports(path)}
    if library in names:
      assert path.relative_to(PACKAGE).parts[0] == home


@pytest.mark.parametrize(
  "library", ["rlax", "mctx", "gymnax", "orbax", "wandb", "matplotlib", "PIL"]
)
def test_slow_libraries_are_imported_late(library):
  for path, _ in _modules():
    for module, at_top in _imports(path):
      assert not (at_top and module.split(".")[0] == library), path


def test_import_is_light():
  code = (
    "import neurorl, sys; print([m for m in ('gymnax', 'rlax', 'mctx', "
    "'orbax', 'wandb', 'matplotlib', 'seaborn', 'tensorflow_probability', "
    "'gin') if m in sys.modules])"
  )
  found = subprocess.run(
    [sys.executable, "-c", code], capture_output=True, text=True, check=True
  )
  assert found.stdout.strip() == "[]"


def _is_text(node):
  return isinstance(node, ast.Constant) and isinstance(node.value, str)


def test_what_is_imported_is_required():
  """By setup.py, of a fresh environment: names differ from distributions'."""
  distributions = {
    "absl": "absl-py",
    "gin": "gin-config",
    "haiku": "dm-haiku",
    "orbax": "orbax-checkpoint",
    "PIL": "pillow",
    "yaml": "pyyaml",
  }
  libraries = {
    module.split(".")[0]
    for path, _ in _modules()
    for module, _ in _imports(path)
  }
  libraries |= {name.split(".")[0] for name in external.names()} - {"hk"}
  libraries -= {*sys.stdlib_module_names, "neurorl"}
  # It comes with gymnax, which is only kept from loading it.
  libraries -= {"seaborn"}
  tree = ast.parse((PACKAGE.parent / "setup.py").read_text())
  lists = {
    node.arg: [item for item in ast.walk(node.value) if _is_text(item)]
    for node in ast.walk(tree)
    if isinstance(node, ast.keyword)
  }
  # What an environment or a search needs may be an extra.
  required = {
    item.value.split(">=")[0]
    for name in ("install_requires", "extras_require")
    for item in lists[name]
  }
  assert {distributions.get(name, name) for name in libraries} <= required


def _public():
  for info in pkgutil.walk_packages([str(PACKAGE)], "neurorl."):
    if info.name.startswith(("neurorl.binaries", "neurorl.gin_configs")):
      continue
    module = importlib.import_module(info.name)
    yield info.name, module
    for name, value in vars(module).items():
      ours = getattr(value, "__module__", None) == info.name
      if ours and not name.startswith("_") and callable(value):
        yield f"{info.name}.{name}", value


@pytest.mark.parametrize(
  "name, value", [pytest.param(n, v, id=n) for n, v in _public()]
)
def test_public_names_are_documented(name, value):
  if hasattr(value, "__origin__"):  # a type alias
    return
  assert inspect.getdoc(value), name


def test_components_document_their_parameters():
  from neurorl import registry

  for name, component in registry.components().items():
    doc = inspect.getdoc(component.function) or ""
    if component.place.startswith("neurorl."):
      assert "Returns:" in doc, name
      for parameter in component.parameters:
        assert f"  {parameter}: " in doc, f"{name}.{parameter}"


def test_files_stay_small():
  for path, _ in _modules():
    assert len(path.read_text().splitlines()) <= 340, path


def test_code_is_formatted_and_linted():
  for command in (["check"], ["format", "--check"]):
    found = subprocess.run(
      [sys.executable, "-m", "ruff", *command, str(PACKAGE.parent)],
      capture_output=True,
      text=True,
      check=False,
    )
    assert found.returncode == 0, found.stdout + found.stderr


def _extras():
  tree = ast.parse((PACKAGE.parent / "setup.py").read_text())
  (found,) = [
    word.value
    for word in ast.walk(tree)
    if isinstance(word, ast.keyword) and word.arg == "extras_require"
  ]
  return set(ast.literal_eval(found))


def test_extras_are_named_as_pip_finds_them():
  """PEP 685: a name that is not normalised is not found by every pip."""
  extras = _extras()
  assert "pgx" in extras
  assert extras == {re.sub(r"[-_.]+", "-", name).lower() for name in extras}


def test_the_extras_that_are_named_exist():
  named = set()
  root = PACKAGE.parent
  folders = [root / name for name in ("neurorl", "gin_configs", "docs")]
  paths = [path for folder in folders for path in folder.rglob("*.*")]
  for path in [root / "README.md", *paths]:
    if path.suffix in (".py", ".gin", ".md"):
      text = path.read_text()
      for names in re.findall(r"(?:neurorl|-e '\.)\[([\w,.-]+)\]", text):
        named |= set(names.split(","))
      named |= set(re.findall(r'adapting\.library\([^,]+, "([^"]+)"\)', text))
  assert {"xland-minigrid", "pictures", "optuna"} <= named <= _extras()
