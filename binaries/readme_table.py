"""Writes the README's table of gin files from the files themselves.

python binaries/readme_table.py
"""

import dataclasses
import pathlib
import re

from absl import app

_ROOT = pathlib.Path(__file__).resolve().parent.parent
_README = _ROOT / "README.md"
_BEGIN, _END = "<!-- gin files: begin -->", "<!-- gin files: end -->"
_REFERENCE = re.compile(r"@(?:[\w.]+/)*([\w.]+)\(")
_BINDING = re.compile(r"^([\w./]+)\s*[:=]", re.MULTILINE)
_PAPER = re.compile(r"(.+ \(\d{4}\)), (.+)")


@dataclasses.dataclass(frozen=True)
class _File:
  """What a gin file says of itself.

  Attributes:
    name: of the file.
    what: its description.
    papers: authors and year, linked where there is an address.
    lines: those that bind or include.
    parents: the files that it includes.
    components: what it binds to a slot, in order.
    bound: the components and macros that it sets, in order.
  """

  name: str
  what: str
  papers: tuple[str, ...]
  lines: int
  parents: tuple[str, ...]
  components: tuple[str, ...]
  bound: tuple[str, ...]


def _read(path: pathlib.Path) -> _File:
  text = path.read_text()
  header, body = [], []
  for line in text.splitlines():
    (header if line.startswith("#") and not body else body).append(line)
  code = [line.split("#")[0].rstrip() for line in body]
  code = [line for line in code if line]
  papers, words = [], []
  for line in header:
    line = line.removeprefix("#").strip()
    paper = _PAPER.fullmatch(line)
    if paper:
      papers.append(_link(*paper.groups()))
    elif not papers:
      words.append(line)
  what = " ".join(words).removeprefix(f"{path.name}: ").rstrip(".")
  joined = "\n".join(code)
  bound = [
    name.split("/")[-1].split(".")[0] for name in _BINDING.findall(joined)
  ]
  return _File(
    path.name,
    what,
    tuple(papers),
    len(code),
    tuple(re.findall(r"include '([\w.]+)'", joined)),
    tuple(dict.fromkeys(_REFERENCE.findall(joined))),
    tuple(dict.fromkeys(bound)),
  )


def _link(paper: str, where: str) -> str:
  address = where.split()[-1]
  return f"[{paper}]({address})" if address.startswith("http") else paper


def _inherited(file: _File, files: dict[str, _File]) -> set[str]:
  found: set[str] = set()
  for name in file.parents:
    found |= {*files[name].components, *_inherited(files[name], files)}
  return found


def _difference(file: _File, files: dict[str, _File]) -> str:
  """Names the components that a parent lacks, or else what is bound anew."""
  if set(file.parents) <= {"base.gin"} and not file.name.startswith("env_"):
    return ""  # all of it
  new = [x for x in file.components if x not in _inherited(file, files)]
  if new:
    return ", ".join(f"`@{x}`" for x in new)
  return ", ".join(f"`{x}`" for x in file.bound)


def _row(file: _File, files: dict[str, _File]) -> str:
  parents = ", ".join(f"`{name}`" for name in file.parents)
  cells = [f"`{file.name}`", file.what, "; ".join(file.papers), file.lines]
  cells += [parents, _difference(file, files)]
  return "| " + " | ".join(map(str, cells)) + " |"


def table() -> str:
  """Makes the table.

  Returns:
    Markdown, algorithms before environments.
  """
  paths = (_ROOT / "gin_configs").glob("*.gin")
  files = {path.name: _read(path) for path in sorted(paths)}
  lines = [
    "| file | what | paper | lines | parent | differs by |",
    "|---|---|---|---|---|---|",
  ]
  names = sorted(files, key=lambda name: name.startswith("env_"))
  return "\n".join([*lines, *(_row(files[name], files) for name in names)])


def rewrite(text: str) -> str:
  """Puts the table into a README.

  Args:
    text: the README, with the two marks.

  Returns:
    The same with a table of today between them.
  """
  before, rest = text.split(_BEGIN)
  after = rest.split(_END)[1]
  return f"{before}{_BEGIN}\n{table()}\n{_END}{after}"


def main(_) -> None:
  """Writes the file."""
  _README.write_text(rewrite(_README.read_text()))


if __name__ == "__main__":
  app.run(main)
