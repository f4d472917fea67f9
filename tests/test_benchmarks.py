"""What is timed can run: nothing else calls it before somebody asks."""

import jax
import numpy as np
import pytest

from binaries.benchmarks import straightforward
from neurorl import environments


@pytest.mark.parametrize("core", straightforward.CORES)
def test_the_straightforward_parts_run(core):
  parts = straightforward.functions(environments.gymnax("Catch-bsuite"), core)
  assert set(parts) == {"acting forwards", "environment steps", "update"}
  _, _, timestep = parts["environment steps"]()
  assert timestep.reward.shape == (straightforward.ENVS,)
  leaves = jax.tree.leaves(parts["update"]()[0])
  assert all(np.isfinite(leaf).all() for leaf in leaves)
