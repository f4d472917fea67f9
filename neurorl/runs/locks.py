"""One process to a folder, by the file system's own locks."""

from __future__ import annotations

import errno
import fcntl
import os
import pathlib
import socket
import sys
from typing import IO

NAME = ".lock"
# Of file systems that have none.
_NO_LOCKS = (errno.ENOTSUP, errno.ENOLCK, errno.ENOSYS)


def take(run_dir: pathlib.Path) -> IO[str]:
  """Locks a folder until the file is closed, or the process ends somehow.

  Args:
    run_dir: an existing folder.

  Returns:
    The file that is locked; where the file system has no locks, it is not, and
    a warning says so.

  Raises:
    ValueError: if another process has it.
    OSError: if the file cannot be written.
  """
  file = (run_dir / NAME).open("a+")
  try:
    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
  except OSError as error:
    if error.errno in _NO_LOCKS:
      print(
        f"warning: {run_dir} cannot be locked ({error.strerror}): see that no "
        "other process writes there",
        file=sys.stderr,
      )
      return file
    if not isinstance(error, BlockingIOError):
      raise
    file.seek(0)
    owner = file.read().strip() or "another process"
    file.close()
    raise ValueError(
      f"--run_dir={run_dir} is being written by {owner}; wait for it, or name "
      "another folder"
    ) from None
  file.seek(0)
  file.truncate()
  file.write(f"process {os.getpid()} on {socket.gethostname()}")
  file.flush()
  return file
