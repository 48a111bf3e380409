"""DICOM over TLS (PS3.15 B.12): whom the listener takes, whom it refuses and with which words, and the question to the PACS."""

import re
import ssl
import subprocess
import time
from pathlib import Path

import pytest
from pynetdicom import AE, evt
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelFind, Verification

from lab.orthanc import Orthanc
from lab.ports import free_port
from peers import senders
from peers.authority import Authority, Issued

import harness
from harness import Bench

WAIT_SECONDS_MAX = 20
CBC = "ECDHE-ECDSA-AES128-SHA256"


@pytest.fixture(scope="module")
def ours(scratch: Path) -> Authority:
    return Authority(scratch / "dicom-authorities" / "ours", "hospital devices")


@pytest.fixture(scope="module")
def other(scratch: Path) -> Authority:
    return Authority(scratch / "dicom-authorities" / "other", "other devices")


class Door:
    """The gateway's TLS listener."""

    def __init__(self, bench: Bench, ours: Authority):
        self.bench, self.ours, self.port = bench, ours, 0
        self.server = ours.issue("localhost")
        self.port_file = bench.folder / "dicom-tls.port"

    def open(self, *more: str, **settings: object) -> "Door":
        lines = ['listen = "127.0.0.1:0"', f'port_file = "{self.port_file}"', f'certificate = "{self.server.certificate}"',
                 f'key = "{self.server.key}"', f'client_ca = "{self.ours.certificate}"', *more]
        self.bench.start(dicom_tls_lines=lines, **settings)
        self.port = int(self.port_file.read_text())
        return self

    def log(self) -> str:
        return self.bench.log.read_text()

    def wait_for_alert(self, words: str) -> None:
        wait_for_audit(self.bench, f'EventOutcomeIndicator="8".*Node Authentication.*{re.escape(words)}')

    def wait_for(self, words: str) -> None:
        deadline = time.monotonic() + WAIT_SECONDS_MAX
        while words not in self.log():
            assert time.monotonic() < deadline, f"no {words!r} in\n{self.log()}"
            time.sleep(0.05)


def wait_for_audit(bench: Bench, pattern: str) -> None:
    """A message of the trail that matches."""
    folder = bench.gateway.folder / "state" / "audit"
    deadline = time.monotonic() + WAIT_SECONDS_MAX
    while not any(re.search(pattern, path.read_text()) for path in folder.glob("trail-*.log")):
        assert time.monotonic() < deadline, f"no {pattern!r} in the audit trail"
        time.sleep(0.05)


@pytest.fixture
def door(bench: Bench, ours: Authority) -> Door:
    return Door(bench, ours)


def client(ours: Authority, issued: Issued | None) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(ours.certificate))
    if issued:
        context.load_cert_chain(issued.certificate, issued.key)
    return context


def echo(door: Door, context: ssl.SSLContext | None) -> bool:
    """Whether a C-ECHO is answered with success."""
    entity = AE(ae_title="MODALITY")
    entity.add_requested_context(Verification)
    association = entity.associate("127.0.0.1", door.port, ae_title="DR_DEMO", tls_args=(context, "localhost") if context else None)
    if not association.is_established:
        return False
    status = association.send_c_echo()
    association.release()
    return bool(status) and status.Status == 0


def test_a_study_comes_over_tls_1_3_and_arrives(door: Door, ours: Authority, ct_study: list[Path]):
    door.open()
    context = client(ours, ours.issue("modality", purpose="clientAuth"))
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    assert senders.pynetdicom(door.port, "DR_DEMO", ct_study, tls=context) == ct_study
    door.bench.deliver_and_pull()
    harness.assert_equal_bytes(ct_study, door.bench.reader.files())


def test_dcmtk_sends_by_its_non_downgrading_profile(door: Door, ours: Authority, ct_study: list[Path]):
    # DCMTK 3.6.7 speaks TLS 1.2 at most.
    door.open("tls12 = true")
    issued = ours.issue("modality", purpose="clientAuth")
    tls = ["+tls", str(issued.key), str(issued.certificate), "+cf", str(ours.certificate), "+py"]
    senders.storescu(door.port, "DR_DEMO", ct_study, *tls)
    door.bench.deliver_and_pull()
    harness.assert_equal_bytes(ct_study, door.bench.reader.files())
    assert "tls12 = true: TLS 1.2 is allowed" in door.log()


