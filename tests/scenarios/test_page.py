"""The technician's page in a real browser: one press and what becomes of it, by mouse and by keyboard, in both languages."""

import re
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import pydicom
import pytest
from lab import page
from lab.orthanc import Orthanc
from lab.page import Account
from lab.programs import program
from peers import senders
from peers.lying_pacs import LyingPacs
from playwright.sync_api import Browser, Locator, Page, expect

import harness
from harness import Bench

WAIT_MS = 30_000
# Japanese in all three groups (PS3.5 H.3), and what a hostile sender could write.
NAME = "Yamada^Tarou=山田^太郎=やまだ^たろう"


@dataclass
class Desk:
    """A technician's place: the gateway, an account, and where screenshots go."""

    bench: Bench
    account: Account
    browser: Browser
    shots: Path

    def open(self, language: str = "ja", **context: object) -> Page:
        screen = self.browser.new_context(ignore_https_errors=True, locale={"ja": "ja-JP", "en": "en-GB"}[language],
                                          viewport={"width": 1500, "height": 950}, **context).new_page()
        screen.set_default_timeout(WAIT_MS)
        refused: list[str] = []
        screen.on("console", lambda message: refused.append(message.text) if message.type == "error" else None)
        screen.on("pageerror", lambda error: refused.append(str(error)))
        screen.refused = refused
        screen.goto(self.url)
        screen.fill("[name=name]", self.account.name)
        screen.fill("[name=password]", self.account.password)
        screen.fill("[name=code]", self.account.code())
        screen.press("[name=code]", "Enter")
        expect(screen.locator("#studies")).to_be_attached()
        return screen

    @property
    def url(self) -> str:
        return f"https://localhost:{(self.bench.folder / 'page.port').read_text()}"

    def shot(self, screen: Page, name: str) -> None:
        screen.screenshot(path=self.shots / f"{name}.png", full_page=True)

    def sees_no_fault(self, screen: Page, name: str) -> None:
        """WCAG 2.2 AA by axe, and nothing that the content security policy or the script complained of."""
        self.shot(screen, name)
        found = harness.barriers(screen)
        assert not found, f"{name}: {found}"
        assert not screen.refused, screen.refused


def desk_of(bench: Bench, chromium: Browser, tmp_path: Path, **settings: object) -> Desk:
    """The page of a gateway that is started for it, and a technician."""
    bench.start_with_page(doctor_lines={"doctor": ['name = "田中"']}, **settings)
    account = page.add_account(bench.gateway.config, "sato", "technician", "--no-totp")
    shots = tmp_path / "screenshots"
    shots.mkdir()
    return Desk(bench, account, chromium, shots)


@pytest.fixture
def desk(bench: Bench, chromium: Browser, tmp_path: Path) -> Desk:
    return desk_of(bench, chromium, tmp_path)


def write_study(folder: Path, files: list[Path], name: str = NAME, number: int = 1, count: int | None = None) -> list[Path]:
    """The files as a study of its own, of another patient."""
    folder.mkdir(parents=True, exist_ok=True)
    study, series, written = pydicom.uid.generate_uid(), pydicom.uid.generate_uid(), []
    for path in files[:count]:
        dataset = pydicom.dcmread(path)
        dataset.SpecificCharacterSet = "ISO_IR 192"
        dataset.PatientName, dataset.PatientID = name, f"P-{number:05d}"
        dataset.StudyInstanceUID, dataset.SeriesInstanceUID, dataset.SOPInstanceUID = study, series, pydicom.uid.generate_uid()
        dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
        written.append(folder / path.name)
        dataset.save_as(written[-1])
    return written


def store(bench: Bench, files: list[Path], called: str = page.HOLD) -> None:
    """C-STORE by DCMTK, as a modality sends."""
    senders.storescu(bench.port, called, files)


def row(screen: Page, words: str) -> Locator:
    return screen.locator(".study", has_text=words)


def until_pulled(desk: Desk) -> None:
    desk.bench.gateway.wait_for("the notice", lambda all: any(one["state"] == "notified" for one in all))
    desk.bench.pull()


