"""Stay probabilities of the two-step task, as the field draws them."""

from __future__ import annotations

import pathlib

import numpy as np

# Common and rare, in colours that the colour-blind tell apart.
_COLOURS = ("#0077bb", "#ee7733")


def stay_bars(
  path: pathlib.Path,
  mean: np.ndarray,
  low: np.ndarray,
  high: np.ndarray,
  by_subject: np.ndarray,
) -> None:
  """Draws four bars: after rewarded and unrewarded, common and rare trials.

  Args:
    path: of the PNG.
    mean: `[4]`: rewarded common, rewarded rare, unrewarded common, unrewarded
      rare.
    low: `[4]`, of the mean's interval; NaN for none.
    high: `[4]`.
    by_subject: `[S, 4]`, each a dot.
  """
  from matplotlib.figure import Figure

  figure = Figure(figsize=(3.6, 3.0), dpi=200, layout="constrained")
  axis = figure.subplots()
  places = np.array([0.0, 1.0, 2.5, 3.5])
  for rare, name in enumerate(("common", "rare")):
    bars = slice(rare, None, 2)
    axis.bar(
      places[bars], mean[bars], color=_COLOURS[rare], label=f"{name} transition"
    )
  axis.vlines(places, low, high, color="black", linewidth=1.5)
  shift = np.linspace(-0.2, 0.2, len(by_subject))[:, None]
  axis.plot(places + shift, by_subject, "o", color="black", markersize=2)
  axis.set_xticks([0.5, 3.0], ["rewarded", "unrewarded"])
  axis.set_xlabel("the trial before")
  axis.set_ylabel("stay probability")
  axis.set_ylim(0.0, 1.05)
  axis.spines[["top", "right"]].set_visible(False)
  figure.legend(loc="outside upper center", ncols=2, frameon=False, fontsize=8)
  figure.savefig(path)
