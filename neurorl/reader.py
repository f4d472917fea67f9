"""Reads gin files and the command line into bindings, each with its place.

Includes are resolved here, and what nothing reads is found here. The syntax is
gin's: `config` hands in the parser.
"""

from __future__ import annotations

import dataclasses
import pathlib
import re
import textwrap
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from neurorl import bindings as bindings_lib
from neurorl import gin_files, registry, syntax, type_checks, user_modules
from neurorl.bindings import Binding, Key, Macro, Place, Reference
from neurorl.gin_files import ConfigError

COMMAND_LINE = "command line"


@dataclasses.dataclass(frozen=True)
class Include:
  """`include 'file'`."""

  file: str
  line: int


@dataclasses.dataclass(frozen=True)
class Import:
  """`import module`."""

  module: str
  line: int


@dataclasses.dataclass(frozen=True)
class Bind:
  """`scope/selector.argument = value`; the argument is empty for a macro."""

  scope: str
  selector: str
  argument: str
  value: Any
  line: int


Statement = Include | Import | Bind
# (text, name of the file) -> statements
Parse = Callable[[str, str], Iterator[Statement]]


def find_component(name: str, place: Place | None = None) -> registry.Component:
  """Finds a component, or says which names are near."""
  found = registry.find(name)
  if found is None:
    at = f"{place}: " if place else ""
    hint = registry.nearest(name, registry.components())
    raise ConfigError(
      f"{at}unknown component '{name}'{hint} (--list_components shows all)"
    )
  return found


class Reader:
  """Collects bindings file by file, and what was live at each file's end."""

  def __init__(self, parse: Parse):
    self.bindings: dict[Key, Binding] = {}
    self.imports: list[str] = []
    self.local_modules: list[pathlib.Path] = []
    self.notes: list[str] = []
    self._parse = parse
    self._was_live: set[tuple[Key, Place]] = set()
    self._settled: set[tuple[Key, Place]] = set()
    self._shipped: set[str] = set()
    self._top_level: str = COMMAND_LINE
    self._origin: dict[Key, str] = {}
    self._user_file: str | None = None

  def read_file(self, name: str) -> None:
    """Reads a file named by the user, and all that it includes."""
    path = gin_files.find_file(
      name, [pathlib.Path.cwd(), gin_files.gin_configs()], None
    )
    self._top_level = gin_files.short(path)
    self._read(path, ())
    self._top_level = COMMAND_LINE

  def read_user_file(self, path: pathlib.Path) -> None:
    """Reads what a user wants of every run that has a use for it."""
    self._user_file = self._top_level = gin_files.short(path)
    self._read(path, ())
    self._top_level = COMMAND_LINE

  def read_command_line(self, text: str) -> None:
    """Reads bindings given on the command line."""
    for statement in self._parse_command_line(text):
      if not isinstance(statement, Bind):
        raise ConfigError(
          f"{COMMAND_LINE}: only bindings are allowed here, got '{text}'"
        )
      self._bind(statement, Place(COMMAND_LINE, 0))

  def finish(self) -> None:
    """Checks references, macros, and that nothing is bound in vain."""
    self._boundary()
    bound = {key.component for key in self.bindings}
    if bound and bindings_lib.ROOT not in bound:
      raise ConfigError(
        "no gin file binds train; name an algorithm's file before an "
        "environment's, such as --gin_file=qlearning.gin"
      )
    live = bindings_lib.live_keys(self.bindings)
    for binding in self.bindings.values():
      if binding.key in live:
        self._check_macros(binding)
        _check_slots(binding)
    for key, binding in self.bindings.items():
      if key in live or binding.place.file == self._user_file:
        continue
      why, hint = bindings_lib.explain_idle(binding, self.bindings)
      if (key, binding.place) not in self._was_live:
        hint = hint or "; remove it, or bind what would read it"
        raise ConfigError(f"{why}{hint}")
      if (key, binding.place) not in self._settled:
        self.notes.append(f"{why} any more")

  def _read(
    self, path: pathlib.Path, including: tuple[pathlib.Path, ...]
  ) -> None:
    if path in including:
      chain = " -> ".join(p.name for p in (*including, path))
      raise ConfigError(f"circular include: {chain}")
    text = gin_files.read_text(path)
    idle_before = self._idle()
    if path.parent == gin_files.gin_configs():
      self._shipped.add(gin_files.short(path))
    seen: dict[Key, Place] = {}
    for statement in self._parse(text, gin_files.short(path)):
      place = Place(gin_files.short(path), statement.line)
      if isinstance(statement, Include):
        folders = [path.parent, gin_files.gin_configs(), pathlib.Path.cwd()]
        included = gin_files.find_file(statement.file, folders, place)
        self._read(included, (*including, path))
      elif isinstance(statement, Import):
        self._import(statement.module, path.parent, place)
      else:
        key = self._bind(statement, place)
        if key in seen:
          raise ConfigError(
            f"{place}: {key} is bound twice in this file, first at {seen[key]}"
          )
        seen[key] = place
    self._boundary()
    if path.parent == gin_files.gin_configs():
      # What a shipped file takes away from another is no news to anybody.
      idle = self._idle() - idle_before
      self._settled |= {x for x in idle if x[1].file in self._shipped}

  def _parse_command_line(self, text: str) -> list[Statement]:
    """Parses bindings; a value that gin cannot read is taken as a string."""
    try:
      return list(self._parse(text, COMMAND_LINE))
    except ConfigError as error:
      lines = _split_bindings(text)
      if not lines:
        raise error
      return [s for line in lines for s in self._parse_binding(line)]

  def _parse_binding(self, line: str) -> list[Statement]:
    try:
      return list(self._parse(line, COMMAND_LINE))
    except ConfigError:
      name, equals, value = (part.strip() for part in line.partition("="))
      value = value.partition(" #")[0].strip()
      if not (equals and _is_name(name) and _may_be_string(value)):
        raise
    found = registry.find(value.removesuffix("()"))
    meant = f" (the component is @{found.name}())" if found else ""
    self.notes.append(
      f"{COMMAND_LINE}: {name} = '{value}' read as a string{meant}"
    )
    return list(self._parse(f"{name} = {value!r}", COMMAND_LINE))

  def _boundary(self) -> None:
    """Remembers what is live now."""
    self._was_live |= self._entries() - self._idle()

  def _idle(self) -> set[tuple[Key, Place]]:
    live = bindings_lib.live_keys(self.bindings)
    return {entry for entry in self._entries() if entry[0] not in live}

  def _entries(self) -> set[tuple[Key, Place]]:
    return {(key, binding.place) for key, binding in self.bindings.items()}

  def _bind(self, statement: Bind, place: Place) -> Key:
    if statement.argument:
      found = find_component(statement.selector, place)
      key = Key(statement.scope, found.name, statement.argument)
      _check_parameter(found, statement.argument, place)
    else:
      key = Key("", "", statement.selector)
      self._check_macro(statement, place)
    binding = Binding(key, statement.value, place)
    old = self.bindings.pop(key, None)
    if old is not None and self._undoes(old, binding):
      self.notes.append(
        f"{old} is overridden by {place}, which {self._top_level} includes; "
        f"name {self._origin[key]} after {self._top_level} to keep it"
      )
    self.bindings[key] = binding
    self._origin[key] = self._top_level
    return key

  def _undoes(self, old: Binding, new: Binding) -> bool:
    """Whether an included file undoes what an earlier --gin_file said."""
    return (
      self._origin[old.key] != self._top_level
      and new.place.file not in (self._top_level, COMMAND_LINE)
      and old.value != new.value
    )

  def _check_macros(self, binding: Binding) -> None:
    for leaf in bindings_lib.leaves(binding.value):
      if (
        isinstance(leaf, Macro) and Key("", "", leaf.name) not in self.bindings
      ):
        hint = registry.nearest(leaf.name, self._macros())
        raise ConfigError(f"{binding}: %{leaf.name} is not defined{hint}")

  def _macros(self) -> list[str]:
    return [key.argument for key in self.bindings if not key.component]

  def _check_macro(self, statement: Bind, place: Place) -> None:
    name = statement.selector
    if statement.scope:
      raise ConfigError(
        f"{place}: {statement.scope}/{name}: a macro has no scope"
      )
    if not name.isupper():
      raise ConfigError(
        f"{place}: '{name}' is neither component.parameter nor a macro (macros "
        f"are upper case){_meant(name, self._macros())}"
      )
    for leaf in bindings_lib.leaves(statement.value):
      if isinstance(leaf, (Reference, Macro)):
        raise ConfigError(
          f"{place}: {name} = {statement.value!r}: a macro holds a literal; "
          "bind the component where it is used"
        )

  def _import(self, module: str, folder: pathlib.Path, place: Place) -> None:
    loaded = user_modules.load(module, folder, place)
    if module not in self.imports:
      self.imports.append(module)
    for path in loaded:
      if path not in self.local_modules:
        self.local_modules.append(path)


