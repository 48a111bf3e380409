"""The app on a phone's screen: a real browser with a virtual authenticator, the real portal, mailbox and gateway."""

import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pydicom
import pytest
from lab.link import Line, Link
from lab.mailbox import Mailbox
from lab.portal import Portal
from lab.ports import free_port
from peers import senders
from playwright.sync_api import Browser, BrowserContext, Page, expect
from pydicom.pixels import pixel_array

import harness
from harness import Bench
from test_quota import fill, limited, make_room  # noqa: F401
from test_app_carried import COSINES_APART_MAX, LOOP_COLUMNS, LOOP_ROWS, loop
from test_app_reports import document, item, pdf_of, report, save
from test_enrolment import body, doctor, invite, open_bench, parts, replace, wait_for, waiting  # noqa: F401

WAIT_MS = 90_000
PHONE = {"viewport": {"width": 390, "height": 844}, "device_scale_factor": 2, "has_touch": True, "is_mobile": True, "ignore_https_errors": True}


@dataclass
class Phone:
    """A browser with an authenticator of its own (PRF, as Face ID answers), on the portal."""

    context: BrowserContext
    portal: Portal
    shots: Path
    page: Page = field(init=False)

    def __post_init__(self):
        self.page = self.context.new_page()
        self.page.set_default_timeout(WAIT_MS)
        self.refused: list[str] = []
        # Answers of the portal that are no success are logged by the browser as errors; what the app makes of them is what is tested.
        self.page.on("console", lambda message: self.refused.append(message.text) if message.type == "error" and "Failed to load resource" not in message.text else None)
        self.page.on("pageerror", lambda error: self.refused.append(str(error)))
        client = self.context.new_cdp_session(self.page)
        client.send("WebAuthn.enable")
        client.send("WebAuthn.addVirtualAuthenticator", {"options": {
            "protocol": "ctap2", "ctap2Version": "ctap2_1", "transport": "internal", "hasResidentKey": True, "hasUserVerification": True, "hasPrf": True,
            "isUserVerified": True, "automaticPresenceSimulation": True}})

    def open(self, path: str = "/") -> Page:
        self.page.goto(self.portal.origin + path)
        return self.page

    def sees_no_fault(self, name: str) -> None:
        """A screenshot, WCAG 2.2 AA by axe, room for fingers, and nothing that the policy or the script complained of."""
        self.page.screenshot(path=self.shots / f"{name}.png")
        found = harness.barriers(self.page)
        assert not found, f"{name}: {found}"
        assert not harness.too_small(self.page), name
        assert not self.refused, self.refused

    def full(self) -> None:
        expect(self.page.locator("canvas[data-shown=full]")).to_be_visible(timeout=WAIT_MS)


@dataclass
class Words:
    """What is tapped, by its name in a language."""

    locale: str
    password: str
    user: str
    secret: str
    code: str
    sign_in: str
    settings: str
    add: str
    enrol_code: str
    next: str
    open: str
    cases: str


JA = Words("ja-JP", "パスワードで一覧だけ見る", "利用者名", "パスワード", "確認コード(6桁)", "サインイン", "設定", "この端末を追加", "病院で渡された登録コード", "次へ", "この端末で開く", "症例")
EN = Words("en-GB", "See the list only, by password", "User name", "Password", "Code (6 digits)", "Sign in", "Settings", "Add this device",
           "The code that the hospital gave you", "Next", "Open with this device", "Cases")


@pytest.fixture
def link():
    """What is between phone and portal; it holds nothing up unless a scenario says so."""
    link = Link(free_port(), free_port())
    yield link
    link.close()


@pytest.fixture
def portal(open_bench: Bench, link: Link):  # noqa: F811
    portal = Portal(open_bench.folder / "portal", open_bench.folder / "log" / "portal.log", open_bench.store, open_bench.keys, link.behind,
                    origin=f"https://localhost:{link.port}")
    open_bench.extra_logs.append(portal.log)
    yield portal.start()
    portal.stop()


@pytest.fixture
def shots(tmp_path: Path) -> Path:
    folder = tmp_path / "screenshots"
    folder.mkdir()
    return folder


