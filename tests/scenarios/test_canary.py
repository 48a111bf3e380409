"""Forty planted patients sent through everything that is there: no plain channel shows one of them, in any encoding; and each channel shows
the patient that is put into it on purpose.

The scenario has a network of its own, so that every port of loopback is captured and nothing of other programs is. Searched, and expected to
hold the patients, because they are the hospital's inside: the plain DICOM port and the audit trail.
"""

import json
import os
import socket
import sqlite3
import ssl
import subprocess
import threading
import time
import urllib.request
from email import message_from_bytes
from pathlib import Path

import pydicom
import pytest

from lab import mail_store, openssl, page
from lab.api import Api
from lab.keys import Keys
from lab.mail_store import MailStore, Options
from lab.mailbox import Mailbox
from lab.portal import Phone, Portal
from lab.ports import free_port
from lab.programs import program
from lab.reader import Reader
from lab.study import ct
from lab.syslog import Syslog
from peers import canaries, memory, senders
from peers.authority import Authority
from peers.capture import Capture
from peers.own_network import own_network

import harness
from harness import Bench

UNKNOWN = "nobody@scanpost.test"
LAST = b" the last that is sent while the capture runs"
WAIT_SECONDS_MAX = 60
GROUP = ["doctor", "doctor2", "program", "quirk"]
# Who is put into each channel on purpose, after the search of what came by itself.
ON_PURPOSE = 39


@pytest.fixture(scope="module")
def network():
    with own_network():
        yield


@pytest.fixture(scope="module")
def planted() -> list[canaries.Patient]:
    return canaries.patients()


@pytest.fixture(scope="module")
def search(planted: list[canaries.Patient]) -> canaries.Search:
    return canaries.Search(planted)


@pytest.fixture(scope="module")
def keys(scratch: Path) -> Keys:
    """`doctor` has a key on P-256, `doctor2` one of RSA and an identity beside it; `doctor3` has no mailbox; `program` and `quirk` have
    only mail programs."""
    keys = Keys(scratch / "canary-keys").make()
    authority = (keys.folder / "ca.key.pem", keys.ca)
    for name in ("doctor3", "doctor2-identity", "program", "quirk"):
        openssl.issue(authority, keys.key(name), keys.certificate(name), name, openssl.RECIPIENT)
    openssl.write_secret(keys.key("doctor2"), openssl.openssl("genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:3072"))
    request = openssl.openssl("req", "-new", "-key", keys.key("doctor2"), "-subj", "/CN=doctor2")
    keys.certificate("doctor2").write_bytes(openssl.openssl(
        "x509", "-req", "-days", 300, "-CA", keys.ca, "-CAkey", authority[0], "-set_serial", "0x2f", data=request))
    return keys


@pytest.fixture(scope="module")
def own_store(network, scratch: Path):
    store = MailStore(scratch / "canary-mail")
    store.start()
    yield store
    store.stop()


@pytest.fixture
def store(own_store: MailStore) -> MailStore:
    harness.empty_mailboxes(own_store)
    return own_store


@pytest.fixture(scope="module")
def studies(scratch: Path, planted: list[canaries.Patient]) -> list[Path]:
    """One small CT image of each patient, a study of its own."""
    folder = scratch / "canaries"
    folder.mkdir()
    ct.generate(folder, 1, seed=11)
    template = pydicom.dcmread(folder / "ct-0001.dcm")
    (folder / "ct-0001.dcm").unlink()
    return [_study(template, patient, folder) for patient in planted]


def _study(template: pydicom.Dataset, patient: canaries.Patient, folder: Path) -> Path:
    data_set = pydicom.Dataset(template)
    data_set.file_meta, data_set.preamble = pydicom.dataset.FileMetaDataset(template.file_meta), template.preamble
    data_set.SpecificCharacterSet = patient.charset
    data_set.PatientName, data_set.PatientID = patient.name, patient.patient_id
    data_set.PatientComments = " ".join(patient.texts)
    root = f"{template.StudyInstanceUID}.{patient.number + 1}"[-60:].lstrip(".0")
    data_set.StudyInstanceUID, data_set.SeriesInstanceUID, data_set.SOPInstanceUID = f"{root}.1", f"{root}.2", f"{root}.3"
    data_set.file_meta.MediaStorageSOPInstanceUID = data_set.SOPInstanceUID
    data_set.Rows = data_set.Columns = 64
    data_set.PixelData = data_set.PixelData[: 64 * 64 * 2]
    path = folder / f"canary-{patient.number:02}.dcm"
    data_set.save_as(path, enforce_file_format=True)
    return path


