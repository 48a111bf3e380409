"""What the doctor's app does with what a site sealed, in node: the same segments as the native reader, damage refused with the right word, a portal that lies
caught, enrolment against somebody who rewrites the mailbox, receipts that the gateway takes, a new key."""

import base64
import hashlib
import json
import os
import queue
import re
import shutil
import subprocess
import threading
from itertools import takewhile
from pathlib import Path

import pydicom
import pytest

from app.stand_in import StandIn
from lab import bundle_fixture
from lab.keys import SITE
from lab.openssl import openssl
from lab.programs import TOP
from peers import senders
from playwright.sync_api import Browser

import harness
from harness import DONE, Bench
from test_app_hazards import write_enhanced
from test_app_values import write as write_valued
from test_enrolment import body, doctor, invite, listed, open_bench, parts, replace, wait_for, waiting  # noqa: F401

NEAR = "2"
SECONDS_MAX = 60
# Segments that a page may have under way when it is told another order.
LATE_MAX = 10


class Refused(Exception):
    """The app's word."""

    def __init__(self, answer: dict):
        super().__init__(answer["refused"], answer["words"])
        self.code = answer["refused"]


class App:
    """The app's modules in a process of their own."""

    def __init__(self, origin: str):
        node = shutil.which("node") or next((TOP / ".venv").glob("lib/python3*/site-packages/playwright/driver/node"), None)
        assert node, "these scenarios need node: deploy/packages installs it"
        command = [node, TOP / "tests/scenarios/app/driver.mjs", TOP / "reader/web/js", origin]
        self.process = subprocess.Popen(list(map(str, command)), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.lines: queue.Queue[str] = queue.Queue()
        threading.Thread(target=lambda: [self.lines.put(line) for line in self.process.stdout], daemon=True).start()

    def tell(self, command: str, **fields: object) -> None:
        self.process.stdin.write(json.dumps({"command": command, **fields}) + "\n")
        self.process.stdin.flush()

    def hear(self) -> dict:
        return json.loads(self.lines.get(timeout=SECONDS_MAX))

    def ask(self, command: str, **fields: object) -> object:
        self.tell(command, **fields)
        answer = self.hear()
        if "refused" in answer:
            raise Refused(answer)
        return answer["ok"]

    def word(self, command: str, **fields: object) -> str:
        """What it is refused with."""
        with pytest.raises(Refused) as refused:
            self.ask(command, **fields)
        return refused.value.code

    def close(self) -> None:
        self.process.stdin.close()
        self.process.wait(timeout=10)


@pytest.fixture
def portal(bench: Bench):
    with StandIn(bench.store, "doctor") as portal:
        yield portal


@pytest.fixture
def app(portal: StandIn):
    app = App(portal.origin)
    yield app
    app.close()


def der(path: Path) -> str:
    return base64.b64encode(openssl("x509", "-in", path, "-outform", "DER")).decode()


def stored(bench: Bench, name: str = "doctor", sites: tuple[str, ...] = ("site",)) -> dict:
    """The keys of the lab as the app keeps them."""
    own = {"certificate": der(bench.keys.certificate(name)),
           "pkcs8": base64.b64encode(openssl("pkcs8", "-topk8", "-nocrypt", "-in", bench.keys.key(name), "-outform", "DER")).decode()}
    pinned = [{"name": SITE, "certificate": der(bench.keys.certificate(site))} for site in sites]
    return {"user": name, "encryption": [own], "identity": own, "sites": pinned, "pending": [], "made_at": 0}


def delivered(bench: Bench, portal: StandIn, study: list[Path], residual: str = "at_once", **settings: object) -> dict:
    """The entry of a study that was mailed within a bound."""
    bench.start(near=NEAR, residual=residual, settle_ms=100, silence_ms=500, **settings)
    senders.pynetdicom(bench.port, "DR_DEMO", study)
    bench.gateway.wait_for_state(*DONE)
    (entry,) = portal.entries()
    return entry


def native(bench: Bench, portal: StandIn, entry: dict, folder: Path) -> dict[str, str]:
    """SHA-256 of each segment as the native reader opens it."""
    program = Path(os.environ.get("CARGO_TARGET_DIR", TOP / "target")) / "release/examples/segments"
    assert program.exists(), "build it: cargo build --release --workspace --example segments"
    folder.mkdir(exist_ok=True)
    files = [folder / "cover", *(folder / f"piece-{number}" for number, _ in enumerate(portal.pieces(entry["delivery"]), 1))]
    for path, content in zip(files, [base64.b64decode(entry["cover"]), *portal.pieces(entry["delivery"])], strict=True):
        path.write_bytes(content)
    keys = [bench.keys.key("doctor"), bench.keys.certificate("doctor"), bench.keys.certificate("site")]
    lines = subprocess.run([program, *keys, *files], check=True, capture_output=True, text=True).stdout.splitlines()
    return dict(line.split() for line in lines)


def numbers(opened: dict) -> list[int]:
    return [segment["number"] for segment in opened["segments"]]


def test_every_segment_is_that_of_the_native_reader(bench: Bench, portal: StandIn, app: App, ct_study: list[Path], tmp_path: Path):
    entry = delivered(bench, portal, ct_study, piece_bytes_max=200_000)
    assert app.ask("adopt", stored=stored(bench))["check"], "no private key can be read out"
    opened = app.ask("open", entry=entry)
    expected = native(bench, portal, entry, tmp_path / "native")
    assert len(portal.pieces(entry["delivery"])) > 2 and len(expected) > 20
    order = numbers(opened)
    # Backwards, so that nothing comes by chance.
    result = app.ask("want", id=opened["id"], order=order[::-1])
    assert result["failed"] == []
    assert {number: digest for number, digest in expected.items() if number != "0"} == result["digests"]
    # No byte twice: what was fetched is at most the pieces.
    assert result["fetched"] <= entry["bytes"]
    again = app.ask("want", id=opened["id"], order=order)
    assert again["digests"] == result["digests"] and again["fetched"] == result["fetched"], "nothing is fetched again"
    (series,) = opened["series"]
    headers = {pydicom.dcmread(path, stop_before_pixels=True).SOPInstanceUID: pydicom.dcmread(path, stop_before_pixels=True) for path in ct_study}
    for instance, uid in enumerate(series["instances"]):
        told, header = app.ask("geometry", id=opened["id"], series=0, instance=instance), headers[uid]
        assert told["position"] == list(map(float, header.ImagePositionPatient))
        assert told["orientation"] == list(map(float, header.ImageOrientationPatient)) and told["spacing"] == list(map(float, header.PixelSpacing))
        assert (told["slope"], told["intercept"]) == (float(header.RescaleSlope), float(header.RescaleIntercept))
        assert told["number"] == int(header.InstanceNumber) and told["photometric"] == header.PhotometricInterpretation
    assert (series["modality"], series["near"], len(series["slabs"])) == ("CT", int(NEAR), len(ct_study))
    assert series["banner"]["patient_id"] == str(next(iter(headers.values())).PatientID)
    assert not opened["opened"] and app.ask("open", entry=entry)["opened"]


def test_each_frame_is_told_as_its_item_says(bench: Bench, portal: StandIn, app: App, tmp_path: Path):
    folder = tmp_path / "enhanced"
    folder.mkdir()
    write_enhanced(folder)
    (file,) = folder.iterdir()
    entry = delivered(bench, portal, [file])
    assert app.ask("adopt", stored=stored(bench))["check"]
    opened = app.ask("open", entry=entry)
    assert app.ask("want", id=opened["id"], order=numbers(opened))["failed"] == []
    frames = bundle_fixture.geometry(pydicom.dcmread(file))["frames"]
    assert len(frames) > 2 and all(one != frames[0] for one in frames[1:])
    for number, expected in enumerate(frames):
        told = app.ask("geometry", id=opened["id"], series=0, instance=0, frame=number)
        assert {name: told[name] for name in expected} == expected
    assert app.ask("geometry", id=opened["id"], series=0, instance=0, frame=len(frames))["known"] is False, "there is no such frame"


def test_tables_are_told_as_pydicom_reads_them_and_a_cut_one_is_said(bench: Bench, portal: StandIn, app: App, tmp_path: Path):
    folder = tmp_path / "tables"
    folder.mkdir()
    for name in ("MODALITY", "VOI BELOW ZERO", "VOI SLOPED", "VOI RAISED", "PALETTE 8", "PALETTE SEGMENTED", "HIGH BIT", "SIGMOID", "XA LOG", "PADDED"):
        write_valued(folder, name)
    cut = pydicom.dcmread(folder / "MODALITY.dcm")
    cut.SOPInstanceUID = cut.file_meta.MediaStorageSOPInstanceUID = f"{cut.SOPInstanceUID}.1"
    cut.SeriesInstanceUID = f"{cut.SeriesInstanceUID}.1"
    cut.ModalityLUTSequence[0].LUTDescriptor = [4096, 0, 16]
    cut.ModalityLUTSequence[0].LUTData = cut.ModalityLUTSequence[0].LUTData[:-2]
    cut.save_as(folder / "cut.dcm")
    files = sorted(folder.iterdir())
    entry = delivered(bench, portal, files)
    assert app.ask("adopt", stored=stored(bench))["check"]
    opened = app.ask("open", entry=entry)
    assert app.ask("want", id=opened["id"], order=numbers(opened))["failed"] == []
    by_uid = {str(one.SOPInstanceUID): one for one in map(pydicom.dcmread, files)}
    told = {series["instances"][0]: app.ask("geometry", id=opened["id"], series=index, instance=0) for index, series in enumerate(opened["series"])}
    assert told.keys() == by_uid.keys()
    for uid, one in told.items():
        if uid == cut.SOPInstanceUID:
            assert one["tablesKnown"] is False and one["modalityTable"] is None
            continue
        expected = bundle_fixture.geometry(by_uid[uid])
        assert {name: one[name] for name in expected} == expected, by_uid[uid].SeriesDescription
    assert sum(one["palette"] is not None for one in told.values()) == 2


def cover_of(bench: Bench, entry: dict, folder: Path) -> tuple[bytes, bytes]:
    """What the cover holds: SignedData, and the JSON in it."""
    folder.mkdir(exist_ok=True)
    (folder / "cover").write_bytes(base64.b64decode(entry["cover"]))
    openssl("cms", "-decrypt", "-binary", "-inform", "DER", "-in", folder / "cover", "-inkey", bench.keys.key("doctor"),
            "-recip", bench.keys.certificate("doctor"), "-out", folder / "signed")
    openssl("cms", "-verify", "-binary", "-inform", "DER", "-in", folder / "signed", "-CAfile", bench.keys.ca, "-purpose", "any", "-out", folder / "json")
    return (folder / "signed").read_bytes(), (folder / "json").read_bytes()


def signed(bench: Bench, content: bytes, folder: Path, signer: str = "site") -> bytes:
    (folder / "content").write_bytes(content)
    return openssl("cms", "-sign", "-binary", "-nodetach", "-nosmimecap", "-md", "sha256", "-in", folder / "content", "-outform", "DER",
                   "-signer", bench.keys.certificate(signer), "-inkey", bench.keys.key(signer))


def encrypted(bench: Bench, content: bytes, folder: Path, cipher: str = "-aes-256-gcm", recipient: str = "doctor") -> str:
    """As an entry's cover."""
    (folder / "plain").write_bytes(content)
    sealed = openssl("cms", "-encrypt", "-binary", cipher, "-in", folder / "plain", "-outform", "DER", "-recip", bench.keys.certificate(recipient),
                     "-keyopt", "ecdh_kdf_md:sha256", "-aes256-wrap")
    return base64.b64encode(sealed).decode()


def test_covers_that_are_not_genuine_are_refused(bench: Bench, portal: StandIn, app: App, mr_study: list[Path], tmp_path: Path):
    entry = delivered(bench, portal, mr_study)
    app.ask("adopt", stored=stored(bench))
    inner, content = cover_of(bench, entry, tmp_path / "cover")

    def with_cover(cover: str) -> dict:
        return {**entry, "cover": cover}

    def sealed(data: bytes, **how: object) -> dict:
        return with_cover(encrypted(bench, data, tmp_path / "cover", **how))

    # What openssl seals of the same content opens: what is refused below is refused for what it says.
    first = sealed(inner)
    assert app.ask("open", entry=first)["id"] == entry["delivery"]
    assert app.word("open", entry=sealed(content)) in ("damaged", "unsigned")
    assert app.word("open", entry=sealed(signed(bench, content, tmp_path / "cover", signer="doctor2"))) == "unknown_site"
    assert app.word("open", entry=sealed(inner, recipient="doctor2")) == "not_for_us"
    assert app.word("open", entry=sealed(inner, cipher="-aes-256-cbc")) == "unsafe"
    passed_on = json.dumps({**json.loads(content), "recipients": ["00" * 32]}).encode()
    assert app.word("open", entry=sealed(signed(bench, passed_on, tmp_path / "cover"))) == "not_for_us"
    newer = json.dumps({**json.loads(content), "format": 2}).encode()
    assert app.word("open", entry=sealed(signed(bench, newer, tmp_path / "cover"))) == "newer_format"
    # A signature that was taken from something else.
    broken = bytearray(inner)
    broken[-8] ^= 1
    assert app.word("open", entry=sealed(bytes(broken))) == "unsigned"
    # The genuine cover under another delivery's name, and another cover under the number of one that was seen.
    assert app.word("open", entry={**entry, "delivery": "00" * 16}) == "replayed"
    assert app.word("open", entry={**entry, "site": "other.example"}) == "replayed"
    other = json.dumps({**json.loads(content), "policy": "near 0"}).encode()
    assert app.word("open", entry=sealed(signed(bench, other, tmp_path / "cover"))) == "replayed"
    assert app.word("open", entry={**entry, "cover": None}) == "needs_device"
    # Several that say to be it: the genuine one is found among them, whoever the others say to be of; without it the first word counts.
    forged = {"site": "other.example", "cover": sealed(bytes(broken))["cover"]}
    genuine = {"site": entry["site"], "cover": first["cover"]}
    assert app.ask("open", entry={**entry, **forged, "twins": [forged, genuine]})["id"] == entry["delivery"]
    assert app.ask("open", entry={**first, "twins": [forged]})["id"] == entry["delivery"]
    assert app.word("open", entry={**entry, **forged, "twins": [{**genuine, "cover": sealed(inner, recipient="doctor2")["cover"]}]}) == "unsigned"
    # Every bit that was tried, through the whole cover.
    cover = base64.b64decode(entry["cover"])
    words = set()
    for at in range(0, len(cover), max(1, len(cover) // 60)):
        changed = bytearray(cover)
        changed[at] ^= 1 << at % 8
        words.add(app.word("open", entry=with_cover(base64.b64encode(changed).decode())))
    assert words <= {"damaged", "unsigned", "not_for_us", "unsafe"} and "damaged" in words, words
    # Another device that pins no such site.
    app.ask("adopt", stored=stored(bench, sites=("doctor2",)))
    assert app.word("open", entry=entry) == "unknown_site"


def test_a_portal_that_lies_is_caught(bench: Bench, portal: StandIn, app: App, ct_study: list[Path]):
    entry = delivered(bench, portal, ct_study, piece_bytes_max=200_000)
    app.ask("adopt", stored=stored(bench))
    genuine = portal.pieces(entry["delivery"])

    def flipped(position: int):
        def tamper(number: int, piece: bytes) -> bytes:
            changed = bytearray(piece)
            changed[position] ^= 0x10
            return bytes(changed) if number == 1 else piece
        return tamper

    for position in (3, 20, 40, 66, 70, 200, 600):
        portal.tamper = flipped(position)
        assert app.word("open", entry=entry) == "damaged", position
    portal.tamper = lambda number, piece: genuine[1] if number == 1 else piece
    assert app.word("open", entry=entry) == "damaged", "another piece in its place"
    portal.tamper = lambda number, piece: piece[:1_000] if number == 1 else piece
    assert app.word("open", entry=entry) in ("damaged", "link_lost"), "a piece that was cut"

    portal.tamper = lambda number, piece: piece
    opened = app.ask("open", entry=entry)
    order = numbers(opened)
    last = len(genuine)
    # Pieces 2 and last change places, with the headers that belong there: no segment of either is given.
    portal.tamper = lambda number, piece: {2: genuine[1][:64] + genuine[-1][64:], last: genuine[-1][:64] + genuine[1][64:]}.get(number, piece).ljust(len(piece), b"\0")
    result = app.ask("want", id=opened["id"], order=order)
    assert {failed["code"] for failed in result["failed"]} == {"damaged"}
    lost = {failed["number"] for failed in result["failed"]}
    assert lost and len(lost) + len(result["digests"]) == len(order)
    # With swapped headers too.
    portal.tamper = lambda number, piece: {2: genuine[-1], last: genuine[1]}.get(number, piece).ljust(len(piece), b"\0")
    result = app.ask("want", id=opened["id"], order=sorted(lost))
    assert {failed["code"] for failed in result["failed"]} == {"damaged"} and result["digests"] == {}
    # Honest again: what was damaged comes, and the right bytes.
    portal.tamper = lambda number, piece: piece
    result = app.ask("want", id=opened["id"], order=order)
    assert result["failed"] == [] and len(result["digests"]) == len(order)


def test_a_lost_link_costs_no_byte_that_was_verified(bench: Bench, portal: StandIn, app: App, ct_study: list[Path], record_property):
    entry = delivered(bench, portal, ct_study, piece_bytes_max=200_000)
    app.ask("adopt", stored=stored(bench))
    opened = app.ask("open", entry=entry)
    portal.lose_after = 300_000
    result = app.ask("want", id=opened["id"], order=numbers(opened))
    assert [failed["code"] for failed in result["failed"]] == ["link_lost"]
    assert len(result["digests"]) == len(opened["segments"])
    assert result["fetched"] <= entry["bytes"], "not a byte twice"
    record_property("figures", {"bytes": entry["bytes"], "fetched": result["fetched"]})


def test_another_order_is_followed_at_once(bench: Bench, portal: StandIn, app: App, ct_study: list[Path]):
    entry = delivered(bench, portal, ct_study, piece_bytes_max=200_000)
    app.ask("adopt", stored=stored(bench))
    opened = app.ask("open", entry=entry)
    order = numbers(opened)
    portal.bytes_per_second = 400_000
    portal.asked.clear()
    result = app.ask("replan", id=opened["id"], first=order, second=order[::-1], milliseconds=700)
    at = result["came"].index(None)
    before, after = result["came"][:at], result["came"][at + 1 :]
    # Opening runs beside fetching, so neighbours may change places.
    assert 0 < at < len(order) - 10 and max(before) <= order[at - 1] + 4, "it was changed in the middle"
    # What was on its way when the order changed may still come, more of it to a busy page; then from the end.
    late = list(takewhile(lambda number: number <= max(before) + LATE_MAX, after[:LATE_MAX]))
    assert set(after[len(late) : len(late) + 5]) <= set(order[-7:])
    assert sorted(before + after) == order and len(portal.asked) >= 2
    # Bytes of the request that was given up, on their way and in the system's buffers.
    assert result["fetched"] <= entry["bytes"] * 1.2


def test_the_exact_residual_comes_on_request(bench: Bench, portal: StandIn, app: App, mr_study: list[Path], tmp_path: Path):
    entry = delivered(bench, portal, mr_study, residual="on_request")
    app.ask("adopt", stored=stored(bench))
    opened = app.ask("open", entry=entry)
    assert opened["exactCanBeAsked"] and not [segment for segment in opened["segments"] if segment["kind"] == "residual"]
    assert app.ask("receipt", id=opened["id"], kind="fetched")["posted"]
    bench.gateway.wait_for_state("pulled")
    assert app.ask("receipt", id=opened["id"], kind="exact_wanted")["posted"]
    bench.gateway.wait_for_state(*DONE, count=2)
    (residual,) = [entry for entry in portal.entries() if entry["delivery"] != opened["id"]]
    told = app.ask("open", entry=residual)
    assert (told["residualOf"], told["sequence"]) == (opened["id"], 2)
    joined = app.ask("join", id=opened["id"], residual=told["id"])["segments"]
    wanted = [segment["number"] for segment in joined if segment["kind"] == "residual"]
    result = app.ask("want", id=opened["id"], order=wanted)
    expected = native(bench, portal, residual, tmp_path / "native")
    first = wanted[0]
    assert result["digests"] == {str(int(number) + first - 1): digest for number, digest in expected.items() if number != "0"}
    # A residual joins its own delivery alone.
    assert app.word("join", id=told["id"], residual=opened["id"]) == "damaged"


def test_a_phone_enrols_opens_answers_and_gets_a_new_key(open_bench: Bench, portal: StandIn, app: App, ct_study: list[Path]):  # noqa: F811
    bench, code = open_bench, invite(open_bench)
    assert app.word("enrol", code=code, device="phone") == "needs_device"
    app.ask("add_device")
    assert app.word("enrol", code=code[:3] + ("0" if code[3] != "0" else "1") + code[4:], device="phone") == "wrong"
    app.tell("enrol", code=code, device="phone")
    fingerprint = app.hear()["fingerprint"]
    assert wait_for(lambda: waiting(bench)) == [fingerprint]
    # Somebody else's confirmation is passed over.
    portal.append(f"{'00' * 16}.enrolled@{SITE}", os.urandom(200))
    doctor(bench, "confirm", "doctor", "--fingerprint", fingerprint)
    assert app.hear()["ok"]["sites"] == [SITE]
    assert listed(bench) == [("phone", "active")]

    senders.pynetdicom(bench.port, "DR_DEMO", ct_study[:6])
    bench.gateway.wait_for_state(*DONE)
    (entry,) = portal.entries()
    opened = app.ask("open", entry=entry)
    assert app.ask("receipt", id=opened["id"], kind="fetched")["posted"]
    bench.gateway.wait_for_state("pulled")

    # A new key: old and new mail open, and the blob on the portal has both.
    assert app.ask("renew")["renewed"]
    wait_for(lambda: listed(bench) == [("phone", "superseded"), ("phone", "active")])
    senders.pynetdicom(bench.port, "DR_DEMO", ct_study[6:])
    bench.gateway.wait_for_state("notified", "pulled", count=2)
    told = app.ask("sign_in")
    assert told["sites"] == [SITE] and len(told["encryption"]) == 2
    for entry in portal.entries():
        opened = app.ask("open", entry=entry)
        app.ask("receipt", id=opened["id"], kind="fetched")
    bench.gateway.wait_for_state("pulled", count=2)

    # The recovery key opens a second copy; another value of the passkey opens nothing, and says so.
    text = app.ask("recovery_key")["text"]
    assert re.fullmatch(r"([0-9A-Z]{4}-){7}[0-9A-Z]{4}", text)
    app.ask("other_prf")
    assert app.word("sign_in") == "other_key"
    assert app.word("recover", user="doctor", text=text[:-1] + ("0" if text[-1] != "0" else "1")) == "wrong"
    assert app.ask("recover", user="doctor", text=text.lower().replace("-", " "))["user"] == "doctor"
    app.ask("add_device")
    assert app.ask("sign_in")["sites"] == [SITE]
    blobs = b"".join(portal.keys.values())
    assert b"pkcs8" not in blobs and blobs.startswith(b"SCPK\x01")


def test_keys_that_the_mailbox_swaps_are_not_pinned(open_bench: Bench, portal: StandIn, app: App):  # noqa: F811
    """Who reads and rewrites the mailbox puts an own request in the place of the phone's, and an own confirmation in the place of the site's."""
    bench, code = open_bench, invite(open_bench)
    bench.gateway.stop()
    app.ask("add_device")
    app.tell("enrol", code=code, device="phone", milliseconds=25_000)
    fingerprint = app.hear()["fingerprint"]
    (genuine,) = wait_for(lambda: parts(bench, "enrol"))
    swapped = bytearray(body(genuine))
    swapped[300] ^= 1
    replace(bench, genuine, bytes(swapped), body(genuine))
    bench.start(without_certificate=("doctor",))
    assert wait_for(lambda: waiting(bench)) == [fingerprint], "the changed request is a try, no device"
    portal.withholds_confirmations = True
    doctor(bench, "confirm", "doctor", "--fingerprint", fingerprint)
    (confirmation,) = wait_for(lambda: parts(bench, "enrolled"))
    changed = bytearray(body(confirmation))
    changed[-30] ^= 1
    replace(bench, confirmation, bytes(changed))
    portal.withholds_confirmations = False
    answer = app.hear()
    assert answer.get("refused") == "cancelled" and listed(bench) == [("phone", "active")], answer
    # The genuine one, after an interruption: the same code, the same keys and request.
    replace(bench, parts(bench, "enrolled")[0], bytes(changed), body(confirmation))
    app.tell("enrol", code=code, device="phone")
    assert app.hear()["fingerprint"] == fingerprint
    assert app.hear()["ok"]["sites"] == [SITE]


def test_a_guest_opens_one_case_by_a_passphrase(bench: Bench, portal: StandIn, app: App, mr_study: list[Path], tmp_path: Path):
    entry = delivered(bench, portal, mr_study)
    _, content = cover_of(bench, entry, tmp_path / "cover")
    own, link = stored(bench), "ab" * 16
    site, salt = own["sites"][0]["certificate"], base64.b64encode(os.urandom(16)).decode()
    cost = {"memory_kib": 8192, "iterations": 2, "lanes": 1}

    def offered(case: str, signer: str = "site") -> dict:
        terms = {"link": link, "case": case, "expires": 1_900_000_000, "argon2": cost, "salt": salt, "certificate": own["encryption"][0]["certificate"]}
        made = app.ask("make_link", terms=terms, passphrase="さくら やま かわ", pkcs8=own["encryption"][0]["pkcs8"], site=site,
                       site_key=bench.keys.key(signer).read_text())
        portal.links[link] = {"told": {"argon2": cost, "salt": salt, "expires_at": 1_900_000_000, "uses_left": 3, "tries_left": 10}, **made}
        return made

    made = offered(json.loads(content)["case"])
    assert app.word("link", link=link, passphrase="さくら やま うみ") == "wrong"
    # As people type it: other blanks, other letters of the same width.
    assert app.ask("link", link=link, passphrase=" さくら\u3000やま  かわ ")["level"] == "link"
    opened = app.ask("open", entry=entry)
    assert opened["caseId"] == json.loads(content)["case"]
    assert app.ask("want", id=opened["id"], order=numbers(opened)[:5])["failed"] == []
    assert not app.ask("receipt", id=opened["id"], kind="fetched")["posted"], "a guest has no identity"
    # A portal that changes the link, one that gives another's, and a site that is not the one in it.
    for at in (70, 90, 130, 300, -30):
        changed = bytearray(base64.b64decode(made["statement"]))
        changed[at] ^= 1
        portal.links[link]["statement"] = base64.b64encode(changed).decode()
        assert app.word("link", link=link, passphrase="さくら やま かわ") in ("damaged", "unsigned", "replayed"), at
    offered(json.loads(content)["case"], signer="doctor2")
    assert app.word("link", link=link, passphrase="さくら やま かわ") == "unsigned"
    # The link is for one case alone.
    offered("00" * 16)
    app.ask("link", link=link, passphrase="さくら やま かわ")
    assert app.word("open", entry=entry) == "not_for_us"


def test_chromium_opens_by_a_passkey_and_again_without_a_network(bench: Bench, portal: StandIn, chromium: Browser, ct_study: list[Path], tmp_path: Path):  # noqa: F811
    entry = delivered(bench, portal, ct_study, piece_bytes_max=200_000)
    expected = {number: digest for number, digest in native(bench, portal, entry, tmp_path / "native").items() if number != "0"}
    context = chromium.new_context()
    page = context.new_page()
    devtools = context.new_cdp_session(page)
    devtools.send("WebAuthn.enable")
    options = {"protocol": "ctap2", "ctap2Version": "ctap2_1", "transport": "internal", "hasResidentKey": True, "hasUserVerification": True,
               "hasPrf": True, "isUserVerified": True, "automaticPresenceSimulation": True}
    devtools.send("WebAuthn.addVirtualAuthenticator", {"options": options})

    def opened() -> None:
        page.goto(portal.origin)
        page.wait_for_function("document.title === 'ready'")

    opened()
    assert page.evaluate("stored => app.adopt(stored)", stored(bench)) == "InvalidAccessError", "a private key was read out"
    assert page.evaluate("app.signIn()") == 1
    first = page.evaluate("entry => app.openAll(entry)", entry)
    assert first["digests"] == expected and not first["opened"]
    # As after a start without network: the portal gives nothing but the app's files.
    page.wait_for_timeout(1500)
    opened()
    portal.asked.clear()
    portal.tamper = lambda number, piece: b""
    (kept,) = page.evaluate("app.offline()")
    again = page.evaluate("entry => app.openAll(entry)", kept)
    assert again["digests"] == expected and again["opened"]
    assert (again["fetched"], portal.asked) == (0, [])
    # What the device keeps is ciphertext.
    texts = page.evaluate("""async () => { const open = await caches.open('scanpost-data-1'); const texts = [];
        for (const request of await open.keys()) texts.push(await (await open.match(request)).text()); return texts; }""")
    patient = str(pydicom.dcmread(ct_study[0], stop_before_pixels=True).PatientID)
    assert len(texts) > 3 and not any(word in text for text in texts for word in (patient, "pkcs8", "1.2.840.10008"))


@pytest.mark.parametrize("kind", ["simd", "plain"])
def test_pixels_are_those_that_came(kind: str, bench: Bench, portal: StandIn, app: App, ct_study: list[Path]):
    entry = delivered(bench, portal, ct_study)
    app.ask("adopt", stored=stored(bench))
    opened = app.ask("open", entry=entry)
    (series,) = opened["series"]
    decoded = app.ask("decode", id=opened["id"], series=0, kind=kind)
    came = {data_set.SOPInstanceUID: hashlib.sha256(data_set.PixelData).hexdigest() for data_set in map(pydicom.dcmread, ct_study)}
    assert decoded["lossy"], "the residual was needed"
    assert dict(zip(series["instances"], decoded["digests"], strict=True)) == came


MODULES, BUILD = TOP / "reader/web/wasm", TOP / "reader/wasm/build"
RECORD = json.loads((MODULES / "built.json").read_text())


def test_the_modules_are_those_that_their_record_names():
    for kind, digest in RECORD["sha256"].items():
        assert hashlib.sha256((MODULES / f"{kind}.wasm").read_bytes()).hexdigest() == digest, kind


def test_the_recorded_compiler_gives_the_same_modules(is_long: bool, tmp_path: Path):
    """Whether another one decodes the same is what the other scenarios of this file show of the committed modules."""
    if not is_long:
        pytest.skip("not rebuilt: takes minutes, run by --long")
    compiler = subprocess.run([BUILD, "compiler"], capture_output=True, text=True).stdout.strip()
    if compiler != RECORD["rustc"]:
        pytest.skip(f"not rebuilt: {compiler} is not {RECORD['rustc']}")
    for kind in RECORD["sha256"]:
        subprocess.run([BUILD, kind, tmp_path / f"{kind}.wasm"], check=True)
        assert (tmp_path / f"{kind}.wasm").read_bytes() == (MODULES / f"{kind}.wasm").read_bytes(), kind
