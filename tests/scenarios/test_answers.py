"""The way back from the doctor's phone: seen, call me back, a few words and reading time, through the real portal, mailbox and gateway to the
technician's page, the interface for programs and the audit trail; and what becomes of answers that are not what they seem."""

import json
import re
import subprocess
import time
from functools import partial
from pathlib import Path

import pydicom
import pytest
from lab import page
from lab.api import Api
from lab.mailbox import Mailbox
from lab.portal import Portal
from lab.programs import program
from playwright.sync_api import Browser, Page, expect

import harness
from harness import Bench
from test_app import EN, JA, PHONE, WAIT_MS, Phone, deliver, enrol, link, phones, portal, shots  # noqa: F401
from test_audit import audit, kept, xml
from test_audit import SCHEMA
from test_enrolment import body, parts, with_body
from test_page import Desk

wait_until = partial(harness.wait_until, seconds=30)

# From the tap to the technician's screen, on machines that run other things too; the figure is printed.
SECONDS_MAX = 3
LANDSCAPE = {"width": 844, "height": 390}
# What a hostile telephone could type: markup, a mark that turns the line round, a line end.
TYPED = "<b>Mid</b>line shift\u202e 8 mm & 正中偏位"
SHOWN = "<b>Mid</b>line shift  8 mm & 正中偏位"
SECRET = "正中偏位"
PAGE = {"ja": ("最初の画像", "確認", "田中医師が折り返しの電話を希望", "田中医師の返事", "閲覧"),
        "en": ("first image", "seen", "Dr 田中 asks to be called back", "Dr 田中 answers", "on the screen")}
APP = {"ja": ("確認しました", "電話をください", "ひとこと", "送る", "病院に送りました"),
       "en": ("Seen", "Call me back", "Words", "Send", "Sent to the hospital")}


@pytest.fixture
def open_bench(bench: Bench) -> Bench:
    """A gateway with a page, whose doctor has no certificate yet."""
    page.make_certificate(bench.keys)
    lines = page.lines(bench.keys, bench.folder / "page.port", 'second_factor = "administrators"')
    bench.start(without_certificate=("doctor",), page_lines=lines, doctor_lines={"doctor": ['name = "田中"']})
    return bench


@pytest.fixture
def desk(open_bench: Bench, chromium: Browser, shots: Path) -> Desk:  # noqa: F811
    account = page.add_account(open_bench.gateway.config, "sato", "technician", "--no-totp")
    return Desk(open_bench, account, chromium, shots)


@pytest.fixture
def api(open_bench: Bench) -> Api:
    return open_bench.api()


def open_case(phone: Phone, delivery: str) -> Page:
    phone.page.locator(f"[data-delivery='{delivery}']").click(timeout=WAIT_MS)
    phone.full()
    return phone.page


def tap(phone: Phone, name: str) -> None:
    phone.page.locator(".answers").get_by_role("button", name=name, exact=True).click()


def within(screen: Page, words: str | re.Pattern) -> float:
    """Seconds until the technician's row says it."""
    began = time.monotonic()
    expect(screen.locator(".study")).to_contain_text(words, timeout=WAIT_MS)
    return time.monotonic() - began


def answers(api: Api) -> list[dict]:
    (study,) = api.get("/studies").body
    return api.get(f"/studies/{study['case']}/answers").body


def told(api: Api, delivery: str) -> dict:
    (doctor,) = (one for one in api.get(f"/deliveries/{delivery}").body["doctors"] if one["doctor"] == "doctor")
    return doctor


def everywhere(bench: Bench) -> dict[str, bytes]:
    """What must not hold the words: logs, mailboxes, journal and audit trail."""
    state = bench.gateway.folder / "state"
    paths = [*bench.state_bytes(), *bench.extra_logs, *state.glob("journal.sqlite*"), *state.glob("audit/*")]
    content = {str(path): path.read_bytes() for path in paths if path.is_file()}
    return content | {f"mail {number}": message.content for number, message in enumerate(harness.messages(bench.store, "doctor"))}