@pytest.mark.parametrize("language", ["ja", "en"])
def test_one_press_by_the_keyboard_until_it_is_opened(desk: Desk, mr_study: list[Path], tmp_path: Path, language: str) -> None:
    words = {"ja": ("転送待ち", "が{}に開封", "田中医師"), "en": ("Waits for transfer", "Opened by Dr 田中 at {}", "Dr 田中")}[language]
    screen = desk.open(language)
    desk.sees_no_fault(screen, "empty")
    store(desk.bench, write_study(tmp_path / "study", mr_study))
    expect(row(screen, "山田 太郎")).to_contain_text(words[0], timeout=3_000)
    # All of it is here: a row that still changes could be made anew under the key that is pressed.
    expect(row(screen, "山田 太郎")).to_contain_text(re.compile(rf"{len(mr_study)}(枚| images)"))
    for group in ("Yamada Tarou", "やまだ たろう", "P-00001"):
        expect(row(screen, "山田 太郎")).to_contain_text(group)
    # Down to the study, space takes it, Enter sends it: no mouse.
    screen.keyboard.press("/")
    expect(screen.locator("#q")).to_be_focused()
    screen.keyboard.press("Escape")
    screen.keyboard.press("Space")
    expect(screen.locator("#transfer")).to_contain_text("山田 太郎")
    expect(screen.locator("#transfer")).to_contain_text(words[2])
    desk.sees_no_fault(screen, "chosen")
    pressed = time.monotonic()
    screen.keyboard.press("Enter")
    expect(screen.locator("[data-wish=undo]")).to_be_visible(timeout=1_500)
    desk.sees_no_fault(screen, "undo")
    assert [one["state"] for one in desk.bench.gateway.deliveries()] == ["held"], "nothing goes as long as it can be taken back"
    until_pulled(desk)
    assert time.monotonic() - pressed >= 5
    expect(row(screen, "山田 太郎")).to_have_class(re.compile("good"), timeout=5_000)
    expect(row(screen, "山田 太郎")).to_contain_text(re.compile(words[1].format(r"\d\d:\d\d")))
    desk.sees_no_fault(screen, f"opened-{language}")


def test_undo_keeps_everything_here(desk: Desk, mr_study: list[Path], tmp_path: Path) -> None:
    store(desk.bench, write_study(tmp_path / "study", mr_study))
    screen = desk.open("en")
    row(screen, "山田 太郎").locator("input[name=study]").check()
    screen.click("#transfer")
    screen.click("[data-wish=undo]")
    expect(row(screen, "山田 太郎")).to_contain_text("Waits for transfer")
    expect(screen.locator("#said")).to_contain_text("Nothing was sent")
    time.sleep(6)
    assert [one["state"] for one in desk.bench.gateway.deliveries()] == ["held"]


def test_the_press_outlives_browser_and_gateway(desk: Desk, mr_study: list[Path], tmp_path: Path) -> None:
    store(desk.bench, write_study(tmp_path / "study", mr_study))
    screen = desk.open("en")
    row(screen, "山田 太郎").locator("input[name=study]").check()
    screen.click("#transfer")
    expect(screen.locator("[data-wish=undo]")).to_be_visible()
    screen.context.close()
    desk.bench.gateway.kill()
    desk.bench.gateway.start()
    desk.bench.gateway.wait_for_state("notified", "pulled", seconds=60)


def test_two_technicians_and_a_second_press(desk: Desk, mr_study: list[Path], tmp_path: Path) -> None:
    store(desk.bench, write_study(tmp_path / "study", mr_study))
    first, second = desk.open("en"), desk.open("en")
    for screen in (first, second):
        row(screen, "山田 太郎").locator("input[name=study]").check()
    # The second screen's press is on its way before its list can change.
    second.evaluate("() => { window.stop(); }")
    form = second.evaluate("() => new URLSearchParams(new FormData(document.getElementById('send'))).toString()")
    first.click("#transfer")
    expect(first.locator("[data-wish=undo]")).to_be_visible()
    said = second.evaluate("""async (body) => (await fetch('/press', {method: 'POST', body: new URLSearchParams(body),
        headers: {Accept: 'application/json'}})).json()""", form)
    assert said["bad"] and "Already pressed by sato" in said["said"]
    desk.bench.gateway.wait_for_state("notified", "pulled")
    said = second.evaluate("""async (body) => (await fetch('/press', {method: 'POST', body: new URLSearchParams(body),
        headers: {Accept: 'application/json'}})).json()""", form)
    assert said["bad"] and "Already pressed by sato" in said["said"]
    assert len(desk.bench.gateway.deliveries()) == 1


def test_recall(desk: Desk, mr_study: list[Path], tmp_path: Path) -> None:
    store(desk.bench, write_study(tmp_path / "study", mr_study))
    screen = desk.open("en")
    row(screen, "山田 太郎").locator("input[name=study]").check()
    screen.click("#transfer")
    desk.bench.gateway.wait_for_state("notified")
    sent = row(screen, "not opened yet")
    expect(sent).to_be_visible()
    sent.locator("summary").click()
    sent.locator("[data-wish=recall]").click()
    recalled = time.monotonic()
    while harness.messages(desk.bench.store, "doctor"):
        assert time.monotonic() - recalled < 3, "mails lie in the mailbox 3 s after the recall"
        time.sleep(0.1)
    expect(row(screen, "Recalled")).to_be_visible()
    expect(row(screen, "Waits for transfer")).to_contain_text("山田 太郎")
    expect(row(screen, "Recalled")).to_contain_text("山田 太郎")
    desk.sees_no_fault(screen, "recalled")