class Run:
    """One gateway with all that it can be connected to, and what was seen of it."""

    def __init__(self, bench: Bench, store: MailStore, folder: Path):
        self.bench, self.store, self.folder = bench, store, folder
        self.devices = Authority(folder / "devices", "hospital devices")
        self.syslog = Syslog(folder / "syslog").make()
        self.rsa = self._rsa_reader()
        self.tls_port_file, self.tls_port = folder / "dicom-tls.port", 0
        self.page_port_file = folder / "page.port"
        self.portal = Portal(folder / "portal", folder / "log" / "portal.log", store, bench.keys, free_port())
        bench.extra_logs.append(self.portal.log)
        # What programs said, and looks at what changes while the run goes on.
        self.said: list[str] = []
        self.looks: dict[str, list[bytes]] = {}

    def start(self) -> None:
        self.syslog.start()
        page.make_certificate(self.bench.keys)
        server = self.devices.issue("localhost")
        self.bench.gateway.extra_configuration = self.syslog.settings()
        self.bench.start(
            near="2", residual="on_request", silence_ms=1_500,
            destinations={"DR_DEMO": ["doctor"], "DR_GROUP": GROUP, "DR_LOST": ["doctor3"]},
            mailboxes={"doctor3": UNKNOWN, "program": mail_store.address("doctor2"), "quirk": mail_store.address("doctor2")},
            mail_programs={"program": [self._certificate("program")], "quirk": [self._certificate("quirk"), "quirk_cbc_recipient = true"]},
            doctor_lines={"doctor2": [f'identity = "{self.bench.keys.certificate("doctor2-identity")}"']},
            dicom_tls_lines=['listen = "127.0.0.1:0"', f'port_file = "{self.tls_port_file}"',
                             f'certificate = "{server.certificate}"', f'key = "{server.key}"', f'client_ca = "{self.devices.certificate}"'],
            page_lines=page.lines(self.bench.keys, self.page_port_file),
        )
        self.program = Api(self.bench.gateway.config, self.page_port_file, self.bench.keys.ca, "prometheus", "auditor")
        self.phone = self._doctor_at_the_portal()
        self.find_tls_port()

    def _certificate(self, name: str) -> str:
        return f'certificate = "{self.bench.keys.certificate(name)}"'

    def find_tls_port(self) -> None:
        """Each start of the gateway takes another one."""
        self.tls_port = int(self.tls_port_file.read_text())

    def _doctor_at_the_portal(self) -> Phone:
        self.portal.start()
        phone = self.portal.phone()
        assert phone.by_password(self.portal.add_account("doctor")).status == 200
        phone.add_passkey()
        return phone

    def close(self) -> None:
        self.portal.stop()
        self.bench.gateway.stop()
        self.syslog.stop()

    def _rsa_reader(self) -> Reader:
        reader, keys = self.bench.reader_of("doctor2"), self.bench.keys
        identity = f'identity_key = "{keys.key("doctor2-identity")}"\nidentity_certificate = "{keys.certificate("doctor2-identity")}"\n'
        reader.config.write_text(reader.config.read_text().replace("[mailbox]", identity + "[mailbox]"))
        return reader

    def device(self) -> ssl.SSLContext:
        issued = self.devices.issue("modality", purpose="clientAuth")
        context = ssl.create_default_context(cafile=str(self.devices.certificate))
        context.load_cert_chain(issued.certificate, issued.key)
        return context

    def look(self) -> None:
        """At what lies on disks now and may be gone at the end."""
        spool = self.bench.gateway.folder / "state" / "spool"
        self._keep("spool", [_bytes(path) for path in spool.rglob("*") if path.is_file()])
        self._keep("mail queue", [_tree(self.store.dir / "queue")])

    def look_at_metrics(self) -> None:
        """Of a gateway that runs; each start takes another port."""
        request = urllib.request.Request(f"https://localhost:{self.page_port_file.read_text()}/metrics", headers={"Authorization": f"Bearer {self.program.token}"})
        with urllib.request.urlopen(request, timeout=60, context=self.program.tls) as answer:
            self._keep("metrics of the gateway", [answer.read()])

    def look_into_the_portal(self) -> None:
        """All memory that it may read, as a core dump has it, and its disks, while a doctor who is signed in reads all that lies in the mailbox."""
        pieces = _pieces(self.store, "doctor")
        # Until it has come back to a mail store that was away it refuses.
        listed = lambda: {entry["delivery"] for entry in self.phone.get("/api/deliveries").json.get("deliveries", [])}  # noqa: E731
        _wait("all that lies there in the portal's list", lambda: listed() == pieces.keys() != set())
        streamed, looked = [], threading.Event()
        def read() -> None:
            while not looked.is_set():
                streamed.append({delivery: self.phone.ranges(delivery, [(number, 0, len(sealed)) for number, sealed in sorted(of.items())]).body
                                 for delivery, of in pieces.items()})
        reader = threading.Thread(target=read)
        reader.start()
        try:
            _wait("the first time that all was streamed", lambda: streamed or not reader.is_alive())
            self._keep("memory of the portal", [memory.image(self.portal.child.pid, "r")])
        finally:
            looked.set()
            reader.join()
        assert streamed and all(once == {delivery: b"".join(of[number] for number in sorted(of)) for delivery, of in pieces.items()} for once in streamed)
        self._keep("disk of the portal", [_tree(self.portal.state), _tree(self.portal.cache)])

    def look_into_memory(self) -> None:
        masters = [self.store.dir / "queue" / "pid" / "master.pid", self.store.dir / "run" / "master.pid"]
        outside = [pid for master in masters if master.exists() for pid in memory.processes_below(int(master.read_text()))]
        self._keep("memory of the mail store", [memory.image(pid) for pid in outside])
        inbound = [pid for pid in memory.processes_below(self.bench.gateway.child.pid) if b"\0inbound\0" in _command(pid)]
        self._keep("memory of the inbound process", [memory.image(pid) for pid in inbound])

    def _keep(self, name: str, seen: list[bytes]) -> None:
        kept = self.looks.setdefault(name, [])
        # The same again teaches nothing: most of a process's memory stays as it is.
        kept += [content for content in seen if content and content not in kept]

    def channels(self, streams: dict[tuple, bytes]) -> dict[str, bytes]:
        """Every plain channel by its name, the hospital's own two among them."""
        self.look()
        self.look_into_memory()
        self.look_at_metrics()
        self.look_into_the_portal()
        store, bench = self.store, self.bench
        own = {"wire of SMTPS": store.smtps_port, "wire of IMAPS": store.imaps_port, "wire of DICOM over TLS": self.tls_port,
               "wire of syslog over TLS": self.syslog.port, "wire of the portal": self.portal.port,
               "inside: wire of DICOM": bench.port}
        wires = {name: _joined(content for flow, content in streams.items() if port in flow[:2]) for name, port in own.items()}
        wires["wire of all other ports"] = _joined(content for flow, content in streams.items() if not {*own.values()} & {*flow[:2]})
        readers = [bench.reader.output, self.rsa.output]
        return {
            **wires,
            "mailboxes on disk": _tree(store.dir / "mailboxes"),
            "logs of the mail store": _tree(store.dir / "log"),
            "log of the gateway": bench.log.read_bytes(),
            "log of the portal": self.portal.log.read_bytes(),
            "notices": _joined(message.content for message in harness.messages(store, "phone")),
            "output of reader and operator's commands": "\n".join(self.said).encode(),
            "what the readers keep beside the images": _joined(
                _bytes(path) for reader in readers for path in sorted(reader.rglob("*")) if path.is_file() and path.suffix != ".dcm"),
            **{name: _joined(seen) for name, seen in self.looks.items()},
            "inside: audit trail": _tree(bench.gateway.folder / "state" / "audit"),
            "journal": _joined(_bytes(path) for path in sorted((bench.gateway.folder / "state").glob("journal.sqlite*"))),
        }


