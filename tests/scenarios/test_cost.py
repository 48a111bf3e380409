"""What a study costs: memory of the gateway at rest and at work, processor seconds, bytes stored and sent, and instructions, which hold still where seconds do not.

`cost.json` beside has what was measured; SCANPOST_RECORD=1 writes it anew."""

import json
import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest
from lab.process import children
from lab.programs import program
from lab.study import ct, mr
from peers import senders

import harness
from harness import Bench
from test_memory import MIB, watched

RECORDED = Path(__file__).with_name("cost.json")
# What may change without a word.
WITHIN = 0.10
IDLE_BYTES_MAX, BUSY_BYTES_MAX = 40 * MIB, 256 * MIB
REST_SECONDS = 5
EVENT = "instructions:u"
# The reference case: a head MR of three series.
IMAGES, SEED = 150, 7
# Packed under valgrind, which is fifty times slower: both modalities, slices beside each other.
MR_PACKED, CT_PACKED = 6, 2


def test_memory_processor_and_bytes_of_the_reference_case(bench: Bench, tmp_path: Path):
    bench.start(near='"auto"', silence_ms=1_500)
    time.sleep(REST_SECONDS)
    # The process that reads mailboxes is one of its own; pages of the program that both have are counted once.
    idle = sum(proportional_bytes(pid) for pid in (bench.gateway.child.pid, *children(bench.gateway.child.pid)))
    idle_seconds = cpu_seconds(bench.gateway.child.pid)
    study = tmp_path / "study"
    study.mkdir()
    mr.generate(study, IMAGES, SEED)
    with watched(bench.gateway.child.pid) as peaks:
        senders.storescu(bench.port, "DR_DEMO", sorted(study.iterdir()))
        (delivery,) = bench.gateway.wait_for_state("notified", seconds=300)
        stored = sum(path.stat().st_size for path in (bench.gateway.folder / "state" / "spool").rglob("*") if path.is_file())
        bench.pull()
        bench.gateway.wait_for_state("pulled")
    seconds = cpu_seconds(bench.gateway.child.pid) - idle_seconds
    found = {name: delivery[name] for name in ("received_bytes", "bundle_bytes", "mail_bytes")} | {"spool_bytes": stored}
    print(f"\nat rest {idle / MIB:.0f} MiB, at work {max(peaks.values()) / MIB:.0f} MiB in the largest of {len(peaks)} processes; "
          f"{seconds:.1f} processor seconds for {IMAGES} images, {delivery['received_bytes'] / 1e6:.1f} MB; {found}")
    assert idle < IDLE_BYTES_MAX
    assert max(peaks.values()) < BUSY_BYTES_MAX
    assert_as_recorded(found)


def test_instructions_of_packing(tmp_path: Path):
    """By valgrind, which shows each program the same processor wherever the machine has AVX2, so that a count is good on another machine. The build that counts is
    the optimised one. Of the gateway itself nothing is counted: disk and network decide its path."""
    if "avx2" not in Path("/proc/cpuinfo").read_text().split():
        pytest.skip("NOT RUN: this processor has no AVX2, and the codec takes another path than the one that was recorded")
    study = tmp_path / "study"
    study.mkdir()
    mr.generate(study, MR_PACKED, SEED)
    ct.generate(study, CT_PACKED, SEED)
    found = {f"instructions_{word}": instructions(study, tmp_path / f"bundle-{word}", near) for word, near in (("lossless", "0"), ("auto", "auto"))}
    print("\n" + ", ".join(f"{name} {count / 1e9:.3f} thousand million" for name, count in found.items()))
    assert_as_recorded(found)


def test_instructions_of_the_gateway_by_the_processor_itself(request: pytest.FixtureRequest, mr_study: list[Path]):
    """What the processor counts of the gateway and all that it starts, from its start to the notice: told, not held, since waiting for others counts too."""
    if not counts_here():
        pytest.skip("NOT RUN: perf counts no instructions here (a virtual machine without counters, or perf is not installed)")
    bench: Bench = request.getfixturevalue("bench")
    counts = bench.folder / "perf"
    bench.gateway.prefix = ["perf", "stat", "-x,", "-e", EVENT, "-o", str(counts)]
    bench.start(near='"auto"', silence_ms=1_500)
    senders.storescu(bench.port, "DR_DEMO", mr_study)
    bench.gateway.wait_for_state("notified", seconds=300)
    # perf itself would end without a word.
    (gateway,) = children(bench.gateway.child.pid)
    os.kill(gateway, signal.SIGTERM)
    bench.gateway.child.process.wait(60)
    (count,) = [int(line.split(",")[0]) for line in counts.read_text().splitlines() if EVENT in line]
    print(f"\n{count / 1e9:.2f} thousand million instructions for {len(mr_study)} images")
    assert count > 0


def instructions(study: Path, bundle: Path, near: str) -> int:
    command = ["valgrind", "--tool=cachegrind", "--cache-sim=no", "--branch-sim=no", "--cachegrind-out-file=/dev/null",
               program("scanpost-pack"), "encode", study, bundle, "--near", near, "--threads", "1"]
    result = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=500)
    assert result.returncode == 0, result.stderr
    (count,) = re.findall(r"I +refs: +([\d,]+)", result.stderr)
    return int(count.replace(",", ""))


def counts_here() -> bool:
    if not shutil.which("perf"):
        return False
    result = subprocess.run(["perf", "stat", "-x,", "-e", EVENT, "true"], capture_output=True, text=True, timeout=60)
    return result.stderr.lstrip().split(",")[0].isdigit()


def proportional_bytes(pid: int) -> int:
    """Resident memory, a page that several processes have divided among them (Pss, proc(5))."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))


def cpu_seconds(pid: int) -> float:
    """Of a process and all that it started: those that ended and were waited for, and those that run."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    own = sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")
    return own + sum(map(_cpu_seconds_of_child, children(pid)))


def _cpu_seconds_of_child(pid: int) -> float:
    try:
        return cpu_seconds(pid)
    except (FileNotFoundError, ProcessLookupError):
        # It has ended since it was listed.
        return 0


def assert_as_recorded(found: dict[str, int]) -> None:
    recorded = json.loads(RECORDED.read_text()) if RECORDED.exists() else {}
    if os.environ.get("SCANPOST_RECORD"):
        RECORDED.write_text(json.dumps(recorded | found, indent=1, sort_keys=True) + "\n")
        return
    wrong = {name: (recorded.get(name), value) for name, value in found.items() if abs(value / recorded.get(name, 1) - 1) > WITHIN}
    assert not wrong, f"recorded, found: {wrong}. Where that is meant, SCANPOST_RECORD=1 writes {RECORDED.name} anew; the commit says why"
