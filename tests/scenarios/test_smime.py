"""A doctor who has only a mail program gets one S/MIME message, which two programs of other people open."""

import io
import itertools
import os
import re
import subprocess
import time
import zipfile
from collections import Counter
from email import message_from_bytes, policy
from pathlib import Path

import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.fileset import FileSet
from pydicom.pixels import apply_modality_lut

from lab import openssl
from lab.keys import SITE
from lab.mailbox import Message
from lab.programs import program
from peers import mail_programs, senders

import harness
from harness import Bench

ARRIVAL_SECONDS_MAX = 10
# How many messages each program opened, by kind of key and cipher.
OPENED: Counter[tuple[str, str, str]] = Counter()
GREY_LEVELS_OFF_MAX = 2.0  # mean, of 255: what JPEG at this quality takes


class Doctor:
    """Key and certificate of a doctor, as mail programs keep them."""

    def __init__(self, bench: Bench, folder: Path, name: str, kind: str):
        self.bench, self.name, self.kind = bench, name, kind
        self.key, self.certificate = folder / f"{name}.key.pem", folder / f"{name}.cert.pem"
        algorithm = {"p256": ("EC", "-pkeyopt", "ec_paramgen_curve:P-256"), "rsa": ("RSA", "-pkeyopt", "rsa_keygen_bits:3072")}[kind]
        openssl.write_secret(self.key, openssl.openssl("genpkey", "-algorithm", *algorithm))
        openssl.openssl("req", "-x509", "-new", "-key", self.key, "-subj", f"/CN={name}", "-days", 30, "-out", self.certificate)

    def lines(self, *more: str) -> list[str]:
        return [f'certificate = "{self.certificate}"', *more]

    def messages(self) -> list[Message]:
        """All S/MIME messages; waits for the first, since Postfix hands it to Dovecot after its answer."""
        deadline = time.monotonic() + ARRIVAL_SECONDS_MAX
        while True:
            found = [message for message in harness.messages(self.bench.store, self.name) if b"DICOM-ZIP" in message.content]
            if found or time.monotonic() > deadline:
                return found
            time.sleep(0.1)

    def open(self, folder: Path) -> dict[str, bytes]:
        """Opened by both programs, which must see the same."""
        (message,) = self.messages()
        mail = folder / f"{self.name}.{os.urandom(4).hex()}.eml"
        mail.write_bytes(message.content)
        parts = mail_programs.open_by_openssl(mail, self.key, self.certificate, self.bench.keys.ca)
        again = mail_programs.open_by_bouncy_castle(mail, self.key, self.certificate, self.bench.keys.certificate("site"))
        assert parts == again
        cipher = "AES-GCM" if b"authEnveloped-data" in message.content else "AES-CBC"
        for implementation in ("openssl", "Bouncy Castle"):
            OPENED[implementation, self.kind, cipher] += 1
        return parts


@pytest.fixture(scope="module", autouse=True)
def counted():
    yield
    for (implementation, kind, cipher), count in sorted(OPENED.items()):
        print(f"interop: {implementation} opened {count} messages for {kind}, {cipher}")


def start(bench: Bench, programs: dict[str, list[str]], *, smime: str = "", **settings: object) -> None:
    bench.gateway.extra_configuration = smime
    destinations = {"DR_DEMO": sorted({*programs, *settings.pop("readers", [])})}
    bench.start(mail_programs=programs, destinations=destinations, **settings)


def send(bench: Bench, study: list[Path], state: str = "notified") -> dict:
    senders.pynetdicom(bench.port, "DR_DEMO", study)
    return bench.gateway.wait_for_state(state)[0]


def test_each_certificate_of_a_doctor_opens_the_one_message(bench: Bench, tmp_path: Path, mr_study: list[Path]):
    """One stands in the configuration, an administrator adds the other; a device that enrolled itself has no mail program."""
    desk, laptop = Doctor(bench, tmp_path, "doctor", "p256"), Doctor(bench, tmp_path, "laptop", "rsa")
    start(bench, {"doctor": desk.lines()})
    assert administer(bench, "add", "doctor", "--certificate", laptop.certificate).returncode == 0
    refused = administer(bench, "invite", "doctor")
    assert refused.returncode != 0 and "cannot enrol itself" in refused.stderr
    send(bench, mr_study)
    laptop.name = desk.name
    assert desk.open(tmp_path) == laptop.open(tmp_path)


def administer(bench: Bench, *words: object) -> subprocess.CompletedProcess[str]:
    command = [program("scanpost-gateway"), "doctor", "--config", bench.gateway.config, *words]
    return subprocess.run(list(map(str, command)), capture_output=True, text=True)


