"""docs/threat-model.md, docs/refusals.md, docs/reliability.md, docs/hazards.md and docs/conformance.md name a test for each thing that they say is stopped: every one of them must exist."""

import re
from pathlib import Path

import pytest

TOP = Path(__file__).resolve().parents[2]
NAMED = re.compile(r"`([\w/.-]+\.(?:rs|py)) ([a-z]\w+)`")
DOCUMENTS = {"threat-model.md": 60, "refusals.md": 20, "reliability.md": 50, "hazards.md": 90, "conformance.md": 30}  # and how many tests they name at least


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_named_test_exists(document: str):
    named = NAMED.findall((TOP / "docs" / document).read_text())
    assert len(named) >= DOCUMENTS[document], len(named)
    missing = [f"{path} {name}" for path, name in named if not is_there(path, name)]
    assert not missing, missing


def test_a_test_that_does_not_exist_is_noticed():
    assert is_there("tests/scenarios/test_threat_model.py", "test_every_named_test_exists")
    assert not is_there("tests/scenarios/test_threat_model.py", "is_there")
    assert not is_there("tests/scenarios/test_nowhere.py", "test_every_named_test_exists")
    assert not is_there("seal/tests/native/sweep.rs", "sweep_cover")


def is_there(path: str, name: str) -> bool:
    """A function of that name that a test runner would run: `test_…` in Python, under a test attribute in Rust."""
    file = TOP / path
    if not file.is_file():
        return False
    text = file.read_text()
    if path.endswith(".py"):
        return name.startswith("test_") and re.search(rf"^def {name}\(", text, re.MULTILINE) is not None
    if re.search(rf"#\[(tokio::)?test[^\n]*\]\n(\s*#\[[^\n]*\]\n)*\s*(async )?fn {name}\(", text):
        return True
    # Inside proptest!, where the attribute stands a line above as well.
    return re.search(rf"#\[test\]\s+fn {name}\(", text) is not None
