"""Tests with synthetic studies, on the real mail store: the daily one goes the whole way and its times are kept; a doctor who goes on duty and does not open
the test notice is "not reachable" on the page, in the interface for programs and in the figures, until something is opened."""

import json
import re
import sqlite3
import subprocess
import time
from contextlib import closing
from pathlib import Path

import pydicom
from lab import page
from lab.api import Api
from lab.programs import program
from peers import senders
from playwright.sync_api import Browser, expect

import harness
from harness import Bench
from test_channels import metrics_of
from test_page import Desk, write_study

STAGES = {"receive", "assemble", "compress", "seal", "submit", "notify", "pulled", "total"}
TEST_AE_TITLE = "SCANPOST-TEST"
SLICES = 5
MACHINE = "doctor2"  # whose mailbox a reader at the hospital empties


def start(bench: Bench, *duty: str, doctor: tuple[str, ...] = ('name = "田中"',), **settings: object) -> Api:
    """With more keys of `[duty]`, further tables behind them, and the keys of the doctor."""
    page.make_certificate(bench.keys)
    bench.gateway.extra_configuration = "\n".join(["[duty]", f'daily_to = "{MACHINE}"', 'daily_at = "00:00"', *duty, ""])
    # No midnight, which would bring another test, is near.
    offset = time.gmtime().tm_hour - 12
    more = ['second_factor = "administrators"', f'time_zone = "Etc/GMT{offset:+}"']
    bench.start(page_lines=page.lines(bench.keys, bench.folder / "page.port", *more), hold=page.HOLD,
                destinations={"DR_DEMO": ["doctor"], "DR_TEST": [MACHINE]}, doctor_lines={"doctor": list(doctor)}, **settings)
    return bench.api()


def duty(bench: Bench) -> dict:
    """`scanpost-gateway duty --json`."""
    command = [program("scanpost-gateway"), "duty", "--config", bench.gateway.config, "--json"]
    return json.loads(subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout)


def goes_on_duty(bench: Bench, doctor: str) -> None:
    """Now, and until the night after the next."""
    with closing(sqlite3.connect(bench.gateway.folder / "state" / "journal.sqlite", timeout=20)) as journal, journal:
        journal.execute("INSERT INTO roster_duty (who, days, from_minute, to_minute) VALUES (?, 127, 0, 0)", (doctor,))


def ages(bench: Bench, kind: str, column: str, seconds: int) -> None:
    """That was so long ago."""
    with closing(sqlite3.connect(bench.gateway.folder / "state" / "journal.sqlite", timeout=20)) as journal, journal:
        journal.execute(f"UPDATE duty_test SET {column} = {column} - ? WHERE kind = ?", (seconds * 1000, kind))


def test_the_daily_test_goes_the_whole_way_once_a_day_and_its_times_are_kept(bench: Bench):
    api = start(bench)
    # In the midst of it, wherever that is.
    for seconds in (0, 0.1, 0.2, 0.4):
        bench.gateway.wait_for("the test to begin", lambda _: duty(bench)["daily"])
        time.sleep(seconds)
        bench.gateway.kill()
        bench.gateway.start()
    bench.gateway.wait_for_state("notified")
    machine = bench.reader_of(MACHINE)
    bench.pull(machine)
    bench.gateway.wait_for("the end of the test", lambda _: duty(bench)["daily"][0]["ended_at_ms"])
    (test,) = duty(bench)["daily"]
    assert test["returned_at_ms"] and not test["late_at_ms"] and set(test["seconds"]) == STAGES, test
    print(f"daily test: {test['seconds']['total']:.1f} s in all, {test['seconds']}")
    ended = bench.gateway.wait_for_state("closed")
    assert [(one["destination"], one["urgent"], one["instances"]) for one in ended] == [(TEST_AE_TITLE, False, SLICES)]
    assert harness.completeness(ended[0]) == {"is": "proved", "instances": SLICES}
    # What the machine got names no patient, and says so.
    slices = [pydicom.dcmread(path) for path in machine.files()]
    assert {str(one.PatientName) for one in slices} == {"Scanpost^Test"} and {one.StudyDescription for one in slices} == {"TEST, NO PATIENT"}
    assert len({one.PixelData for one in slices}) == SLICES
    (note,) = machine.output.rglob("note.txt")
    assert "試験です" in note.read_text()
    # Nobody at the hospital is bothered with it, and no figure counts it.
    assert api.get("/studies").body == [] and [one["name"] for one in api.get("/doctors").body] == ["doctor"]
    metrics = metrics_of(api)
    assert "scanpost_deliveries{" not in metrics and "scanpost_daily_test_late 0" in metrics
    assert re.search(r'scanpost_daily_test_stage_seconds\{stage="total"\} [\d.]+\n', metrics), metrics
    assert f"scanpost_daily_test_success_seconds {test['returned_at_ms'] // 1000}\n" in metrics
    bench.gateway.stop()
    bench.gateway.start()
    bench.gateway.wait_for_state("closed")
    assert [one["id"] for one in duty(bench)["daily"]] == [test["id"]], "another start on the same day makes no other"