@pytest.fixture
def run(bench: Bench, store: MailStore, tmp_path: Path):
    run = Run(bench, store, tmp_path)
    yield run
    run.close()


def test_forty_patients_leave_no_trace_outside_the_seal(
    run: Run, studies: list[Path], planted: list[canaries.Patient], search: canaries.Search, tmp_path: Path,
):
    sent = {needle for path in studies for needle in search.hits(path.read_bytes())}
    assert _patients(search, sent) == set(range(40)), "every patient is in what is sent"
    capture = Capture(tmp_path / "loopback.pcap")
    try:
        _send_through_everything(run, studies)
        _say_plainly(free_server(), LAST)
        channels = run.channels(capture.streams(LAST))
    finally:
        capture.stop()
    hits = {name: search.hits(content) for name, content in channels.items()}
    for name, content in channels.items():
        print(f"canary: {name}: {len(content):,} bytes, {len(hits[name])} hits")
    plain = {name for name in channels if not name.startswith("inside: ")}
    print(f"canary: {len(search.needles):,} needles for {len(planted)} patients in {sum(len(channels[name]) for name in plain):,} bytes")
    assert not {(name, search.needles[needle]) for name in plain for needle in hits[name]}
    assert all(channels.values()), [name for name, content in channels.items() if not content]
    # The hospital's inside shows them all, by the same way of looking.
    assert _patients(search, hits["inside: wire of DICOM"]) == set(range(40)) - set(over_tls(range(40)))
    assert _patients(search, hits["inside: audit trail"]) == set(range(40))
    _every_positive_is_found(search, planted, channels)
    _each_channel_shows_who_is_put_into_it(run, planted[ON_PURPOSE], search, tmp_path)