def _is_name(text: str) -> bool:
  return all(part.isidentifier() for part in text.replace("/", ".").split("."))


def _may_be_string(value: str) -> bool:
  return (
    bool(value)
    and "\n" not in value
    and value[0] not in "@%[{('\""
    and value.lower() not in syntax.SPELLING
  )


def _split_bindings(text: str) -> list[str]:
  """Cuts command-line text where an unindented line begins a binding."""
  bindings: list[str] = []
  for line in textwrap.dedent(text).strip().splitlines():
    if not bindings or re.match(r"[\w./]+\s*[=:]", line):
      bindings.append(line)
    else:
      bindings[-1] += f"\n{line}"
  return bindings


def _meant(name: str, macros: Sequence[str]) -> str:
  """What a name that is no macro may have been meant to be."""
  if name in registry.components():
    return f"; bind a parameter of {name}, {name}.PARAMETER = VALUE"
  meant = [m for m in macros if m == name.upper()]
  meant += [
    f"{found.name}.{name}"
    for found in registry.components().values()
    if name in found.parameters
  ]
  if meant:
    return "; did you mean " + " or ".join(f"'{m}'" for m in meant[:3]) + "?"
  return registry.nearest(name.upper(), macros)


def _check_parameter(
  found: registry.Component, argument: str, place: Place
) -> None:
  if argument in found.denied:
    reason = found.denied[argument]
    raise ConfigError(f"{place}: {found.name}.{argument} {reason}")
  if argument not in found.parameters:
    hint = registry.nearest(argument, found.parameters)
    raise ConfigError(
      f"{place}: {found.name} has no parameter '{argument}'{hint}"
    )


def _check_slots(binding: Binding) -> None:
  """Refuses a component that does not make what its slot takes."""
  key = binding.key
  if not key.component:
    return
  slot = type_checks.hints(find_component(key.component)).get(key.argument, Any)
  for leaf in bindings_lib.leaves(binding.value):
    if not isinstance(leaf, Reference):
      continue
    if not type_checks.fills(find_component(leaf.name), slot):
      makers = ", ".join(f"@{name}()" for name in type_checks.makers(slot))
      raise ConfigError(
        f"{binding}: {leaf.name} is not what {key.component}.{key.argument} "
        f"takes{f'; these are: {makers}' if makers else ''}"
      )
