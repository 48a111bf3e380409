"""How much `unsafe` there is in each crate of ours, as docs/supply-chain.md says: no more, and no less."""

import re
import tomllib
from pathlib import Path

from lab.programs import TOP

COMMENT = re.compile(r"//.*")
CODE = re.compile(r"\bunsafe\s+(?:fn|impl|trait|extern)\b|\bunsafe\s*\{")
NAME = re.compile(r"#\[unsafe\(")
# Where a file may have any.
ALLOWED = re.compile(r"\b(?:allow|expect|warn)\s*\(\s*unsafe_code")
ROW = re.compile(r"^\| ([a-z/]+) \| (\d+) \| (\d+) \| (\d+) \|", re.MULTILINE)


def sources(crate: str, crates: list[str]) -> list[Path]:
    """Of this crate alone: another may lie below it."""
    below = [TOP / other for other in crates if other.startswith(f"{crate}/")]
    found = [path for path in (TOP / crate).rglob("*.rs") if "target" not in path.relative_to(TOP).parts]
    return [path for path in found if not any(path.is_relative_to(other) for other in below)]


def counted(crate: str, crates: list[str]) -> tuple[int, int, int]:
    files = code = names = 0
    for path in sources(crate, crates):
        text = COMMENT.sub("", path.read_text())
        here = len(CODE.findall(text)), len(NAME.findall(text))
        files += bool(sum(here) or ALLOWED.search(text))
        code, names = code + here[0], names + here[1]
    return files, code, names


def test_each_crate_has_as_much_unsafe_as_is_written_and_the_others_none():
    workspace = tomllib.loads((TOP / "Cargo.toml").read_text())["workspace"]
    crates = workspace["members"]
    assert workspace["lints"]["rust"]["unsafe_code"] == "deny"
    for crate in crates:
        assert tomllib.loads((TOP / crate / "Cargo.toml").read_text())["lints"] == {"workspace": True}, crate
    written = {crate: tuple(map(int, numbers)) for crate, *numbers in ROW.findall((TOP / "docs/supply-chain.md").read_text())}
    assert written == {crate: counted(crate, crates) for crate in crates}
