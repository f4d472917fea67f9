"""Runs on disk: the folder, its lock, checkpoints, and what may be resumed.

What lives here: `directory` (what a run's folder holds, and whether a command
may go on in it), `state_files` (a tree of arrays, verified when it is read),
`keeping` (which of those are kept), `signals` (how a scheduler asks a run
to end), `locks` (one process to a folder). Nothing here knows reinforcement
learning: a state is a tree, a configuration is text.

May import: `types`, `registry`, jax; orbax only inside functions.

To add one: a rule for which checkpoints are kept belongs in `keeping`, what
else a folder must hold in `directory`.
"""

from neurorl.runs.keeping import checkpoints

__all__ = ["checkpoints"]
