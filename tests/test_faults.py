"""The planted faults are of lines that exist."""

import pathlib

import pytest

from binaries import planted_faults

PACKAGE = pathlib.Path(planted_faults.__file__).resolve().parent.parent


@pytest.mark.parametrize("fault", planted_faults.FAULTS, ids=lambda f: f.name)
def test_a_fault_can_be_planted(fault):
  text = (PACKAGE / "neurorl" / fault.file).read_text()
  assert text.count(fault.old) == 1
  assert fault.old != fault.new
  assert all((PACKAGE / path).exists() for path in fault.tests)
