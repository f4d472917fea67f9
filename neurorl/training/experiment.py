"""`train`: the component at the root, whose slots a gin file fills."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from neurorl.logging_types import LoggerRecipe
from neurorl.loss_types import LossRecipe
from neurorl.registry import component
from neurorl.runs.keeping import Checkpoints
from neurorl.training.evaluation import Evaluator
from neurorl.training.optimizers import Optimizer
from neurorl.training.target_params import TargetUpdate
from neurorl.types import (
  ActorRecipe,
  AgentRecipe,
  BufferRecipe,
  Environment,
  Task,
)


@dataclasses.dataclass(frozen=True)
class Experiment:
  """Everything that defines a run; see `train` for the fields."""

  environment: Environment
  agent: AgentRecipe
  actor: ActorRecipe
  buffer: BufferRecipe
  loss: LossRecipe
  optimizer: Optimizer
  target_params: TargetUpdate | None
  evaluator: Evaluator
  loggers: Sequence[LoggerRecipe]
  checkpoints: Checkpoints | None
  discount: float
  num_envs: int
  unroll_length: int
  total_steps: int
  steps_per_chunk: int
  seed: int
  num_seeds: int
  num_devices: int | None

  @property
  def task(self) -> Task:
    """The environment and its discount."""
    return Task(self.environment, self.discount)

  @property
  def steps_per_iteration(self) -> int:
    """Environment steps that one iteration spends."""
    return self.num_envs * self.unroll_length

  @property
  def iterations(self) -> int:
    """Iterations of the whole run: `total_steps` rounded up."""
    return -(-self.total_steps // self.steps_per_iteration)

  @property
  def iterations_per_chunk(self) -> int:
    """Iterations between two looks of the host, rounded up."""
    return -(-self.steps_per_chunk // self.steps_per_iteration)


@component
def train(
  environment: Environment,
  agent: AgentRecipe,
  actor: ActorRecipe,
  buffer: BufferRecipe,
  loss: LossRecipe,
  optimizer: Optimizer,
  evaluator: Evaluator,
  target_params: TargetUpdate | None = None,
  loggers: Sequence[LoggerRecipe] = (),
  checkpoints: Checkpoints | None = None,
  discount: float = 0.99,
  num_envs: int = 32,
  unroll_length: int = 10,
  total_steps: int = 200_000,
  steps_per_chunk: int = 10_000,
  seed: int = 0,
  num_seeds: int = 1,
  num_devices: int | None = None,
) -> Experiment:
  """Collects rollouts, adds them to a buffer, learns from samples, repeats.

  Args:
    environment: what is acted in, such as `@gymnax()`.
    agent: the recurrent network, `@agent()`.
    actor: predictions to actions while training.
    buffer: what is learned from, and how often.
    loss: what is minimised, such as `@losses()`.
    optimizer: how, `@optimizer()`.
    evaluator: when and how the policy is judged, `@evaluator()`.
    target_params: how target parameters follow; None for no target.
    loggers: where metrics go.
    checkpoints: which states are kept, `@checkpoints()`; None for none.
    discount: the task's gamma, in [0, 1].
    num_envs: environments in lockstep.
    unroll_length: steps of each of them in a rollout.
    total_steps: environment steps of the run, rounded up to whole iterations
      (num_envs x unroll_length).
    steps_per_chunk: environment steps between two rows of metrics, rounded up
      to whole iterations.
    seed: the first seed.
    num_seeds: independent agents trained at once, with seeds seed, seed + 1...
    num_devices: that share the work: seeds first, then the environments and
      batches of each. None for all there are, as far as they can share it
      equally; of cores, for as many as share the seeds.

  Returns:
    The experiment.

  Raises:
    ValueError: if a number is out of range.
  """
  for name, value in [
    ("num_envs", num_envs),
    ("unroll_length", unroll_length),
    ("total_steps", total_steps),
    ("steps_per_chunk", steps_per_chunk),
    ("num_seeds", num_seeds),
    ("num_devices", 1 if num_devices is None else num_devices),
  ]:
    if value < 1:
      raise ValueError(f"train.{name} must be >= 1, got {value}")
  if not 0.0 <= discount <= 1.0:
    raise ValueError(f"train.discount must be in [0, 1], got {discount}")
  # jax.random.key folds larger seeds onto smaller ones.
  if seed < 0 or seed + num_seeds > 2**32:
    raise ValueError(
      f"train.seed = {seed} with train.num_seeds = {num_seeds}: seeds must be "
      "in [0, 2**32)"
    )
  iterations = -(-total_steps // (num_envs * unroll_length))
  # A device counts iterations, not steps.
  if max(iterations, steps_per_chunk) >= 2**31:
    raise ValueError(
      f"train.total_steps = {total_steps} in iterations of {num_envs} x "
      f"{unroll_length}, and train.steps_per_chunk = {steps_per_chunk}: both "
      "must be below 2**31"
    )
  return Experiment(
    environment=environment,
    agent=agent,
    actor=actor,
    buffer=buffer,
    loss=loss,
    optimizer=optimizer,
    target_params=target_params,
    evaluator=evaluator,
    loggers=loggers,
    checkpoints=checkpoints,
    discount=discount,
    num_envs=num_envs,
    unroll_length=unroll_length,
    total_steps=total_steps,
    steps_per_chunk=steps_per_chunk,
    seed=seed,
    num_seeds=num_seeds,
    num_devices=num_devices,
  )