def test_both_doors_are_open_and_each_speaks_its_own(door: Door, ours: Authority, ct_study: list[Path]):
    door.open()
    assert senders.pynetdicom(door.bench.port, "DR_DEMO", ct_study[:1]) == ct_study[:1]
    assert echo(door, client(ours, ours.issue("modality", purpose="clientAuth")))
    assert not echo(door, None)
    door.wait_for("does not speak TLS (peer: enable DICOM TLS)")


@pytest.mark.parametrize(("kind", "words"), [
    ("none", "it shows no client certificate (peer: install one of the authority in client_ca)"),
    ("unknown-ca", "from an authority that is not in client_ca (operator: add it there, if this peer may come)"),
    ("expired", "its certificate has expired (peer: renew it)"),
    ("for-servers", "its certificate cannot be used (peer: one for clients"),
    ("revoked", "its certificate is revoked"),
    ("crl-out-of-date", "the revocation list is out of date (operator: fetch a new one into crl)"),
])
def test_who_may_not_come_is_refused_with_a_word_to_the_operator(door: Door, ours: Authority, other: Authority, kind: str, words: str):
    issued = {
        "none": lambda: None,
        "unknown-ca": lambda: other.issue("modality", purpose="clientAuth"),
        "expired": lambda: ours.issue("modality", purpose="clientAuth", begins=-9, ends=-1),
        "for-servers": lambda: ours.issue("modality", purpose="serverAuth"),
    }.get(kind, lambda: ours.issue("modality", purpose="clientAuth"))()
    more = []
    if kind == "revoked":
        ours.revoke(issued)
        more = [f'crl = "{ours.revocations()}"']
    if kind == "crl-out-of-date":
        more = [f'crl = "{ours.revocations("old.pem", begins=-9, ends=-1)}"']
    door.open(*more)
    assert not echo(door, client(ours, issued))
    door.wait_for(f"a TLS connection is refused: {words}" if not words.startswith("from") else words)
    door.wait_for_alert(words)
    assert "association released" not in door.log()


def test_a_renewed_revocation_list_is_taken_up_without_a_restart(door: Door, ours: Authority):
    issued = ours.issue("modality", purpose="clientAuth")
    path = ours.revocations("living.pem")
    door.open(f'crl = "{path}"')
    assert echo(door, client(ours, issued))
    ours.revoke(issued)
    ours.revocations("living.pem")
    assert not echo(door, client(ours, issued))
    door.wait_for("its certificate is revoked")


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion")
@pytest.mark.parametrize(("allowed", "version", "ciphers"), [
    (False, ssl.TLSVersion.TLSv1_2, "ALL:@SECLEVEL=0"),
    (True, ssl.TLSVersion.TLSv1_1, "ALL:@SECLEVEL=0"),
    (True, ssl.TLSVersion.TLSv1_2, f"{CBC}:@SECLEVEL=0"),
])
def test_nothing_older_is_negotiated(door: Door, ours: Authority, allowed: bool, version: ssl.TLSVersion, ciphers: str):
    door.open(*(["tls12 = true"] if allowed else []))
    context = client(ours, ours.issue("modality", purpose="clientAuth"))
    context.set_ciphers(ciphers)
    context.minimum_version = context.maximum_version = version
    assert not echo(door, context)
    door.wait_for("a TLS connection is refused: it offers no TLS 1.3")


@pytest.fixture
def archive(ours: Authority, ct_study: list[Path]):
    """A PACS by pynetdicom that speaks TLS 1.3 and wants a certificate; it knows every image of the study."""
    import pydicom
    data = [pydicom.dcmread(path, stop_before_pixels=True) for path in ct_study]
    issued = ours.issue("localhost")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(issued.certificate, issued.key)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(ours.certificate)

    def find(event: evt.Event):
        for instance in data:
            if instance.SeriesInstanceUID == event.identifier.SeriesInstanceUID:
                answer = pydicom.Dataset()
                answer.QueryRetrieveLevel = "IMAGE"
                for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"):
                    setattr(answer, keyword, getattr(instance, keyword))
                yield 0xFF00, answer

    entity = AE(ae_title="ORTHANC")
    entity.add_supported_context(StudyRootQueryRetrieveInformationModelFind)
    port = free_port()
    server = entity.start_server(("127.0.0.1", port), block=False, evt_handlers=[(evt.EVT_C_FIND, find)], ssl_context=context)
    yield port
    server.shutdown()


