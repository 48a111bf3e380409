"""The bill of materials of a program names what is in it: as Cargo.lock says, and as the program itself shows."""

import json
import os
import re
import subprocess
import tomllib
from pathlib import Path

import pytest

from lab.programs import program

TOP = Path(__file__).resolve().parents[2]
PACKAGES = ("gateway", "reader")
LOCKED = tomllib.loads((TOP / "Cargo.lock").read_text())["package"]
# Our own crates, which have no source outside.
OURS = {one["name"] for one in LOCKED if "source" not in one}


def bill(package: str, **environment: str) -> dict:
    command = [TOP / "deploy" / "sbom", package]
    result = subprocess.run(command, capture_output=True, text=True, check=True, env={**os.environ, **environment})
    return json.loads(result.stdout)


def reached(package: str) -> set[tuple[str, str]]:
    """All that Cargo.lock lets a package come to, what builds and tests it among it."""
    by_name: dict[str, list[dict]] = {}
    for one in LOCKED:
        by_name.setdefault(one["name"], []).append(one)
    found: set[tuple[str, str]] = set()
    todo = [by_name[package][0]]
    while todo:
        for dependency in todo.pop().get("dependencies", []):
            name, *version = dependency.split(" ")
            (one,) = [one for one in by_name[name] if not version or one["version"] == version[0]]
            if (name, one["version"]) not in found:
                found.add((name, one["version"]))
                todo.append(one)
    return found


def shown_by(binary: Path) -> set[tuple[str, str]]:
    """Crates whose files a program names, in messages of panics and for debuggers."""
    paths = re.findall(rb"/registry/src/[^/\s]+/([A-Za-z0-9_-]+?)-(\d+\.\d+\.\d+(?:[+-][0-9A-Za-z.+-]+)?)[/\0]", binary.read_bytes())
    return {(name.decode(), version.decode()) for name, version in paths}


@pytest.mark.parametrize("package", PACKAGES)
def test_it_names_what_is_locked_and_what_is_in_the_program(package: str):
    found = bill(package)
    assert (found["bomFormat"], found["specVersion"]) == ("CycloneDX", "1.5")
    assert found["metadata"]["component"]["name"] == f"scanpost-{package}"
    components = {(one["name"], one["version"]): one for one in found["components"]}
    assert len(components) == len(found["components"])
    checksums = {(one["name"], one["version"]): one.get("checksum") for one in LOCKED}
    for key, one in components.items():
        assert one["purl"] == f"pkg:cargo/{key[0]}@{key[1]}" and one["licenses"][0]["expression"], one
        assert [digest["content"] for digest in one.get("hashes", [])] == ([checksums[key]] if key[0] not in OURS else []), key
    assert set(components) <= reached(package)
    names = {name for name, _ in components}
    assert {"rustls", "aws-lc-sys", "seal"} <= names and not names & {"proptest", "serde_derive", "cc"}, sorted(names)
    shown = shown_by(Path(program(f"scanpost-{package}")))
    print(f"{package}: {len(components)} in the bill, {len(shown)} seen in the program")
    assert len(shown) > 50 and shown <= set(components), sorted(shown - set(components))


def test_the_same_sources_give_the_same_bill():
    assert bill("gateway", SOURCE_DATE_EPOCH="1790000000") == bill("gateway", SOURCE_DATE_EPOCH="1790000000")
    assert bill("gateway", SOURCE_DATE_EPOCH="1790000000")["metadata"]["timestamp"] == "2026-09-21T14:13:20Z"