def test_a_plain_spool_is_said_and_would_be_found(bench: Bench, studies: list[Path], search: canaries.Search):
    """What the operator chose; and the proof that the search of the state folder sees what lies there."""
    bench.start(encryption="off", silence_ms=60_000, settle_ms=60_000)
    assert senders.pynetdicom(bench.port, "DR_DEMO", studies) == studies
    assert _patients(search, search.hits(_tree(bench.gateway.folder / "state" / "spool"))) == set(range(40))
    assert "encryption is off" in bench.log.read_text()


def main(studies):
    return studies[:14]


def over_tls(studies):
    return studies[14:20]


def lost(studies):
    return studies[20:26]


def late(studies):
    return studies[26:32]


def crashed(studies):
    return studies[32:]


def _send_through_everything(run: Run, studies: list[Path]) -> None:
    """The main way, exact files on request, and the ways that fail: a full queue, dead letters, wrong input, wrong certificates, a crash."""
    bench, store = run.bench, run.store
    run.start()
    _stop_delivery(store)
    senders.pynetdicom(bench.port, "DR_DEMO", main(studies)[:2])
    _wait("mails in the queue", lambda: any((store.dir / "queue" / "deferred").rglob("*")) or any((store.dir / "queue" / "active").rglob("*")))
    run.look()
    store.stop()
    _due_now(store)
    store.start()
    senders.pynetdicom(bench.port, "DR_DEMO", main(studies)[2:])
    assert senders.pynetdicom(run.tls_port, "DR_GROUP", over_tls(studies), tls=run.device()) == over_tls(studies)
    senders.pynetdicom(bench.port, "DR_LOST", lost(studies))
    _send_nonsense(bench, studies)
    run.look()
    run.look_into_memory()
    run.look_at_metrics()
    arrived = len(main(studies)) + len(over_tls(studies))
    bench.gateway.wait_for_state("notified", "failed", count=arrived + len(lost(studies)), seconds=240)
    run.look_into_the_portal()
    run.said += [bench.pull(), bench.pull(run.rsa)]
    deliveries = bench.gateway.wait_for_state("pulled", "failed", count=arrived + len(lost(studies)))
    asked = _ask_for_exact_files(run, deliveries)
    _fail(run, late(studies), crashed(studies))
    total = len(studies) - len(lost(studies)) + asked
    pulled = [entry for entry in bench.gateway.deliveries() if entry["state"] == "pulled"]
    assert len(pulled) == total and len(bench.reader.files()) == total, (len(pulled), len(bench.reader.files()), total)
    assert len(run.rsa.files()) == len(over_tls(studies)) + 2
    mails = [mail for mail in harness.messages(store, "doctor2") if b"Subject: Scanpost DICOM-ZIP" in mail.content]
    assert len(mails) == len(over_tls(studies)) * 2, "one for each mail program"
    run.said.append(json.dumps(bench.gateway.deliveries(), ensure_ascii=False))


