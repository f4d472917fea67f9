"""Files that are whole, or as they were."""

from __future__ import annotations

import pathlib

# Ends the name of what is not whole yet.
PARTIAL = ".partial"


def write_whole(path: pathlib.Path, text: str) -> None:
  """Writes a file so that a kill or a full disk leaves the old one.

  Args:
    path: of the file.
    text: all of it; nothing is done if it says so already.

  Raises:
    OSError: if it cannot be written.
  """
  if path.exists() and path.read_text() == text:
    return
  partial = path.with_name(f".{path.name}{PARTIAL}")
  try:
    partial.write_text(text)
    partial.replace(path)
  except OSError:
    partial.unlink(missing_ok=True)
    raise
