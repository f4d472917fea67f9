"""How JAX compiles: the persistent cache, and debugging without compiling."""

from __future__ import annotations

import contextlib
import os
import pathlib
from collections.abc import Iterator

import jax


def cache_folder() -> pathlib.Path:
  """Returns where compiled programs are kept between processes."""
  base = os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache"
  return pathlib.Path(base) / "neurorl" / "jax"


@contextlib.contextmanager
def settings(debug: bool) -> Iterator[None]:
  """Sets compilation up for a run.

  Compiled programs are kept in `cache_folder`, or where
  `JAX_COMPILATION_CACHE_DIR` says; a folder that cannot be written is ignored.

  Args:
    debug: whether to run without compilation, and stop at the first NaN.

  Yields:
    Nothing.
  """
  if not os.environ.get("JAX_COMPILATION_CACHE_DIR"):
    jax.config.update("jax_compilation_cache_dir", str(cache_folder()))
  if not os.environ.get("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"):
    # Small programs compile faster than they load.
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.2)
  if not debug:
    yield
    return
  with jax.disable_jit(), jax.debug_nans(True):
    yield
