"""Notices by every channel: each delivers, tries again and reports, none holds up another, and no receiver gets a byte of a patient."""

import base64
import json
import re
import subprocess
import time
from pathlib import Path

import pydicom
import pytest
from lab import openssl, page
from lab.api import Api
from lab.ports import free_port
from lab.programs import program
from peers import canaries, senders
from peers.authority import Authority
from peers.notice_servers import NTFY_TOKEN, NoticeServers
from playwright.sync_api import Browser, expect
from standardwebhooks.webhooks import Webhook

import harness
from harness import Bench
from test_page import WAIT_MS, Desk

NUMBER = "+819012345678"
LINE = r"Scanpost: 画像が届いています。\d{4}-\d\d-\d\d \d\d:\d\d \(日本時間\)"
FORM = '{ To = "{to}", Body = "{text}", Ref = "{id}" }'
# Longest wait for an HTTP answer, in notifier's limits.
HTTP_WAIT = 20


def secret(bench: Bench, name: str, text: str) -> Path:
    path = bench.folder / name
    openssl.write_secret(path, text.encode())
    return path


def table(bench: Bench, name: str, kind: str, *lines: str) -> str:
    """`[channels.NAME]` of a server under the lab's authority."""
    return "\n".join([f"[channels.{name}]", f'kind = "{kind}"', *([] if kind == "command" else [f'ca = "{bench.keys.ca}"']), *lines, ""])


def ways(*entries: tuple[str, str]) -> list[str]:
    """The keys of a doctor who is told by mail and by these."""
    listed = ", ".join(f'{{ channel = "{channel}"' + (f', to = "{to}"' if to else "") + " }" for channel, to in entries)
    return [f"notify = [{listed}]"]


def notices(deliveries: list[dict]) -> dict[str, dict]:
    """How each channel stands, of the one doctor of the one delivery."""
    return {one["channel"]: one for one in deliveries[0]["doctors"][0]["notices"]} if deliveries else {}


def wait_for(bench: Bench, states: dict[str, str], seconds: float = 60) -> dict[str, dict]:
    def reached(deliveries: list[dict]) -> bool:
        found = notices(deliveries)
        return all(channel in found and found[channel]["state"] == state for channel, state in states.items())
    return notices(bench.gateway.wait_for(f"{states}", reached, seconds))


def mails(bench: Bench, count: int) -> list:
    """Notices in the phone's mailbox; the mail server takes them a moment before they lie there."""
    deadline = time.monotonic() + 10
    while len(harness.messages(bench.store, "phone")) < count and time.monotonic() < deadline:
        time.sleep(0.1)
    found = harness.messages(bench.store, "phone")
    assert len(found) == count
    return found


def checks(bench: Bench) -> dict[str, str]:
    """Verdicts of `scanpost-gateway check` about channels, by what was looked at."""
    result = subprocess.run([program("scanpost-gateway"), "check", "--config", bench.gateway.config, "--json"],
                            capture_output=True, text=True, timeout=120)
    return {one["subject"].split()[0]: one["verdict"] for one in json.loads(result.stdout)["checks"] if one["subject"].startswith("channels.")}


def trail(bench: Bench) -> str:
    return "".join(path.read_text() for path in (bench.gateway.folder / "state" / "audit").glob("trail-*.log"))


@pytest.fixture
def servers(bench: Bench):
    """Starts servers; gives them back for questions."""
    bench.keys.make_server("notices")
    started: list[NoticeServers] = []

    def start(scripts: dict[str, list[str]], port: int = 0, identity: tuple[Path, Path] | None = None) -> NoticeServers:
        certificate, key = identity or (bench.keys.certificate("notices"), bench.keys.key("notices"))
        started.append(NoticeServers(certificate, key, scripts, port))
        return started[-1]

    yield start
    for server in started:
        server.stop()


@pytest.fixture
def canary(tmp_path: Path, ct_study: list[Path]) -> tuple[canaries.Patient, list[Path]]:
    """A study of a planted patient."""
    patient, sent = canaries.patients()[20], []
    (tmp_path / "canary").mkdir()
    for path in ct_study[:2]:
        data_set = pydicom.dcmread(path)
        data_set.SpecificCharacterSet = patient.charset
        data_set.PatientName, data_set.PatientID = patient.name, patient.patient_id
        data_set.PatientComments = " ".join(patient.texts)
        sent.append(tmp_path / "canary" / path.name)
        data_set.save_as(sent[-1])
    return patient, sent


