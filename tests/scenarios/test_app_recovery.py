"""A phone that is lost: its doctor opens cases on another one by the recovery key, and the lost one opens nothing any more."""

import sqlite3
import time
from pathlib import Path

from lab.portal import Portal
from playwright.sync_api import expect

from harness import Bench
from test_app import EN, WAIT_MS, Phone, deliver, enrol, link, phones, portal, shots, sign_in  # noqa: F401
from test_enrolment import open_bench  # noqa: F401

# A code of an account is good once: the next one is of the next half minute.
STEP_SECONDS = 30
GONE_MS = 5_000
# The app's pause before it begins a line anew.
RECONNECT_MS = 5_000


def settings(phone: Phone):
    phone.page.get_by_role("button", name=EN.settings).click()
    return phone.page


def by_password(phone: Phone, account, ahead: int) -> None:
    sign_in(phone.open(), EN, account, time.time() + ahead * STEP_SECONDS)


def test_a_line_of_a_session_that_ended_is_not_begun_anew(open_bench: Bench, portal: Portal, phones) -> None:  # noqa: F811
    phone = phones()
    phone.page.add_init_script("window.setInterval = () => 0")
    enrol(phone, open_bench, EN)
    # It ends while nobody can be told.
    portal.stop()
    with sqlite3.connect(portal.state / "portal.db") as state:
        assert state.execute("DELETE FROM session").rowcount > 0
    state.close()
    portal.start()
    expect(phone.page.get_by_role("button", name=EN.open)).to_be_visible(timeout=WAIT_MS)
    lines: list[str] = []
    phone.page.on("request", lambda request: lines.append(request.url) if "/api/events" in request.url else None)
    phone.page.wait_for_timeout(2 * RECONNECT_MS)
    assert lines == []


def test_another_phone_opens_by_the_recovery_key_and_the_lost_one_no_more(open_bench: Bench, portal: Portal, phones, ct_study: list[Path]) -> None:  # noqa: F811
    account = portal.add_account("doctor")
    lost, fresh = phones(), phones()
    # Without the look now and then: what it hears, it hears by the line of events.
    lost.page.add_init_script("window.setInterval = () => 0")
    enrol(lost, open_bench, EN, account)
    page = settings(lost)
    page.get_by_role("button", name="Make a recovery key").click()
    shown = page.locator(".big")
    expect(shown).to_be_visible()
    key = shown.inner_text()
    assert len(key.replace(" ", "").replace("-", "")) >= 26, "128 bits at least"
    lost.sees_no_fault("recovery-key")
    page.get_by_role("button", name="Back to the list").click()
    delivery = deliver(open_bench, ct_study)
    case = f"[data-delivery='{delivery}']"
    expect(page.locator(case)).to_be_visible(timeout=WAIT_MS)

    by_password(fresh, account, ahead=1)
    page = settings(fresh)
    page.get_by_role("button", name="Use a recovery key").click()
    wrong = ("A" if key[0] != "A" else "B") + key[1:]
    page.get_by_label("Recovery key").fill(wrong)
    page.get_by_role("button", name="Open", exact=True).click()
    expect(page.get_by_role("alert")).to_be_visible()
    fresh.sees_no_fault("recovery-wrong")
    page.get_by_label("Recovery key").fill(key)
    page.get_by_role("button", name="Open", exact=True).click()
    expect(page.get_by_role("button", name=EN.add)).to_be_visible()
    page.get_by_label("Name of the device").fill("second phone")
    page.get_by_role("button", name=EN.add).click()
    page.locator(case).click()
    fresh.full()
    fresh.sees_no_fault("recovered-viewer")
    page.locator(".back").click()

    settings(fresh)
    devices = page.locator(".device")
    expect(devices).to_have_count(2)
    expect(devices.filter(has_text="second phone")).to_contain_text("this device")
    page.once("dialog", lambda dialog: dialog.accept())
    devices.filter(has_not_text="this device").get_by_role("button", name="Remove").click()
    began = time.monotonic()
    # The lost phone lies open on a table: it hears of it by itself.
    expect(lost.page.get_by_role("button", name=EN.open)).to_be_visible(timeout=GONE_MS)
    print(f"a device that was removed is signed out after {time.monotonic() - began:.1f} s")
    expect(devices).to_have_count(1)
    lost.page.get_by_role("button", name=EN.open).click()
    # Above it stands that the session is over.
    expect(lost.page.get_by_role("alert").filter(has_text="That did not match")).to_be_visible()
    lost.page.screenshot(path=lost.shots / "removed.png")
    expect(lost.page.get_by_role("heading", name=EN.cases)).to_have_count(0)
    # The other one goes on, also after its page was closed.
    page = fresh.open(f"/c/{delivery}")
    page.get_by_role("button", name=EN.open).click()
    fresh.full()
