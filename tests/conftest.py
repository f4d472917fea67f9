"""Settings for every test."""

import os

# Tests compile many small programs: keep them between runs, where CI may write.
os.environ.setdefault("JAX_PLATFORMS", os.environ.get("NEURORL_TEST_PLATFORM", "cpu"))
