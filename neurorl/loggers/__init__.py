"""Loggers: where metrics go.

What lives here: recipes of `logging_types.Logger`, `RunInfo -> Logger`.

May import: `types`, `logging_types`, `registry`; a logging service only inside
the functions of its own module.

To add one: write a function of hyperparameters that returns such a recipe,
decorate it with `@component`, and name it in `train.loggers`.
"""

from neurorl.loggers.metrics_file import metrics_file
from neurorl.loggers.terminal import terminal
from neurorl.loggers.wandb_logger import wandb

__all__ = ["metrics_file", "terminal", "wandb"]