def localhost(bench: Bench) -> None:
    """The PACS by the name in its certificate."""
    configuration = bench.gateway._configuration
    bench.gateway._configuration = lambda: configuration().replace('address = "127.0.0.1:', 'address = "localhost:')


def client_lines(ours: Authority, issued: Issued) -> list[str]:
    return [f'ca = "{ours.certificate}"', f'client_certificate = "{issued.certificate}"', f'client_key = "{issued.key}"']


def test_the_pacs_is_asked_over_tls_with_our_certificate(bench: Bench, ours: Authority, archive: int, ct_study: list[Path]):
    localhost(bench)
    bench.start(pacs_port=archive, pacs_tls_lines=client_lines(ours, ours.issue("gateway", purpose="clientAuth")))
    senders.pynetdicom(bench.port, "DR_DEMO", ct_study, calling="ORTHANC")
    (delivery,) = bench.gateway.wait_for_state(*harness.DONE)
    assert harness.completeness(delivery) == {"is": "proved", "instances": len(ct_study)}


@pytest.mark.parametrize(("kind", "words"), [
    ("no-certificate", "(operator: it may want client_certificate and client_key|demands a client certificate"),
    ("unknown-ca", "comes from no authority that we trust"),
])
def test_a_pacs_that_cannot_be_trusted_or_wants_more_proves_nothing(
        bench: Bench, ours: Authority, other: Authority, archive: int, ct_study: list[Path], kind: str, words: str):
    localhost(bench)
    lines = {"no-certificate": [f'ca = "{ours.certificate}"'],
             "unknown-ca": client_lines(other, ours.issue("gateway", purpose="clientAuth"))}[kind]
    bench.start(pacs_port=archive, pacs_tls_lines=lines)
    senders.pynetdicom(bench.port, "DR_DEMO", ct_study, calling="ORTHANC")
    (delivery,) = bench.gateway.wait_for_state(*harness.DONE)
    assert harness.completeness(delivery)["is"] != "proved"
    assert any(word in bench.log.read_text() for word in words.split("|")), bench.log.read_text()
    wait_for_audit(bench, 'EventOutcomeIndicator="8"/?><EventID csd-code="110112"')
    if kind == "unknown-ca":
        wait_for_audit(bench, "the certificate of the PACS is refused")


def test_orthanc_is_asked_over_tls(bench: Bench, ours: Authority, tmp_path: Path, ct_study: list[Path]):
    issued = ours.issue("localhost")
    tls = {"DicomTlsEnabled": True, "DicomTlsCertificate": str(issued.certificate), "DicomTlsPrivateKey": str(issued.key),
           "DicomTlsTrustedCertificates": str(ours.certificate)}
    orthanc = Orthanc(tmp_path / "pacs", tmp_path / "log" / "orthanc.log", tls)
    orthanc.start()
    try:
        for path in ct_study:
            orthanc.add_file(path)
        localhost(bench)
        # Orthanc 1.10 is built on DCMTK 3.6.7, which speaks TLS 1.2 at most.
        lines = [*client_lines(ours, ours.issue("gateway", purpose="clientAuth")), "tls12 = true"]
        bench.start(pacs_port=orthanc.dicom_port, pacs_tls_lines=lines)
        orthanc.know_gateway("gateway", "SCANPOST", bench.port)
        senders.pynetdicom(bench.port, "DR_DEMO", ct_study, calling="ORTHANC")
        (delivery,) = bench.gateway.wait_for_state(*harness.DONE)
    finally:
        orthanc.stop()
    assert harness.completeness(delivery) == {"is": "proved", "instances": len(ct_study)}