@pytest.mark.parametrize("language", ["ja", "en"])
def test_what_the_doctor_says_is_on_the_technicians_page(open_bench: Bench, desk: Desk, api: Api, portal: Portal, phones, ct_study: list[Path],  # noqa: F811
                                                          language: str) -> None:
    first, seen, call_back, words, read = PAGE[language]
    app = APP[language]
    phone = phones({"ja": "ja-JP", "en": "en-GB"}[language])
    enrol(phone, open_bench, {"ja": JA, "en": EN}[language])
    screen = desk.open(language)
    delivery = deliver(open_bench, ct_study)
    screen_of_phone = open_case(phone, delivery)
    within(screen, re.compile(first + r" \d\d:\d\d:\d\d"))
    phone.sees_no_fault(f"answers-{language}")
    seconds = []
    tap(phone, app[0])
    seconds.append(within(screen, re.compile(seen + r" \d\d:\d\d")))
    # On its side: the picture keeps the height of the screen, and the answers can be reached.
    screen_of_phone.set_viewport_size(LANDSCAPE)
    expect(screen_of_phone.locator(".stage")).to_have_css("height", f"{LANDSCAPE['height']}px")
    assert screen_of_phone.locator(".stage").bounding_box()["width"] > LANDSCAPE["width"] / 2
    phone.sees_no_fault(f"landscape-{language}")
    tap(phone, app[1])
    seconds.append(within(screen, call_back))
    screen_of_phone.set_viewport_size(PHONE["viewport"])
    tap(phone, app[2])
    screen_of_phone.locator(".answers input").fill(TYPED)
    phone.sees_no_fault(f"words-{language}")
    tap(phone, app[3])
    seconds.append(within(screen, words))
    print(f"from the tap to the technician's page: {', '.join(f'{one:.2f}' for one in seconds)} s")
    assert max(seconds) <= SECONDS_MAX
    expect(screen_of_phone.locator(".answers .told")).to_have_text(app[4])
    # Text and nothing else.
    expect(screen.locator(".answer bdi")).to_have_text(SHOWN)
    assert screen.locator(".answer b").count() == 0
    desk.sees_no_fault(screen, f"answered-{language}")
    # The case leaves the screen: how long it was there comes by itself.
    screen_of_phone.locator(".back").click()
    within(screen, read)
    assert 0 < told(api, delivery)["read_seconds"] <= 120
    # Programs see the same; what has no words elsewhere has none here.
    assert [(one["doctor"], one["kind"], one["words"]) for one in answers(api)] == [("doctor", "call_back", None), ("doctor", "words", SHOWN)]
    assert all(told(api, delivery)[name] for name in ("first_image_at_ms", "seen_at_ms", "pulled_at_ms"))
    assert [one["kind"] for one in told(api, delivery)["answers"]] == ["call_back", "words"]
    assert SECRET not in json.dumps(open_bench.gateway.deliveries(), ensure_ascii=False)
    (report,) = open_bench.gateway.deliveries()
    assert 0 < report["click_to_first_image"] < report["click_to_seen"]
    held = [name for name, content in everywhere(open_bench).items() if SECRET.encode() in content or b"line shift" in content]
    assert not held, f"words in plain: {held}"


def test_an_arrow_on_an_image_is_said_on_the_technicians_page(open_bench: Bench, desk: Desk, api: Api, portal: Portal, phones, ct_study: list[Path]) -> None:  # noqa: F811
    phone = phones()
    enrol(phone, open_bench, EN)
    screen = desk.open("en")
    delivery = deliver(open_bench, ct_study)
    screen_of_phone = open_case(phone, delivery)
    screen_of_phone.get_by_role("button", name="Arrow", exact=True).click()
    # The picture makes room for the tool.
    screen_of_phone.evaluate("new Promise((drawn) => requestAnimationFrame(() => requestAnimationFrame(drawn)))")
    box = screen_of_phone.locator(".stage canvas").bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    screen_of_phone.mouse.move(x, y)
    screen_of_phone.mouse.down()
    screen_of_phone.mouse.move(x + 60, y + 60, steps=5)
    screen_of_phone.mouse.up()
    screen_of_phone.get_by_text("Arrows: 1").click()
    phone.sees_no_fault("arrow")
    screen_of_phone.get_by_role("button", name=re.compile("^Put into the answer")).click()
    line = screen_of_phone.locator(".answers input").input_value()
    said = re.fullmatch(r"Arrow at column (\d+), row (\d+), series (\d+) image (\d+)", line)
    column, row, *numbers = map(int, said.groups())
    # The picture lies in the middle of the canvas.
    files = [pydicom.dcmread(path, stop_before_pixels=True) for path in ct_study]
    assert abs(column - files[0].Columns / 2) <= 2 and abs(row - files[0].Rows / 2) <= 2, line
    assert tuple(numbers) in {(int(file.SeriesNumber), int(file.InstanceNumber)) for file in files}, line
    tap(phone, "Send")
    within(screen, line)
    desk.sees_no_fault(screen, "arrow")
    assert [(one["kind"], one["words"]) for one in answers(api)] == [("words", line)]