def _ask_for_exact_files(run: Run, deliveries: list[dict]) -> int:
    """By both doctors, for cases of both; gives how many deliveries that made."""
    bench = run.bench
    alone = [entry["case"] for entry in deliveries if entry["state"] == "pulled" and len(entry["doctors"]) == 1][:3]
    group = [entry["case"] for entry in deliveries if len(entry["doctors"]) == len(GROUP)][:2]
    for case in alone:
        run.said.append(bench.pull(arguments=("--ask-exact", case)))
    for case in group:
        run.said += [bench.pull(reader, arguments=("--ask-exact", case)) for reader in (bench.reader, run.rsa)]
    asked = len(alone) + len(group)
    assert asked == 5
    def sent(found: list[dict]) -> bool:
        return sum(entry["state"] in harness.DONE for entry in found if entry["residual_of"]) == asked
    bench.gateway.wait_for("the residuals", sent, 120)
    run.look()
    run.said += [bench.pull(reader, harness.EXIT_INCOMPLETE, ("--exact",)) for reader in (bench.reader, run.rsa)]
    bench.gateway.wait_for_state("pulled", "failed", count=len(deliveries) + asked)
    return asked


def _fail(run: Run, late: list[Path], crashed: list[Path]) -> None:
    """A server of another CA, for gateway and reader; a crash while studies come in; and all arrive after it."""
    bench, store = run.bench, run.store
    before = len(bench.gateway.deliveries())
    store.stop()
    store.start(Options(certificate="wrong-ca"))
    senders.pynetdicom(bench.port, "DR_DEMO", late)
    bench.gateway.wait_for("the refusal", lambda found: any(entry["trouble"] and "certificate" in entry["trouble"] for entry in found))
    run.said.append(bench.pull(expect=harness.EXIT_MAILBOX))
    run.look()
    store.stop()
    store.start()
    sender = threading.Thread(target=senders.pynetdicom, args=(bench.port, "DR_DEMO", crashed))
    sender.start()
    sender.join(1)
    bench.gateway.kill()
    sender.join()
    run.look()
    bench.gateway.start()
    senders.pynetdicom(bench.port, "DR_DEMO", crashed)
    bench.gateway.wait_for_state("notified", "pulled", "failed", count=before + len(late) + len(crashed), seconds=240)
    run.said.append(bench.pull())
    bench.gateway.wait_for_state("pulled", "failed", count=before + len(late) + len(crashed))


def _send_nonsense(bench: Bench, studies: list[Path]) -> None:
    """A data set without an association, and a file in the place of one: the log may not repeat what is in them."""
    for content in (studies[0].read_bytes(), studies[1].read_bytes()[140:]):
        senders.nonsense(bench.port, content)


