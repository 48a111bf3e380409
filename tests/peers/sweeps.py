"""Sweeps over many points: a sample for every run, all of them for `--long`, kept as they pass."""

import hashlib
import json
import random
import statistics
from collections.abc import Callable, Iterable
from pathlib import Path

from lab.programs import program


class Sweep:
    """The results of one sweep, a line of JSON for each point that passed with these programs and this scenario."""

    def __init__(self, file: Path, whole: bool, shard: tuple[int, int], scenario: Path, draw: int):
        self.file, self.whole, self.shard, self.scenario, self.draw = file, whole, shard, scenario, draw

    def run(self, points: Iterable[object], seed: int, sample: int, run: Callable[[object], dict]) -> None:
        """Runs what is to be run, to the first point that fails. `met` of a result: the fault came about."""
        points = list(points)
        chosen = points if self.whole else sorted(random.Random(seed + 1_000 * (self.draw - 1)).sample(points, min(sample, len(points))))
        part, parts = self.shard
        chosen = [point for index, point in enumerate(chosen) if index % parts == part - 1]
        version = self._version()
        known = {one["point"]: one for one in self._kept() if one["version"] == version} if self.whole else {}
        self.file.parent.mkdir(parents=True, exist_ok=True)
        results = []
        for point in chosen:
            result = known.get(str(point))
            if result is None:
                try:
                    result = {"point": str(point), "version": version, **run(point)}
                except BaseException as error:
                    error.add_note(f"at {point} of {self.file.stem}")
                    raise
                with self.file.open("a") as kept:
                    kept.write(json.dumps(result) + "\n")
            results.append(result)
        self._report(len(points), results)
        assert not results or any(one["met"] for one in results), "no fault came about: nothing was shown"

    def _kept(self) -> list[dict]:
        return [json.loads(line) for line in self.file.read_text().splitlines()] if self.file.exists() else []

    def _report(self, of: int, results: list[dict]) -> None:
        met = sum(one["met"] for one in results)
        restarts = [one["restart_s"] for one in results if "restart_s" in one]
        slowest = f"; restart in {statistics.median(restarts):.2f} s, at most {max(restarts):.2f} s" if restarts else ""
        print(f"\n{self.file.stem}: {len(results)} of {of} points passed, {met} of them met their fault{slowest}")

    def _version(self) -> str:
        digest = hashlib.sha256()
        for source in (self.scenario, self.scenario.parent / "harness.py", *sorted(Path(__file__).parent.glob("*.py"))):
            digest.update(source.read_bytes())
        for name in ("scanpost-gateway", "scanpost-reader"):
            digest.update(program(name).read_bytes())
        return digest.hexdigest()[:16]
