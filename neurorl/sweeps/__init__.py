"""Sweeps: many runs of one command, as a YAML file of Weights & Biases says.

What lives here: its file (`sweep_file`), its points (`points`,
`optuna_search`), what is wrong with their command (`checks`), the folder that
they are kept in (`folder`), the processes that run them here (`running`) or an
array job that does on a cluster (`slurm`), and what came out (`outcomes`).

May import: `types`, `registry`, `ops`, `runs`; Optuna only inside the functions
of its own module. A run is a process: nothing of training is imported.

To add one: a way to draw points is a function of a `Sweep` that yields them;
`binaries/sweep.py` chooses.
"""
