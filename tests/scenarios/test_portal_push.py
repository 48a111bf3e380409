"""Notices by Web Push: sealed for the phone alone, signed by the portal, constant. Opened by foreign code."""

import base64
import json
import sqlite3
import ssl
import subprocess
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import http_ece
import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, utils
from lab.portal import Portal, b64u, from_b64u
from lab.ports import free_port
from lab.programs import program
from peers import senders

from harness import Bench
from test_portal import deliver, enrolled, wait_until

TABLES = ("[portal.push]", 'contact = "mailto:operator@scanpost.test"', 'hosts = ["localhost"]', "private_addresses = true")


@pytest.fixture
def service(bench: Bench):
    """A push service on loopback: keeps what it gets, and answers with `answer`."""
    bench.keys.make_server("portal")

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.server.got.append((self.path, {name.lower(): value for name, value in self.headers.items()}, self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(self.server.answer)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", free_port()), Handler)
    server.got, server.answer = [], 201
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(bench.keys.certificate("portal"), bench.keys.key("portal"))
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()


@pytest.fixture
def portal(bench: Bench):
    portal = Portal(bench.folder / "portal", bench.folder / "log" / "portal.log", bench.store, bench.keys, free_port(),
                    tables=(*TABLES, f'ca = "{bench.keys.ca}"'))
    bench.extra_logs.append(portal.log)
    yield portal.start()
    portal.stop()


def test_a_new_case_is_told_once_and_only_the_phone_can_read_it_until_its_subscription_ends(bench: Bench, portal: Portal, service: HTTPServer, ct_study: list[Path], mr_study: list[Path]):
    phone, _ = enrolled(portal, portal.add_account("doctor"))
    key, secret = ec.generate_private_key(ec.SECP256R1()), bytes(range(16))
    point = key.public_key().public_bytes(serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint)
    subscription = {"endpoint": f"https://localhost:{service.server_port}/phone/1", "p256dh": b64u(point), "auth": b64u(secret)}
    state = phone.get("/api/push").json
    assert state["subscribed"] is False
    for wrong in ({"endpoint": "https://evil.example/"}, {"endpoint": subscription["endpoint"].replace("https", "http")},
                  {"auth": b64u(bytes(8))}, {"p256dh": b64u(b"\x04" + bytes(64))}):
        assert phone.post("/api/push", subscription | wrong).error == "bad_request", wrong
    assert phone.post("/api/push", subscription).status == 200 and phone.get("/api/push").json["subscribed"] is True
    delivery = deliver(bench, ct_study)
    wait_until(lambda: len(service.got) > 0, "the notice came")
    ((path, headers, body),) = service.got
    assert path == "/phone/1" and (headers["content-encoding"], headers["urgency"]) == ("aes128gcm", "high") and int(headers["ttl"]) > 0
    notice = json.loads(http_ece.decrypt(body, private_key=key, auth_secret=secret, version="aes128gcm"))
    assert notice["web_push"] == 8030 and notice["notification"]["navigate"] == f"{portal.url}/c/{delivery}"
    assert (notice["notification"]["title"], notice["notification"]["body"]) == ("Scanpost", "新着画像があります。New images.")
    check_token(headers["authorization"], state["vapid_public"], f"https://localhost:{service.server_port}")
    service.answer = 410
    senders.pynetdicom(bench.port, "DR_DEMO", mr_study)
    wait_until(lambda: len(service.got) > 1, "the second notice came", 30)
    wait_until(lambda: phone.get("/api/push").json["subscribed"] is False, "the ended subscription is forgotten")
    assert len(service.got) == 2


def test_a_revoked_phone_is_told_nothing_more_within_five_seconds(bench: Bench, portal: Portal, service: HTTPServer, ct_study: list[Path], mr_study: list[Path]):
    """Two devices of one doctor, with an identity and a subscription each; one is lost."""
    account = portal.add_account("doctor")
    phone, lost = enrolled(portal, account), enrolled(portal, account, "lost", ahead=1)
    bench.start()
    administer(bench, "add", "doctor", "--certificate", str(bench.keys.certificate("doctor2")), "--device", "phone")
    identities = {device["device"]: device["identity"] for device in json.loads(administer(bench, "list", "--json")) if device["doctor"] == "doctor"}
    assert identities.keys() == {"configuration", "phone"}
    for number, ((one, passkey), identity) in enumerate([(phone, identities["phone"]), (lost, identities["configuration"])], 1):
        point = ec.generate_private_key(ec.SECP256R1()).public_key().public_bytes(serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint)
        subscription = {"endpoint": f"https://localhost:{service.server_port}/phone/{number}", "p256dh": b64u(point), "auth": b64u(bytes(range(16)))}
        assert one.post("/api/push", subscription).status == 200
        assert one.request("PUT", f"/api/keys/{b64u(passkey.credential)}?identity={identity}", b"wrapped").status == 200
    senders.pynetdicom(bench.port, "DR_DEMO", ct_study)
    wait_until(lambda: {path for path, _, _ in service.got} == {"/phone/1", "/phone/2"}, "both are told", 30)
    service.got.clear()
    administer(bench, "revoke", "doctor", "configuration")
    wait_until(lambda: lost[0].get("/api/home").status == 401, "the lost phone is out", 5)
    with sqlite3.connect(portal.state / "portal.db") as state:
        assert state.execute("SELECT endpoint FROM push").fetchall() == [(f"https://localhost:{service.server_port}/phone/1",)]
        assert state.execute("SELECT count(*) FROM device WHERE keys IS NOT NULL").fetchone() == (1,), "the wrapped key is gone too"
    senders.pynetdicom(bench.port, "DR_DEMO", mr_study)
    wait_until(lambda: service.got, "the other one is told of the next", 30)
    time.sleep(2)
    assert [path for path, _, _ in service.got] == ["/phone/1"]
    assert phone[0].get("/api/home").status == 200


def administer(bench: Bench, *words: str) -> str:
    command = [program("scanpost-gateway"), "doctor", *words, "--config", bench.gateway.config]
    return subprocess.run(list(map(str, command)), capture_output=True, text=True, check=True).stdout


def check_token(authorization: str, public: str, audience: str) -> None:
    fields = dict(part.strip().split("=", 1) for part in authorization.removeprefix("vapid ").split(","))
    assert fields["k"] == public
    signed, signature = fields["t"].rsplit(".", 1)
    raw = from_b64u(signature)
    key = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), from_b64u(public))
    der = utils.encode_dss_signature(int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big"))
    key.verify(der, signed.encode(), ec.ECDSA(hashes.SHA256()))
    claims = json.loads(from_b64u(signed.split(".")[1]))
    assert claims["aud"] == audience and claims["sub"] == "mailto:operator@scanpost.test"
    assert base64.urlsafe_b64decode(signed.split(".")[0] + "==").startswith(b"{")
