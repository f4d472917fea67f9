"""Settings for every test."""

import os
import pathlib
import tempfile

# NEURORL_TEST_PLATFORM=cuda runs the tests on a GPU.
os.environ["JAX_PLATFORMS"] = os.environ.get("NEURORL_TEST_PLATFORM", "cpu")
# Tests compile many programs, and some of them twice, also in subprocesses.
_CACHE = pathlib.Path(tempfile.gettempdir()) / f"neurorl-tests-{os.getuid()}"
os.environ["JAX_COMPILATION_CACHE_DIR"] = str(_CACHE)
os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0.2"
