"""The front door: gin files and the command line in, one experiment out.

The only module that imports gin. It lends gin's parser to `reader`, which
checks what was written, and lets gin call the components. Past `Config.call`
nothing knows gin.
"""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import io
import pathlib
import re
import tokenize
from collections.abc import Iterator, Sequence
from typing import Any

import gin
from gin import config_parser

from neurorl import bindings as bindings_lib
from neurorl import external, reader, registry, syntax, type_checks
from neurorl.bindings import Binding, Bindings, Key, Macro, Reference
from neurorl.gin_files import ConfigError


@dataclasses.dataclass(frozen=True)
class Config:
  """A checked configuration.

  Attributes:
    bindings: those in effect, by key.
    imports: users' modules that gin files import, in order.
    local_modules: files and folders of those that lay beside a gin file.
    notes: what the user should know and no error is, a line each.
  """

  bindings: Bindings
  imports: tuple[str, ...]
  local_modules: tuple[pathlib.Path, ...]
  notes: tuple[str, ...]

  def call(self, root: str = bindings_lib.ROOT) -> Any:
    """Calls the root component, and through it every component it names.

    Args:
      root: the component's name.

    Returns:
      What the component returns.

    Raises:
      ConfigError: if a component refuses its hyperparameters.
    """
    return _call(self, root)

  def text(self, header: str = "") -> str:
    """Returns this configuration as one self-contained gin file."""
    return bindings_lib.text(self.bindings, self.imports, header)

  def table(self) -> dict[str, Any]:
    """Returns every binding that is read, flat: literals, else gin's text."""
    return bindings_lib.table(self.bindings)

  def locate(self, message: str) -> str:
    """Adds to a message the places of the settings that it names."""
    live = bindings_lib.live_keys(self.bindings)
    places = {
      self._where(binding)
      for key, binding in self.bindings.items()
      if key.component and key in live and self._means(message, binding)
    }
    return "\n  ".join([message, *sorted(places)])

  def _means(self, message: str, binding: Binding) -> bool:
    """Whether a message names a setting, or its parameter with its value."""
    key = binding.key
    value = bindings_lib.substitute(binding.value, self.bindings)
    said = rf"(?<![\w.]){re.escape(f'{key.argument} = {value!r}')}(?![\w.])"
    return _names(message, f"{key.component}.{key.argument}") or bool(
      re.search(said, message)
    )

  def _where(self, binding: Binding) -> str:
    where = f"{binding.key} is set at {binding.place}"
    macro = binding.value
    if isinstance(macro, Macro):
      key = Key("", "", macro.name)
      where += f" to {macro}, which is set at {self.bindings[key].place}"
    return where


def _names(message: str, setting: str) -> bool:
  """Whether a message names a setting, and not only a longer one."""
  pattern = rf"(?<![\w.]){re.escape(setting)}(?!\w)"
  return re.search(pattern, message) is not None


def load(
  files: Sequence[str],
  bindings: Sequence[str] = (),
  user_file: pathlib.Path | None = None,
) -> Config:
  """Reads and checks a configuration; calls nothing.

  Args:
    files: gin files, later ones winning: sought in the current directory, then
      among the shipped ones.
    bindings: gin text from the command line, later ones winning.
    user_file: the user's own gin file, read between the two; None for none.

  Returns:
    The configuration.

  Raises:
    ConfigError: for an unknown name, an unreadable value, a file that is not
      there or includes itself, a binding or macro that nothing reads, a
      component in a slot that takes another kind.
  """
  register_all()
  found = reader.Reader(_parse)
  for file in files:
    found.read_file(file)
  if user_file is not None:
    found.read_user_file(user_file)
  for text in bindings:
    found.read_command_line(text)
  found.finish()
  circle = bindings_lib.circle(found.bindings)
  if circle:
    binding = found.bindings[circle]
    raise ConfigError(
      f"{binding} would be made of itself for ever; give the "
      f"inner one a scope, such as @inner/{circle.component}()"
    )
  return Config(
    found.bindings,
    tuple(found.imports),
    tuple(found.local_modules),
    tuple(found.notes),
  )


def register_all() -> None:
  """Registers every component that ships, and the third-party table."""
  importlib.import_module("neurorl")
  external.register()


class _Delegate(config_parser.ParserDelegate):
  """Makes our own data of what gin's parser reads."""

  def configurable_reference(self, scoped_name, evaluate):
    *scopes, name = scoped_name.split("/")
    found = reader.find_component(name)
    if not evaluate:
      raise ConfigError(f"write @{scoped_name}(): components are called")
    return Reference(tuple(scopes), found.name)

  def macro(self, name):
    if "/" in name:
      raise ConfigError(f"%{name}: a macro has no scope; write %NAME")
    return Macro(name)


def _parse(text: str, file: str) -> Iterator[reader.Statement]:
  """Reads gin text statement by statement, with errors in our words.

  One by one: an import must be done before the next line names what it brings.
  """
  parser = None
  try:
    # gin's parser wants the last line ended.
    parser = config_parser.ConfigParser(
      io.StringIO(text.rstrip() + "\n"), _Delegate()
    )
    yield from filter(None, map(_statement, parser))
  except (ValueError, SyntaxError, TypeError, tokenize.TokenError) as error:
    line = _line(error, parser)
    on_line = file == reader.COMMAND_LINE or not line
    at = file if on_line else f"{file}:{line}"
    message = syntax.explain(error, text, line or 0)
    raise ConfigError(f"{at}: {message}") from None


