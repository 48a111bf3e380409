"""A technician sends to somebody outside, by the page in a real browser: link and passphrase come once, to who pressed, and open the study."""

import re
import sqlite3
import time
from pathlib import Path

import pytest
from lab import page
from lab.portal import Portal
from playwright.sync_api import Browser, Page, expect

import harness
from harness import Bench
from test_app import PHONE, WAIT_MS
from test_link import GUEST_TABLES, PORTAL, guest_mails, wait_for
from test_page import Desk, desk_of, row, store, write_study
from test_portal_links import opened, portal, proof, told  # noqa: F401

UNDO_SECONDS = 5


@pytest.fixture
def desk(bench: Bench, chromium: Browser, tmp_path: Path) -> Desk:
    bench.gateway.extra_configuration = GUEST_TABLES
    return desk_of(bench, chromium, tmp_path)


def choose(screen: Page, *doctors: str) -> None:
    row(screen, "山田 太郎").locator("input[name=study]").check()
    for box in screen.locator("input[name=doctor]").all():
        box.set_checked(box.get_attribute("value") in doctors)


def shown(screen: Page) -> tuple[str, str]:
    """(address, passphrase) as the screen has them."""
    card = screen.locator("#links section")
    expect(card).to_have_count(1, timeout=WAIT_MS)
    return card.locator("code").inner_text(), " ".join(card.locator(".spoken li").all_inner_texts())


def links(bench: Bench) -> list[str]:
    with sqlite3.connect(bench.gateway.folder / "state" / "journal.sqlite") as journal:
        return [made_by for (made_by,) in journal.execute("SELECT made_by FROM link")]


def post(screen: Page, path: str) -> dict:
    """As the page's script asks."""
    return screen.evaluate("""async (path) => (await fetch(path, {method: 'POST', headers: {Accept: 'application/json'},
        body: new URLSearchParams(new FormData(document.getElementById('acts')))})).json()""", path)