def test_every_channel_delivers_in_its_own_way_and_none_gets_a_byte_of_the_patient(bench: Bench, servers, canary, tmp_path: Path):
    patient, study = canary
    server = servers({"/": ["ntfy"], "/hook": ["200"], "/teams": ["teams"], "/slack": ["slack"], "/bots/7/users/tanaka/messages": ["line_works"],
                      "/sms": ["200"], "/voice": ["200"]})
    key = "whsec_" + base64.b64encode(bytes(range(32))).decode()
    pager, paged = tmp_path / "page", tmp_path / "paged"
    pager.write_text(f"#!/bin/sh\n(/usr/bin/env; echo \"$@\"; /bin/cat) > {paged}\n")
    pager.chmod(0o755)
    token = secret(bench, "token", f"{NTFY_TOKEN}\n")
    bench.gateway.extra_configuration = "".join([
        table(bench, "ntfy-own", "ntfy", f'url = "{server.url()}/"', f'token_file = "{token}"'),
        table(bench, "hook", "webhook", f'url = "{server.url("/hook")}"', f'secret_file = "{secret(bench, "secret", key)}"'),
        table(bench, "teams", "teams", f'url_file = "{secret(bench, "teams-url", server.url("/teams"))}"'),
        table(bench, "slack", "slack", f'url_file = "{secret(bench, "slack-url", server.url("/slack"))}"'),
        table(bench, "works", "line_works", f'url = "{server.url("/bots/7")}"', f'token_file = "{token}"'),
        table(bench, "sms", "sms", f'url = "{server.url("/sms")}"', 'user = "site"', f'password_file = "{secret(bench, "password", "geheim")}"', f"body = {FORM}",
              'answer_contains = "queued"'),
        table(bench, "voice", "voice", f'url = "{server.url("/voice")}"', 'format = "json"', 'body = { calls = [{ to = ["{to}"], say = "{text}", n = 1 }] }'),
        table(bench, "pager", "command", f'program = "{pager}"', 'arguments = ["--ring", "long"]'),
    ])
    bench.start(doctor_lines={"doctor": ways(
        ("ntfy-own", "dr-doctor"), ("hook", "doctor"), ("teams", ""), ("slack", ""), ("works", "tanaka"), ("sms", NUMBER), ("voice", NUMBER), ("pager", "4711"))})
    all_channels = ["mail", "ntfy-own", "hook", "teams", "slack", "works", "sms", "voice", "pager"]
    assert checks(bench) == {f"channels.{name}": "pass" for name in all_channels[1:-1]} | {
        f"channels.{key}": "pass" for key in ("ntfy-own.token_file", "hook.secret_file", "teams.url_file", "slack.url_file", "works.token_file", "sms.password_file")}
    server.got.clear()
    senders.pynetdicom(bench.port, "DR_DEMO", study)
    told = wait_for(bench, dict.fromkeys(all_channels, "accepted"))
    assert {one["attempts"] for one in told.values()} == {1} and {one["error"] for one in told.values()} == {None}
    bench.gateway.wait_for_state("notified")
    assert len(server.got) == 7, [got.path for got in server.got]

    (ntfy,) = server.of("/")
    assert ntfy.json()["topic"] == "dr-doctor" and ntfy.json()["title"] == "Scanpost: 画像が届いています" and ntfy.json()["priority"] == 4
    number = ntfy.json()["sequence_id"]
    assert re.fullmatch("[0-9a-f]{32}", number)
    (hook,) = server.of("/hook")
    said = Webhook(key).verify(hook.body, hook.headers)
    assert said["data"] == {"id": number, "urgency": "routine", "text": said["data"]["text"], "to": "doctor"} and re.fullmatch(LINE, said["data"]["text"])
    with pytest.raises(Exception, match="signature"):
        Webhook(key).verify(hook.body.replace(b"routine", b"urgent_"), hook.headers)
    (slack,), (works,), (sms,), (voice,) = (server.of(path) for path in ("/slack", "/bots/7/users/tanaka/messages", "/sms", "/voice"))
    assert re.fullmatch(LINE, slack.json()["text"]) and re.fullmatch(LINE, works.json()["content"]["text"])
    assert sms.form() == {"To": NUMBER, "Body": slack.json()["text"], "Ref": number}
    assert sms.headers["authorization"] == "Basic " + base64.b64encode(b"site:geheim").decode()
    assert voice.json() == {"calls": [{"to": [NUMBER], "say": slack.json()["text"], "n": 1}]}
    *environment, arguments, notice = paged.read_text().splitlines()
    assert all(line.startswith(("PWD=", "SHLVL=", "_=")) for line in environment) and arguments == "--ring long"
    assert json.loads(notice) == {"id": number, "at": json.loads(notice)["at"], "urgency": "routine", "text": slack.json()["text"], "to": "4711"}
    (mail,) = mails(bench, 1)
    assert f"<{number}.notice@" in harness.header(mail, "Message-ID")

    search = canaries.Search([patient])
    assert search.hits(study[0].read_bytes()), "what is sent shows the patient"
    received = [got.bytes() for got in server.got] + [paged.read_bytes(), mail.content]
    received += [path.read_bytes() for path in bench.state_bytes()]
    found = {needle for content in received for needle in search.hits(content)}
    assert found == set()
    assert "geheim" not in bench.log.read_text() and NTFY_TOKEN not in bench.log.read_text() and "/teams" not in bench.log.read_text()
    for channel in all_channels:
        assert f"by channel {channel}" in trail(bench)