@pytest.mark.parametrize("kind", ["p256", "rsa"])
def test_pictures_and_files_arrive_in_one_message(bench: Bench, tmp_path: Path, mr_study: list[Path], kind: str):
    doctor = Doctor(bench, tmp_path, "doctor", kind)
    start(bench, {"doctor": doctor.lines()})
    delivery = send(bench, mr_study)
    parts = doctor.open(tmp_path)
    assert set(parts) == {"text.txt", "DICOM.ZIP", *names_of_pictures(mr_study)}
    assert_pictures_of(parts, mr_study)
    assert_file_set(parts["DICOM.ZIP"], mr_study, tmp_path / "unpacked")
    text = parts["text.txt"].decode()
    assert "doctor@" in text and SITE in text and delivery["id"] in text and "DICOM.ZIP" in text
    assert "山田" in text, "the patient's name, inside"
    assert delivery["mail_bytes"] == own_octets(doctor.messages()[0])


def test_outside_nothing_tells_of_the_patient(bench: Bench, tmp_path: Path, mr_study: list[Path]):
    doctor = Doctor(bench, tmp_path, "doctor", "p256")
    start(bench, {"doctor": doctor.lines()})
    send(bench, mr_study)
    (message,) = doctor.messages()
    outer = message_from_bytes(message.content, policy=policy.default)
    assert outer["Subject"] == "Scanpost DICOM-ZIP" and outer["To"] == "undisclosed-recipients:;"
    assert outer["Content-Type"] == 'application/pkcs7-mime; smime-type="authEnveloped-data"; name="smime.p7m"'
    der = outer.get_payload(decode=True)
    name = str(pydicom.dcmread(mr_study[0]).PatientName).split("=")[0].encode()
    logs = b"".join(path.read_bytes() for path in bench.state_bytes())
    for place in (message.content, der, logs):
        assert name not in place and name.split(b"^")[0] not in place


def test_a_program_without_gcm_gets_pictures_alone_and_the_log_says_so(bench: Bench, tmp_path: Path, mr_study: list[Path]):
    doctor = Doctor(bench, tmp_path, "doctor", "rsa")
    start(bench, {"doctor": doctor.lines("quirk_cbc_recipient = true")}, language="en")
    send(bench, mr_study)
    structure = openssl.openssl("cms", "-cmsout", "-print", "-inform", "DER", "-in", "/dev/stdin", data=der_of(doctor.messages()[0])).decode()
    assert "pkcs7-envelopedData" in structure and "aes-256-cbc" in structure and "rsaEncryption" in structure
    parts = doctor.open(tmp_path)
    assert set(parts) == {"text.txt", *names_of_pictures(mr_study)}
    assert "your mail program cannot open mails whose encryption shows every change" in parts["text.txt"].decode()
    log = bench.log.read_text()
    assert re.search("WARN.*quirk_cbc_recipient", log) and re.search("WARN.*encrypted without authentication, key images alone", log)


def test_over_the_limit_the_files_stay_out_and_the_text_says_so(bench: Bench, tmp_path: Path, ct_study: list[Path]):
    doctor = Doctor(bench, tmp_path, "doctor", "p256")
    start(bench, {"doctor": doctor.lines()}, smime="[smime]\nmessage_bytes_max = 1000000\n", language="en")
    send(bench, ct_study)
    parts = doctor.open(tmp_path)
    assert set(parts) == {"text.txt", *names_of_pictures(ct_study)}
    assert "they take more than the 1000 kB that a mail may have" in parts["text.txt"].decode()
    assert len(doctor.messages()[0].content) < 1_000_000
    assert_pictures_of(parts, ct_study)


def test_a_group_of_a_reader_and_a_mail_program_each_get_theirs_once(bench: Bench, tmp_path: Path, mr_study: list[Path]):
    outside = Doctor(bench, tmp_path, "doctor2", "p256")
    start(bench, {"doctor2": outside.lines()}, readers=["doctor"])
    send(bench, mr_study)
    assert "DICOM.ZIP" in outside.open(tmp_path)
    assert [message for message in harness.messages(bench.store, "doctor2") if b"Subject: Scanpost\r\n" in message.content] == []
    bench.deliver_and_pull()
    harness.assert_equal_bytes(mr_study, bench.reader.files())


def test_a_mail_server_that_is_down_and_a_crash_lose_and_double_nothing(bench: Bench, tmp_path: Path, mr_study: list[Path]):
    doctor = Doctor(bench, tmp_path, "doctor", "p256")
    start(bench, {"doctor": doctor.lines()})
    bench.store.stop()
    senders.pynetdicom(bench.port, "DR_DEMO", mr_study)
    bench.gateway.wait_for("trouble", lambda deliveries: deliveries and deliveries[0]["state"] == "sealed" and deliveries[0]["trouble"])
    sealed = {path.name: path.read_bytes() for path in bench.gateway.folder.glob("state/spool/seal/*/*.p7m")}
    assert list(sealed) == ["smime-001.p7m"]
    bench.gateway.kill()
    bench.store.start()
    bench.gateway.start()
    bench.gateway.wait_for_state("notified")
    (message,) = doctor.messages()
    assert der_of(message) == sealed["smime-001.p7m"], "the same bytes as before the crash"
    bench.gateway.kill()
    bench.gateway.start()
    time.sleep(2)
    assert len(doctor.messages()) == 1