def test_the_doctor_closes_the_case_on_the_phone(open_bench: Bench, api: Api, portal: Portal, phones, ct_study: list[Path]) -> None:  # noqa: F811
    phone = phones()
    enrol(phone, open_bench, EN)
    delivery = deliver(open_bench, ct_study)
    screen = open_case(phone, delivery)
    tap(phone, "Close")
    tap(phone, "Delete for all?")
    expect(screen.locator(".answers .told")).to_have_text("The hospital is told: the case will be deleted shortly")
    wait_until("the proof", lambda: (ended := api.get(f"/deliveries/{delivery}").body["ended"]) and ended["proved_at_ms"])
    ended = api.get(f"/deliveries/{delivery}").body["ended"]
    assert (ended["how"], ended["by"]) == ("closed", "doctor")
    assert not [message for message in harness.messages(open_bench.store, "doctor") if delivery in harness.header(message, "Message-ID")]
    # The phone forgets it, too.
    screen.goto(phone.page.url.split("/c/")[0])
    expect(screen.locator(f"[data-delivery='{delivery}']")).to_have_count(0, timeout=WAIT_MS)


def test_the_audit_trail_has_the_facts_and_the_reading_time(open_bench: Bench, api: Api, portal: Portal, phones, ct_study: list[Path],  # noqa: F811
                                                             tmp_path: Path) -> None:
    phone = phones()
    enrol(phone, open_bench, EN)
    delivery = deliver(open_bench, ct_study)
    open_case(phone, delivery)
    tap(phone, "Seen")
    tap(phone, "Call me back")
    wait_until("the answer", lambda: len(answers(api)) == 1)
    time.sleep(2)
    phone.page.locator(".back").click()
    wait_until("the reading", lambda: told(api, delivery)["read_seconds"])
    listed = [json.loads(line) for line in audit(open_bench, "list", "--json").stdout.splitlines()]
    of_doctor = [one for one in listed if "doctor" in one["participants"]]
    events = [one["event"] for one in of_doctor]
    assert (events.count("DICOM Instances Accessed"), events.count("Acknowledged"), events.count("Answered by a doctor")) == (2, 1, 1)
    (reading,) = [one["reading"] for one in of_doctor if "reading" in one]
    assert re.fullmatch(r"Reading Start 20\d\d-.*Z; Reading End 20\d\d-.*Z; Reading Seconds [1-9]0", "; ".join(reading)), reading
    # As an auditor reads it, and as the schema of PS3.15 A.5.1 wants it.
    assert re.search(r"DICOM Instances Accessed: doctor, .*Reading Seconds [1-9]0", audit(open_bench, "list").stdout)
    for number, message in enumerate(message for message in kept(open_bench) if "110103" in message or "99SCANPOST" in message):
        (tmp_path / f"{number}.xml").write_text(xml(message))
    checked = subprocess.run(["xmllint", "--noout", "--relaxng", SCHEMA, *sorted(tmp_path.glob("*.xml"))], capture_output=True, text=True)
    assert checked.returncode == 0, checked.stderr[:2000]
    assert audit(open_bench, "verify").returncode == 0