def test_a_gateway_of_text_messages_that_fails_in_every_way_is_tried_again_or_reported(bench: Bench, servers, chromium: Browser, ct_study: list[Path], tmp_path: Path):
    other = Authority(tmp_path / "other", "another root").issue("localhost")
    closed = free_port()
    server = servers({"/hangs": ["hang"], "/busy": ["500", "503", "200"], "/later": ["429 4", "200"], "/wrong": ["400"], "/moved": ["301"],
                      "/cut": ["cut", "200"], "/flood": ["flood"], "/login": ["401", "200"], "/words": ["201"]})
    foreign = servers({"/foreign": ["200"]}, identity=(other.certificate, other.key))
    urls = {name: server.url(f"/{name}") for name in ("hangs", "busy", "later", "wrong", "moved", "cut", "flood", "login", "words")}
    urls |= {"foreign": foreign.url("/foreign"), "closed": f"https://localhost:{closed}/closed"}
    bench.gateway.extra_configuration = "".join(
        table(bench, name, "sms", f'url = "{url}"', f"body = {FORM}", *(['answer_contains = "queued"'] if name == "words" else []))
        for name, url in urls.items())
    bench.start_with_page(doctor_lines={"doctor": ways(*((name, NUMBER) for name in urls))})
    verdicts = checks(bench)
    assert verdicts.pop("channels.foreign") == verdicts.pop("channels.closed") == "fail" and set(verdicts.values()) == {"pass"}
    began = time.monotonic()
    senders.pynetdicom(bench.port, "DR_DEMO", ct_study[:2])
    wait_for(bench, {"mail": "accepted"}, HTTP_WAIT - 5)
    bench.gateway.wait_for_state("notified", seconds=HTTP_WAIT - 5)
    assert time.monotonic() - began < HTTP_WAIT, "no channel waits for the one that hangs"
    told = wait_for(bench, {"busy": "accepted", "later": "accepted", "cut": "accepted", "login": "accepted", "wrong": "refused", "moved": "refused",
                            "flood": "refused", "words": "refused"})
    assert {name: told[name]["attempts"] for name in ("busy", "later", "cut", "login", "wrong", "moved", "flood", "words")} == {
        "busy": 3, "later": 2, "cut": 2, "login": 2, "wrong": 1, "moved": 1, "flood": 1, "words": 1}
    first, second = server.of("/later")
    assert second.at - first.at >= 4, "Retry-After is kept to"
    assert first.form() == second.form(), "a repeated notice says the same, by the same number"
    assert {name: told[name]["must_act"] for name in ("wrong", "moved", "flood", "words", "foreign", "closed")} == {
        "wrong": "operator", "moved": "operator", "flood": "operator", "words": "operator", "foreign": "operator", "closed": "server"}
    assert "refuses the notice: 400 Bad Request" in told["wrong"]["error"] and "301, which is not followed" in told["moved"]["error"]
    assert not server.of("/elsewhere") and not foreign.got, "no redirect is followed, and who may not be trusted gets no request"
    hangs = bench.gateway.wait_for("the one that hangs", lambda found: notices(found)["hangs"]["attempts"] >= 1, HTTP_WAIT + 10)
    assert "does not answer in time" in notices(hangs)["hangs"]["error"]
    assert "certificate" in told["foreign"]["error"] and told["foreign"]["state"] == told["closed"]["state"] == "waiting"

    # Who is told of it: page, figures, trail.
    account = page.add_account(bench.gateway.config, "sato", "technician", "--no-totp")
    desk = Desk(bench, account, chromium, tmp_path)
    screen = desk.open("en")
    expect(screen.locator(".study")).to_contain_text("channel wrong refuses the notice (tell the operator of this gateway)", timeout=WAIT_MS)
    expect(screen.locator(".study")).to_contain_text("channel closed did not take the notice yet and is tried again (its server is at fault)")
    desk.sees_no_fault(screen, "channels")
    api = bench.api()
    metrics = metrics_of(api)
    assert 'scanpost_notices{channel="wrong",state="refused"} 1' in metrics and 'scanpost_notices{channel="mail",state="accepted"} 1' in metrics
    assert "not sent: channel wrong refuses it" in trail(bench) and "the certificate of the notice server is refused" in trail(bench)
    assert "/wrong" not in bench.log.read_text(), "a URL may be a secret"

    # Mended: who was away is reached by itself, who refused when a person asks again.
    servers({"/closed": ["200"]}, port=closed)
    wait_for(bench, {"closed": "accepted"}, 60)
    server.scripts["/wrong"].acts = ["200"]
    (delivery,) = bench.gateway.deliveries()
    (before,) = server.of("/wrong")
    assert api.post(f"/deliveries/{delivery['id']}/notify").status in (200, 202, 204)
    wait_for(bench, {"wrong": "accepted", "mail": "accepted"})
    assert server.of("/wrong")[-1].form()["Ref"] != before.form()["Ref"], "another notice has a number of its own"
    mails(bench, 2)


