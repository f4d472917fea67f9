"""Successor features: a term for values, applied to features as rewards."""

from __future__ import annotations

from collections.abc import Mapping

import jax
import jax.numpy as jnp

from neurorl.loss_types import LossInputs, Term, TermOutput
from neurorl.ops import outputs as outputs_lib
from neurorl.ops.codecs import SCALAR
from neurorl.registry import component
from neurorl.types import Array, Key, Outputs

# What the inner term reads, as if heads had predicted it.
_PSI, _OWN, _GPI = "psi", "own", "gpi"


@component
def successor_features(
  term: Term, head: str = "successor", features: str = "features"
) -> Term:
  """The mean of a term over features and policies, each feature as a reward.

  psi = phi + gamma * psi(s', a'), with a' the action that the policy takes in
  s'. For every policy z and feature the inner term sees that feature of each
  arrival as the reward, and three heads of actions: `'psi'`, the values that it
  is to learn; `'own'`, psi(., z) . z; and `'gpi'`, max_z' psi(., z') . z. By
  the latter two it chooses a':

    regression.prediction = @action_value()
    regression.target = @one_step_returns()
    action_value.head = 'psi'
    one_step_returns.bootstrap = @expected_q()
    expected_q.head = 'psi'
    expected_q.policy = @online_greedy()
    online_greedy.head = 'own'

  Barreto et al. (2017), https://arxiv.org/abs/1606.05312
  Borsa et al. (2019), https://arxiv.org/abs/1812.07626

  Args:
    term: what is applied.
    head: a head of successor features, `'psi'` `[T+1, B, P, A, F]`.
    features: the observation's key of the features of an arrival, `[T+1, B,
      F]`.

  Returns:
    The term; its error is the mean absolute error, its metrics are the means of
    the inner term's.

  Raises:
    ValueError: at build, if the observation shows no features.
  """

  def wrapped(inputs: LossInputs) -> TermOutput:
    online = outputs_lib.read_all(inputs.online, head, "successor_features")
    target = outputs_lib.read_all(inputs.target, head, "successor_features")
    target_key, term_key = jax.random.split(inputs.key)
    if "drawn" in online:
      target = _same_policies(inputs, target_key, head, online["policies"])
    phi = _features(inputs, features)
    codecs = {**inputs.agent.codecs, _PSI: SCALAR}
    agent = inputs.agent._replace(codecs=codecs)
    timestep = inputs.steps.timestep

    def of_feature(views, psi, reward, key):
      online, target = [
        {**view, _PSI: {"mean": x, "raw": x}}
        for view, x in zip(views, psi, strict=True)
      ]
      steps = inputs.steps._replace(timestep=timestep._replace(reward=reward))
      return term(
        inputs._replace(
          steps=steps, online=online, target=target, agent=agent, key=key
        )
      )

    def of_policy(views, psi, keys):
      mapped = jax.vmap(of_feature, (None, 3, 2, 0))
      return mapped(views, psi, phi, keys)

    both = (online, target)
    num_policies, num_features = online["psi"].shape[2], phi.shape[-1]
    outputs = jax.vmap(of_policy, (2, 2, 0))(
      [_views(predicted) for predicted in both],
      [predicted["psi"] for predicted in both],
      jax.random.split(term_key, (num_policies, num_features)),
    )
    outputs = outputs._replace(error=abs(outputs.error))
    return jax.tree.map(lambda x: x.mean(axis=(0, 1)), outputs)

  return wrapped


def _views(predicted: Mapping[str, Array]) -> Outputs:
  """Action values by which a policy may act, `[T+1, B, P, A]`."""
  psi = predicted["psi"]
  # [..., policy whose task it is, policy that acts, A]
  values = jnp.sum(
    psi[..., None, :, :, :] * predicted["policies"][..., None, None, :], axis=-1
  )
  own = jnp.moveaxis(jnp.diagonal(values, axis1=-3, axis2=-2), -1, -2)
  return {_OWN: {"mean": own}, _GPI: {"mean": values.max(axis=-2)}}


def _same_policies(
  inputs: LossInputs, key: Key, head: str, policies: Array
) -> Mapping[str, Array]:
  """Asks the target for the policies that were drawn online.

  What it predicted of policies that it drew itself is not read then, so that
  the compiler drops it.
  """
  seen = inputs.steps.timestep.observation
  timestep = inputs.steps.timestep._replace(
    observation={**seen, "policies": jax.lax.stop_gradient(policies)}
  )
  outputs, _ = inputs.agent.unroll(
    inputs.target_params,
    key,
    timestep,
    inputs.steps.agent_state,
    "target",
  )
  return jax.lax.stop_gradient(outputs[head])


def _features(inputs: LossInputs, key: str) -> Array:
  seen = inputs.steps.timestep.observation
  if not isinstance(seen, Mapping) or key not in seen:
    raise ValueError(
      f"successor_features.features: the observation shows no '{key}'; bind "
      "train.environment = @collect_objects(), say"
    )
  return seen[key]
