"""The tests of the rows of docs/reliability.md, seed by seed."""

import argparse
import hashlib
import json
import os
import re
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as xml
from pathlib import Path

import pydicom

TOP = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TOP / "deploy"), str(TOP / "tests")]

from lab.programs import program  # noqa: E402

KEPT = TOP / "target" / "rows.jsonl"
ROW = re.compile(r"^\| (\d+) \| ([^|]+) \|")
NAMED = re.compile(r"`([\w/.-]+) (\w+)`")
SCENARIOS = "tests/scenarios/"


def rows() -> dict[int, list[tuple[str, str]]]:
    """File and name of the tests of each row."""
    found = {}
    for line in (TOP / "docs" / "reliability.md").read_text().splitlines():
        if row := ROW.match(line):
            found[int(row[1])] = NAMED.findall(line)
    return found


def scenarios(wanted: set[tuple[str, str]], seed: int, workers: str) -> dict[tuple[str, str], bool]:
    """Whether each passed; one that was skipped did not. They wait for servers and clocks more than they compute, so the tests of one file go to
    several workers."""
    with tempfile.NamedTemporaryFile(suffix=".xml") as report:
        command = [sys.executable, "-m", "pytest", *(f"{file}::{name}" for file, name in sorted(wanted)), "-q", "-n", workers, "--dist", "worksteal",
                   "--before", "--seed", str(seed), "--junitxml", report.name]
        subprocess.run(command, cwd=TOP)
        return passed(Path(report.name), lambda case: (f"{case.get('classname').replace('.', '/')}.py", case.get("name").split("[")[0]))


def unit_tests(wanted: set[tuple[str, str]]) -> dict[tuple[str, str], bool]:
    """All of them at once: what they draw, they draw by seeds of their own."""
    report = TOP / os.environ.get("CARGO_TARGET_DIR", "target") / "nextest" / "default" / "junit.xml"
    report.unlink(missing_ok=True)
    names = "|".join(sorted({name for _, name in wanted}))
    command = ["cargo", "nextest", "run", "--release", "--locked", "--no-fail-fast", "--run-ignored", "all", "--config-file", "tests/nextest.toml",
               "-E", f"test(/(^|::)({names})$/)"]
    # The compressor's tests say NOT RUN without pydicom's own files.
    odd_files = Path(pydicom.__file__).parent / "data" / "test_files"
    subprocess.run(command, cwd=TOP, env={**os.environ, "SCANPOST_ODD_FILES": str(odd_files)})
    by_name = passed(report, lambda case: case.get("name").split("::")[-1])
    return {one: by_name.get(one[1], False) for one in wanted}


def version() -> str:
    """Of all that a result depends on: the sources, committed or not, and the programs that were built."""
    digest = hashlib.sha256()
    listed = subprocess.run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=TOP, check=True, capture_output=True).stdout
    sources = [TOP / name for name in listed.decode().split("\0") if name.endswith((".rs", ".py", ".toml", ".sql", ".js"))]
    for path in (*sorted(sources), *map(program, ("scanpost-gateway", "scanpost-reader", "scanpost-pack"))):
        digest.update(path.read_bytes() if path.is_file() else b"")
    return digest.hexdigest()[:16]


def passed(report: Path, name) -> dict:
    """Nothing, where the runner left no report."""
    found: dict = {}
    if not report.exists() or not report.stat().st_size:
        return found
    for case in xml.parse(report).iter("testcase"):
        is_good = not any(case.find(kind) is not None for kind in ("failure", "error", "skipped"))
        found[name(case)] = found.get(name(case), True) and is_good
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", default="1-20", help="FIRST-LAST")
    parser.add_argument("--rows", default="", help="numbers, with commas; all where absent")
    parser.add_argument("--workers", default="4", help="tests at a time; two runs of other seeds beside one another keep two cores busy")
    asked = parser.parse_args()
    first, last = map(int, asked.seeds.split("-"))
    seeds = range(first, last + 1)
    wanted = {row: tests for row, tests in rows().items() if not asked.rows or str(row) in asked.rows.split(",")}
    built = version()
    kept = [json.loads(line) for line in KEPT.read_text().splitlines()] if KEPT.exists() else []
    good = {(one["file"], one["name"], one["seed"]) for one in kept if one["version"] == built}

    def keep(results: dict[tuple[str, str], bool], seed: int | None) -> None:
        KEPT.parent.mkdir(parents=True, exist_ok=True)
        with KEPT.open("a") as file:
            for test in (test for test, is_good in results.items() if is_good):
                good.add((*test, seed))
                file.write(json.dumps({"file": test[0], "name": test[1], "seed": seed, "version": built}) + "\n")

    everything = {test for tests in wanted.values() for test in tests}
    in_rust = {test for test in everything if not test[0].startswith(SCENARIOS)}
    if left := {test for test in in_rust if (*test, None) not in good}:
        keep(unit_tests(left), None)
    for seed in seeds:
        if left := {test for test in everything - in_rust if (*test, seed) not in good}:
            keep(scenarios(left, seed, asked.workers), seed)
    failed = 0
    for row, tests in wanted.items():
        held = [seed for seed in seeds if all((*test, None if test in in_rust else seed) in good for test in tests)]
        print(f"row {row:2}: {len(held)} of {len(seeds)} seeds, {len(tests)} tests")
        failed += len(held) < len(seeds) or not tests
    print(f"{len(wanted) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
