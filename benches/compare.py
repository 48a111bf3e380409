"""Receiving, sizes and the way to the mailbox beside what a site would use instead, in one run: DCMTK storescp and Orthanc. All take turns in each round;
medians of the rounds, and ratios of these.

usage: benches/compare [--images 100] [--rounds 5] [--record] [--note TEXT] [--json FILE]
"""

import argparse
import io
import json
import shutil
import smtplib
import ssl
import subprocess
import sys
import tempfile
import time
import zipfile
from email.message import EmailMessage
from email.policy import SMTP
from pathlib import Path

TOP = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(TOP / "deploy"), str(TOP / "benches")]

import compare_report  # noqa: E402
import ingest  # noqa: E402
from lab.gateway import Gateway, Settings  # noqa: E402
from lab.keys import Keys  # noqa: E402
from lab.mail_store import MailStore, Options, address  # noqa: E402
from lab.mailbox import Mailbox  # noqa: E402
from lab.orthanc import AE_TITLE, Orthanc  # noqa: E402
from lab.programs import program  # noqa: E402
from lab.study import ct, mr  # noqa: E402

JPEG_LS, JPEG_2000 = "1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.4.90"
MR_IMAGES, CT_IMAGES = 150, 40
# As an operator would have to set it for whole studies in one mail.
MESSAGE_BYTES_MAX = 512 * 1024 * 1024
ARRIVED_SECONDS_MAX = 120


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=100, help="CT images of 512 KiB that are received in each round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--record", action="store_true", help="write the section of docs/benchmarks.md")
    parser.add_argument("--note", default="", help="what else ran meanwhile, for the record")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    load = Path("/proc/loadavg").read_text().split()[0]
    with tempfile.TemporaryDirectory(prefix="scanpost-compare-") as name:
        folder = Path(name)
        # The mail store's users reach their sockets below it.
        folder.chmod(0o711)
        found = {"received": received(folder / "received", arguments), "packed": packed(folder / "packed", arguments.rounds),
                 "mailed": mailed(folder / "mailed", arguments.rounds)}
    found["run"] = vars(arguments) | {"mr_images": MR_IMAGES, "settle_ms": Settings.settle_ms, "load": load, "load_after": Path("/proc/loadavg").read_text().split()[0]}
    if arguments.json:
        arguments.json.write_text(json.dumps(found, indent=1, default=str))
    text = compare_report.section(found)
    print(text)
    if arguments.record:
        compare_report.record(TOP / "docs" / "benchmarks.md", text)


def in_turns(work: dict, rounds: int, each_round=lambda number: None) -> dict[str, list]:
    """What each gave, in rounds that begin with another one each; the first round warms up."""
    values = {name: [] for name in work}
    for number in range(rounds + 1):
        each_round(number)
        turn = number % len(work)
        for name in [*list(work)[turn:], *list(work)[:turn]]:
            value = work[name]()
            if number:
                values[name].append(value)
    return values


def received(folder: Path, arguments: argparse.Namespace) -> dict[str, list[float]]:
    """Images a second over one association of storescu."""
    folder.mkdir()
    ingest.generate(folder / "study", arguments.images)
    orthanc = Orthanc(folder / "orthanc", folder / "orthanc.log")
    orthanc.start()
    orthanc.know_gateway("sender", "STORESCU", 1)
    ours, theirs = ingest.gateway(folder / "ours", "on"), ingest.storescp(folder / "storescp")
    ingest.wait_for(theirs[1])
    run = folder / "run"

    def prepare(number: int) -> None:
        shutil.rmtree(run, ignore_errors=True)
        ingest.rewrite_uids(folder / "study", run, number)

    def rate(port: int, called: str):
        return lambda: arguments.images / ingest.send(run, port, 1, called)

    try:
        return in_turns({"scanpost": rate(ours[1], "BENCH"), "storescp": rate(theirs[1], "STORESCP"), "orthanc": rate(orthanc.dicom_port, AE_TITLE)},
                        arguments.rounds, prepare)
    finally:
        for process in (ours[0], theirs[0]):
            process.terminate()
            process.wait()
        orthanc.stop()


def packed(folder: Path, rounds: int) -> dict[str, dict]:
    """Of a CT and an MR study: bytes and seconds of a whole study as one file, from files or from Orthanc's storage."""
    folder.mkdir()
    # Orthanc 1.10 ends without a word where it is asked for JPEG-LS while GDCM's plugin is loaded, without which it has no JPEG 2000.
    orthanc, with_gdcm = (Orthanc(folder / name, folder / f"{name}.log", jpeg_2000=name == "gdcm") for name in ("orthanc", "gdcm"))
    orthanc.start()
    with_gdcm.start()
    found = {}
    try:
        for name, generate, images in (("CT", ct.generate, CT_IMAGES), ("MR", mr.generate, MR_IMAGES)):
            study = folder / name
            study.mkdir()
            generate(study, images, 1)
            files = sorted(study.iterdir())
            # Both give it the same id, which is made of the UIDs.
            (held,) = {pacs.add_file(path) for pacs in (orthanc, with_gdcm) for path in files}
            out = folder / "bundle"

            def ours(near: str):
                return lambda: timed(lambda: run(program("scanpost-pack"), "encode", study, out, "--near", near), lambda _: out.stat().st_size)

            def archive(syntax: str | None, pacs: Orthanc = orthanc):
                return lambda: timed(lambda: pacs.archive(held, syntax), lambda content: zipped(content, images, syntax))

            work = {"scanpost, lossless": ours("0"), "scanpost, auto": ours("auto"), "orthanc, ZIP": archive(None),
                    "orthanc, ZIP of JPEG-LS": archive(JPEG_LS), "orthanc, ZIP of JPEG 2000": archive(JPEG_2000, with_gdcm),
                    "DCMTK, JPEG-LS": lambda: timed(lambda: dcmtk(files, folder / "coded"), lambda _: bytes_of(folder / "coded"))}
            found[name] = {"images": images, "bytes": bytes_of(study), "values": in_turns(work, rounds)}
        return found
    finally:
        orthanc.stop()
        with_gdcm.stop()


