"""Signing in to the page: passwords, codes, sessions, roles, forms of others, and what the audit trail says of it."""

import base64
import http.client
import json
import re
import socket
import ssl
import subprocess
import time
import urllib.parse
from collections.abc import Callable
from dataclasses import dataclass, field
from http.cookies import SimpleCookie

import pytest
from lab import page
from lab.page import Account
from lab.programs import program

from harness import Bench

STEP_SECONDS = 30


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    text: str

    @property
    def csrf(self) -> str:
        return re.search(r'name="csrf" value="([^"]+)"', self.text).group(1)


@dataclass
class Browser:
    """What a browser does, as far as it matters here: cookies, the Origin of forms, no redirects followed."""

    port: int
    trust: ssl.SSLContext
    cookies: dict[str, str] = field(default_factory=dict)

    def request(self, method: str, path: str, fields: list[tuple[str, str]] | None = None, headers: dict[str, str] | None = None) -> Answer:
        connection = http.client.HTTPSConnection("localhost", self.port, context=self.trust, timeout=30)
        sent = {"Cookie": "; ".join(f"{name}={value}" for name, value in self.cookies.items())} if self.cookies else {}
        body = None
        if fields is not None:
            body = urllib.parse.urlencode(fields)
            sent |= {"Content-Type": "application/x-www-form-urlencoded", "Origin": f"https://localhost:{self.port}"}
        sent |= headers or {}
        connection.request(method, path, body, {name: value for name, value in sent.items() if value})
        answer = connection.getresponse()
        for line in answer.headers.get_all("Set-Cookie") or []:
            for name, morsel in SimpleCookie(line).items():
                self.cookies[name] = morsel.value
        result = Answer(answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read().decode())
        connection.close()
        return result

    def get(self, path: str, **headers: str) -> Answer:
        return self.request("GET", path, headers=headers)

    def post(self, path: str, csrf: str, *fields: tuple[str, str], **headers: str) -> Answer:
        return self.request("POST", path, [("csrf", csrf), *fields], {name.replace("_", "-"): value for name, value in headers.items()})

    def sign_in(self, account: Account, password: str | None = None, code: str | None = None) -> Answer:
        form = self.get("/sign-in")
        return self.post("/sign-in", form.csrf, ("name", account.name), ("password", account.password if password is None else password),
                         ("code", account.code() if code is None else code))


@pytest.fixture
def site(bench: Bench):
    bench.start_with_page()
    return bench


def browser(bench: Bench) -> Browser:
    return Browser(int((bench.folder / "page.port").read_text()), ssl.create_default_context(cafile=bench.keys.ca))


def trail(bench: Bench) -> list[str]:
    """The messages as they lie in the state folder."""
    return [line for path in sorted((bench.folder / "gateway" / "state" / "audit").glob("trail-*.log")) for line in path.read_text().splitlines()]


def wait_for_trail(bench: Bench, *words: str) -> None:
    deadline = time.monotonic() + 10
    while not any(all(word in line for word in words) for line in trail(bench)):
        assert time.monotonic() < deadline, f"no line with {words} in the trail"
        time.sleep(0.2)


def test_sign_in_and_out(site: Bench) -> None:
    admin = page.add_account(site.gateway.config, "admin", "administrator")
    visitor = browser(site)
    assert visitor.get("/").status == 303 and visitor.get("/").headers["location"] == "/sign-in"
    assert visitor.sign_in(admin, code="000000").status == 403
    assert visitor.sign_in(admin, password="not the password").status == 403
    before = dict(visitor.cookies)
    code = admin.code()
    entered = visitor.sign_in(admin, code=code)
    assert entered.status == 303, entered.text
    cookie = entered.headers["set-cookie"]
    assert all(word in cookie for word in ("__Host-scanpost=", "Secure", "HttpOnly", "SameSite=Strict", "Path=/")), cookie
    assert visitor.cookies != before, "a session gets a new id at sign-in"
    home = visitor.get("/")
    assert home.status == 200 and "admin" in home.text
    # A code is good once.
    assert browser(site).sign_in(admin, code=code).status == 403
    # What the session was worth ends with it.
    stolen = Browser(visitor.port, visitor.trust, dict(visitor.cookies))
    assert visitor.post("/sign-out", home.csrf).status == 303
    assert stolen.get("/").status == 303
    wait_for_trail(site, "Login", "admin", 'EventOutcomeIndicator="8"')
    wait_for_trail(site, "Login", "admin", 'EventOutcomeIndicator="0"')
    wait_for_trail(site, "Logout", "admin")
    wait_for_trail(site, "an account was added", "admin")


