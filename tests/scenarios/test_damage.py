"""What was received rots in the spool before it is sealed: nothing of it reaches a doctor, the operator is told, and the PACS gives it again."""

import time
from pathlib import Path

import pydicom
import pytest
from lab import openssl, page
from lab.api import Api
from lab.orthanc import Orthanc
from peers import senders
from peers.lying_pacs import PENDING, LyingPacs
from playwright.sync_api import Browser, expect
from pynetdicom import evt
from test_page import Desk
from test_query_retrieve import pacs_table, trail_text
from test_smime import Doctor, administer, assert_file_set

import harness
from harness import Bench

ALARM = "received files are damaged or gone in the spool"
WAITS = {"silence_ms": 600_000, "settle_ms": 600_000}
GOES_ON = {"silence_ms": 500, "settle_ms": 100}


def received(bench: Bench) -> list[Path]:
    return sorted((bench.gateway.folder / "state" / "spool" / "receive").iterdir())


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def ask(bench: Bench, port: int, *lines: str) -> None:
    bench.gateway.extra_configuration = pacs_table("orthanc", "ORTHANC", port, 'own_ae_title = "SCANPOST"', *lines)


def held(bench: Bench, pacs: Orthanc, study: list[Path], *lines: str, **settings: object) -> tuple[Api, str]:
    """A study that its PACS has sent and that waits for a press; and its id at the PACS."""
    ask(bench, pacs.dicom_port, *lines)
    bench.start_with_page(**settings)
    pacs.know_gateway("gateway", page.HOLD, bench.port)
    (there,) = {pacs.add_file(path) for path in study}
    pacs.send("gateway", [there])
    (delivery,) = bench.gateway.deliveries()
    assert (delivery["state"], delivery["instances"]) == ("held", len(study)), delivery
    return bench.api(), there


def press(api: Api) -> str:
    (study,) = api.get("/studies").body
    return api.post("/deliveries", {"study": {"case": study["case"]}, "doctors": ["doctor"]}).body["delivery"]


def damaged_at_rest(bench: Bench, port: int, study: list[Path], which: slice, *lines: str, **settings: object) -> list[Path]:
    """A study came to a doctor's AE title, these of its received files changed while the gateway stood still, and now it goes on. Gives all of the files."""
    ask(bench, port, *lines)
    bench.start(**settings, **WAITS)
    senders.storescu(bench.port, "DR_DEMO", study, calling="ORTHANC")
    bench.gateway.stop()
    files = received(bench)
    for path in files[which]:
        flip(path)
    bench.start(**settings, **GOES_ON)
    return files


def assert_alarmed(bench: Bench, files: int, study: list[Path], at_most: int = 1) -> None:
    """Once, to the operator and in the audit trail, in words without a patient. `at_most`: 2 where it was killed before it knew that it had told."""
    lines = [line for line in bench.log.read_text().splitlines() if ALARM in line and '"operator"' in line]
    assert 1 <= len(lines) <= at_most, lines
    assert all("ERROR" in line and f"files={files}" in line and "check the disk" in line for line in lines), lines
    assert not any(harness.uid_of(path) in bench.log.read_text() for path in study)
    assert 1 <= trail_text(bench).count("Received files damaged") <= at_most and ALARM in trail_text(bench)


def assert_delivered_once(bench: Bench, study: list[Path], ended: tuple[str, ...] = harness.DONE) -> dict:
    (delivery,) = bench.gateway.wait_for_state(*ended)
    bench.pull()
    harness.assert_equal_bytes(study, bench.reader.files())
    (delivery,) = bench.gateway.wait_for_state("pulled")
    assert (delivery["sequence"], delivery["instances"], delivery["conflicts"], delivery["damaged"]) == (1, len(study), 0, 0), delivery
    # Neither the damaged files nor those in their place are left.
    harness.wait_until("the spool to give the study back", lambda: not received(bench))
    return delivery


@pytest.mark.parametrize(("way", "encryption"), [("get", "on"), ("move", "off"), ("dicomweb", "on")])
def test_a_changed_byte_is_fetched_again_and_nothing_of_it_is_sealed(bench: Bench, tmp_path: Path, ct_study: list[Path], way: str, encryption: str):
    pacs = Orthanc(tmp_path / "pacs", tmp_path / "log" / "orthanc.log", web=way == "dicomweb")
    pacs.start()
    try:
        lines = [f'retrieve = "{way}"']
        if way == "dicomweb":
            password = tmp_path / "web.password"
            openssl.write_secret(password, pacs.password.encode())
            lines += ["[pacs.orthanc.dicomweb]", f'url = "{pacs.web_url}"', "plain = true", 'user = "lab"', f'password_file = "{password}"']
        api, _ = held(bench, pacs, ct_study, *lines, encryption=encryption)
        damaged = received(bench)[3:5]
        for path in damaged:
            flip(path)
        press(api)
        delivery = assert_delivered_once(bench, ct_study)
        assert harness.completeness(delivery) == {"is": "proved", "instances": len(ct_study)}
        assert_alarmed(bench, len(damaged), ct_study)
    finally:
        pacs.stop()


