"""Stay probabilities, from records of the two-step task.

python binaries/train.py --gin_file=recurrent_a2c.gin --gin_file=env_two_step.gin --gin.NUM_SEEDS=5 --run_dir=RUN
python binaries/record.py --run_dir=RUN --policy=acting --episodes=300 --out=two_step.csv
python binaries/two_step.py --record=two_step.csv

It prints how often a first choice is repeated, by what the trial before brought
and how, over subjects; and draws it beside the record.
"""  # noqa: E501

import pathlib
import sys

from absl import app, flags

from neurorl.plots.stay import stay_bars
from neurorl.training import records
from neurorl.training.stay_probabilities import CONDITIONS, stay_probabilities

_RECORD = flags.DEFINE_string(
  "record", None, "A CSV file that binaries/record.py wrote; needed."
)
_OUT = flags.DEFINE_string(
  "out", None, "A PNG file; by default beside the record, of its name."
)


def _analyse(_) -> None:
  if not _RECORD.value:
    raise ValueError("name a record: --record=FILE.csv")
  path = pathlib.Path(_RECORD.value).expanduser()
  stay = stay_probabilities(records.read(path))
  print("trial before         stay   95% interval    trials  by subject")
  for i, name in enumerate(CONDITIONS):
    each = " ".join(f"{x:.3f}" for x in stay.by_subject[:, i])
    print(
      f"{name:<18}  {stay.mean[i]:.3f}  [{stay.low[i]:.3f}, "
      f"{stay.high[i]:.3f}]  {stay.trials[i]:>7,}  {each}"
    )
  out = pathlib.Path(_OUT.value or path.with_suffix(".png")).expanduser()
  stay_bars(out, stay.mean, stay.low, stay.high, stay.by_subject)
  print(out)


def _main(argv) -> None:
  try:
    if len(argv) > 1:
      raise ValueError(f"unexpected argument '{argv[1]}'")
    _analyse(argv)
  except ValueError as error:
    _exit(str(error))
  except OSError as error:
    _exit(f"{error.filename}: {error.strerror}")


def _parse(argv):
  try:
    return flags.FLAGS(argv)
  except flags.Error as error:
    _exit(str(error))


def _exit(message: str) -> None:
  print(f"error: {message}", file=sys.stderr)
  sys.exit(2)


def main() -> None:
  """Runs the program; the console script `neurorl-two-step`."""
  app.run(_main, flags_parser=_parse)


if __name__ == "__main__":
  main()