def _statement(statement: Any) -> reader.Statement | None:
  line = statement.location.line_num
  if isinstance(statement, config_parser.IncludeStatement):
    return reader.Include(statement.filename, line)
  if isinstance(statement, config_parser.ImportStatement):
    return reader.Import(statement.module, line)
  if isinstance(statement, config_parser.BindingStatement):
    scope, selector, argument = statement[:3]
    return reader.Bind(scope, selector, argument, statement.value, line)
  return None


def _line(error: BaseException, parser) -> int | None:
  if isinstance(error, tokenize.TokenError):
    return error.args[1][0]
  if isinstance(error, SyntaxError) and error.lineno:
    return error.lineno
  # What the delegate raises, gin locates in the message alone.
  located = re.search(r"\n  In .* line (\d+)\n", str(error))
  if located:
    return int(located.group(1))
  return parser.current_token.start[0] if parser else None


# The configuration being called, and the first error a component raised: what
# gin calls is registered once a process.
_ACTIVE: list[tuple[Config, list[ConfigError]]] = []
_REGISTERED: dict[str, Any] = {}


def _call(config: Config, root: str) -> Any:
  """Hands the bindings to gin and calls the root; then clears gin."""
  failure: list[ConfigError] = []
  calls = bindings_lib.calls(config.bindings, root)
  for name in {call.name for call in calls}:
    _register(reader.find_component(name))
  # An idle binding may refer to what nothing has registered.
  read = {key for keys in calls.values() for key in keys.values()}
  gin.clear_config()
  try:
    for key, binding in config.bindings.items():
      if key in read:
        value = bindings_lib.substitute(binding.value, config.bindings)
        selector = _selector(key.component)
        gin.bind_parameter((key.scope, selector, key.argument), _to_gin(value))
    _ACTIVE.append((config, failure))
    return gin.get_configurable(_selector(root))()
  except Exception:
    if failure:
      # gin wraps what its callees raise; the user gets the error as it was.
      raise failure[0] from failure[0].__cause__
    raise
  finally:
    _ACTIVE.clear()
    gin.clear_config()


def _selector(name: str) -> str:
  return f"neurorl.{name}"


def _register(found: registry.Component) -> None:
  """Makes a component known to gin, with its arguments checked at the call."""
  if found.name in _REGISTERED:
    _REGISTERED[found.name] = found
    return

  def call(**arguments):
    current = _REGISTERED[found.name]
    config, failure = _ACTIVE[-1]
    try:
      _check_arguments(current, arguments)
      return current.function(**arguments)
    except ValueError as error:
      message = str(error)
      if found.name not in message:
        message = f"{found.name}: {message}"
      if not failure and isinstance(error, ConfigError):
        failure.append(error)
      if not failure:
        failure.append(ConfigError(_locate(config, found, message)))
        failure[0].__cause__ = error
      raise

  # Anything goes here: `reader` has checked the names of the parameters.
  call.__signature__ = inspect.Signature(
    [inspect.Parameter("arguments", inspect.Parameter.VAR_KEYWORD)]
  )
  module, _, name = _selector(found.name).rpartition(".")
  gin.register(name, module=module)(call)
  _REGISTERED[found.name] = found


def _locate(config: Config, found: registry.Component, message: str) -> str:
  """Names the places of what the message names, else of all arguments."""
  located = config.locate(message)
  if located != message:
    return located
  arguments = " ".join(f"{found.name}.{name}" for name in found.parameters)
  return message + config.locate(arguments)[len(arguments) :]


def _check_arguments(
  found: registry.Component, arguments: dict[str, Any]
) -> None:
  missing = [
    f"{found.name}.{name}"
    for name, parameter in found.parameters.items()
    if parameter.default is parameter.empty and name not in arguments
  ]
  if missing:
    hint = ""
    if found.name == bindings_lib.ROOT:
      hint = "; name an algorithm's file, such as --gin_file=qlearning.gin"
    raise ConfigError(f"{' and '.join(missing)} must be bound{hint}")
  hints = type_checks.hints(found)
  for name, value in arguments.items():
    expected = type_checks.check_type(value, hints.get(name, Any))
    if expected:
      made = any(map(callable, bindings_lib.leaves(value)))
      shown = "" if made else f" = {value!r}"
      raise ValueError(
        f"{found.name}.{name}{shown}: expected {expected}, got "
        f"{type_checks.told(value, hints[name])}"
      )


def _to_gin(value: Any) -> Any:
  if isinstance(value, dict):
    return {_to_gin(k): _to_gin(v) for k, v in value.items()}
  if isinstance(value, (list, tuple)):
    return type(value)(_to_gin(item) for item in value)
  if isinstance(value, Reference):
    scoped = "/".join((*value.scopes, _selector(value.name)))
    return gin.config.ConfigurableReference(scoped, True)
  return value
