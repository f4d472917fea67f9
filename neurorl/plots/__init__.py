"""Plots: what runs leave, and what agents do, as figures and tables.

What lives here: reading run directories (`run_folders`), which runs are one
curve (`groups`), seeds summed up (`curves`, `scores`), how figures look
(`style`), the figures of runs (`figures`), all of them in a folder (`report`),
the logger that draws a run's own curve (`learning_curve`), and pictures of
episodes (`episodes`, `traces`, `bars`). Statistics are `ops.statistics` and
`ops.aggregates`.

May import: `types`, `logging_types`, `registry`, `ops`; matplotlib and Pillow
only inside functions, and never pyplot, which would keep figures and look for a
screen.

To add one: write a function in `figures` that returns a figure made by
`style.figure`, and have `report` save it.
"""

from neurorl.plots.training_curve import learning_curve

__all__ = ["learning_curve"]
