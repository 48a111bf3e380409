"""Series that are at rest are compressed while others of their study still arrive; what comes out is the same."""

from itertools import groupby
from pathlib import Path

import pydicom
import pytest

from lab.orthanc import AE_TITLE, Orthanc
from peers import senders

import harness
from harness import Bench

AHEAD = "a series was compressed while the study still arrives"
TAKEN_OVER = "series were compressed ahead and have not changed since"
SECONDS_MAX = 60
# A study of which the PACS lists an image more is waited for so long: longer than any test waits for a line of the log.
SILENCE_MS = 2 * SECONDS_MAX * 1000


@pytest.fixture
def series(bench: Bench, pacs: Orthanc, mr_study: list[Path]) -> list[list[Path]]:
    """The files of each series of a study that the PACS has whole, and that the gateway gets from it in parts."""
    def uid(path: Path) -> str:
        return str(pydicom.dcmread(path, stop_before_pixels=True).SeriesInstanceUID)

    for path in mr_study:
        pacs.add_file(path)
    bench.start(pacs_port=pacs.dicom_port, silence_ms=SILENCE_MS)
    pacs.know_gateway("gateway", "SCANPOST", bench.port)
    return [list(group) for _, group in groupby(sorted(mr_study, key=uid), uid)]


def send(bench: Bench, files: list[Path]) -> None:
    assert senders.pynetdicom(bench.port, "DR_DEMO", files, calling=AE_TITLE) == files


def taken_over(bench: Bench) -> int:
    (line,) = [line for line in bench.gateway.log.read_text().splitlines() if TAKEN_OVER in line]
    return int(line.split("series=")[1].split()[0])


def test_series_at_rest_are_compressed_before_the_study_is_whole(bench: Bench, series: list[list[Path]]):
    first, second, *rest = series
    send(bench, [*first, *second[:-1]])
    bench.wait_for_log(AHEAD, 2, SECONDS_MAX)
    # What was made ahead has no name, so that nothing of it stays, however the gateway ends.
    assert not list((bench.gateway.folder / "state/spool/compress").iterdir())
    assert bench.gateway.deliveries()[0]["state"] == "received"
    others = [path for files in rest for path in files]
    send(bench, [*second[-1:], *others])
    bench.deliver_and_pull()
    harness.assert_equal_bytes([*first, *second, *others], bench.reader.files())
    assert taken_over(bench) >= 1


def test_a_series_that_grew_since_is_compressed_anew(bench: Bench, series: list[list[Path]]):
    first, second, third, *_ = series
    # Of the third an image is missing, so that the study is waited for.
    send(bench, [*first, *second[:-1], *third[:-1]])
    bench.wait_for_log(AHEAD, 3, SECONDS_MAX)
    send(bench, second[-1:])
    bench.wait_for_log(AHEAD, 4, SECONDS_MAX)
    send(bench, third[-1:])
    bench.deliver_and_pull()
    harness.assert_equal_bytes([*first, *second, *third], bench.reader.files())
    assert taken_over(bench) >= 2


def test_a_crash_loses_the_start_and_nothing_else(bench: Bench, series: list[list[Path]]):
    first, second, *_ = series
    send(bench, [*first, *second[:-1]])
    bench.wait_for_log(AHEAD, 1, SECONDS_MAX)
    bench.gateway.kill()
    bench.gateway.start()
    send(bench, second[-1:])
    bench.deliver_and_pull()
    harness.assert_equal_bytes([*first, *second], bench.reader.files())


def test_none_is_compressed_ahead_where_that_is_off(bench: Bench, mr_study: list[Path]):
    bench.start(ahead=False, silence_ms=4_000)
    senders.pynetdicom(bench.port, "DR_DEMO", mr_study)
    bench.deliver_and_pull()
    harness.assert_equal_bytes(mr_study, bench.reader.files())
    assert AHEAD not in bench.gateway.log.read_text()
