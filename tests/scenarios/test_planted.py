"""The bugs of tests/planted can be planted, and the tests that must notice them exist; `tests/planted/run` builds and looks."""

import re
import sys
from pathlib import Path

import pytest

TOP = Path(__file__).resolve().parents[2]
sys.path.append(str(TOP / "tests/planted"))

from plant import Bug, bugs  # noqa: E402


@pytest.mark.parametrize("bug", bugs(), ids=lambda bug: bug.name)
def test_a_bug_can_be_planted_and_its_test_exists(bug: Bug):
    assert (TOP / bug.file).read_text().count(bug.old) == 1, f"{bug.file} has changed: write the bug anew"
    assert bug.new != bug.old
    if bug.scenario:
        assert (TOP / "tests/scenarios" / bug.scenario).is_file()
    else:
        sources = [path.read_text() for path in (TOP / bug.crate).rglob("*.rs") if "target" not in path.parts]
        assert any(re.search(rf"\bfn {bug.test}\(", text) for text in sources), bug.test


def test_there_are_twenty_of_them():
    assert len({bug.name for bug in bugs()}) >= 20
