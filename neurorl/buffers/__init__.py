"""Buffers: storage of steps, and sequences drawn from it.

What lives here: recipes of `types.Buffer`, `(step, num_envs,
unroll_length) -> Buffer`, where `step` holds the shapes of one environment's
step. A buffer knows time and batch and knows no reinforcement learning. It
says how many updates follow an add.

May import: `types`, `registry`, `ops`, jax.

To add one: write a function of hyperparameters that returns such a recipe and
decorate it with `@component`; check every size against the others before
anything is built, and put the numbers in the message. Keep steps as a `Step` or
as `ring.Stored`: several devices split those by environments.
"""

from neurorl.buffers.prioritized import prioritized_replay
from neurorl.buffers.rollout import rollout
from neurorl.buffers.uniform import uniform_replay

__all__ = ["prioritized_replay", "rollout", "uniform_replay"]