def test_hostile_names_are_shown_harmlessly(desk: Desk, mr_study: list[Path], tmp_path: Path) -> None:
    names = ["<img src=x onerror=alert(1)>", "\"><script>alert(1)</script>", "A\u202eB\u2066C", "'\" onfocus=alert(1) x='", "Ａ" * 21_000,
             "\x1b]0;x\x07bell", "</li></ul><form action=//evil.example>", "javascript:alert(1)", "&lt;b&gt;^&amp;"]
    screen = desk.open("en")
    dialogs: list[str] = []
    screen.on("dialog", lambda dialog: (dialogs.append(dialog.message), dialog.dismiss()))
    requests: list[str] = []
    screen.on("request", lambda request: requests.append(request.url))
    with pydicom.config.disable_value_validation():
        for number, name in enumerate(names, 1):
            store(desk.bench, write_study(tmp_path / str(number), mr_study, name, number, count=1))
    expect(screen.locator(".study")).to_have_count(len(names), timeout=10_000)
    screen.reload()
    expect(screen.locator(".study")).to_have_count(len(names))
    for index in range(len(names)):
        screen.locator(".study input[name=study]").nth(index).check()
        assert len(screen.locator("#whom").inner_text()) < 300
    assert not screen.locator(".study script, .study form, .study img:not(.picture)").count()
    assert all(re.fullmatch(r"/studies/[0-9a-f]{32}/picture\?of=1", source)
               for source in screen.locator(".study img").evaluate_all("images => images.map((image) => image.getAttribute('src'))"))
    shown = screen.locator("#studies").inner_text()
    assert "<script>alert(1)</script>" in shown and "</li></ul>" in shown, shown
    assert not re.search("[\u202a-\u202e\u2066-\u2069\x00-\x08\x0b-\x1f]", shown)
    assert max(len(name) for name in screen.locator(".name").all_inner_texts()) <= 121
    assert not dialogs and all(url.startswith(desk.url) for url in requests), (dialogs, requests)
    desk.sees_no_fault(screen, "hostile")
    log = desk.bench.log.read_text()
    assert "onerror" not in log and "evil" not in log


def test_focus_and_place_stay_while_studies_come(desk: Desk, mr_study: list[Path], tmp_path: Path) -> None:
    for number in range(1, 13):
        store(desk.bench, write_study(tmp_path / str(number), mr_study, f"Old^{number}", number, count=1))
    screen = desk.open("en")
    radio = row(screen, "P-00003").locator("input[name=study]")
    radio.check()
    radio.focus()
    before = row(screen, "P-00003").bounding_box()["y"]
    assert screen.evaluate("window.scrollY") > 0, "the list is longer than the screen"
    for number in range(20, 24):
        store(desk.bench, write_study(tmp_path / str(number), mr_study, f"New^{number}", number, count=1))
    expect(row(screen, "P-00023")).to_be_attached(timeout=3_000)
    expect(radio).to_be_focused()
    expect(radio).to_be_checked()
    assert abs(row(screen, "P-00003").bounding_box()["y"] - before) < 2
    # The newest is on top.
    ids = screen.locator(".study .id").all_inner_texts()
    assert ids[:4] == ["ID P-00023", "ID P-00022", "ID P-00021", "ID P-00020"], ids


def test_search(desk: Desk, mr_study: list[Path], tmp_path: Path) -> None:
    people = {1: "Yamada^Tarou=山田^太郎=やまだ^たろう", 2: "Suzuki^Hanako=鈴木^花子=すずき^はなこ"}
    for number, name in people.items():
        store(desk.bench, write_study(tmp_path / str(number), mr_study, name, number, count=1))
    screen = desk.open("ja")
    expect(screen.locator(".study")).to_have_count(2)
    for words, number in (("鈴木", 2), ("yamada TAROU", 1), ("はなこ", 2), ("P-00001", 1)):
        screen.fill("#q", words)
        screen.press("#q", "Enter")
        expect(screen.locator(".study")).to_have_count(1)
        expect(screen.locator(".study")).to_contain_text(f"P-{number:05d}")
        # Addresses are kept by browsers and proxies: this one names nobody.
        assert re.fullmatch(re.escape(desk.url) + r"/\?search=[\w-]+", screen.url), screen.url
    screen.fill("#q", "nobody")
    screen.press("#q", "Enter")
    expect(screen.locator("#none")).to_be_visible()
    desk.sees_no_fault(screen, "search")
    screen.fill("#q", "")
    for modality, count in (("MR", 2), ("CT", 0)):
        screen.select_option("#modality", modality)
        screen.click(".search button")
        expect(screen.locator(".study")).to_have_count(count)
    found = screen.url
    screen.reload()
    expect(screen.locator("#modality")).to_have_value("CT")
    # Another person's session cannot open it: everything is shown.
    other = desk.open("ja")
    other.goto(found)
    expect(other.locator(".study")).to_have_count(2)
    assert other.url == desk.url + "/"