def metrics_of(api: Api) -> str:
    import urllib.request
    request = urllib.request.Request(api.url.removesuffix("/api/v1") + "/metrics", headers={"Authorization": f"Bearer {api.token}"})
    with urllib.request.urlopen(request, timeout=60, context=api.tls) as answer:
        return answer.read().decode()


def test_further_channels_are_tried_while_nobody_opens_it_and_not_after(bench: Bench, servers, ct_study: list[Path]):
    taken = servers({"/first": ["200"], "/second": ["200"], "/third": ["200"]})
    bench.gateway.extra_configuration = "".join(
        table(bench, name, "sms", f'url = "{taken.url(f"/{name}")}"', f"body = {FORM}") for name in ("first", "second", "third"))
    listed = ", ".join(f'{{ channel = "{name}", to = "{NUMBER}", level = {level} }}' for level, name in enumerate(("first", "second", "third")))
    bench.start(doctor_lines={"doctor": [f"notify = [{listed}]"]}, channel_after_s=4)
    senders.pynetdicom(bench.port, "DR_DEMO", ct_study[:2])
    wait_for(bench, {"first": "accepted"})
    assert "second" not in notices(bench.gateway.deliveries())
    found = wait_for(bench, {"first": "accepted", "second": "accepted"}, 20)
    assert 4_000 <= found["second"]["accepted_at_ms"] - found["first"]["accepted_at_ms"] < 12_000 and "third" not in found
    bench.pull()
    bench.gateway.wait_for_state("pulled")
    time.sleep(6)
    assert "third" not in notices(bench.gateway.deliveries()), "nobody is told after it was opened"
    assert "nobody opened it in time: try further channels" in trail(bench)