def test_files_that_are_gone_or_cut_come_again_also_after_a_crash(bench: Bench, pacs: Orthanc, mr_study: list[Path]):
    """Sent by the PACS to a doctor's AE title; the PACS is down when it is asked, and the gateway is killed meanwhile."""
    ask(bench, pacs.dicom_port)
    bench.start(**WAITS)
    pacs.know_gateway("gateway", "DR_DEMO", bench.port)
    (there,) = {pacs.add_file(path) for path in mr_study}
    pacs.send("gateway", [there])
    bench.gateway.kill()
    pacs.stop()
    gone, cut, *_ = received(bench)
    gone.unlink()
    cut.write_bytes(cut.read_bytes()[:-100])
    bench.start(**GOES_ON)
    bench.wait_for_log("does not give what was received")
    (delivery,) = bench.gateway.deliveries()
    assert (delivery["state"], delivery["damaged"]) == ("assembled", 2), delivery
    assert delivery["trouble"].startswith("2 received files are damaged or gone") and "(operator: check the disk)" in delivery["trouble"]
    bench.gateway.kill()
    pacs.start()
    pacs.know_gateway("gateway", "SCANPOST", bench.port)
    bench.start()
    assert_delivered_once(bench, mr_study)
    assert_alarmed(bench, 2, mr_study)


def test_a_gateway_that_is_killed_while_the_pacs_gives_them_goes_on(bench: Bench, pacs: Orthanc, mr_study: list[Path]):
    api, _ = held(bench, pacs, mr_study)
    for path in received(bench):
        flip(path)
    press(api)
    bench.wait_for_log(ALARM)
    bench.gateway.kill()
    bench.start()
    assert_delivered_once(bench, mr_study)
    assert_alarmed(bench, len(mr_study), mr_study, at_most=2)


def test_what_the_pacs_no_longer_has_is_a_dead_letter_until_it_has_it_again(
    bench: Bench, pacs: Orthanc, ct_study: list[Path], chromium: Browser, tmp_path: Path,
):
    api, there = held(bench, pacs, ct_study)
    flip(received(bench)[0])
    pacs.delete_study(there)
    delivery = press(api)
    (failed,) = bench.gateway.wait_for_state("failed")
    assert failed["trouble"] == (
        "1 received file is damaged or gone in the spool, and the PACS no longer has what was received (operator: check the disk; "
        "technician: Try again once the PACS has it again, or send again)")
    assert not harness.messages(bench.store, "doctor"), "nothing is mailed"
    technician = page.add_account(bench.gateway.config, "sato", "technician", "--no-totp")
    for language, words in (("ja", "1／12枚が破損"), ("en", "1 of 12 images are damaged on this gateway's disk")):
        row = Desk(bench, technician, chromium, tmp_path).open(language).locator("#studies .study")
        expect(row).to_contain_text(words)
    # A try that comes too early changes nothing, and is no second alarm.
    assert api.post(f"/deliveries/{delivery}/retry").status == 204
    bench.gateway.wait_for("the second try", lambda all: bench.log.read_text().count("delivery failed") == 2 and all[0]["state"] == "failed")
    for path in ct_study:
        pacs.add_file(path)
    assert api.post(f"/deliveries/{delivery}/retry").status == 204
    assert assert_delivered_once(bench, ct_study)["id"] == delivery
    assert_alarmed(bench, 1, ct_study)


class SlowPacs(LyingPacs):
    """Waits before each image but the first, and behind the last."""

    def _get(self, event: evt.Event):
        for number, answer in enumerate(super()._get(event)):
            if number > 1:
                time.sleep(2)
            yield answer
        time.sleep(1)


def test_a_disk_that_damages_what_comes_again_is_not_written_to_without_a_pause(bench: Bench, ct_study: list[Path]):
    """What comes again is damaged once more while the PACS still gives the rest."""
    pacs = SlowPacs(ct_study, withheld=0)
    try:
        before = damaged_at_rest(bench, pacs.port, ct_study, slice(2), encryption="off")
        harness.wait_until("the first to come again", lambda: bench.gateway.deliveries()[0]["damaged"] == 1)
        (again,) = [path for path in received(bench) if path not in before and len(path.name) == 32 and path.stat().st_size]
        flip(again)
        bench.wait_for_log("received files were damaged in the spool once more")
        assert_delivered_once(bench, ct_study)
    finally:
        pacs.stop()


