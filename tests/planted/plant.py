"""Plants bugs, one after the other, and runs the test that must notice each."""

import argparse
import os
import shutil
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
BUGS = TOP / "tests/planted/bugs.toml"
TREE = TOP / "target/planted/tree"
# cargo-nextest's own code for tests that failed, and pytest's.
TESTS_FAILED = {"unit": 100, "scenario": 1}
# Speed matters less than building again.
QUICK = [option for package in ("gateway", "reader") for option in
         ("--config", f"profile.release.package.{package}.opt-level=0", "--config", f"profile.release.package.{package}.codegen-units=16",
          "--config", f"profile.release.package.{package}.incremental=true")]


@dataclass(frozen=True)
class Bug:
    """An edit of one file, and who must notice."""

    name: str
    file: str
    old: str
    new: str
    append: str = ""
    crate: str | None = None
    test: str | None = None
    scenario: str | None = None

    def plant(self, tree: Path) -> str:
        """Gives what the file was."""
        path = tree / self.file
        text = path.read_text()
        path.write_text(text.replace(self.old, self.new) + self.append)
        return text


def bugs() -> list[Bug]:
    return [Bug(**one) for one in tomllib.loads(BUGS.read_text())["bug"]]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bug", action="append", default=[], help="only those with this in their name")
    wanted = parser.parse_args().bug
    chosen = [bug for bug in bugs() if not wanted or any(part in bug.name for part in wanted)]
    copy_tree()
    missed = []
    for bug in chosen:
        text = bug.plant(TREE)
        try:
            words = look_for(bug)
        finally:
            (TREE / bug.file).write_text(text)
        print(f"{'found ' if words is None else 'MISSED'}  {bug.name}{'' if words is None else f': {words}'}", flush=True)
        missed += [] if words is None else [bug]
    print(f"{len(chosen) - len(missed)} found, {len(missed)} missed")
    return 1 if missed else 0


def copy_tree() -> None:
    """The files that git knows, as they are now; what did not change keeps its time, so that it is not built again."""
    listed = subprocess.run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=TOP, check=True, capture_output=True).stdout
    for name in filter(None, listed.decode().split("\0")):
        source, copy = TOP / name, TREE / name
        if source.is_file() and not (copy.is_file() and copy.read_bytes() == source.read_bytes()):
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, copy)


def look_for(bug: Bug) -> str | None:
    """None where the test fails as it should; else why the bug was missed."""
    target = os.environ.get("CARGO_TARGET_DIR") or str(TOP / "target/planted/target")
    environment = {**os.environ, "CARGO_TARGET_DIR": target}
    if bug.scenario:
        run(["cargo", "build", "--release", "--locked", "-p", "gateway", "-p", "reader", *QUICK], environment, check=True)
        environment |= {"SCANPOST_BIN": f"{target}/release"}
        code = run([TOP / ".venv/bin/python", "-m", "pytest", "-q", f"tests/scenarios/{bug.scenario}"], environment)
        kind = "scenario"
    else:
        code = run(["cargo", "nextest", "run", "--release", "--locked", "-p", bug.crate, "--config-file", "tests/nextest.toml", *QUICK,
                    "-E", f"test({bug.test})"], environment)
        kind = "unit"
    if code == TESTS_FAILED[kind]:
        return None
    return f"{bug.scenario or bug.test} passes" if code == 0 else f"{bug.scenario or bug.test} did not run (exit {code})"


def run(command: list[object], environment: dict[str, str], check: bool = False) -> int:
    result = subprocess.run(list(map(str, command)), cwd=TREE, env=environment, capture_output=True, text=True)
    if check and result.returncode:
        raise SystemExit(result.stderr)
    return result.returncode


if __name__ == "__main__":
    sys.exit(main())
