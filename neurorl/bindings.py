"""What a configuration says, as data: bindings, references, liveness, text.

Nothing here knows gin or calls a component. `config` fills these types.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from neurorl import registry

ROOT = "train"


@dataclasses.dataclass(frozen=True)
class Place:
  """Where a binding was written."""

  file: str
  line: int

  def __str__(self) -> str:
    return f"{self.file}:{self.line}" if self.line else self.file


@dataclasses.dataclass(frozen=True)
class Reference:
  """`@scope/name()`."""

  scopes: tuple[str, ...]
  name: str

  def __repr__(self) -> str:
    return "@" + "/".join((*self.scopes, self.name)) + "()"


@dataclasses.dataclass(frozen=True)
class Macro:
  """`%NAME`."""

  name: str

  def __repr__(self) -> str:
    return f"%{self.name}"


class Key(NamedTuple):
  """What is bound; `component` is empty for a macro."""

  scope: str
  component: str
  argument: str

  def __str__(self) -> str:
    name = ".".join(filter(None, (self.component, self.argument)))
    return f"{self.scope}/{name}" if self.scope else name


@dataclasses.dataclass(frozen=True)
class Binding:
  """`key = value`, and where it stands."""

  key: Key
  value: Any
  place: Place

  def __str__(self) -> str:
    return f"{self.place}: {self.key} = {self.value!r}"


Bindings = Mapping[Key, Binding]


def leaves(value: Any) -> Iterator[Any]:
  """Yields every leaf of nested dicts, lists and tuples, dict keys included."""
  if isinstance(value, dict):
    for key, item in value.items():
      yield from leaves(key)
      yield from leaves(item)
  elif isinstance(value, (list, tuple)):
    for item in value:
      yield from leaves(item)
  else:
    yield value


class Call(NamedTuple):
  """One way in which a component is called: itself, and its active scopes."""

  scopes: tuple[str, ...]
  name: str


def calls(bindings: Bindings, root: str = ROOT) -> dict[Call, dict[str, Key]]:
  """Finds every component that the root reaches, without calling any.

  Args:
    bindings: those in effect.
    root: the component where the walk begins.

  Returns:
    For each call, in the order of reach, the bindings that it will read.
  """
  found: dict[Call, dict[str, Key]] = {}
  queue = [Call((), root)]
  while queue:
    call = queue.pop(0)
    if call in found:
      continue
    found[call] = _effective(bindings, call)
    for key in found[call].values():
      for leaf in leaves(bindings[key].value):
        if isinstance(leaf, Reference):
          # An unscoped reference is called in the scopes of its caller.
          queue.append(Call(leaf.scopes or call.scopes, leaf.name))
  return found


def circle(bindings: Bindings, root: str = ROOT) -> Key | None:
  """Finds a binding by which a component would be called to make itself.

  Args:
    bindings: those in effect.
    root: the component where the walk begins.

  Returns:
    The binding that leads back; None if none does.
  """
  every = calls(bindings, root)
  done: set[Call] = set()

  def walk(call: Call, above: tuple[Call, ...]) -> Key | None:
    if call in done:
      return None
    for key in every[call].values():
      for leaf in leaves(bindings[key].value):
        if not isinstance(leaf, Reference):
          continue
        inner = Call(leaf.scopes or call.scopes, leaf.name)
        if inner in (*above, call):
          return key
        found = walk(inner, (*above, call))
        if found:
          return found
    done.add(call)
    return None

  return walk(Call((), root), ())


def _effective(bindings: Bindings, call: Call) -> dict[str, Key]:
  """The binding of each argument; a longer prefix of the scopes wins."""
  effective = {}
  for depth in range(len(call.scopes) + 1):
    scope = "/".join(call.scopes[:depth])
    for key in bindings:
      if key.scope == scope and key.component == call.name:
        effective[key.argument] = key
  return effective


def live_keys(bindings: Bindings) -> set[Key]:
  """Returns the keys, of parameters and of macros, that the root reaches."""
  live = {key for keys in calls(bindings).values() for key in keys.values()}
  for key in list(live):
    for leaf in leaves(bindings[key].value):
      if isinstance(leaf, Macro):
        live.add(Key("", "", leaf.name))
  return live


def explain_idle(binding: Binding, bindings: Bindings) -> tuple[str, str]:
  """Says why nothing reads a binding, and which name may have been meant."""
  key = binding.key
  if not key.component:
    read = {k.argument for k in live_keys(bindings) if not k.component}
    hint = registry.nearest(key.argument, read) if read else ""
    return f"{binding}: nothing reads %{key.argument}", hint
  scopes = {"/".join(c.scopes) for c in calls(bindings) if c.scopes}
  used = {call.name for call in calls(bindings)}
  if key.component not in used:
    return f"{binding}: nothing that train reaches calls {key.component}", ""
  if key.scope and key.scope not in scopes:
    why = f"{binding}: no call of {key.component} has scope '{key.scope}'"
    return why, registry.nearest(key.scope, scopes)
  why = f"{binding}: another binding overrides it wherever it could be read"
  return why, ""


def substitute(value: Any, bindings: Bindings) -> Any:
  """Replaces macros by their values, in nested containers too."""
  if isinstance(value, dict):
    return {
      substitute(k, bindings): substitute(v, bindings) for k, v in value.items()
    }
  if isinstance(value, (list, tuple)):
    return type(value)(substitute(item, bindings) for item in value)
  if isinstance(value, Macro):
    return bindings[Key("", "", value.name)].value
  return value


def text(bindings: Bindings, imports: Iterable[str], header: str) -> str:
  """Writes the bindings that are read as one self-contained gin file.

  Args:
    bindings: those in effect.
    imports: users' modules, in order.
    header: comment lines for the top.

  Returns:
    The text: macros first, then a block per call in the order of reach, every
    default that no binding changes as a comment.
  """
  live = live_keys(bindings)
  lines = [f"# {line}".rstrip() for line in header.splitlines()] + [""]
  lines += [f"import {module}" for module in imports]
  macros = [
    b for b in bindings.values() if b.key in live and not b.key.component
  ]
  for binding in macros:
    lines.append(_assignment("", binding))
  written = set()
  for call, effective in calls(bindings).items():
    scopes = sorted({bindings[key].key.scope for key in effective.values()})
    for scope in scopes or [""]:
      keys = [k for k in effective.values() if k.scope == scope]
      block = (scope, call.name)
      if block not in written:
        written.add(block)
        lines += _block(block, [bindings[k] for k in keys], effective)
  return "\n".join(lines) + "\n"


def table(bindings: Bindings) -> dict[str, Any]:
  """Returns the bindings that are read as one flat table.

  Args:
    bindings: those in effect.

  Returns:
    Names to values, macros replaced; where a component is named, gin's text.
  """
  live = live_keys(bindings)
  return {
    str(key): _literal(substitute(binding.value, bindings))
    for key, binding in bindings.items()
    if key in live
  }


def _literal(value: Any) -> Any:
  named = any(isinstance(leaf, Reference) for leaf in leaves(value))
  return repr(value) if named else value


def _block(
  block: tuple[str, str], bound: list[Binding], effective: dict[str, Key]
) -> list[str]:
  scope, name = block
  title = f"{scope}/{name}" if scope else name
  lines = [_assignment("  ", binding) for binding in bound]
  found = registry.find(name)
  defaults = []
  if found and not scope:
    for parameter in found.parameters.values():
      if parameter.name not in effective:
        shown = default_text(parameter.default)
        defaults.append(f"  # {parameter.name} = {shown}  (default)")
  if not lines:
    return ["", f"# {title}: all defaults", *defaults]
  return ["", f"{title}:", *lines, *defaults]


def default_text(default: Any) -> str:
  """Returns a parameter's default as text, the same in every process."""
  text = getattr(default, "__name__", repr(default))
  return re.sub(r" at 0x[0-9a-f]+", "", text)


def _assignment(indent: str, binding: Binding) -> str:
  return (
    f"{indent}{binding.key.argument} = {binding.value!r}  # {binding.place}"
  )