def test_the_spool_is_given_back_once_the_mail_server_has_it(bench: Bench, tmp_path: Path, mr_study: list[Path]):
    doctor = Doctor(bench, tmp_path, "doctor", "p256")
    start(bench, {"doctor": doctor.lines()})
    send(bench, mr_study)
    spool = bench.gateway.folder / "state" / "spool"
    deadline = time.monotonic() + 10
    while list(spool.rglob("*.*")) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert [path for path in spool.rglob("*") if path.is_file()] == []
    (delivery,) = bench.gateway.deliveries()
    assert delivery["state"] == "notified" and delivery["doctors"][0]["pulled_at_ms"] is None, "nobody says that it was read"


@pytest.mark.parametrize(("lines", "words"), [
    (['folder = "x"'], "has neither folder nor identity"),
])
def test_a_table_that_mixes_both_kinds_is_refused(bench: Bench, tmp_path: Path, lines: list[str], words: str):
    doctor = Doctor(bench, tmp_path, "doctor", "p256")
    with pytest.raises(RuntimeError):
        start(bench, {"doctor": doctor.lines(*lines)})
    assert words in bench.log.read_text()


def der_of(message: Message) -> bytes:
    return message_from_bytes(message.content, policy=policy.default).get_payload(decode=True)


def own_octets(message: Message) -> int:
    """Without what mail servers put before it."""
    return len(message.content) - message.content.index(b"Date: ")


def series_of(study: list[Path]) -> list[list[pydicom.Dataset]]:
    """Images of each series by their number, series by theirs."""
    images = sorted(map(pydicom.dcmread, study), key=lambda image: (image.SeriesNumber, image.InstanceNumber))
    return [list(group) for _, group in itertools.groupby(images, key=lambda image: image.SeriesInstanceUID)]


def names_of_pictures(study: list[Path]) -> set[str]:
    return {f"series-{number:02}.jpg" for number in range(1, len(series_of(study)) + 1)}


def assert_pictures_of(parts: dict[str, bytes], study: list[Path]) -> None:
    for number, images in enumerate(series_of(study), 1):
        assert_picture_of(parts[f"series-{number:02}.jpg"], images[len(images) // 2])


def assert_picture_of(jpeg: bytes, middle: pydicom.Dataset) -> None:
    """The middle image of a series in its own window."""
    picture = Image.open(io.BytesIO(jpeg))
    assert picture.mode == "L" and picture.size == (middle.Columns, middle.Rows)
    center, width = float(middle.WindowCenter), float(middle.WindowWidth)
    meant = apply_modality_lut(middle.pixel_array, middle)
    wanted = np.clip((meant - (center - 0.5)) / (width - 1) + 0.5, 0, 1) * 255  # PS3.3 C.11.2.1.2.1
    off = np.abs(np.asarray(picture, float) - wanted).mean()
    assert off < GREY_LEVELS_OFF_MAX, off
    assert np.ptp(wanted) > 50 and np.corrcoef(np.asarray(picture, float).ravel(), wanted.ravel())[0, 1] > 0.98, "it shows the image"


def assert_file_set(archive: bytes, study: list[Path], folder: Path) -> None:
    """pydicom reads the DICOMDIR and finds every image by it, each as it was sent."""
    with zipfile.ZipFile(io.BytesIO(archive)) as files:
        assert files.testzip() is None
        files.extractall(folder)
        names = set(files.namelist())
    file_set = FileSet(folder / "DICOMDIR")
    found = [Path(instance.path) for instance in file_set]
    assert {str(path.relative_to(folder)) for path in found} | {"DICOMDIR"} == names
    harness.assert_equal_bytes(study, found)
    first = pydicom.dcmread(study[0])
    directory = pydicom.dcmread(folder / "DICOMDIR")
    by_kind = {record.DirectoryRecordType: record for record in directory.DirectoryRecordSequence}
    assert set(by_kind) == {"PATIENT", "STUDY", "SERIES", "IMAGE"}
    assert str(by_kind["PATIENT"].PatientName) == str(first.PatientName) and by_kind["PATIENT"].PatientID == first.PatientID
    assert by_kind["STUDY"].StudyInstanceUID == first.StudyInstanceUID and by_kind["STUDY"].StudyID
    series = [record for record in directory.DirectoryRecordSequence if record.DirectoryRecordType == "SERIES"]
    images = list(map(pydicom.dcmread, study))
    assert {(record.SeriesInstanceUID, record.SeriesNumber, record.Modality) for record in series} == {
        (image.SeriesInstanceUID, image.SeriesNumber, image.Modality) for image in images}