def test_a_daily_test_that_was_late_is_no_figure_once_none_is_made_any_more(bench: Bench):
    api = start(bench, "answer_within_s = 2", "within_s = 1")
    harness.wait_until("the late test", lambda: "scanpost_daily_test_late 1" in metrics_of(api))
    bench.gateway.stop()
    bench.gateway.extra_configuration = ""
    bench.gateway.start()
    assert "scanpost_daily_test" not in metrics_of(api) and "scanpost_intake_open 1" in metrics_of(api)


def test_who_does_not_open_the_test_notice_is_not_reachable_until_something_is_opened(bench: Bench, chromium: Browser, tmp_path: Path,
                                                                                     ct_study: list[Path]):
    api = start(bench, "answer_within_s = 2", "within_s = 1")
    shots = tmp_path / "screenshots"
    shots.mkdir()
    desk = Desk(bench, page.add_account(bench.gateway.config, "sato", "technician", "--no-totp"), chromium, shots)
    screen = desk.open("en")
    tag = screen.locator("[data-away=doctor]")
    expect(tag).to_be_hidden()
    expect(screen.locator(f"[data-away={MACHINE}]")).to_have_count(0)
    goes_on_duty(bench, "doctor")
    bench.gateway.wait_for("the alarm", lambda _: "the daily test has not come back in time" in bench.log.read_text())
    # The screen has been open all the time.
    expect(tag).to_have_text(re.compile(r"not reachable since \d\d:\d\d"), timeout=20_000)
    expect(tag).to_be_visible()
    desk.sees_no_fault(screen, "not-reachable")
    (doctor,) = api.get("/doctors").body
    (readiness,) = duty(bench)["readiness"]
    assert doctor["not_reachable_since_ms"] == readiness["began_at_ms"] and readiness["late_at_ms"]
    metrics = metrics_of(api)
    assert "scanpost_doctors_not_reachable 1" in metrics and "scanpost_daily_test_late 1" in metrics
    # A press is allowed, with a plain warning.
    senders.storescu(bench.port, page.HOLD, write_study(tmp_path / "study", ct_study, "Kasumi^Kanaria", number=77, count=2))
    screen.locator(".sendable label").click()
    screen.check("[name=doctor][value=doctor]")
    screen.click("#transfer")
    expect(screen.locator("#said")).to_contain_text(re.compile(r"Dr 田中 has not opened the test notice of \d\d:\d\d: telephone as well"))
    case = api.get("/studies").body[0]["case"]
    assert api.post("/deliveries", {"study": {"case": case}, "doctors": ["doctor"]}).body["not_reachable"] == ["doctor"]
    real = lambda all: [one for one in all if one["destination"] == page.HOLD]  # noqa: E731
    bench.gateway.wait_for("the notice", lambda all: real(all)[0]["state"] == "notified")
    boss = Desk(bench, page.add_account(bench.gateway.config, "boss", "administrator"), chromium, shots)
    figures = boss.open("en")
    figures.goto(boss.url + "/operator")
    expect(figures.locator(".tests .bad")).to_contain_text("has not come back")
    expect(figures.locator(".figure.bad", has_text="Doctors not reachable")).to_contain_text("1")
    boss.sees_no_fault(figures, "figures")
    figures.goto(boss.url + "/roster")
    expect(figures.locator(".now .away")).to_contain_text("not reachable since")
    bench.pull()
    expect(tag).to_be_hidden(timeout=20_000)
    (doctor,) = api.get("/doctors").body
    assert doctor["not_reachable_since_ms"] is None and duty(bench)["not_reachable"] == []
    assert "scanpost_doctors_not_reachable 0" in metrics_of(api)
    # Tests that nobody opens ring nowhere; each ends by itself, in its time.
    tests = lambda all: [one for one in all if one["destination"] == TEST_AE_TITLE]  # noqa: E731
    assert all(one["alarm"] is None and one["ended"] is None for one in tests(bench.gateway.deliveries()))
    ages(bench, "readiness", "returned_at_ms", 120)
    ages(bench, "daily", "began_at_ms", 86_400)
    bench.gateway.wait_for("the ends", lambda all: {one["state"] for one in tests(all)} == {"closed", "recalled"})
    bench.gateway.wait_for("the machine's mailbox to be empty", lambda _: not harness.messages(bench.store, MACHINE))
    assert len(tests(bench.gateway.deliveries())) == 2, "there is another one"