@pytest.fixture
def phones(chromium: Browser, portal: Portal, shots: Path):
    def new(locale: str = "en-GB") -> Phone:
        return Phone(chromium.new_context(locale=locale, **PHONE), portal, shots)

    return new


def sign_in(page: Page, words: Words, account, at: float | None = None) -> None:
    """By password and the code of a time, to the list."""
    page.get_by_text(words.password).click()
    page.get_by_label(words.user).fill(account.name)
    page.get_by_label(words.secret, exact=True).fill(account.password)
    page.get_by_label(words.code).fill(account.code(at))
    page.get_by_role("button", name=words.sign_in, exact=True).click()
    expect(page.get_by_role("heading", name=words.cases)).to_be_visible()


def enrol(phone: Phone, bench: Bench, words: Words, account=None) -> None:
    """By the whole way: password, passkey, code, the comparison by telephone."""
    account = account or phone.portal.add_account("doctor")
    page = phone.open()
    phone.sees_no_fault(f"sign-in-{words.locale}")
    sign_in(page, words, account)
    phone.sees_no_fault(f"list-only-{words.locale}")
    page.get_by_role("button", name=words.settings).click()
    expect(page.get_by_role("button", name=words.add)).to_be_visible()
    phone.sees_no_fault(f"settings-{words.locale}")
    page.get_by_role("button", name=words.add).click()
    page.get_by_label(words.enrol_code).fill(invite(bench))
    phone.sees_no_fault(f"enrol-{words.locale}")
    page.get_by_role("button", name=words.next).click()
    expect(page.locator(".big")).to_be_visible()
    shown = page.locator(".big").inner_text()
    (fingerprint,) = wait_for(lambda: waiting(bench))
    assert shown == fingerprint, "the number that is read out is the one the administrator sees"
    phone.sees_no_fault(f"fingerprint-{words.locale}")
    doctor(bench, "confirm", "doctor", "--fingerprint", fingerprint)
    expect(page.get_by_role("heading", name=words.cases)).to_be_visible(timeout=WAIT_MS)


def deliver(bench: Bench, study: list[Path], count: int = 1) -> str:
    senders.pynetdicom(bench.port, "DR_DEMO", study)
    bench.gateway.wait_for_state(*harness.DONE, count=count)
    covers = [harness.header(message, "Message-ID") for message in harness.messages(bench.store, "doctor")]
    return next(name[1:33] for name in reversed(covers) if ".cover@" in name)


def identity_of(path: Path) -> dict[str, object]:
    """What makes another object one of that study and patient."""
    head = pydicom.dcmread(path, stop_before_pixels=True)
    return {name: head[name].value for name in ("StudyInstanceUID", "PatientName", "PatientID", "PatientBirthDate")}


@pytest.mark.parametrize("words", [JA, EN], ids=["ja", "en"])
def test_from_the_code_to_three_taps(open_bench: Bench, portal: Portal, phones, ct_study: list[Path], words: Words) -> None:  # noqa: F811
    phone = phones(words.locale)
    enrol(phone, open_bench, words)
    delivery = deliver(open_bench, ct_study)
    # The list learns of it by itself.
    expect(phone.page.locator(f"[data-delivery='{delivery}']")).to_be_visible(timeout=WAIT_MS)
    phone.sees_no_fault(f"cases-{words.locale}")
    # 1: the notice. 2: this device, where Face ID answers. 3 is left for the doctor's own wishes.
    page = phone.open(f"/c/{delivery}")
    page.get_by_role("button", name=words.open).click()
    phone.full()
    phone.sees_no_fault(f"viewer-{words.locale}")
    name = page.locator(".who h1").inner_text()
    assert name.startswith("山田 太郎" if words is JA else "Yamada Tarou")
    first = page.locator(".corner").inner_text()
    page.locator(".stage > canvas").press("ArrowDown")
    expect(page.locator(".corner")).not_to_have_text(first)
    phone.full()
    # The hospital hears that all of it is here, by a receipt that the gateway believes.
    open_bench.gateway.wait_for_state("pulled", seconds=WAIT_MS / 1000)
    page.locator(".back").click()
    expect(page.locator(f"[data-delivery='{delivery}'] strong")).to_contain_text("山田 太郎")
    phone.sees_no_fault(f"opened-{words.locale}")


