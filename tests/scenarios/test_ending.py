"""The end of a case: closed by a person, or expired, it is gone from mailboxes, queue, spool, journal and portal within a minute, and the audit trail
has a proof that others can check. Nothing ends by a clock that jumps, nor unopened before a person has heard the alarm."""

import base64
import json
import re
import sqlite3
import subprocess
import time
from pathlib import Path

import pydicom
import pytest
from lab import page
from lab.api import Api
from lab.portal import Portal
from lab.programs import program
from peers import senders
from playwright.sync_api import Browser, expect

import harness
from harness import Bench
from test_audit import audit, kept
from test_page import Desk, write_study
from test_portal import account, enrolled, portal, wait_until  # noqa: F401

# "60 s after close nothing of the case is left."
FORGOTTEN_SECONDS_MAX = 60
PATIENT = "Kasumi^Kanaria"
HOUR_MS = 3_600_000
PIECE_AND_COVER = 2
# SPEC 8.2 and 11.
PURPOSE = b"scanpost deletion\0"


@pytest.fixture
def api(bench: Bench) -> Api:
    bench.gateway.extra_configuration = "[case]\nalarm_after_s = 1\n"
    bench.start_with_page(doctor_lines={"doctor": ['name = "田中"']})
    return bench.api()


@pytest.fixture
def study(tmp_path: Path, ct_study: list[Path]) -> list[Path]:
    return write_study(tmp_path / "study", ct_study, PATIENT, number=77, count=4)


def press(bench: Bench, api: Api, study: list[Path]) -> str:
    """Gives the case, once the doctor was notified."""
    senders.storescu(bench.port, page.HOLD, study)
    (case,) = [one["case"] for one in api.get("/studies").body if one["delivery"]["state"] == "held"]
    assert api.post("/deliveries", {"study": {"case": case}, "doctors": ["doctor"], "note": "右片麻痺"}).status == 201
    bench.gateway.wait_for("the notice", lambda all: next(one for one in all if one["case"] == case)["state"] == "notified")
    return case


def of(bench: Bench, case: str) -> dict:
    return next(one for one in bench.gateway.deliveries() if one["case"] == case)


def until(bench: Bench, case: str, what: str, holds, seconds: float = FORGOTTEN_SECONDS_MAX) -> dict:
    bench.gateway.wait_for(what, lambda _: holds(of(bench, case)), seconds)
    return of(bench, case)


def needles(study: list[Path], delivery: str) -> dict[str, bytes]:
    """All that names the case: patient, UIDs, ids."""
    found = {"patient": b"Kanaria", "patient id": b"P-00077", "delivery": delivery.encode(), "delivery, binary": bytes.fromhex(delivery)}
    for number, path in enumerate(study):
        data_set = pydicom.dcmread(path, stop_before_pixels=True)
        found |= {"study": data_set.StudyInstanceUID.encode(), "series": data_set.SeriesInstanceUID.encode(),
                  f"instance {number}": data_set.SOPInstanceUID.encode()}
    return found


def holding(folder: Path, searched: dict[str, bytes]) -> list[str]:
    found = []
    for path in folder.rglob("*"):
        if "audit" in path.relative_to(folder).parts or not path.is_file():
            continue
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            # Deleted since it was listed.
            continue
        found += [f"{name} in {path.relative_to(folder)}" for name, needle in searched.items() if needle in content]
    return found


def runs(bench: Bench, hours: float) -> None:
    """What the journal counts of the time that the gateway ran; it stands still meanwhile."""
    with sqlite3.connect(bench.gateway.folder / "state" / "journal.sqlite") as journal:
        journal.execute("UPDATE running SET ms = ms + ?", (int(hours * HOUR_MS),))
    journal.close()


def proofs(bench: Bench) -> list[bytes]:
    found = [re.search(r'type="Deletion Proof" value="([^"]+)"', message) for message in kept(bench)]
    return [base64.b64decode(one.group(1)) for one in found if one]


