"""`scanpost-gateway bench` beside a running gateway: figures of each part, to a mailbox of tests alone."""

import json
import subprocess
import xml.etree.ElementTree as ElementTree
from contextlib import contextmanager
from pathlib import Path

import pydicom
from lab.programs import program
from lab.progress import STAGES

import harness
from harness import Bench

MACHINE, DESTINATION = "doctor2", "BENCH"
# The daily test has its own scenario; here it would be a delivery more.
DUTY = f'[duty]\ndaily_to = "{MACHINE}"\ndaily_at = "23:59"\n'


def start(bench: Bench, **settings: object) -> None:
    bench.gateway.extra_configuration = DUTY
    destinations = {"DR_DEMO": ["doctor"], DESTINATION: [MACHINE], "MIXED": [MACHINE, "doctor"]}
    bench.start(destinations=destinations, **{"silence_ms": 1_000, **settings})


def run(bench: Bench, *arguments: object, expect: int = 0) -> subprocess.CompletedProcess:
    command = [program("scanpost-gateway"), "bench", "--config", bench.gateway.config, *arguments]
    result = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=300)
    assert result.returncode == expect, result.stdout + result.stderr
    return result


def measures(result: subprocess.CompletedProcess) -> dict[tuple[str, str], dict]:
    return {(one["name"], one["unit"]): one for one in json.loads(result.stdout)["measures"]}


@contextmanager
def emptied(bench: Bench):
    """A reader pulls again and again, as the one at the hospital does by cron."""
    reader = bench.reader_of(MACHINE)
    with harness.going_on(reader.pull, every_s=0.3):
        yield reader


def test_all_stages_are_timed_up_to_the_receipt(bench: Bench, tmp_path: Path):
    start(bench)
    plot = tmp_path / "plot.svg"
    with emptied(bench) as reader:
        result = run(bench, "--images", 6, "--size", 64, "--rounds", 2, "--json", "--plot", plot)
    report, found = json.loads(result.stdout), measures(result)
    assert (report["destination"], report["images"], report["rounds"]) == (DESTINATION, 6, 2)
    assert all(len(found[stage, "s"]["values"]) == 2 for stage in STAGES), found.keys()
    assert len(found["answer to one image", "ms"]["values"]) == 12
    deliveries = bench.gateway.wait_for_state("pulled", count=2)
    # What bench says is what the journal says.
    assert sorted(found["compress", "s"]["values"]) == sorted(one["seconds"]["compress"] for one in deliveries)
    ratios = sorted(one["received_bytes"] / one["bundle_bytes"] for one in deliveries)
    assert sorted(found["ratio", ": 1"]["values"]) == ratios
    assert {one["destination"] for one in deliveries} == {DESTINATION} and [one["instances"] for one in deliveries] == [6, 6]
    names = {str(pydicom.dcmread(path).PatientName) for path in reader.files()}
    assert names == {"Scanpost^Test"} and len(reader.files()) == 12
    assert harness.messages(bench.store, "doctor") == []
    rows = ElementTree.parse(plot).getroot().findall("{http://www.w3.org/2000/svg}path")
    assert len(rows) == len(report["measures"])


def test_receiving_alone_and_a_table(bench: Bench):
    start(bench)
    words = run(bench, "--part", "receive", "--images", 5, "--size", 64, "--rounds", 3).stdout
    assert "images/s" in words and "MB/s" in words and f"sent to {DESTINATION}, which is for tests" in words, words
    deliveries = bench.gateway.wait_for_state("notified", count=3)
    assert [one["instances"] for one in deliveries] == [5, 5, 5]


def test_given_images_lose_the_names_of_the_patient_and_go_through_again_and_again(bench: Bench, mr_study: list[Path]):
    start(bench)
    for _ in range(2):
        run(bench, "--part", "receive", "--study", mr_study[0].parent, "--rounds", 1)
    bench.gateway.wait_for_state("notified", count=2)
    reader = bench.reader_of(MACHINE)
    bench.pull(reader)
    pulled = [pydicom.dcmread(path) for path in reader.files()]
    assert len(pulled) == 2 * len(mr_study) == len({one.SOPInstanceUID for one in pulled})
    assert {(str(one.PatientName), one.PatientID, one.PatientBirthDate) for one in pulled} == {("Scanpost^Test", "TEST", "")}
    sent = sorted(pydicom.dcmread(path).PixelData for path in mr_study)
    assert sorted(one.PixelData for one in pulled) == sorted([*sent, *sent])
    assert {one.StudyInstanceUID for one in pulled}.isdisjoint({pydicom.dcmread(path).StudyInstanceUID for path in mr_study})


def test_packing_needs_no_gateway_and_sends_nothing(bench: Bench, mr_study: list[Path]):
    bench.gateway.extra_configuration = DUTY
    bench.configure(destinations={"DR_DEMO": ["doctor"], DESTINATION: [MACHINE]}).gateway.write_configuration()
    found = measures(run(bench, "--part", "compress", "--study", mr_study[0].parent, "--rounds", 2, "--json"))
    packed = bench.folder / "packed"
    command = [program("scanpost-pack"), "encode", mr_study[0].parent, packed, "--near", "0", "--json"]
    subprocess.run(list(map(str, command)), check=True, capture_output=True, timeout=120)
    # The file has the names of the files beside, which the gateway does not know.
    assert abs(found["bundle", "MB"]["p50"] * 1e6 / packed.stat().st_size - 1) < 0.02
    assert 0 < found["largest memory", "MB"]["p50"] < 256 and len(found["compressed", "images/s"]["values"]) == 2
    assert not (bench.gateway.folder / "state" / "journal.sqlite").exists()


def test_what_would_reach_a_doctor_is_refused_and_each_error_says_who_must_act(bench: Bench, tmp_path: Path):
    start(bench)
    for named in ("DR_DEMO", "MIXED", "NOBODY"):
        words = run(bench, "--destination", named, "--images", 1, "--size", 32, expect=1).stderr
        assert f"destination {named} would reach doctors, or is none (operator:" in words, words
    (tmp_path / "Yamada").mkdir()
    (tmp_path / "Yamada" / "Tarou.dcm").write_bytes(b"no DICOM")
    words = run(bench, "--study", tmp_path / "Yamada", expect=1).stderr
    assert "file 1 of the folder" in words and "Tarou" not in words, words
    assert bench.gateway.deliveries() == []
    bench.gateway.stop()
    words = run(bench, "--images", 1, "--size", 32, expect=1).stderr
    assert "cannot be reached" in words and "is the gateway running?" in words, words