@pytest.mark.parametrize(("words", "told"), [(JA, "使用率が85%"), (EN, "Your mailbox is 85 % full")], ids=["ja", "en"])
def test_a_mailbox_that_fills_up_is_said_above_the_list(limited, open_bench: Bench, portal: Portal, phones, words: Words, told: str) -> None:  # noqa: F811
    account = portal.add_account("doctor")
    phone = phones(words.locale)
    page = phone.open()
    sign_in(page, words, account)
    expect(page.locator(".notice.bad:visible")).to_have_count(0)
    # The list learns of it by itself, and of its end.
    foreign = fill(open_bench.store, 85)
    expect(page.get_by_text(told)).to_be_visible(timeout=WAIT_MS)
    phone.sees_no_fault(f"full-{words.locale}")
    make_room(open_bench.store, foreign)
    expect(page.locator(".notice.bad:visible")).to_have_count(0, timeout=WAIT_MS)


def test_a_case_that_was_opened_opens_without_a_network(open_bench: Bench, portal: Portal, phones, ct_study: list[Path]) -> None:  # noqa: F811
    phone = phones()
    enrol(phone, open_bench, EN)
    delivery = deliver(open_bench, ct_study)
    page = phone.page
    page.locator(f"[data-delivery='{delivery}']").click(timeout=WAIT_MS)
    phone.full()
    # All of it is here.
    expect(page.locator("progress.done")).to_have_count(1, timeout=WAIT_MS)
    page.evaluate("navigator.serviceWorker.ready.then(() => true)")
    portal.stop()
    phone.context.set_offline(True)
    phone.refused.clear()
    page.goto(portal.origin + "/")
    page.get_by_role("button", name=EN.open).click()
    expect(page.get_by_text("Offline", exact=False)).to_be_visible(timeout=WAIT_MS)
    page.screenshot(path=phone.shots / "offline.png")
    page.locator(f"[data-delivery='{delivery}']").click()
    phone.full()
    for _ in range(3):
        page.locator(".stage > canvas").press("ArrowDown")
        phone.full()
    page.screenshot(path=phone.shots / "offline-viewer.png")


def test_what_the_mailbox_has_no_more_is_gone_from_the_phone_too(open_bench: Bench, portal: Portal, phones, ct_study: list[Path]) -> None:  # noqa: F811
    phone = phones()
    enrol(phone, open_bench, EN)
    delivery = deliver(open_bench, ct_study)
    page, listed = phone.page, phone.page.locator(f"[data-delivery='{delivery}']")
    listed.click(timeout=WAIT_MS)
    phone.full()
    expect(page.locator("progress.done")).to_have_count(1, timeout=WAIT_MS)
    names = "async () => (await (await caches.open('scanpost-data-1')).keys()).map((one) => new URL(one.url).pathname)"
    held = lambda: [name for name in page.evaluate(names) if name.startswith(f"/sealed/{delivery}/")]  # noqa: E731
    assert held()
    with Mailbox(open_bench.store, "doctor") as mailbox:
        mailbox.empty()
    page.goto(portal.origin + "/")
    page.get_by_role("button", name=EN.open).click()
    expect(page.get_by_role("heading", name=EN.cases)).to_be_visible()
    expect(listed).to_have_count(0, timeout=WAIT_MS)
    harness.wait_until("its ciphertext to be gone", lambda: not held())


# Slow enough to be cut in the middle.
SLOW = Line("slow", 2e6, 0.05)
VIEWER = "import('/js/app.js').then(({ state }) => { window.viewer = state.viewer; return !!state.viewer; })"


def until(phone: Phone, expression: str) -> None:
    deadline = time.monotonic() + WAIT_MS / 1000
    while not phone.page.evaluate(expression):
        assert time.monotonic() < deadline, expression
        time.sleep(0.1)


