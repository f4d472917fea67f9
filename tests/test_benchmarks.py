"""What is timed can run: nothing else calls it before somebody asks."""

import jax
import numpy as np

from binaries.benchmarks import straightforward
from neurorl import environments


def test_the_straightforward_parts_run():
  parts = straightforward.functions(environments.gymnax("Catch-bsuite"))
  assert set(parts) == {"acting forwards", "environment steps", "update"}
  _, _, timestep = parts["environment steps"]()
  assert timestep.reward.shape == (straightforward.ENVS,)
  leaves = jax.tree.leaves(parts["update"]()[0])
  assert all(np.isfinite(leaf).all() for leaf in leaves)
