"""docs/loop.svg says what is so."""

import runpy

from neurorl import config, fingerprint
from tests import processes

DOCS = processes.BINARIES.parent / "docs"


def test_its_slots_are_filled_as_in_qlearning():
  parts = runpy.run_path(str(DOCS / "draw_loop.py"))["PARTS"]
  settings = fingerprint.settings(config.load(["qlearning.gin"]))
  assert len(parts) == 9
  for *_, slot, filled in parts:
    assert settings[slot] == filled