def test_security_headers_and_own_files_only(site: Bench) -> None:
    answer = browser(site).get("/sign-in")
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'") and "unsafe" not in policy and "frame-ancestors 'none'" in policy
    assert answer.headers["x-content-type-options"] == "nosniff" and answer.headers["cache-control"] == "no-store"
    assert answer.headers["strict-transport-security"].startswith("max-age=")
    sources = re.findall(r'(?:src|href)="([^"]*)"', answer.text)
    assert sources and all(source.startswith(("/", "#")) for source in sources), sources
    assert "<style" not in answer.text and "style=" not in answer.text and "<script>" not in answer.text
    for source in sources:
        if source.startswith("/static/"):
            assert "immutable" in browser(site).get(source).headers["cache-control"]


def test_forms_of_others_are_refused(site: Bench) -> None:
    technician = page.add_account(site.gateway.config, "night", "technician", "--no-totp")
    visitor = browser(site)
    assert visitor.sign_in(technician).status == 303
    csrf = visitor.get("/").csrf
    for fields, headers in (
        ([("csrf", "x" * 43)], {}), ([], {}), ([("csrf", csrf)], {"Origin": "https://evil.example"}), ([("csrf", csrf)], {"Origin": ""}),
        ([("csrf", csrf)], {"Origin": f"http://localhost:{visitor.port}"}), ([("csrf", csrf)], {"Origin": "null"}),
    ):
        assert visitor.request("POST", "/sign-out", fields, headers).status == 403, (fields, headers)
    assert visitor.get("/").status == 200, "still signed in"
    # A form of another visitor's page is not this one's.
    other = browser(site).get("/sign-in").csrf
    assert visitor.post("/sign-out", other).status == 403
    assert visitor.request("POST", "/sign-out", None, {"Origin": f"https://localhost:{visitor.port}"}).status == 400
    assert visitor.get("/press").status == 405, "nothing is changed by a link"


def test_roles(site: Bench) -> None:
    config = site.gateway.config
    people = {"technician": page.add_account(config, "tech", "technician", "--no-totp"),
              "administrator": page.add_account(config, "boss", "administrator"), "auditor": page.add_account(config, "auditor", "auditor")}
    refused = subprocess.run([program("scanpost-gateway"), "account", "add", "lazy", "--role", "administrator", "--no-totp", "--config", config],
                             capture_output=True, text=True)
    assert refused.returncode == 1 and "one-time codes" in refused.stderr
    allowed = {"technician": {"/"}, "administrator": {"/", "/accounts"}, "auditor": {"/", "/accounts"}}
    for role, account in people.items():
        person = browser(site)
        assert person.sign_in(account).status == 303, role
        for path in ("/", "/accounts"):
            assert person.get(path).status == (200 if path in allowed[role] else 403), (role, path)
        csrf = person.get("/").csrf
        made = person.post("/accounts", csrf, ("name", f"by-{role}"), ("role", "technician"))
        assert made.status == (303 if role == "administrator" else 403)
        pressed = person.post("/press", csrf, ("study", "0" * 32), ("doctor", "doctor"), Accept="application/json")
        assert pressed.status == (403 if role == "auditor" else 200), role
        if role != "auditor":
            assert json.loads(pressed.text)["bad"] is True
    listed = subprocess.run([program("scanpost-gateway"), "account", "list", "--config", config, "--json"], capture_output=True, text=True, check=True)
    assert {account["name"] for account in json.loads(listed.stdout)} == {"tech", "boss", "auditor", "by-administrator"}


def test_what_was_made_is_shown_once_and_a_page_that_is_loaded_again_makes_nothing(site: Bench) -> None:
    boss = page.add_account(site.gateway.config, "boss", "administrator")
    night = page.add_account(site.gateway.config, "night", "technician", "--no-totp")
    person = browser(site)
    assert person.sign_in(boss).status == 303
    csrf = person.get("/accounts").csrf
    answer = person.post("/accounts/reset", csrf, ("name", "night"))
    assert (answer.status, answer.headers["location"]) == (303, "/accounts")
    shown = person.get("/accounts")
    (password,) = re.findall(r"<code>([a-z2-9-]{20})</code>", shown.text)
    again = person.get("/accounts")
    assert password not in again.text and "handed" not in again.text
    assert browser(site).sign_in(night).status == 403, "the old password is gone"
    assert browser(site).sign_in(Account("night", password)).status == 303, "and the new one holds, however often the page is loaded"