def test_a_closed_case_leaves_nothing_and_a_proof(bench: Bench, api: Api, portal: Portal, account, study: list[Path], tmp_path: Path):  # noqa: F811
    phone, _ = enrolled(portal, account)
    case = press(bench, api, study)
    delivery = of(bench, case)["id"]
    assert api.post(f"/studies/{case}/close").status == 409, "nobody has opened it"
    bench.pull()
    until(bench, case, "the receipt", lambda one: one["state"] == "pulled")
    wait_until(lambda: phone.ranges(delivery, [(1, 0, 4_000)]).status == 200, "the portal has it too")
    state = bench.gateway.folder / "state"
    searched = needles(study, delivery)
    before = [found for folder in (bench.store.dir, state, portal.folder) for found in holding(folder, searched)]
    assert {"delivery", "study"} <= {found.split(" in ")[0] for found in before}, before
    looks = bench.api("ris", "auditor")
    assert looks.post(f"/studies/{case}/close").status == 403
    began = time.monotonic()
    assert api.post(f"/studies/{case}/close").status == 204
    assert api.post(f"/studies/{case}/close").status == 409
    ended = until(bench, case, "the proof", lambda one: one["ended"] and one["ended"]["proved_at_ms"])
    print(f"closed: proved after {time.monotonic() - began:.1f} s ({FORGOTTEN_SECONDS_MAX} s asked)")
    assert (ended["state"], ended["ended"]["how"], ended["ended"]["by"]) == ("closed", "closed", "system pacs")
    # The journal keeps ids and times, the portal ids, nothing else; it forgets when it has looked.
    own = {name: needle for name, needle in searched.items() if not name.startswith("delivery")}
    left: list[str] = ["unsearched"]
    while left and time.monotonic() - began < FORGOTTEN_SECONDS_MAX:
        left = [*holding(bench.store.dir / "mailboxes", searched), *holding(bench.store.dir / "queue", searched), *holding(state / "spool", searched),
                *holding(state, own), *holding(portal.folder, own), *holding(portal.cache, searched)]
        time.sleep(0.5)
    assert not left, left
    print(f"nothing is left after {time.monotonic() - began:.1f} s")
    assert phone.ranges(delivery, [(1, 0, 64)]).error == "gone"
    (study_listed,) = [one for one in api.get("/studies").body if one["case"] == case]
    assert study_listed["study_uid"] is None and study_listed["patient"] is None, study_listed
    # Others check the proof with the site's certificate alone.
    (proof,) = proofs(bench)
    length = int.from_bytes(proof[:2], "big")
    signature, content = proof[2:2 + length], proof[2 + length:]
    said = json.loads(content)
    assert (said["case"], said["deliveries"], said["how"], said["by"]) == (case, [delivery], "closed", "system pacs")
    (mailbox,) = said["mailboxes"]
    assert mailbox["doctor"] == "doctor" and mailbox["removed"] == PIECE_AND_COVER and mailbox["empty_at_ms"] >= said["ended_at_ms"]
    (tmp_path / "signature").write_bytes(signature)
    public = subprocess.run(["openssl", "x509", "-in", bench.keys.certificate("site"), "-pubkey", "-noout"], capture_output=True, check=True)
    (tmp_path / "site.pub").write_bytes(public.stdout)
    verify = ["openssl", "dgst", "-sha256", "-verify", tmp_path / "site.pub", "-signature", tmp_path / "signature"]
    assert subprocess.run(verify, input=PURPOSE + content, capture_output=True).returncode == 0
    assert subprocess.run(verify, input=PURPOSE + content.replace(b'"closed"', b'"openst"'), capture_output=True).returncode != 0
    assert audit(bench, "verify").returncode == 0
    # A study that comes again is a new case.
    assert press(bench, api, study) != case


def test_the_doctor_closes_it(bench: Bench, api: Api, study: list[Path]):
    case = press(bench, api, study)
    bench.pull()
    (placed,) = [path.name for path in bench.reader.output.iterdir() if re.fullmatch("[0-9a-f]{32}", path.name)]
    assert placed == case
    command = [program("scanpost-reader"), "answer", "--config", bench.reader.config, "--case", case, "close"]
    assert subprocess.run(list(map(str, command)), capture_output=True, timeout=60).returncode == 0
    ended = until(bench, case, "the proof", lambda one: one["ended"] and one["ended"]["proved_at_ms"])
    assert (ended["ended"]["how"], ended["ended"]["by"]) == ("closed", "doctor") and ended["doctors"][0]["seen_at_ms"]
    assert not harness.messages(bench.store, "doctor"), "its receipts are gone, too"
    # What was pulled is the doctor's own.
    assert bench.pull() and bench.reader.files()