def test_a_screen_that_nobody_touches_ends_with_its_session(desk: Desk) -> None:
    screen = desk.open("en")
    subprocess.run([program("scanpost-gateway"), "account", "lock", "sato", "--config", desk.bench.gateway.config], check=True, capture_output=True)
    expect(screen).to_have_url(desk.url + "/sign-in", timeout=20_000)


def test_at_night_and_on_a_small_screen(desk: Desk, mr_study: list[Path], tmp_path: Path) -> None:
    store(desk.bench, write_study(tmp_path / "study", mr_study))
    night = desk.open("ja", color_scheme="dark")
    expect(night.locator(".study")).to_have_count(1)
    desk.sees_no_fault(night, "night")
    night.set_viewport_size({"width": 420, "height": 900})
    desk.sees_no_fault(night, "small")
    assert night.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), "nothing to scroll sideways"
    night.goto(desk.url + "/account")
    desk.sees_no_fault(night, "account")
    night.context.clear_cookies()
    night.goto(desk.url + "/sign-in")
    desk.sees_no_fault(night, "sign-in")


def test_a_study_at_the_pacs_is_found_and_sent(desk: Desk, pacs: Orthanc, mr_study: list[Path], tmp_path: Path) -> None:
    bench = desk.bench
    bench.gateway.stop()
    bench.start(pacs_port=pacs.dicom_port)
    pacs.stop()
    pacs.tls = {"DefaultEncoding": "Utf8"}  # or Orthanc answers in Latin-1, which has no kanji
    pacs.start()
    pacs.know_gateway("gateway", page.HOLD, bench.port)
    for path in write_study(tmp_path / "study", mr_study):
        pacs.add_file(path)
    screen = desk.open("en")
    for words in ("山田", "P-00001", "tarou"):
        screen.fill("#q", words)
        screen.press("#q", "Enter")
        expect(screen.locator(".pacs .study")).to_have_count(1)
        expect(screen.locator(".pacs .study")).to_contain_text("山田 太郎")
    desk.sees_no_fault(screen, "at-pacs")
    screen.locator(".pacs input[name=study]").check()
    expect(screen.locator("#transfer")).to_contain_text("山田 太郎")
    screen.click("#transfer")
    screen.locator("#said [data-wish=undo]").click()
    expect(screen.locator("#said")).to_contain_text("Nothing was sent")
    time.sleep(6)
    assert not bench.gateway.deliveries()
    screen.click("#transfer")
    delivered = bench.gateway.wait_for_state("notified", "pulled")
    assert delivered[0]["completeness"] == {"is": "proved", "instances": len(mr_study)}
    screen.goto(desk.url)
    expect(row(screen, "山田 太郎")).to_contain_text(f"Complete: {len(mr_study)} images")


def test_a_study_has_a_picture_and_key_images_are_marked_and_sent_first(desk: Desk, mr_study: list[Path], tmp_path: Path) -> None:
    files = write_study(tmp_path / "study", mr_study)
    store(desk.bench, files)
    screen = desk.open("en")
    waiting = row(screen, "山田 太郎")
    picture = waiting.locator("img.picture")
    expect(picture).to_have_attribute("src", re.compile(r"/studies/[0-9a-f]{32}/picture\?of=16"))
    size = picture.evaluate("async (image) => { await image.decode(); return [image.naturalWidth, image.naturalHeight]; }")
    assert 32 <= max(size) <= 128, size
    answer = screen.request.get(desk.url + picture.get_attribute("src"))
    assert answer.headers["content-type"] == "image/jpeg" and answer.headers["cache-control"] == "no-store"
    assert len(answer.body()) < 20_000
    # Who has not signed in sees none, and nothing of it lies in plain.
    stranger = desk.browser.new_context(ignore_https_errors=True).request.get(desk.url + picture.get_attribute("src"), max_redirects=0)
    assert stranger.status == 303
    kept = [path for path in (desk.bench.gateway.folder / "state").rglob("*") if path.is_file() and answer.body()[64:256] in path.read_bytes()]
    assert not kept, kept
    waiting.locator("a.keys").click()
    expect(screen.locator("ul.images img")).to_have_count(len(files))
    desk.sees_no_fault(screen, "key-images")
    # By the keyboard: two images, and save.
    for place in (5, 20):
        screen.locator("ul.images input").nth(place - 1).focus()
        screen.keyboard.press("Space")
    screen.locator("button.main").focus()
    screen.keyboard.press("Enter")
    expect(row(screen, "山田 太郎").locator("a.keys")).to_have_text("Key images: 2")
    row(screen, "山田 太郎").locator("input[name=study]").check()
    screen.click("#transfer")
    desk.bench.gateway.wait_for_state("notified")
    assert "2 of them are key images" in desk.bench.pull()
    harness.assert_equal_bytes(files, desk.bench.reader.files())
    expect(screen.locator(".study.good")).to_be_visible()
    trail = "".join(path.read_text() for path in (desk.bench.gateway.folder / "state" / "audit").glob("trail-*.log"))
    assert "mark key images" in trail
    # Too late now: the page says so, and shows no button.
    screen.locator(".study.good a.keys").click()
    expect(screen.locator("ul.images input:checked")).to_have_count(2)
    assert not screen.locator("button.main").count()