@pytest.mark.parametrize("language", ["ja", "en"])
def test_a_press_shows_link_and_passphrase_once(desk: Desk, portal: Portal, chromium: Browser, mr_study: list[Path], tmp_path: Path, language: str) -> None:
    outside, button, telephone = {"ja": ("Outside clinic（院外）", "伝えたので消す", "電話"), "en": ("Outside clinic (outside)", "Told: hide it", "telephone")}[language]
    store(desk.bench, write_study(tmp_path / "study", mr_study))
    screen = desk.open(language)
    answers, urls = [], []
    screen.on("response", lambda answer: answers.append(answer) if answer.url.endswith("/links") else None)
    screen.on("request", lambda request: urls.append(request.url))
    # Apart from the doctors on call, and marked.
    expect(screen.locator("fieldset.outside input[name=doctor]")).to_have_count(1)
    expect(screen.locator("fieldset:not(.outside) input[value=outside]")).to_have_count(0)
    assert telephone in screen.locator("fieldset.outside").inner_text().lower()
    choose(screen, "outside")
    expect(screen.locator("#transfer")).to_contain_text(outside)
    desk.sees_no_fault(screen, f"outside-{language}")
    pressed = time.monotonic()
    screen.click("#transfer")
    expect(screen.locator("[data-wish=undo]")).to_be_visible()
    expect(screen.locator("[value=outside]")).not_to_be_checked()
    assert not screen.locator("#links section").count() and not links(desk.bench), "nothing is made as long as it can be taken back"
    url, passphrase = shown(screen)
    assert time.monotonic() - pressed >= UNDO_SECONDS
    expect(screen.locator("#links h2")).to_be_focused()
    expect(screen.locator("#links h2")).to_contain_text(f"{outside}")
    expect(screen.locator("#links h2")).to_contain_text("山田 太郎 P-00001")
    assert telephone in screen.locator("#links section").inner_text().lower()
    words = passphrase.split(" ")
    assert len(words) == 7 and all("ぁ" <= letter <= "ゖ" or letter in "\u3099\u309a" for word in words for letter in word), "as the recipient's language says"
    assert re.fullmatch(rf"{PORTAL}/l/[0-9a-f]{{32}}", url) and links(desk.bench) == ["sato"]
    desk.sees_no_fault(screen, f"shown-{language}")
    # The script asks again as long as a press may still wait: one answer has the link.
    assert all(answer.request.method == "POST" and answer.headers["cache-control"] == "no-store" for answer in answers)
    assert len([answer for answer in answers if answer.json()["html"]]) == 1
    expect(row(screen, "山田 太郎").locator(".way")).to_contain_text(telephone if language == "ja" else "tell the passphrase", timeout=WAIT_MS)
    expect(row(screen, "山田 太郎").locator("[data-wish=notify]")).to_have_count(0)
    # Never again: by the same request, a new page, or the way back.
    assert post(screen, "/links") == {"html": "", "more": False}
    screen.get_by_role("button", name=button).click()
    expect(screen.locator("#links section")).to_have_count(0)
    screen.reload()
    expect(screen.locator("#studies")).to_be_attached()
    assert words[0] not in screen.content() and not screen.locator("#links > *").count()
    # The link opens by that passphrase, at the portal and in a browser.
    link = url.rsplit("/", 1)[1]
    guest = portal.phone()
    info = told(guest, link)
    assert opened(guest, link, proof(info, link, passphrase)).status == 200
    phone = chromium.new_context(locale="ja-JP", **PHONE)
    try:
        tab = phone.new_page()
        tab.set_default_timeout(WAIT_MS)
        tab.goto(f"{portal.origin}/l/{link}")
        tab.locator("input").fill(passphrase)
        tab.locator("button[type=submit], button.main").first.click()
        expect(tab.locator("canvas[data-shown=full]")).to_be_visible(timeout=WAIT_MS)
        expect(tab.locator(".who h1")).to_contain_text("山田 太郎")
    finally:
        phone.close()
    # Neither log, journal, trail, mail nor any address has the passphrase.
    state = desk.bench.gateway.folder / "state"
    places = [desk.bench.log, *state.glob("journal.sqlite*"), *(state / "audit").glob("trail-*.log")]
    content = b"".join(path.read_bytes() for path in places) + b"".join(mail.content for mail in guest_mails(desk.bench)) + "".join(urls).encode()
    assert link.encode() in content, "the search can find something"
    assert not [part for part in (passphrase, f"{words[0]} {words[1]}", f"{words[5]} {words[6]}") if part.encode() in content]


def test_what_is_taken_back_makes_no_link(desk: Desk, mr_study: list[Path], tmp_path: Path) -> None:
    store(desk.bench, write_study(tmp_path / "study", mr_study))
    screen = desk.open("en")
    choose(screen, "doctor", "outside")
    screen.click("#transfer")
    screen.click("[data-wish=undo]")
    expect(screen.locator("#said")).to_contain_text("Nothing was sent")
    time.sleep(UNDO_SECONDS + 2)
    assert not links(desk.bench) and not screen.locator("#links > *").count()
    assert post(screen, "/links") == {"html": "", "more": False}
    assert [one["state"] for one in desk.bench.gateway.deliveries()] == ["held"]


