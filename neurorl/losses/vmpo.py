"""V-MPO: a policy moves to its better half, within a trust region."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from neurorl.loss_types import LossInputs, Term, TermOutput
from neurorl.losses.policy_gradients import policy_of_transitions
from neurorl.losses.rewards import Target
from neurorl.ops import outputs as outputs_lib
from neurorl.registry import component
from neurorl.types import Array

# A weight's logarithm that is as good as minus infinity, but no NaN where a
# batch has no transition that counts.
_NEVER = -1e9


def _better_half(advantage: Array, mask: Array) -> Array:
  """Marks those transitions that count whose advantages are the greater."""
  ranked = jnp.where(mask > 0, advantage, -jnp.inf).ravel()
  order = jnp.argsort(-ranked)
  rank = jnp.argsort(order).reshape(mask.shape)
  return (rank < jnp.ceil(mask.sum() / 2.0)) & (mask > 0)


@component
def vmpo(
  advantage: Target,
  epsilon_eta: float = 0.1,
  epsilon_alpha: float = 0.01,
  head: str = "policy",
  eta: str = "eta",
  alpha: str = "alpha",
) -> Term:
  """The likelihood of the better half of actions, near the target's policy.

  With weights psi = softmax(A / eta) over the half of the batch of the greater
  advantages A, and d = KL(target's policy || policy) of each state, it is

    - sum psi * log pi(a | s)
    + eta * epsilon_eta + eta * log mean exp(A / eta)
    + mean [alpha * (epsilon_alpha - sg(d)) + sg(alpha) * d]

  with sg what has no gradient: the second line teaches eta alone, the third
  alpha by its first part and the policy by its second.

  Song et al. (2019), https://arxiv.org/abs/1909.12238

  Args:
    advantage: how much better an action was than was expected.
    epsilon_eta: how far the weights may be from equal, in nats, above 0.
    epsilon_alpha: how far the policy may be from the target's, above 0.
    head: the head of the policy.
    eta: a `constant_head`, the temperature of the weights.
    alpha: a `constant_head`, the price of the divergence.

  Returns:
    The term; its metrics are the advantage, the divergence, eta and alpha.

  Raises:
    ValueError: if an epsilon is not positive; from the term, if there are no
      target parameters, from which a policy would never diverge.
  """
  for name, value in [
    ("epsilon_eta", epsilon_eta),
    ("epsilon_alpha", epsilon_alpha),
  ]:
    if not value > 0.0:
      raise ValueError(f"vmpo.{name} must be above 0, got {value}")

  def term(inputs: LossInputs) -> TermOutput:
    if not inputs.has_target:
      raise ValueError(
        "vmpo stays near the policy of target parameters, and there are none: "
        "bind train.target_params = @periodic_copy()"
      )
    length, mask = inputs.mask.shape[0], inputs.mask
    distribution, prediction = policy_of_transitions(inputs, head, "vmpo")
    before = outputs_lib.read_all(inputs.target, head, "vmpo")
    before = jax.tree.map(lambda x: x[:length], dict(before))
    temperature, price = [
      # The same everywhere.
      outputs_lib.read(inputs.online, name, "vmpo")[0, 0]
      for name in (eta, alpha)
    ]
    better = jax.lax.stop_gradient(advantage(inputs))
    chosen = _better_half(better, mask)
    scaled = jnp.where(chosen, better / temperature, _NEVER)
    total = jax.nn.logsumexp(scaled)
    # `losses` takes the mean over what counts; the paper sums.
    count = mask.sum()
    psi = jax.lax.stop_gradient(jnp.exp(scaled - total)) * count
    action = inputs.steps.action[:length]
    policy_loss = -psi * distribution.log_prob(prediction, action)
    log_mean = total - jnp.log(jnp.maximum(chosen.sum(), 1))
    eta_loss = temperature * (epsilon_eta + log_mean)
    d = distribution.divergence(before, prediction)
    fixed = jax.lax.stop_gradient
    alpha_loss = price * (epsilon_alpha - fixed(d)) + fixed(price) * d
    metrics = {
      "advantage": better,
      "divergence": d,
      "eta": temperature,
      "alpha": price,
    }
    return TermOutput(policy_loss + eta_loss + alpha_loss, better, metrics)

  return term