@pytest.fixture
def lying(desk: Desk, ct_study: list[Path]):
    """A PACS that lists an image more than it gives."""
    pacs = LyingPacs(ct_study, withheld=1)
    desk.bench.gateway.stop()
    desk.bench.start(pacs_port=pacs.port)
    yield pacs
    pacs.stop()


def ask_for_all_but_one(desk: Desk, files: list[Path], language: str) -> Page:
    """Presses a study of which the PACS gives all images but one; the row with the question is there when this returns."""
    api = desk.bench.api()
    study = str(pydicom.dcmread(files[0], stop_before_pixels=True).StudyInstanceUID)
    assert api.post("/deliveries", {"study": {"pacs": "orthanc", "study_uid": study}, "doctors": ["doctor"]}).status == 201
    screen = desk.open(language)
    here, listed = len(files) - 1, len(files)
    question = {"ja": f"{here}／{listed}枚", "en": f"{here} of {listed} images"}[language]
    expect(row(screen, question).locator("[data-wish=partial]")).to_be_visible()
    return screen


@pytest.mark.parametrize("language", ["ja", "en"])
def test_all_images_but_one_wait_and_then_send_what_is_here(desk: Desk, lying: LyingPacs, ct_study: list[Path], language: str) -> None:
    screen = ask_for_all_but_one(desk, ct_study, language)
    asked = screen.locator(".study.ask")
    desk.sees_no_fault(screen, f"all-but-one-{language}")
    assert asked.locator("[data-wish=wait]").inner_text() == {"ja": "待つ", "en": "Wait"}[language]
    asked.locator("[data-wish=wait]").click()
    # The choice stays open, and says who made it.
    expect(asked).to_contain_text({"ja": "satoが「不足画像を待つ」を選択", "en": "sato said: wait for the missing images"}[language])
    time.sleep(1)
    assert [one["state"] for one in desk.bench.gateway.deliveries()] == ["received"]
    # By the keyboard: the button has the focus, Enter presses it.
    asked.locator("[data-wish=partial]").focus()
    screen.keyboard.press("Enter")
    until_pulled(desk)
    here, listed = len(ct_study) - 1, len(ct_study)
    sent = screen.locator(".study.good")
    expect(sent).to_contain_text({"ja": f"{here}", "en": f"Partial: {here} of {listed} images"}[language])
    expect(sent).to_contain_text({"ja": "satoが「届いた画像だけ送る」を選択", "en": "sato said: send the images that are here"}[language])
    desk.sees_no_fault(screen, f"partial-{language}")
    (delivery,) = desk.bench.gateway.deliveries()
    assert (delivery["completeness"]["is"], delivery["chosen"]) == ("partial", {"choice": "partial", "by": "sato"})


@pytest.mark.parametrize("language", ["ja", "en"])
def test_all_images_but_one_are_cancelled(desk: Desk, lying: LyingPacs, ct_study: list[Path], language: str) -> None:
    screen = ask_for_all_but_one(desk, ct_study, language)
    asked = screen.locator(".study.ask")
    asked.locator("summary").click()
    asked.locator("[data-wish=cancel]").click()
    # It waits for another press, and whose it was stands in both rows.
    expect(screen.locator(".study.over")).to_be_visible()
    expect(screen.locator(".study.still")).to_be_visible()
    names = {screen.locator(f".study.{tone} .name").inner_text() for tone in ("over", "still")}
    assert len(names) == 1 and names != {""}, names
    desk.sees_no_fault(screen, f"cancelled-{language}")
    assert not harness.messages(desk.bench.store, "doctor")