def test_only_who_pressed_is_shown_it_also_after_browser_and_gateway_were_closed(desk: Desk, mr_study: list[Path], tmp_path: Path) -> None:
    bench = desk.bench
    store(bench, write_study(tmp_path / "study", mr_study))
    screen, other = desk.open("en"), Desk(bench, page.add_account(bench.gateway.config, "suzuki", "technician", "--no-totp"), desk.browser, desk.shots)
    choose(screen, "doctor", "outside")
    # The press is taken, and the browser is closed before it counts.
    screen.click("#transfer")
    expect(screen.locator("[data-wish=undo]")).to_be_visible()
    screen.context.close()
    bench.gateway.kill()
    assert not links(bench)
    bench.gateway.start()
    wait_for(lambda: links(bench) == ["sato"])
    second = other.open("en")
    assert post(second, "/links") == {"html": "", "more": False} and not second.locator("#links > *").count()
    screen = desk.open("en")
    desk.sees_no_fault(screen, "ready")
    # By a form: no script is needed.
    screen.get_by_role("button", name="Show them, once").click()
    url, passphrase = shown(screen)
    assert len(passphrase.split(" ")) == 7 and "山田 太郎" in screen.locator("#links h2").inner_text()
    desk.sees_no_fault(screen, "shown-by-form")
    # What is loaded again, the form with it, shows nothing.
    screen.reload()
    expect(screen.locator("#links")).to_contain_text("nothing to show")
    assert passphrase.split(" ")[0] not in screen.content()
    bench.gateway.wait_for_state("notified", "pulled", seconds=60)
    bench.pull()
    bench.gateway.wait_for_state("pulled")


def test_a_press_that_came_too_late_says_that_there_is_no_link(desk: Desk, mr_study: list[Path], tmp_path: Path) -> None:
    """A program sends the study while the page's press can still be taken back."""
    api = desk.bench.api()
    store(desk.bench, write_study(tmp_path / "study", mr_study))
    screen = desk.open("en")
    choose(screen, "outside")
    screen.click("#transfer")
    expect(screen.locator("[data-wish=undo]")).to_be_visible()
    (waiting,) = api.get("/studies").body
    assert api.post("/deliveries", {"study": {"case": waiting["case"]}, "doctors": ["doctor"]}).status == 201
    expect(screen.locator("#links [role=alert]")).to_contain_text("No link was made for Outside clinic (outside)", timeout=WAIT_MS)
    assert not links(desk.bench)
    desk.sees_no_fault(screen, "no-link")


def test_a_guest_stands_on_no_roster(desk: Desk) -> None:
    bench = desk.bench
    admin = page.add_account(bench.gateway.config, "admin", "administrator")
    keeper = Desk(bench, admin, desk.browser, desk.shots).open("en")
    keeper.goto(desk.url + "/roster")
    offered = keeper.locator("select[name=who] option").evaluate_all("all => all.map((one) => one.value)")
    assert "doctor" in offered and "outside" not in offered
    keeper.fill("#import", "who,days,from,to,first,last\ndoctor,daily,00:00,24:00,,\noutside,daily,00:00,24:00,,")
    keeper.locator("form[action='/roster/import'] button").click()
    expect(keeper.locator(".notice.bad")).to_contain_text("outside is neither a doctor")
    keeper.fill("form[action='/roster/group'] [name=name]", "night")
    keeper.fill("form[action='/roster/group'] [name=doctors]", "doctor, outside")
    keeper.locator("form[action='/roster/group'] button").click()
    expect(keeper.locator(".notice.bad")).to_contain_text("outside is neither a doctor")
    journal = bench.gateway.folder / "state" / "journal.sqlite"
    with sqlite3.connect(journal) as rows:
        assert rows.execute("SELECT (SELECT count(*) FROM roster_duty), (SELECT count(*) FROM roster_group)").fetchone() == (0, 0)
    # One who was a doctor when the roster was written, and is an outside recipient now.
    keeper.fill("#import", "who,days,from,to,first,last\ndoctor,daily,00:00,24:00,,\ndoctor,Sat,00:00,24:00,,")
    keeper.locator("form[action='/roster/import'] button").click()
    expect(keeper.locator(".now")).to_contain_text("Dr 田中")
    with sqlite3.connect(journal) as rows:
        assert rows.execute("UPDATE roster_duty SET who = 'outside', days = 127 WHERE days <> 127").rowcount == 1
    keeper.goto(desk.url + "/roster")
    expect(keeper.locator("tbody tr")).to_have_count(2)
    expect(keeper.locator(".now li")).to_have_count(1)
    expect(keeper.locator(".now")).to_contain_text("Dr 田中")
