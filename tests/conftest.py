"""Settings for every test."""

import gc
import os
import pathlib
import tempfile

import jaxlib.version
import pytest

# NEURORL_TEST_PLATFORM=cuda runs the tests on a GPU.
os.environ["JAX_PLATFORMS"] = os.environ.get("NEURORL_TEST_PLATFORM", "cpu")
# Tests compile many programs, and some of them twice, also in subprocesses.
_CACHE = pathlib.Path(tempfile.gettempdir()) / f"neurorl-tests-{os.getuid()}"
os.environ["JAX_COMPILATION_CACHE_DIR"] = str(_CACHE)
os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0.2"
# To compile is most of their work, and what they compile runs once or twice.
os.environ["JAX_DISABLE_MOST_OPTIMIZATIONS"] = "1"
# Several devices, for the tests of programs that are spread over them.
os.environ["JAX_NUM_CPU_DEVICES"] = "4"
# Flags come and go with jaxlib, and one that it does not know ends the process.
if jaxlib.version.__version__.startswith("0.10."):
  os.environ["XLA_FLAGS"] = " ".join(
    [
      os.environ.get("XLA_FLAGS", ""),
      "--xla_cpu_use_fusion_emitters=false",
      "--xla_cpu_parallel_codegen_split_count=1",
      "--xla_llvm_disable_expensive_passes=true",
    ]
  )
# Traces are many small objects that stay: to look through them for garbage
# again and again takes a seventh of the time.
gc.set_threshold(50_000, 20, 20)


@pytest.fixture
def optimised():
  """Compiles as for users; for tests that train long."""
  import jax  # reads the settings above

  jax.config.update("jax_disable_most_optimizations", False)
  yield
  jax.config.update("jax_disable_most_optimizations", True)


def pytest_collection_modifyitems(items):
  """Long tests come first, or one worker would end alone with them."""
  items.sort(key=lambda item: "optimised" not in item.fixturenames)