def _each_channel_shows_who_is_put_into_it(run: Run, patient: canaries.Patient, search: canaries.Search, folder: Path) -> None:
    """One patient, put into the real thing of each channel: what is looked at is what is there, and it would be seen."""
    bench, store, text = run.bench, run.store, patient.texts[0]
    assert text.isascii(), "a name that fits into a log line and a command as it is"
    run.looks.clear()
    run.said.clear()
    run.find_tls_port()
    capture, open_ends = Capture(folder / "on-purpose.pcap"), []
    try:
        for port in (store.smtps_port, store.imaps_port, run.tls_port, run.syslog.port, run.portal.port, bench.port):
            _say_plainly(port, text.encode())
        mail = f"From: a@{mail_store.DOMAIN}\r\nSubject: x\r\n\r\n{text}\r\n".encode()
        for user in ("doctor", "phone"):
            with Mailbox(store, user) as mailbox:
                mailbox.append(mail)
        open_ends += [_held_by_dovecot(store, text), _held_by_the_portal(run.portal, text)]
        _log_in_as(store, text)
        _into_the_queue(store, mail)
        for path in (bench.log, run.portal.log, run.portal.state / "on-purpose", run.portal.cache / "on-purpose", bench.gateway.folder / "state" / "spool" / "on-purpose",
                     bench.gateway.folder / "state" / "journal.sqlite-on-purpose", bench.reader.output / "on-purpose"):
            with open(path, "a") as file:
                file.write(f"{text}\n")
        result = subprocess.run([program("scanpost-reader"), "pull", "--config", f"/nowhere/{text}"], capture_output=True, text=True, timeout=60)
        run.said.append(result.stderr)
        _into_the_metrics(bench, text)
        _say_plainly(free_server(), text.encode() + LAST)
        channels = run.channels(capture.streams(LAST))
    finally:
        capture.stop()
        for end in open_ends:
            end.close()
    # Nobody can write into the memory of the inbound process; that it is read is seen by what must be in it, the login.
    inbound = channels.pop("memory of the inbound process")
    assert store.password("gateway").encode() in inbound
    unseen = [name for name, content in channels.items() if ON_PURPOSE not in _patients(search, search.hits(content))]
    assert not unseen
    print(f"canary: a patient put into each of {len(channels)} channels was seen in each")


def free_server() -> int:
    """The port of a server that takes one connection and ends."""
    server = socket.create_server(("127.0.0.1", 0))
    def take() -> None:
        with server, server.accept()[0] as accepted:
            while accepted.recv(4096):
                pass
    threading.Thread(target=take, daemon=True).start()
    return server.getsockname()[1]


def _say_plainly(port: int, words: bytes) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
        client.sendall(words)
        try:
            # A server that has heard enough may have closed the line by now.
            client.shutdown(socket.SHUT_WR)
            while client.recv(4096):
                pass
        except OSError:
            pass


def _held_by_dovecot(store: MailStore, text: str) -> ssl.SSLSocket:
    """A command whose end does not come: the server keeps its beginning in memory."""
    context = ssl.create_default_context(cafile=str(store.ca))
    stream = context.wrap_socket(socket.create_connection(("localhost", store.imaps_port), timeout=30), server_hostname="localhost")
    stream.recv(4096)
    login = f"a LOGIN {mail_store.address('doctor')} {store.password('doctor')}\r\n"
    stream.sendall(login.encode())
    stream.recv(4096)
    stream.sendall(b"b EXAMINE INBOX\r\n")
    stream.recv(4096)
    stream.sendall(b"c SEARCH TEXT {4000}\r\n")
    stream.recv(4096)
    stream.sendall(text.encode())
    time.sleep(1)
    return stream


def _held_by_the_portal(portal: Portal, text: str) -> ssl.SSLSocket:
    """A request whose end does not come."""
    context = ssl.create_default_context(cafile=str(portal.ca))
    stream = context.wrap_socket(socket.create_connection(("localhost", portal.port), timeout=30), server_hostname="localhost")
    head = f"POST /api/sign-in/password HTTP/1.1\r\nHost: localhost\r\nX-Scanpost: 1\r\nContent-Type: application/json\r\nContent-Length: 4000\r\n\r\n"
    stream.sendall(f"{head}{text}".encode())
    time.sleep(1)
    return stream


