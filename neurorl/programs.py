"""How a program ends: errors in a line or two, and exit codes.

Exit codes: 0 done, 2 a mistake in files or flags, 3 training went wrong, 130 or
143 ended by a signal (143 by --max_seconds too) and able to go on.
"""

from __future__ import annotations

import gc
import os
import pathlib
import sys
from collections.abc import Callable, Sequence

from absl import app, flags, logging

# Flags that libraries have for their own tests, and no program of ours heeds.
_FOREIGN = ("absl.testing.", "chex.")

_TRACEBACK = flags.DEFINE_bool(
  "traceback", False, "Shows where in the code an error arose."
)


class CommandError(Exception):
  """An end that is not success.

  Attributes:
    code: the exit code.
  """

  def __init__(self, message: str, code: int):
    super().__init__(message)
    self.code = code


def run(
  main: Callable[[Sequence[str]], None],
  prepare: Callable[[Sequence[str]], Sequence[str]] = list,
) -> None:
  """Runs a program: parses its flags, tells its errors, exits.

  Args:
    main: what it does with its arguments, the first of which is its name.
    prepare: makes the command line one that absl's flags can read.
  """
  # absl's handler would show what JAX logs about devices that are not there.
  logging.set_verbosity(logging.WARNING)
  # Traces are many small objects that stay; to look for garbage among them as
  # often as Python does takes a seventh of the time to the first update.
  gc.set_threshold(50_000, 20, 20)
  _tidy_help()

  def parse(argv: Sequence[str]) -> list[str]:
    try:
      return flags.FLAGS(prepare(argv))
    except flags.Error as error:
      _exit(str(error), 2)
    except CommandError as error:
      _exit(str(error), error.code)
    except SystemExit:  # absl has answered --help, and calls that a failure
      sys.exit(0)

  def start(arguments: Sequence[str]) -> None:
    try:
      main(arguments)
    except CommandError as error:
      _exit(str(error), error.code)
    except KeyboardInterrupt:
      _exit("interrupted", 130)
    except BrokenPipeError:
      os._exit(0)

  app.run(start, flags_parser=parse)


def _tidy_help() -> None:
  """Has --helpfull begin with our flags, and end before libraries' tests'."""
  modules = flags.FLAGS.flags_by_module_dict()
  for module in list(modules):
    if module.startswith(_FOREIGN):
      for flag in list(modules[module]):
        delattr(flags.FLAGS, flag.name)
    elif module.startswith("neurorl."):
      modules.setdefault(sys.argv[0], []).extend(modules.pop(module))


def check_out(path: str | None) -> None:
  """Refuses a file that could not be written, before anything is done.

  Args:
    path: of the file; None for none.

  Raises:
    CommandError: if its folder does not exist.
  """
  if path and not pathlib.Path(path).expanduser().resolve().parent.is_dir():
    raise CommandError(f"cannot write to {path}: its folder does not exist", 2)


def show_traceback() -> None:
  """Prints where the current error arose, if --traceback asks for it."""
  if _TRACEBACK.value:
    import traceback

    traceback.print_exc()


def _exit(message: str, code: int):
  if sys.stdout.isatty():  # leave the live line
    print()
  sys.stdout.flush()
  stopped = code in (130, 143)
  print(message if stopped else f"error: {message}", file=sys.stderr)
  if stopped:  # at once: nothing waits for what still compiles
    sys.stderr.flush()
    os._exit(code)
  sys.exit(code)