def mailed(folder: Path, rounds: int) -> dict[str, list]:
    """From a study that lies in the PACS to the last mail of it in the doctor's mailbox, on the same mail store: seconds and bytes of mail."""
    folder.mkdir()
    folder.chmod(0o711)
    store, keys = MailStore(folder / "mail"), Keys(folder / "keys").make()
    orthanc = Orthanc(folder / "pacs", folder / "orthanc.log")
    store.start(Options(message_size_limit=MESSAGE_BYTES_MAX))
    orthanc.start()
    gateways, held = {}, []
    try:
        for near in ("0", '"auto"'):
            settings = Settings(pacs_port=orthanc.dicom_port, near=near)
            gateway = Gateway(folder / f"gateway-{len(gateways)}", folder / f"gateway-{len(gateways)}.log", store, keys, settings)
            gateways[near] = gateway.start()

        def prepare(number: int) -> None:
            """A study of its own each round, as for a press."""
            study = folder / f"study-{number}"
            study.mkdir()
            mr.generate(study, MR_IMAGES, number + 1)
            held[:] = {orthanc.add_file(path) for path in sorted(study.iterdir())}
            shutil.rmtree(study)
            with Mailbox(store, "doctor") as mailbox:
                mailbox.empty()

        def ours(near: str):
            return lambda: delivered(gateways[near], orthanc, held)

        def zip_by_mail(syntax: str | None):
            return lambda: sent(store, lambda: orthanc.archive(held[0], syntax))

        return in_turns({"scanpost, lossless": ours("0"), "scanpost, auto": ours('"auto"'), "orthanc, ZIP": zip_by_mail(None),
                         "orthanc, ZIP of JPEG-LS": zip_by_mail(JPEG_LS)}, rounds, prepare)
    finally:
        for gateway in gateways.values():
            gateway.stop()
        orthanc.stop()
        store.stop()


def delivered(gateway: Gateway, orthanc: Orthanc, held: list[str]) -> dict:
    """The notice goes when the cover, which is the last mail, was seen in the mailbox."""
    before = {one["id"] for one in gateway.deliveries()}
    orthanc.know_gateway("gateway", "SCANPOST", gateway.port)
    orthanc.know_gateway("button", "DR_DEMO", gateway.port)
    began = time.monotonic()
    orthanc.send("button", held)
    deliveries = gateway.wait_for_state("notified", count=len(before) + 1, seconds=ARRIVED_SECONDS_MAX)
    seconds = time.monotonic() - began
    (new,) = [one for one in deliveries if one["id"] not in before]
    if new["instances"] != MR_IMAGES:
        sys.exit(f"{new['instances']} of {MR_IMAGES} images were delivered")
    return {"seconds": seconds, "bytes": new["mail_bytes"]}


def sent(store: MailStore, archive) -> dict:
    """A ZIP in one mail, plain to whoever runs the mail server; ends when it lies in the mailbox."""
    began = time.monotonic()
    mail = EmailMessage(policy=SMTP)
    mail["From"], mail["To"], mail["Subject"] = address("gateway"), address("doctor"), "study"
    mail.add_attachment(archive(), maintype="application", subtype="zip", filename="study.zip")
    content = mail.as_bytes()
    context = ssl.create_default_context(cafile=str(store.ca))
    with Mailbox(store, "doctor") as mailbox:
        before = count(mailbox)
        with smtplib.SMTP_SSL("localhost", store.smtps_port, context=context, timeout=ARRIVED_SECONDS_MAX) as smtp:
            smtp.login(address("gateway"), store.password("gateway"))
            smtp.sendmail(address("gateway"), [address("doctor")], content)
        while count(mailbox) == before:
            if time.monotonic() - began > ARRIVED_SECONDS_MAX:
                sys.exit("the ZIP did not arrive")
            time.sleep(0.05)
    return {"seconds": time.monotonic() - began, "bytes": len(content)}


def count(mailbox: Mailbox) -> int:
    mailbox.imap.noop()
    return len(mailbox.imap.uid("SEARCH", "ALL")[1][0].split())


def timed(work, size) -> dict:
    began = time.monotonic()
    result = work()
    seconds = time.monotonic() - began
    return {"seconds": seconds, "bytes": size(result)}


def zipped(content: bytes, images: int, syntax: str | None) -> int:
    """Bytes of a ZIP, once it was seen to hold all images, in this transfer syntax: Orthanc leaves as it is what it cannot transcode."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        names = archive.namelist()
        if len(names) != images or syntax and syntax.encode() not in archive.read(names[0])[:512]:
            sys.exit(f"Orthanc gave {len(names)} of {images} images, or not as {syntax}")
    return len(content)


def dcmtk(files: list[Path], folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for path in files:
        run("dcmcjpls", path, folder / path.name)


def bytes_of(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.iterdir())


def run(*command: object) -> None:
    subprocess.run(list(map(str, command)), check=True, capture_output=True)


if __name__ == "__main__":
    main()