def _into_the_metrics(bench: Bench, text: str) -> None:
    """The one text of the journal that is a label there: the state of a delivery, against the rule of its column."""
    bench.gateway.replays = False
    with sqlite3.connect(bench.gateway.folder / "state" / "journal.sqlite") as journal:
        journal.execute("PRAGMA ignore_check_constraints = ON")
        # What is counted is the newest delivery of a case that holds no residuals.
        counted = "SELECT id FROM delivery WHERE residual_of IS NULL ORDER BY sequence DESC LIMIT 1"
        assert journal.execute(f"UPDATE delivery SET state = ? WHERE id = ({counted})", [text]).rowcount == 1
    # They are read once a second at most.
    time.sleep(1.5)


def _pieces(store: MailStore, user: str) -> dict[str, dict[int, bytes]]:
    """The sealed pieces of every delivery that lies in a mailbox."""
    found: dict[str, dict[int, bytes]] = {}
    for message in harness.messages(store, user):
        delivery, _, part = harness.header(message, "Message-ID").strip("<>").split("@")[0].partition(".")
        if part.isdigit():
            found.setdefault(delivery, {})[int(part)] = message_from_bytes(message.content).get_payload(decode=True)
    return found


def _log_in_as(store: MailStore, text: str) -> None:
    context = ssl.create_default_context(cafile=str(store.ca))
    with context.wrap_socket(socket.create_connection(("localhost", store.imaps_port), timeout=30), server_hostname="localhost") as stream:
        stream.recv(4096)
        stream.sendall(f'a LOGIN "{text}" wrong\r\n'.encode())
        stream.recv(4096)


def _into_the_queue(store: MailStore, mail: bytes) -> None:
    """A mail by Postfix's own command, held before delivery."""
    _stop_delivery(store)
    command = ["sendmail", "-C", store.dir / "postfix", "-f", mail_store.address("gateway"), mail_store.address("doctor2")]
    subprocess.run(list(map(str, command)), input=mail.replace(b"\r\n", b"\n"), check=True, timeout=60)
    queue = store.dir / "queue"
    _wait("the mail in the queue", lambda: b"Canary39" in _tree(queue))


def _stop_delivery(store: MailStore) -> None:
    """What Postfix takes stays in its queue; the next start of the store delivers again."""
    configuration = store.dir / "postfix"
    subprocess.run(["postconf", "-c", configuration, "-e", "defer_transports = lmtp"], check=True, timeout=60)
    subprocess.run(["postfix", "-c", configuration, "reload"], check=True, timeout=60, capture_output=True)


def _due_now(store: MailStore) -> None:
    """Postfix notes as a file's time when it is to be tried again, and looks at it when it starts."""
    now = time.time()
    for path in (store.dir / "queue" / "deferred").rglob("*"):
        if path.is_file():
            os.utime(path, (now, now))


def _wait(what: str, condition) -> None:
    deadline = time.monotonic() + WAIT_SECONDS_MAX
    while not condition():
        assert time.monotonic() < deadline, f"waited {WAIT_SECONDS_MAX} s for {what}"
        time.sleep(0.1)


def _patients(search: canaries.Search, needles: set[bytes]) -> set[int]:
    return {search.needles[needle][0] for needle in needles}


def _joined(parts) -> bytes:
    return b"\n".join(parts)


def _tree(folder: Path) -> bytes:
    return _joined(_bytes(path) for path in sorted(folder.rglob("*")) if path.is_file())


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:  # Swept away meanwhile.
        return b""


def _command(pid: int) -> bytes:
    return _bytes(Path(f"/proc/{pid}/cmdline"))


def _every_positive_is_found(search: canaries.Search, planted: list[canaries.Patient], channels: dict[str, bytes]) -> None:
    """Each form of each patient, planted into a copy of each channel."""
    positives = canaries.positives(planted)
    for name, content in channels.items():
        middle = len(content) // 2
        mixed = content[:middle] + b"\n\0".join(planted for _, planted, _ in positives) + content[middle:]
        found = search.hits(mixed)
        missed = [what for what, _, needle in positives if needle not in found]
        assert not missed, (name, len(missed), missed[:5])
    print(f"canary: self-test: {len(positives):,} positives in each of {len(channels)} channels, all found")