def test_a_link_that_breaks_is_told_and_nothing_is_fetched_twice(open_bench: Bench, portal: Portal, phones, link: Link, ct_study: list[Path]) -> None:  # noqa: F811
    phone = phones()
    enrol(phone, open_bench, EN)
    delivery = deliver(open_bench, ct_study)
    page = phone.page
    page.locator(f"[data-delivery='{delivery}']").wait_for()
    link.line = SLOW
    page.locator(f"[data-delivery='{delivery}']").click()
    phone.full()
    until(phone, VIEWER)
    assert page.evaluate("viewer.pictures.progress.here < viewer.pictures.progress.all"), "cut in the middle"
    portal.stop()
    link.cut()
    expect(page.locator(".state")).to_contain_text("Connection lost")
    page.screenshot(path=phone.shots / "lost-link.png")
    link.line = None
    portal.start()
    until(phone, "viewer.pictures.progress.here === viewer.pictures.progress.all")
    expect(page.locator(".state")).to_have_text("")
    sent = page.evaluate("viewer.delivery.segments.reduce((sum, one) => sum + one.bytes, 0)")
    fetched = page.evaluate("viewer.delivery.fetchedBytes")
    # What was on its way as the link broke comes on top; the first bytes, which hold index and manifest, are counted apart.
    assert sent * 0.9 < fetched < sent * 1.2


# When the coarse stack of the case was there, and when the app asked for what can wait, ms: the module that signs, the program's files, the hospital.
# A slow machine must not come to the end of the app's own patience: its waits of 5 and 10 s are minutes here.
WAITS = """(() => {
  const set = window.setTimeout;
  window.setTimeout = (run, ms, ...others) => set(run, ms === 5000 || ms === 10000 ? 20 * ms : ms, ...others);
  const asked = window.asked = [];
  const note = (path) => { if (/device\\.wasm|shell\\.json|sw\\.js|receipts|api\\/push/.test(path)) asked.push([path, performance.now()]); };
  const get = window.fetch;
  window.fetch = (what, how) => { note(String(what?.url ?? what)); return get(what, how); };
  const worker = navigator.serviceWorker, register = worker.register.bind(worker);
  worker.register = (path, how) => { note(String(path)); return register(path, how); };
  const look = async () => {
    const { state } = await import('/js/app.js');
    if (!state.viewer) return setTimeout(look, 5);
    state.viewer.pictures.addEventListener('scrollable', () => { window.scrollableAt = performance.now(); });
  };
  addEventListener('DOMContentLoaded', look);
})()"""


def test_what_can_wait_leaves_the_line_to_the_pictures(open_bench: Bench, portal: Portal, phones, link: Link, ct_study: list[Path]) -> None:  # noqa: F811
    phone = phones()
    enrol(phone, open_bench, EN)
    delivery = deliver(open_bench, ct_study)
    phone.page.add_init_script(WAITS)
    link.line = SLOW
    page = phone.open(f"/c/{delivery}")
    page.get_by_role("button", name=EN.open).click()
    until(phone, "window.scrollableAt")
    until(phone, "['device.wasm', 'sw.js', 'receipts/first_image_shown'].every((name) => asked.some(([path]) => path.includes(name)))")
    before = page.evaluate("asked.filter(([, at]) => at < scrollableAt)")
    assert before == [], "the link is for the pictures alone"
    link.line = None
    open_bench.gateway.wait_for_state("pulled", seconds=WAIT_MS / 1000)


