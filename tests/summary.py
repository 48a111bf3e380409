"""Adds up the reports of a test run: what was skipped and why, what failed, and one line of counts at the end."""

import shutil
import sys
import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class Count:
    """Test cases of all reports."""

    passed: int = 0
    failed: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)


def main() -> int:
    folder, broken_steps = Path(sys.argv[1]), sys.argv[2:]
    count = Count(failed=[f"step: {step}" for step in broken_steps])
    for report in sorted(folder.glob("*.xml")):
        add_report(count, report)
    ignored = folder / "ignored.txt"
    if ignored.exists():
        count.skipped += [f"{name}: marked #[ignore], run by --long" for name in ignored.read_text().splitlines() if name.strip()]
    for name in count.skipped:
        print(f"skipped: {name}")
    for name in count.failed:
        print(f"failed: {name}")
    if count.skipped:
        print(f"{len(count.skipped)} skipped")
    print(f"{count.passed} passed, {len(count.failed)} failed")
    # `tests/run` hands the folder over with exec, so its own trap does not run.
    shutil.rmtree(folder, ignore_errors=True)
    return 0 if count.passed and not count.failed else 1


def add_report(count: Count, report: Path) -> None:
    """Reads one JUnit file, as cargo-nextest and pytest write it."""
    for case in ElementTree.parse(report).iter("testcase"):
        name = f"{case.get('classname')} {case.get('name')}"
        skipped = case.find("skipped")
        if case.find("failure") is not None or case.find("error") is not None:
            count.failed.append(name)
        elif skipped is not None:
            count.skipped.append(f"{name}: {skipped.get('message') or 'no reason given'}")
        else:
            count.passed += 1


if __name__ == "__main__":
    sys.exit(main())