def test_a_press_at_the_pacs_is_taken_back_from_another_screen(desk: Desk, lying: LyingPacs, ct_study: list[Path]) -> None:
    first, second = desk.open("en"), desk.open("ja")
    study = str(pydicom.dcmread(ct_study[0], stop_before_pixels=True).StudyInstanceUID)
    first.evaluate("""async (study) => {
        const fields = new URLSearchParams(new FormData(document.getElementById('acts')));
        fields.set('study', `orthanc/${study}`); fields.set('doctor', 'doctor');
        await fetch('/press', {method: 'POST', body: fields, headers: {Accept: 'application/json'}});
    }""", study)
    waiting = second.locator(".study", has_text="orthanc")
    expect(waiting.locator("[data-wish=undo]")).to_be_visible(timeout=2_000)
    waiting.locator("[data-wish=undo]").click()
    expect(second.locator(".study")).to_have_count(0)
    time.sleep(6)
    assert desk.bench.gateway.deliveries() == []


def test_what_can_be_taken_back_is_said_no_longer_than_it_can(desk: Desk, mr_study: list[Path], tmp_path: Path) -> None:
    store(desk.bench, write_study(tmp_path / "study", mr_study))
    screen = desk.open("en")
    row(screen, "山田 太郎").locator("input[name=study]").check()
    screen.click("#transfer")
    expect(screen.locator("#said")).to_contain_text("Goes to Dr 田中 in 5 s")
    expect(screen.locator("#said")).to_be_empty(timeout=6_000)


def test_older_studies_are_on_further_pages(desk: Desk, mr_study: list[Path], tmp_path: Path) -> None:
    for number in range(1, 104):
        write_study(tmp_path / "all" / str(number), mr_study, f"Many^{number}", number, count=1)
    for part in sorted((tmp_path / "all").iterdir(), key=lambda folder: int(folder.name)):
        store(desk.bench, list(part.iterdir()))
    screen = desk.open("en")
    expect(screen.locator(".study")).to_have_count(100, timeout=10_000)
    first = screen.locator(".study .id").all_inner_texts()
    screen.click("#further")
    expect(screen.locator(".study")).to_have_count(3)
    assert first + screen.locator(".study .id").all_inner_texts() == [f"ID P-{number:05d}" for number in range(103, 0, -1)]
    desk.sees_no_fault(screen, "older")


def test_who_is_on_duty_is_chosen_beforehand(desk: Desk) -> None:
    bench = desk.bench
    bench.gateway.stop()
    bench.start(destinations={"DR_DEMO": ["doctor", "doctor2"]}, doctor_lines={"doctor": ['name = "田中"'], "doctor2": ['name = "佐藤"']})
    technician = desk.account
    desk.account = page.add_account(bench.gateway.config, "boss", "administrator")
    boss = desk.open("en")
    expect(boss.locator("input[name=doctor]:checked")).to_have_count(0)
    boss.goto(desk.url + "/roster")
    boss.fill("[name=name]", "stroke")
    boss.fill("[name=doctors]", "doctor2, doctor")
    boss.locator("form[action='/roster/group'] button").click()
    boss.fill("#import", "who,days,from,to\nnobody,daily,00:00,24:00\n")
    boss.locator("form[action='/roster/import'] button").click()
    expect(boss.locator(".notice.bad")).to_contain_text("nobody is neither")
    boss.fill("#import", "who,days,from,to\nstroke,daily,00:00,24:00\n")
    boss.locator("form[action='/roster/import'] button").click()
    expect(boss.locator(".now")).to_contain_text("佐藤")
    desk.sees_no_fault(boss, "roster")
    boss.goto(desk.url)
    expect(boss.locator("input[name=doctor]:checked")).to_have_value("doctor2")
    expect(boss.locator(".panel label").first).to_contain_text("on duty")
    calendar = "BEGIN:VCALENDAR\nBEGIN:VEVENT\nSUMMARY:doctor\nDTSTART:20200101T000000Z\nDTEND:20990101T000000Z\nEND:VEVENT\nEND:VCALENDAR\n"
    boss.goto(desk.url + "/roster")
    boss.set_input_files("input[type=file]", {"name": "duty.ics", "mimeType": "text/calendar", "buffer": calendar.encode()})
    expect(boss.locator("#import")).to_have_value(re.compile("VCALENDAR"))
    boss.uncheck("[name=replace]")
    boss.locator("form[action='/roster/import'] button").click()
    expect(boss.locator(".now li").first).to_contain_text("田中")
    desk.account = technician
    sato = desk.open("ja")
    expect(sato.locator("input[name=doctor]:checked")).to_have_value("doctor")
    sato.goto(desk.url + "/roster")
    expect(sato.locator(".now")).to_contain_text("田中")
    assert not sato.locator("form[action^='/roster']").count()
    desk.sees_no_fault(sato, "roster-ja")