class FailingPacs(LyingPacs):
    """Says of the last image, once, that it failed to give it."""

    failures = 1

    def _get(self, event: evt.Event):
        if self.failures == 0:
            yield from super()._get(event)
            return
        self.failures -= 1
        count, *given, _ = super()._get(event)
        yield count
        yield from given
        yield PENDING, "no data set: counted as failed"


def test_what_the_pacs_could_not_give_just_now_is_asked_for_again(bench: Bench, ct_study: list[Path]):
    pacs = FailingPacs(ct_study, withheld=0)
    try:
        damaged_at_rest(bench, pacs.port, ct_study, slice(2))
        bench.wait_for_log("does not give all that was received")
        assert_delivered_once(bench, ct_study)
        assert_alarmed(bench, 2, ct_study)
    finally:
        pacs.stop()


def test_a_pacs_that_lists_and_does_not_give_it_is_said(bench: Bench, ct_study: list[Path]):
    """The last image, which the PACS withholds, and another, which it gives."""
    pacs = LyingPacs(ct_study, withheld=1)
    try:
        damaged_at_rest(bench, pacs.port, ct_study, slice(None))
        (failed,) = bench.gateway.wait_for_state("failed")
        assert failed["damaged"] == 1 and failed["trouble"].startswith("1 received file is"), failed
        assert not harness.messages(bench.store, "doctor")
    finally:
        pacs.stop()


def test_without_a_pacs_that_could_be_asked_it_is_a_dead_letter_and_a_second_press_helps(bench: Bench, pacs: Orthanc, ct_study: list[Path]):
    damaged_at_rest(bench, pacs.dicom_port, ct_study, slice(1, 2), 'retrieve = "none"')
    (failed,) = bench.gateway.wait_for_state("failed")
    assert "no PACS can be asked" in failed["trouble"] and "technician: send again" in failed["trouble"], failed
    senders.storescu(bench.port, "DR_DEMO", ct_study, calling="ORTHANC")
    bench.gateway.wait_for("the second press", lambda all: [one["state"] in harness.DONE for one in all] == [False, True])
    bench.pull()
    harness.assert_equal_bytes(ct_study, bench.reader.files())


def test_other_bytes_under_the_uid_heal_nothing_and_go_as_a_delivery_of_their_own(bench: Bench, pacs: Orthanc, ct_study: list[Path], tmp_path: Path):
    """The PACS has changed the image since: the damaged one stays a dead letter, and the doctor gets the study as the PACS has it."""
    api, _ = held(bench, pacs, ct_study, encryption="off")
    first, *others = ct_study
    (damaged,) = [path for path in received(bench) if path.read_bytes() == harness.data_set_bytes(first)]
    flip(damaged)
    changed = pydicom.dcmread(first)
    changed.ImageComments = "another"
    changed.save_as(tmp_path / first.name)
    pacs.add_file(tmp_path / first.name)
    press(api)
    failed, whole = bench.gateway.wait_for("the study as it is now", lambda all: [one["state"] in harness.DONE for one in all] == [False, True] and all)
    assert (failed["state"], failed["damaged"], failed["instances"]) == ("failed", 1, 1), failed
    assert "no longer has what was received" in failed["trouble"]
    assert (whole["case"], whole["sequence"], whole["instances"], whole["conflicts"]) == (failed["case"], 2, len(ct_study), 1), whole
    assert "came again with other bytes" in bench.log.read_text()
    bench.pull()
    harness.assert_equal_bytes([tmp_path / first.name, *others], bench.reader.files())


def test_a_message_for_a_mail_program_is_made_of_nothing_damaged(bench: Bench, pacs: Orthanc, ct_study: list[Path], tmp_path: Path):
    """Damaged after it was compressed, while the doctor has no certificate yet."""
    doctor = Doctor(bench, tmp_path, "doctor", "p256")
    ask(bench, pacs.dicom_port)
    bench.start(mail_programs={"doctor": []}, encryption="off")
    pacs.know_gateway("gateway", "DR_DEMO", bench.port)
    (there,) = {pacs.add_file(path) for path in ct_study}
    pacs.send("gateway", [there])
    bench.gateway.wait_for("a certificate to be missed", lambda all: all[0]["state"] == "compressed" and all[0]["trouble"])
    pacs.know_gateway("gateway", "SCANPOST", bench.port)
    for path in received(bench):
        flip(path)
    assert administer(bench, "add", "doctor", "--certificate", doctor.certificate).returncode == 0
    (delivery,) = bench.gateway.wait_for_state(*harness.DONE)
    assert (delivery["instances"], delivery["damaged"]) == (len(ct_study), 0), delivery
    assert_alarmed(bench, len(ct_study), ct_study)
    assert_file_set(doctor.open(tmp_path)["DICOM.ZIP"], ct_study, tmp_path / "opened")