def test_answers_that_are_not_what_they_seem(open_bench: Bench, api: Api, portal: Portal, phones, ct_study: list[Path]) -> None:  # noqa: F811
    phone = phones()
    enrol(phone, open_bench, EN)
    delivery = deliver(open_bench, ct_study)
    open_case(phone, delivery)
    tap(phone, "Call me back")
    wait_until("the answer", lambda: len(answers(api)) == 1)
    (mail,) = [message for message in harness.messages(open_bench.store, "doctor") if ".answer." in harness.header(message, "Message-ID")]
    (cover,) = parts(open_bench, "cover")
    genuine = mail.content
    own_id = harness.header(mail, "Message-ID")
    forged = bytearray(body(mail))
    forged[len(forged) // 2] ^= 1
    with Mailbox(open_bench.store, "doctor") as mailbox:
        mailbox.append(genuine)  # once more
        mailbox.append(genuine.replace(own_id.encode(), f"<{'ab' * 16}.{own_id.split('.', 1)[1]}".encode()))  # of another delivery
        mailbox.append(genuine.replace(b".answer.", b".seen."))  # as something else
        mailbox.append(with_body(mail, bytes(forged)))
        mailbox.append(with_body(mail, bytes(100_000)))  # too long
        mailbox.append(with_body(mail, body(cover)))
    refused = lambda: open_bench.log.read_text().count("a receipt was refused")  # noqa: E731
    wait_until("five refusals", lambda: refused() == 5)
    assert [one["kind"] for one in answers(api)] == ["call_back"]
    # What was read before says nothing new after a restart, when the mailboxes are read from their beginning.
    open_bench.gateway.stop()
    open_bench.gateway.start()
    wait_until("five more", lambda: refused() == 10)
    assert [one["kind"] for one in answers(api)] == ["call_back"]
    assert told(api, delivery)["pulled_at_ms"]
    # The portal itself takes no more than fits, and no kind that there is not.
    post = """async (path) => (await fetch(path, {method: 'POST', headers: {'X-Scanpost': '1'}, body: new Uint8Array(10000)})).status"""
    recipient = own_id.split(".")[2].split("@")[0]
    path = f"/api/deliveries/{delivery}/receipts/answer?recipient={recipient}&site=hospital.example"
    assert phone.page.evaluate(post, path) == 413
    assert phone.page.evaluate(post.replace("10000", "10"), path.replace("/answer", "/eaten")) == 400


def test_an_answer_to_a_case_that_was_recalled_is_told_without_its_words(open_bench: Bench, desk: Desk, api: Api, portal: Portal, phones,  # noqa: F811
                                                                         ct_study: list[Path]) -> None:
    phone = phones()
    enrol(phone, open_bench, EN)
    delivery = deliver(open_bench, ct_study)
    open_case(phone, delivery)
    phone.page.route("**/receipts/answer**", lambda route: route.abort())
    phone.refused.clear()
    tap(phone, "Words")
    phone.page.locator(".answers input").fill("Herniation, come at once")
    with phone.page.expect_request("**/receipts/answer**") as sent:
        tap(phone, "Send")
    (fetched,) = [message for message in harness.messages(open_bench.store, "doctor") if ".fetched." in harness.header(message, "Message-ID")]
    (study,) = api.get("/studies").body
    assert api.post(f"/studies/{study['case']}/withdraw", {}).status == 200
    with Mailbox(open_bench.store, "doctor") as mailbox:
        mailbox.append(with_body(fetched, sent.value.post_data_buffer).replace(b".fetched.", b".answer."))
    screen = desk.open("en")
    expect(screen.locator(".study", has_text="Recalled")).to_contain_text("Dr 田中 answered after the case was over", timeout=WAIT_MS)
    (answer,) = api.get(f"/studies/{study['case']}/answers").body
    assert (answer["kind"], answer["words"]) == ("closed", None)
    desk.sees_no_fault(screen, "closed")


def test_an_answer_without_a_network_goes_when_it_is_back(open_bench: Bench, api: Api, portal: Portal, phones, ct_study: list[Path]) -> None:  # noqa: F811
    phone = phones()
    enrol(phone, open_bench, EN)
    delivery = deliver(open_bench, ct_study)
    open_case(phone, delivery)
    portal.stop()
    phone.refused.clear()
    tap(phone, "Words")
    phone.page.locator(".answers input").fill("On my way")
    tap(phone, "Send")
    expect(phone.page.locator(".answers .told")).to_have_text("Goes to the hospital when the connection is back")
    kept_there = phone.page.evaluate("JSON.stringify(localStorage)")
    assert delivery in kept_there and "On my way" not in kept_there
    portal.start()
    wait_until("the answer", lambda: [one["words"] for one in answers(api)] == ["On my way"], seconds=90)
    wait_until("nothing to wait for", lambda: phone.page.evaluate("localStorage.getItem('outbox')") == "[]")


def test_the_line_of_events_is_begun_anew_after_an_answer_that_was_none(open_bench: Bench, portal: Portal, phones, ct_study: list[Path]) -> None:  # noqa: F811
    phone = phones()
    enrol(phone, open_bench, EN)
    asked: list[str] = []

    def busy(route) -> None:
        asked.append(route.request.url)
        route.fulfill(status=503, body="") if len(asked) == 1 else route.continue_()

    phone.page.route("**/api/events**", busy)
    phone.page.reload()
    phone.page.get_by_role("button", name=EN.open).click()
    for _ in range(200):
        # Routes are served while the browser is waited for.
        phone.page.wait_for_timeout(100)
        if len(asked) >= 2:
            break
    assert len(asked) >= 2, asked


RENEW = """Promise.all(['app', 'enrol', 'portal'].map((name) => import(`/js/${name}.js`)))
  .then(([{ state }, { renew }, { Portal }]) => renew(new Portal(), state.keys, true)).then(() => 'sent', (error) => error.code)"""


def test_a_renewal_that_was_cut_off_goes_at_the_next_sign_in(open_bench: Bench, portal: Portal, phones) -> None:  # noqa: F811
    phone = phones()
    enrol(phone, open_bench, EN)
    phone.page.route("**/api/renewals/**", lambda route: route.abort())
    phone.refused.clear()
    assert phone.page.evaluate(RENEW) == "link_lost"
    assert not parts(open_bench, "renew")
    phone.page.unroute("**/api/renewals/**")
    phone.page.reload()
    phone.page.get_by_role("button", name=EN.open).click()
    expect(phone.page.get_by_role("heading", name=EN.cases)).to_be_visible(timeout=WAIT_MS)
    wait_until("the renewal", lambda: len(parts(open_bench, "renew")) == 1)
    listed = [program("scanpost-gateway"), "doctor", "list", "--json", "--config", open_bench.gateway.config]
    certificates = lambda: {one["certificate"] for one in json.loads(subprocess.check_output(listed)) if one["doctor"] == "doctor"}  # noqa: E731
    wait_until("the new certificate", lambda: len(certificates()) == 2)


def test_the_native_reader_answers_too(bench: Bench, ct_study: list[Path]) -> None:
    page.make_certificate(bench.keys)
    bench.start(page_lines=page.lines(bench.keys, bench.folder / "page.port"))
    api = bench.api()
    delivery = deliver(bench, ct_study)
    bench.pull()
    (case,) = [path.name for path in bench.reader.output.iterdir() if re.fullmatch("[0-9a-f]{32}", path.name)]

    def say(what: str, words: str = "", case: str = case) -> subprocess.CompletedProcess:
        command = [program("scanpost-reader"), "answer", "--config", bench.reader.config, "--case", case, what]
        return subprocess.run(list(map(str, command)), input=words, capture_output=True, text=True, timeout=60)

    assert say("seen").returncode == 0
    wait_until("seen", lambda: told(api, delivery)["seen_at_ms"])
    assert say("words", "頭蓋内出血、転院を\n").returncode == 0
    assert say("call-back").returncode == 0
    wait_until("both answers", lambda: [one["words"] for one in answers(api)] == ["頭蓋内出血、転院を", None])
    too_long = say("words", "x" * 101)
    assert too_long.returncode == 2 and "one line of at most 100 characters" in too_long.stderr
    assert say("words", "a\u202eb").returncode == 2
    assert say("seen", case="ab" * 16).returncode == 5