@pytest.fixture
def group(desk: Desk) -> Desk:
    """Two doctors on duty, one behind the other, and six seconds for the first one."""
    bench = desk.bench
    bench.gateway.stop()
    bench.start(destinations={"DR_DEMO": ["doctor", "doctor2"]}, doctor_lines={"doctor": ['name = "田中"'], "doctor2": ['name = "佐藤"']}, escalate_after_s=6)
    technician = desk.account
    desk.account = page.add_account(bench.gateway.config, "boss", "administrator")
    boss = desk.open("en")
    boss.goto(desk.url + "/roster")
    boss.fill("[name=name]", "stroke")
    boss.fill("[name=doctors]", "doctor, doctor2")
    boss.locator("form[action='/roster/group'] button").click()
    boss.fill("#import", "who,days,from,to\nstroke,daily,00:00,24:00\n")
    boss.locator("form[action='/roster/import'] button").click()
    boss.context.close()
    desk.account = technician
    return desk


def notices(bench: Bench) -> int:
    return len(harness.messages(bench.store, "phone"))


def test_when_nobody_opens_it_the_next_of_the_group_is_told(group: Desk, mr_study: list[Path], tmp_path: Path) -> None:
    bench = group.bench
    store(bench, write_study(tmp_path / "study", mr_study))
    screen = group.open("en")
    row(screen, "山田 太郎").locator("input[name=study]").check()
    screen.click("#transfer")
    sent = screen.locator(".study.going")
    expect(sent).to_contain_text(re.compile(r"If nobody opens it by \d\d:\d\d, Dr 佐藤 is told"), timeout=WAIT_MS)
    assert notices(bench) == 1
    expect(sent).to_contain_text(re.compile(r"Nobody had opened it at \d\d:\d\d: Dr 佐藤 was told next"), timeout=WAIT_MS)
    expect(sent).to_contain_text(re.compile(r"Dr 佐藤 notified at \d\d:\d\d"), timeout=WAIT_MS)
    assert notices(bench) == 2
    group.sees_no_fault(screen, "escalated")
    trail = "".join(path.read_text() for path in (bench.gateway.folder / "state" / "audit").glob("trail-*.log"))
    assert "nobody opened it in time: tell the next of the group" in trail
    bench.pull(bench.reader_of("doctor2"))
    expect(screen.locator(".study.good")).to_contain_text(re.compile(r"Opened by Dr 佐藤 at \d\d:\d\d"))
    time.sleep(8)
    assert notices(bench) == 2, "nobody is told twice"


def test_everybody_is_told_at_once_by_the_rules_of_the_group_and_nobody_is_woken_for_what_is_not_urgent(
        group: Desk, mr_study: list[Path], tmp_path: Path) -> None:
    bench = group.bench
    bench.gateway.stop()
    bench.gateway.extra_configuration += "[groups.stroke]\neverybody_after_s = 4\n"
    until = time.strftime("%H:%M", time.gmtime(time.time() + 9 * 3600 + 7200))
    since = time.strftime("%H:%M", time.gmtime(time.time() + 9 * 3600 - 7200))
    sleeper = ['name = "佐藤"', f'quiet_hours = "{since}-{until}"']
    bench.start(doctor_lines={"doctor": ['name = "田中"'], "doctor2": sleeper}, escalate_after_s=600)
    # Not urgent: the turn of the second one comes, and the notice waits for the end of quiet hours.
    store(bench, write_study(tmp_path / "study", mr_study))
    screen = group.open("en")
    expect(screen.locator(".panel")).to_contain_text(re.compile(rf"quiet until (\d\d-\d\d )?{until}"))
    row(screen, "山田 太郎").locator("input[name=study]").check()
    screen.click("#transfer")
    sent = screen.locator(".study.going")
    expect(sent).to_contain_text(re.compile(r"If nobody opens it by \d\d:\d\d, Dr 佐藤 is told"), timeout=WAIT_MS)
    expect(sent).to_contain_text(re.compile(rf"Not urgent: Dr 佐藤 has quiet hours and is told at (\d\d-\d\d )?{until}"), timeout=WAIT_MS)
    assert notices(bench) == 1
    # Urgent: both are told, one after the other.
    store(bench, write_study(tmp_path / "urgent", mr_study, "Sasaki^Jirou", number=2, count=4))
    row(screen, "Sasaki Jirou").locator("input[name=study]").check()
    screen.check("[name=urgent]")
    screen.click("#transfer")
    expect(row(screen, "Sasaki Jirou")).to_contain_text(re.compile(r"Dr 佐藤 notified at \d\d:\d\d"), timeout=WAIT_MS)
    assert notices(bench) == 3
    group.sees_no_fault(screen, "quiet")


def test_whoever_opens_it_in_time_is_the_only_one_who_is_told(group: Desk, mr_study: list[Path], tmp_path: Path) -> None:
    bench = group.bench
    store(bench, write_study(tmp_path / "study", mr_study))
    screen = group.open("ja")
    row(screen, "山田 太郎").locator("input[name=study]").check()
    screen.click("#transfer")
    bench.gateway.wait_for_state("notified")
    bench.pull()
    # It is over although the second one never was told, and its spool is given back.
    (delivery,) = bench.gateway.wait_for_state("pulled")
    assert {doctor["doctor"]: doctor["stands_behind"] for doctor in delivery["doctors"]} == {"doctor": 0, "doctor2": 1}
    time.sleep(8)
    assert notices(bench) == 1
    expect(screen.locator(".study.good")).not_to_contain_text("佐藤")


