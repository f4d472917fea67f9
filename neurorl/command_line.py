"""What binaries that read gin share: flags, help on components, errors."""

from __future__ import annotations

import dataclasses
import inspect
import pathlib
import re
import sys
from collections.abc import Callable, Sequence

from absl import flags

from neurorl import config as config_lib
from neurorl import gin_files, programs, reader, registry
from neurorl.programs import CommandError, show_traceback

flags.adopt_module_key_flags(programs)

_GIN_FLAG = re.compile(r"--?gin\.([^=]+)(?:=(.*))?", re.DOTALL)

_GIN_FILE = flags.DEFINE_multi_string(
  "gin_file",
  [],
  "A gin file, in the current directory or among the shipped ones. Repeat it "
  "to combine files; later ones win.",
)
_GIN_BINDINGS = flags.DEFINE_multi_string(
  "gin_bindings",
  [],
  "Gin text that overrides the files, such as 'lstm.hidden_size = 64'. Repeat "
  "it, or put several on separate lines. --gin.NAME=VALUE does the same.",
)
_LIST = flags.DEFINE_bool(
  "list_components", False, "Lists what gin files can name, and exits."
)
_DESCRIBE = flags.DEFINE_string(
  "describe", None, "Describes one component and its parameters, and exits."
)
_PRINT = flags.DEFINE_bool(
  "print_config",
  False,
  "Prints the whole configuration, with the place of every binding and every "
  "default, and exits.",
)


@dataclasses.dataclass(frozen=True)
class Command:
  """What a binary was told.

  Attributes:
    argv: the command line.
    gin_files: as given.
    config: the configuration, checked.
  """

  argv: tuple[str, ...]
  gin_files: tuple[str, ...]
  config: config_lib.Config


def run(
  main: Callable[[Command], None],
  first_files: Callable[[], Sequence[str]] = tuple,
) -> None:
  """Runs a binary that reads gin: parses, checks, answers help, exits.

  Args:
    main: what the binary does with its configuration.
    first_files: gin files that come before those of `--gin_file`, once flags
      are parsed.
  """

  def start(arguments: Sequence[str]) -> None:
    try:
      _main(main, arguments, first_files)
    except config_lib.ConfigError as error:
      raise CommandError(str(error), 2) from error

  programs.run(start, _plain_flags)


def build(function: Callable[[], object], config: config_lib.Config):
  """Runs what checks an experiment; its errors are the user's to mend.

  Args:
    function: builds, before anything is compiled.
    config: for the places of what the messages name.

  Returns:
    What the function returns.

  Raises:
    CommandError: in place of any error, in a line or two.
  """
  try:
    return function()
  except config_lib.ConfigError:
    raise
  except ValueError as error:
    show_traceback()
    raise CommandError(config.locate(str(error)), 2) from error
  except Exception as error:
    show_traceback()
    raise CommandError(
      f"the parts do not fit: {type(error).__name__}: "
      f"{str(error).strip().splitlines()[0] if str(error) else ''}\n"
      "  --traceback shows where",
      2,
    ) from error


def _main(
  main: Callable[[Command], None],
  arguments: Sequence[str],
  first_files: Callable[[], Sequence[str]],
) -> None:
  if len(arguments) > 1:
    raise CommandError(
      f"unexpected argument '{arguments[1]}'; files are given by --gin_file", 2
    )
  if _LIST.value:
    print(list_components())
    return
  if _DESCRIBE.value:
    print(describe(_DESCRIBE.value))
    return
  files = [*first_files(), *_GIN_FILE.value]
  if not files:
    shipped = sorted(p.name for p in gin_files.gin_configs().glob("*"))
    shipped = [n for n in shipped if n.endswith(".gin") and n != "base.gin"]
    raise CommandError(
      f"name a gin file: --gin_file=NAME; shipped are {', '.join(shipped)}", 2
    )
  try:
    config = config_lib.load(files, _GIN_BINDINGS.value, gin_files.user_file())
  except config_lib.ConfigError:
    show_traceback()
    raise
  for note in config.notes:
    print(f"note: {note}", file=sys.stderr)
  if _PRINT.value:
    print(config.text())
    return
  main(Command(tuple(sys.argv), tuple(files), config))


def list_components() -> str:
  """Returns the menu: every component, by the folder that holds it."""
  config_lib.register_all()
  folders = {}
  for name, component in registry.components().items():
    line = f"  {name:<34} {component.summary.partition('. ')[0]}"
    folders.setdefault(_folder(component), []).append(line)
  ours_first = sorted(folders, key=lambda x: (not x.startswith("neurorl"), x))
  return "\n\n".join(
    "\n".join([folder, *folders[folder]]) for folder in ours_first
  )


def _folder(component: registry.Component) -> str:
  """Where a component lives: a folder of ours, or another package."""
  package, _, rest = component.place.partition(".")
  return (
    f"{package}.{rest.partition('.')[0]}" if package == "neurorl" else package
  )


def describe(name: str) -> str:
  """Returns a component's docstring, parameters and defaults.

  Args:
    name: of the component.

  Returns:
    The text.

  Raises:
    ConfigError: if there is no such component.
  """
  config_lib.register_all()
  component = reader.find_component(name)
  lines = [f"@{component.name}()  from {component.place}", ""]
  lines += [inspect.getdoc(component.function) or "", "", "Parameters:"]
  for parameter in component.parameters.values():
    required = parameter.default is parameter.empty
    default = getattr(parameter.default, "__name__", repr(parameter.default))
    shown = "must be bound" if required else f"= {default}"
    lines.append(f"  {component.name}.{parameter.name}  {shown}")
  return "\n".join(lines)


def run_name(gin_files: Sequence[str]) -> str:
  """Names a run after its gin files."""
  return "-".join(pathlib.Path(name).stem for name in gin_files)


def _plain_flags(argv: Sequence[str]) -> list[str]:
  """Writes `--gin.NAME=VALUE` and `--gin.NAME VALUE` as `--gin_bindings`."""
  rest, words = [], iter(argv)
  for word in words:
    match = _GIN_FLAG.fullmatch(word)
    if not match:
      rest.append(word)
      continue
    name, value = match.groups()
    value = next(words, None) if value is None else value
    if value is None:
      raise CommandError(f"--gin.{name} needs a value: --gin.{name}=VALUE", 2)
    rest.append(f"--gin_bindings={name} = {value}")
  return rest