def test_the_journal_holds_no_secret_of_one_time_codes(site: Bench) -> None:
    boss = page.add_account(site.gateway.config, "boss", "administrator")
    secret = base64.b32decode(boss.secret + "=" * (-len(boss.secret) % 8))
    state = site.gateway.folder / "state"
    assert not [path for path in state.rglob("*") if path.is_file() and secret in path.read_bytes()]
    assert browser(site).sign_in(boss).status == 303


def test_a_locked_account_is_out_at_once(site: Bench) -> None:
    account = page.add_account(site.gateway.config, "night", "technician", "--no-totp")
    person = browser(site)
    assert person.sign_in(account).status == 303 and person.get("/").status == 200
    subprocess.run([program("scanpost-gateway"), "account", "lock", "night", "--config", site.gateway.config], check=True, capture_output=True)
    assert person.get("/").status == 303
    assert person.sign_in(account).status == 403
    subprocess.run([program("scanpost-gateway"), "account", "lock", "night", "--undo", "--config", site.gateway.config], check=True, capture_output=True)
    assert person.sign_in(account).status == 303


def test_guessing_is_slowed_down(site: Bench) -> None:
    account = page.add_account(site.gateway.config, "night", "technician", "--no-totp")
    guesser = browser(site)
    statuses = [guesser.sign_in(account, password=f"guess number {number}").status for number in range(6)]
    assert statuses == [403] * 5 + [429]
    assert guesser.sign_in(account).status == 429, "the right password waits too"
    # Unknown names cost the address as much, and say no more.
    unknown = browser(site).sign_in(Account("nobody", "whatever it is"))
    assert unknown.status == 403 and "nobody" not in "".join(trail(site))
    others = [browser(site).sign_in(Account(f"name{number}", "whatever it is")).status for number in range(20)]
    assert others[-1] == 429 and 403 in others


def test_a_password_is_changed_by_its_owner(site: Bench) -> None:
    account = page.add_account(site.gateway.config, "night", "technician", "--no-totp")
    person, elsewhere = browser(site), browser(site)
    assert person.sign_in(account).status == 303 and elsewhere.sign_in(account).status == 303
    csrf = person.get("/account").csrf
    new = "a longer sentence of mine"
    def change(old: str, again: str = new) -> str:
        return person.post("/account", csrf, ("old", old), ("new", new), ("again", again), Accept_Language="en").text
    assert "differ" in change(account.password, "another one here")
    assert "not right" in change("wrong wrong wrong")
    assert "is changed" in change(account.password)
    assert person.get("/").status == 200 and elsewhere.get("/").status == 303
    assert browser(site).sign_in(account).status == 403
    assert browser(site).sign_in(Account("night", new)).status == 303


def test_languages(site: Bench) -> None:
    visitor = browser(site)
    assert 'lang="ja"' in visitor.get("/sign-in").text.splitlines()[0]
    english = visitor.get("/sign-in", **{"Accept-Language": "en-GB,en;q=0.8"})
    assert '<html lang="en">' in english.text and "One-time code" in english.text
    assert visitor.post("/language", english.csrf, ("language", "en")).status == 303
    assert '<html lang="en">' in visitor.get("/sign-in").text


def status_or_end(request: Callable[[], Answer]) -> int | str:
    """A server that has seen enough answers and closes: who is still sending may find the line closed before the answer."""
    try:
        return request().status
    except (ssl.SSLEOFError, ConnectionError):
        return "ended"


def test_slow_and_large_requests_end(site: Bench) -> None:
    port = browser(site).port
    trust = ssl.create_default_context(cafile=site.keys.ca)
    with trust.wrap_socket(socket.create_connection(("localhost", port)), server_hostname="localhost") as slow:
        slow.settimeout(40)
        slow.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nX: ")
        began = time.monotonic()
        # The gateway answers 408 or closes; it does not wait for ever.
        while slow.recv(4096):
            pass
        assert 10 < time.monotonic() - began < 30
    visitor = browser(site)
    csrf = visitor.get("/sign-in").csrf
    assert status_or_end(lambda: visitor.post("/sign-in", csrf, ("name", "x" * 600_000))) in (400, 413, "ended")
    assert status_or_end(lambda: visitor.get("/", X="y" * 40_000)) in (431, "ended")
    assert visitor.get("/sign-in").status == 200
    # Plain HTTP is no way in, and says nothing of use.
    with socket.create_connection(("localhost", port)) as plain:
        plain.settimeout(15)
        plain.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert b"HTTP/1.1 200" not in plain.recv(4096)