def test_a_doctor_hands_over_to_the_next_and_where_nobody_is_left_the_page_rings(group: Desk, mr_study: list[Path], tmp_path: Path) -> None:
    bench = group.bench
    bench.gateway.stop()
    bench.start(escalate_after_s=600)
    store(bench, write_study(tmp_path / "study", mr_study, count=4))
    screen = group.open("en")
    row(screen, "山田 太郎").locator("input[name=study]").check()
    screen.click("#transfer")
    (delivery,) = bench.gateway.wait_for_state("notified")

    def hand_over(doctor: str) -> None:
        reader = bench.reader_of(doctor)
        bench.pull(reader)
        command = [program("scanpost-reader"), "answer", "--config", reader.config, "--case", delivery["case"], "hand-over"]
        subprocess.run(list(map(str, command)), capture_output=True, timeout=60, check=True)
    hand_over("doctor")
    study = screen.locator(".study", has_text="山田 太郎")
    expect(study).to_contain_text(re.compile(r"Dr 佐藤 notified at \d\d:\d\d"), timeout=WAIT_MS)
    expect(study).to_contain_text(re.compile(r"Dr 田中 handed it over at \d\d:\d\d"))
    expect(study).not_to_contain_text("Opened by")
    assert notices(bench) == 2
    hand_over("doctor2")
    expect(study).to_contain_text("telephone", timeout=WAIT_MS)
    trail = "".join(path.read_text() for path in (bench.gateway.folder / "state" / "audit").glob("trail-*.log"))
    assert trail.count("hands the case over") == 2


def test_the_operator_sees_figures_and_prometheus_reads_them(desk: Desk, mr_study: list[Path], tmp_path: Path) -> None:
    import ssl
    import urllib.error
    import urllib.request
    bench = desk.bench
    store(bench, write_study(tmp_path / "sent", mr_study), "DR_DEMO")
    store(bench, write_study(tmp_path / "waits", mr_study, "Suzuki^Hanako", 2))
    bench.gateway.wait_for("the notice", lambda all: any(one["state"] == "notified" for one in all))
    desk.account = page.add_account(bench.gateway.config, "boss", "administrator")
    boss = desk.open("en")
    boss.goto(desk.url + "/operator")
    expect(boss.locator(".figure", has_text="Waits for transfer")).to_contain_text("1")
    expect(boss.locator("tr", has_text="compress")).to_contain_text(re.compile(r"\d+\.\d s"))
    week = boss.locator("table", has=boss.get_by_text("First image", exact=True)).locator("tbody tr")
    expect(week).to_have_count(1)
    expect(week.locator("td").nth(2)).to_contain_text(re.compile(r"\d+ / \d+ s"))
    expect(week.locator("td").nth(4)).to_contain_text("–")
    desk.sees_no_fault(boss, "operator")
    with boss.expect_download() as download:
        boss.click("a[href='/operator/ledger.csv']")
    head, line = Path(download.value.path()).read_text().splitlines()
    case = dict(zip(head.split(","), line.split(","), strict=True))
    (sent,) = [one for one in bench.gateway.deliveries() if one["state"] == "notified"]
    assert (case["case"], case["first_image"], case["alarmed"]) == (sent["case"], "", "false")
    assert abs(float(case["notified"]) - sent["click_to_notified"]) < 0.01 and float(case["submitted"]) <= float(case["notified"])
    boss.goto(desk.url + "/accounts")
    desk.sees_no_fault(boss, "accounts")
    token = subprocess.run([program("scanpost-gateway"), "token", "add", "prometheus", "--role", "auditor", "--config", bench.gateway.config],
                           capture_output=True, text=True, check=True, timeout=60)
    trust = ssl.create_default_context(cafile=bench.keys.ca)
    def metrics(headers: dict[str, str]) -> str:
        return urllib.request.urlopen(urllib.request.Request(desk.url + "/metrics", headers=headers), context=trust).read().decode()
    with pytest.raises(urllib.error.HTTPError, match="401"):
        metrics({})
    text = metrics({"Authorization": f"Bearer {token.stdout.strip()}"})
    assert 'scanpost_deliveries{state="held"} 1' in text and 'scanpost_stage_seconds{stage="compress",quantile="0.95"}' in text
    assert 'scanpost_click_seconds{to="notified",quantile="0.95"}' in text and 'scanpost_cases_7d{what="all"} 1' in text
    assert not re.search("Yamada|Suzuki|P-0000|doctor_|田中", text)
