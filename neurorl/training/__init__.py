"""Training: where the rooms meet.

What lives here: the loop (`program`, with its halves `collect` and `learner`),
the host that runs it (`host`), evaluation, optimizers, target parameters, and
`train`, the component at the root of every gin file.

May import: everything below (`types`, `registry`, `ops`, and every room).

To add one: an optimizer schedule, a rule for target parameters or an evaluator
is a `@component` here; what has a slot in another room belongs there.
"""

from neurorl.training.evaluation import evaluator
from neurorl.training.experiment import Experiment, train
from neurorl.training.host import run
from neurorl.training.optimizers import grouped_optimizer, optimizer
from neurorl.training.program import LoopState, Program, build
from neurorl.training.target_params import periodic_copy, polyak

__all__ = [
  "Experiment",
  "LoopState",
  "Program",
  "build",
  "evaluator",
  "grouped_optimizer",
  "optimizer",
  "periodic_copy",
  "polyak",
  "run",
  "train",
]