def test_an_end_goes_on_where_a_crash_left_it(bench: Bench, api: Api, study: list[Path]):
    case = press(bench, api, study)
    bench.pull()
    until(bench, case, "the receipt", lambda one: one["state"] == "pulled")
    bench.store.stop()
    try:
        assert api.post(f"/studies/{case}/close").status == 204
        bench.gateway.kill()
        bench.gateway.start()
        time.sleep(1)
        assert of(bench, case)["ended"]["proved_at_ms"] is None, "nobody could look into the mailbox"
        bench.gateway.kill()
    finally:
        bench.store.start()
    bench.gateway.start()
    until(bench, case, "the proof", lambda one: one["ended"]["proved_at_ms"])
    assert not harness.messages(bench.store, "doctor") and len(proofs(bench)) == 1


def test_no_clock_ends_a_case_and_an_unopened_one_waits_for_a_person(bench: Bench, api: Api, study: list[Path]):
    case = press(bench, api, study)
    until(bench, case, "the alarm", lambda one: one["alarm"])
    assert "nobody has opened a delivery" in bench.log.read_text()
    bench.gateway.stop()
    # Two days later by the clock of the machine.
    (library,) = Path("/usr/lib").glob("*/faketime/libfaketime.so.1")
    plain = bench.gateway.environment
    bench.gateway.environment = {**plain, "LD_PRELOAD": str(library), "FAKETIME": "+2d", "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
    bench.gateway.start()
    time.sleep(3)
    assert time.strftime("%F", time.gmtime(time.time() + 2 * 86_400)) in bench.log.read_text(), "its clock did not jump"
    assert of(bench, case)["ended"] is None, "a clock that jumps ends nothing"
    bench.gateway.stop()
    bench.gateway.environment = plain
    runs(bench, 25)
    bench.gateway.start()
    time.sleep(2)
    assert of(bench, case)["ended"] is None, "nobody at the hospital has heard the alarm"
    assert api.post(f"/studies/{case}/heard").status == 204
    assert api.post(f"/studies/{case}/heard").status == 409
    ended = until(bench, case, "the end", lambda one: one["ended"] and one["ended"]["proved_at_ms"])
    assert (ended["ended"]["how"], ended["ended"]["by"], ended["alarm"]["heard_by"]) == ("unopened", None, "system pacs")
    assert not harness.messages(bench.store, "doctor")
    (proof,) = proofs(bench)
    assert b'"how":"unopened"' in proof


def test_the_page_rings_until_a_person_hears_it_and_closes_what_was_opened(bench: Bench, api: Api, chromium: Browser, tmp_path: Path,
                                                                          study: list[Path]):
    account = page.add_account(bench.gateway.config, "sato", "technician", "--no-totp")  # noqa: F811
    desk = Desk(bench, account, chromium, tmp_path)
    screen = desk.open("en")
    case = press(bench, api, study)
    row = screen.locator(f"#s-{case}")
    expect(row).to_contain_text("Nobody has opened it: telephone Dr 田中", timeout=10_000)
    expect(screen.locator("body.rings")).to_be_visible(timeout=6_000)
    desk.sees_no_fault(screen, "rings")
    row.locator("[data-wish=heard]").click()
    expect(row).to_contain_text(re.compile(r"sato heard the alarm \d\d:\d\d"))
    expect(row).not_to_contain_text("Nobody has opened it")
    expect(screen.locator("body.rings")).to_have_count(0, timeout=6_000)
    expect(row.locator("[data-wish=close]")).to_have_count(0)
    bench.pull()
    expect(row).to_contain_text("Opened by Dr 田中", timeout=10_000)
    row.locator("summary").click()
    row.locator("[data-wish=close]").click()
    expect(row).to_contain_text(re.compile(r"Closed \d\d:\d\d by sato"), timeout=10_000)
    expect(row).to_contain_text(re.compile(r"Deleted; proved \d\d:\d\d in the audit trail"), timeout=FORGOTTEN_SECONDS_MAX * 1000)
    expect(row).to_contain_text("mailbox empty")
    expect(row).not_to_contain_text("Kanaria")
    desk.sees_no_fault(screen, "closed")