def test_a_report_and_a_pdf_come_with_the_pictures_and_are_read_without_a_network(open_bench: Bench, portal: Portal, phones, ct_study: list[Path], tmp_path: Path) -> None:  # noqa: F811
    phone, pdf = phones(), pdf_of(200_000)
    enrol(phone, open_bench, EN)
    same = identity_of(ct_study[0])
    words = [item("CONTAINS", "TEXT", "Finding", TextValue=f"line {number}\n" * 40) for number in range(300)]
    delivery = deliver(open_bench, [*ct_study, save(tmp_path, report("Long one", words, **same)), save(tmp_path, document("Scanned", pdf, **same))])
    page = phone.open(f"/c/{delivery}")
    page.get_by_role("button", name=EN.open).click()
    phone.full()
    page.get_by_role("list", name="Documents").get_by_role("button", name="Long one").click()
    expect(page.locator(".words")).to_have_count(300)
    expect(page.locator(".words").nth(299)).to_contain_text("line 299")
    phone.sees_no_fault("report")
    page.get_by_role("button", name="Back to the images").click()
    until(phone, "(async () => { const { pictures } = (await import('/js/app.js')).state.viewer; return pictures.progress.here === pictures.progress.all; })()")
    phone.context.set_offline(True)
    page.get_by_role("list", name="Documents").get_by_role("button", name="Scanned").click()
    with page.expect_download() as saving:
        page.get_by_role("button", name="Save and open the PDF").click()
    saving.value.save_as(tmp_path / "saved.pdf")
    assert (tmp_path / "saved.pdf").read_bytes() == pdf
    phone.sees_no_fault("pdf")


def test_a_loop_that_came_compressed_is_seen_beside_the_others_and_without_a_network(open_bench: Bench, portal: Portal, phones, ct_study: list[Path], tmp_path: Path) -> None:  # noqa: F811
    phone = phones()
    enrol(phone, open_bench, EN)
    same = identity_of(ct_study[0])
    loop(tmp_path, **same)
    sent = tmp_path / "loop.dcm"
    delivery = deliver(open_bench, [*ct_study, sent])
    page = phone.open(f"/c/{delivery}")
    page.get_by_role("button", name=EN.open).click()
    phone.full()
    own = "const { viewer } = (await import('/js/app.js')).state, { pictures } = viewer;"
    until(phone, f"(async () => {{ {own} return pictures.progress.here === pictures.progress.all; }})()")
    page.evaluate("navigator.serviceWorker.ready.then(() => true)")
    portal.stop()
    phone.context.set_offline(True)
    page.get_by_role("button", name="Series LOOP").click()
    phone.full()
    for place in (0, 60, 119):
        until(phone, f"(async () => {{ {own} viewer.show({place}); return !!pictures.picture(viewer.pane.stack, {place})?.full; }})()")
        held = page.evaluate(f"(async () => {{ {own} return Array.from(pictures.picture(viewer.pane.stack, {place}).parts[0].data); }})()")
        shown, expected = np.array(held).reshape(LOOP_ROWS, LOOP_COLUMNS, 4)[..., :3], pixel_array(sent, index=place).astype(int)
        assert np.abs(shown - expected).max() <= COSINES_APART_MAX, place
    phone.sees_no_fault("loop")


def test_a_damaged_piece_is_refused_where_it_is_damaged(open_bench: Bench, portal: Portal, phones, ct_study: list[Path]) -> None:  # noqa: F811
    phone = phones()
    enrol(phone, open_bench, EN)
    portal.stop()
    delivery = deliver(open_bench, ct_study)
    (piece,) = parts(open_bench, "1")
    content = bytearray(body(piece))
    # Among the pixels, which lie at the end.
    content[len(content) * 3 // 4] ^= 1
    replace(open_bench, piece, bytes(content))
    portal.start()
    page = phone.open(f"/c/{delivery}")
    page.get_by_role("button", name=EN.open).click()
    phone.full()
    until(phone, VIEWER)
    frames, damaged = page.evaluate("viewer.pictures.stacks[0].frames.length"), []
    for place in range(frames):
        page.evaluate(f"viewer.show({place})")
        page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
        until(phone, "viewer.pane.canvas.dataset.shown === 'full' || document.querySelector('.state.bad') !== null")
        if page.locator(".state.bad").count():
            expect(page.locator(".state")).to_contain_text("damaged")
            damaged.append(place)
            page.screenshot(path=phone.shots / "damaged.png")
    # A picture that others were predicted from takes those with it.
    assert 1 <= len(damaged) <= 3 and damaged == list(range(damaged[0], damaged[0] + len(damaged)))
