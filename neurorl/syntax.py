"""Gin's and Python's words about unreadable text, in ours.

Nothing here knows gin: an error comes in with the text and the line it was
raised at, and one sentence comes out.
"""

from __future__ import annotations

import io
import re
import tokenize

from neurorl import registry

# What other languages and YAML write, and what gin wants.
SPELLING = {
  "true": "True",
  "false": "False",
  "none": "None",
  "null": "None",
  "inf": "a number",
  "-inf": "a number",
  "nan": "a number",
}

_STATEMENT = "expected NAME = VALUE, NAME: and a block, include or import"
_BLOCK = "expected PARAMETER = VALUE, indented as the lines around it"
# How gin's or Python's message begins -> ours.
_SAID = {
  "Expected newline": "a binding is one literal on a line of its own",
  "Couldn't parse statement": _STATEMENT,
  "Unexpected token": _STATEMENT,
  "Malformatted scope or selector": "a name is scope/component.parameter, "
  "without blanks",
  "Invalid identifier": _BLOCK,
  "unindent does not match": _BLOCK,
  "unexpected indent": _BLOCK,
  "Expected '='": _BLOCK,
  "Expected ':'": "a dict is {key: value, ...}",
  "Expected ')'": "a reference is @name(); its parameters are bound on lines "
  "of their own",
  "Expected file path": "include takes the quoted name of a file",
  "unhashable type": "a dict's keys are strings or numbers",
  "EOF in multi-line statement": "a bracket is never closed",
  "EOF in multi-line string": "the string that begins here is never closed",
}
_BRACKETS = {"(": ")", "[": "]", "{": "}"}


def explain(error: BaseException, text: str, line: int) -> str:
  """Says what is wrong with gin text, and what would be right.

  Args:
    error: what the parser raised.
    text: what it was given.
    line: where it stopped, from 1.

  Returns:
    One line, without the place.
  """
  said = str(error.args[0] if error.args else error).strip().splitlines()[0]
  lines = text.splitlines()
  content = lines[line - 1].strip() if 0 < line <= len(lines) else ""
  content = "".join(c if c.isprintable() else "?" for c in content)
  shown = f"; got '{content}'" if content else ""
  bracket, opened = _open_bracket(text, line)
  if type(error).__name__ == "ConfigError":  # ours: there is no more to say
    return said
  if said.startswith("EOF in multi-line statement"):
    return f"the '{bracket}' of line {opened} is never closed"
  if content.endswith("="):
    return f"no value after '='{shown}"
  if said.startswith("Expected ',' or"):
    where = f" for the '{bracket}' of line {opened}" if opened < line else ""
    return f"expected ',' or '{_BRACKETS[bracket]}'{where}{shown}"
  if said.startswith("Expected indentation"):
    return f"the block '{_block_above(lines, line)}' holds no binding"
  if content.startswith("include"):
    return f"include takes the quoted name of a file{shown}"
  if said.startswith("Expected newline") and _is_header(content):
    return f"a block's bindings stand on lines of their own{shown}"
  for words, ours in _SAID.items():
    if said.startswith(words):
      return f"{ours}{shown}"
  if opened < line:
    return f"cannot read '{content}' within the '{bracket}' of line {opened}"
  return f"cannot read the value in '{content}'{_spell(content)}"


def _open_bracket(text: str, line: int) -> tuple[str, int]:
  """The innermost bracket that is open where a line begins, and its line."""
  stack: list[tuple[str, int]] = []
  try:
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
      if token.start[0] >= line and stack:
        break
      if token.string in _BRACKETS:
        stack.append((token.string, token.start[0]))
      elif token.string in _BRACKETS.values() and stack:
        stack.pop()
  except (tokenize.TokenError, SyntaxError):
    pass
  return stack[-1] if stack else ("(", line)


def _block_above(lines: list[str], line: int) -> str:
  headers = [text.partition("#")[0].strip() for text in lines[: line - 1]]
  return next((text for text in reversed(headers) if text), "")


def _is_header(content: str) -> bool:
  return re.match(r"[\w./]+\s*:", content) is not None


def _spell(content: str) -> str:
  """How a value that cannot be read is written."""
  value = content.partition("=")[2].partition(" #")[0].strip()
  if value.lower() in SPELLING:
    return f"; write {SPELLING[value.lower()]}"
  name = value.removesuffix("()")
  if registry.find(name):
    return f"; a component is written @{name}()"
  if value and value[0].isalpha() and not set(value) & set("'\""):
    return f"; a string is quoted: '{value}'"
  return ""
