"""Stay probabilities, from records of the two-step task.

python binaries/train.py --gin_file=recurrent_a2c.gin --gin_file=env_two_step.gin --gin.NUM_SEEDS=5 --run_dir=RUN
python binaries/record.py --run_dir=RUN --policy=acting --episodes=300 --out=two_step.csv
python binaries/two_step.py --record=two_step.csv

It prints how often a first choice is repeated, by what the trial before brought
and how, over subjects; and draws it beside the record.
"""  # noqa: E501

import pathlib
from collections.abc import Sequence

import numpy as np
from absl import flags

from neurorl import programs
from neurorl.plots.stay import stay_bars
from neurorl.training import records
from neurorl.training.stay_probabilities import (
  CONDITIONS,
  Stay,
  stay_probabilities,
)

flags.adopt_module_key_flags(programs)

_RECORD = flags.DEFINE_string(
  "record", None, "A CSV file that binaries/record.py wrote; needed."
)
_OUT = flags.DEFINE_string(
  "out", None, "A PNG file; by default beside the record, of its name."
)


def _analyse(arguments: Sequence[str]) -> None:
  if len(arguments) > 1:
    raise programs.CommandError(
      f"unexpected argument '{arguments[1]}'; a record is given by --record", 2
    )
  if not _RECORD.value:
    raise programs.CommandError("name a record: --record=FILE.csv", 2)
  programs.check_out(_OUT.value)
  path = pathlib.Path(_RECORD.value).expanduser()
  out = pathlib.Path(_OUT.value or path.with_suffix(".png")).expanduser()
  try:
    stay = stay_probabilities(records.read(path))
    print(_table(stay))
    stay_bars(out, stay.mean, stay.low, stay.high, stay.by_subject)
  except UnicodeDecodeError:
    raise programs.CommandError(f"{path} is no CSV file", 2) from None
  except ValueError as error:
    programs.show_traceback()
    raise programs.CommandError(str(error), 2) from error
  except OSError as error:
    raise programs.CommandError(
      f"{error.filename}: {error.strerror}", 2
    ) from None
  print(out)


def _table(stay: Stay) -> str:
  lines = ["trial before         stay   95% interval    trials  by subject"]
  for i, name in enumerate(CONDITIONS):
    each = " ".join(f"{x:.3f}" for x in stay.by_subject[:, i])
    interval = f"[{stay.low[i]:.3f}, {stay.high[i]:.3f}]"
    if np.isnan(stay.low[i]):  # one subject has none
      interval = ""
    lines.append(
      f"{name:<18}  {stay.mean[i]:.3f}  {interval:<14}  {stay.trials[i]:>7,}  "
      f"{each}"
    )
  return "\n".join(lines)


def main() -> None:
  """Runs the program; the console script `neurorl-two-step`."""
  programs.run(_analyse)


if __name__ == "__main__":
  main()
