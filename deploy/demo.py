"""Drives the demo: sets up a site, presses the PACS's button, waits for the notice, pulls, compares, reports."""

import argparse
import json
import signal
import sys
import tempfile
import threading
import time
from email import message_from_bytes, policy
from pathlib import Path

from lab import compare, openssl, page, report
from lab.gateway import Settings
from lab.mailbox import Mailbox
from lab.programs import program
from lab.progress import Progress
from lab.site import BUTTON, DESTINATION, Site
from lab.study import given, mr

GENERATED_IMAGES, GENERATED_SEED = 150, 1
POLL_SECONDS = 0.2
DELIVERY_SECONDS_MAX = 1800
NOTICE_SECONDS_MAX = 30


class DemoError(Exception):
    """Something did not work; the text says what."""


def main() -> int:
    arguments = parse_arguments()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    site = Site(arguments.dir or Path(tempfile.mkdtemp(prefix="scanpost-demo-")))
    try:
        outcome = run(site, arguments)
        print(report.table(outcome), "", "  " + report.statement(outcome), sep="\n", flush=True)
        if arguments.json:
            openssl.write_secret(arguments.json, json.dumps(outcome, indent=2, ensure_ascii=False).encode() + b"\n")
        if not arguments.once:
            keep_running(site)
        return 0 if outcome["identical"] else 1
    except KeyboardInterrupt:
        return 130
    except Exception as error:  # Whatever it was: say it, say where the logs are, and stop every child.
        explain(site, error)
        return 1
    finally:
        print("stopping", flush=True)
        site.stop()


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="demo", description=__doc__)
    parser.add_argument("--once", action="store_true", help="end after the pull")
    parser.add_argument("--study", type=Path, action="append", default=[], help="folder of DICOM files; may be repeated")
    parser.add_argument("--dir", type=Path, help="folder for all state; default: a fresh one under /tmp")
    parser.add_argument("--json", type=Path, help="write the result there")
    return parser.parse_args()


def run(site: Site, arguments: argparse.Namespace) -> dict:
    """The main job, from the PACS to the compared files."""
    study = choose_study(site, arguments.study)
    say(f"starting mail store, PACS, gateway and portal in {site.dir}")
    site.start(settings(site))
    fill_pacs(site, study)
    press_and_watch(site, study)
    notice = read_notice(site)
    pull(site)
    deliveries = finish(site)
    say(report.completeness_words(deliveries[0]["completeness"]))
    say("comparing each pulled instance with what was sent")
    comparison = compare.compare_folders(study.files, [site.reader.output])
    for note in comparison.notes:
        say(f"differs: {note}")
    return report.as_json(site, study, deliveries, comparison, notice)


def settings(site: Site) -> Settings:
    """The product's own waits and bound, not those of the tests."""
    return Settings(
        destinations={DESTINATION: ["doctor"]}, settle_ms=2_000, near='"auto"', silence_ms=30_000, poll_ms=1_000, hold=page.HOLD,
        page_lines=page.lines(site.keys, site.page_port_file, 'second_factor = "administrators"'),
        # The zone of scanpost.test is nobody's to publish in.
        check_lines=['skip = ["spf", "dkim", "dmarc", "mta-sts", "tlsa", "zone-transfer"]', 'hosts = ["localhost"]', f'ca = "{site.keys.ca}"'],
    )


def choose_study(site: Site, folders: list[Path]) -> given.Study:
    if not folders:
        folder = site.dir / "study"
        folder.mkdir(exist_ok=True)
        say(f"generating a head MR of {GENERATED_IMAGES} images")
        mr.generate(folder, GENERATED_IMAGES, GENERATED_SEED)
        folders = [folder]
    study = given.load(folders, site.dir / "study-as-sent")
    say(f"{len(study.files)} instances, {study.file_bytes / 1e6:.1f} MB of DICOM files")
    if study.rewritten:
        say(f"the folders hold several studies: {study.rewritten} files get the Study Instance UID of the first, and nothing else changes")
    return study


def fill_pacs(site: Site, study: given.Study) -> None:
    say("filling the PACS (Orthanc)")
    site.studies = sorted({site.pacs.add_file(path) for path in study.files})


def press_and_watch(site: Site, study: given.Study) -> None:
    """The press, in a thread of its own: Orthanc answers only when it has sent all."""
    say(f"the press: the PACS sends the study to the AE title {DESTINATION}")
    failure: list[Exception] = []
    press = threading.Thread(target=send, args=(site, failure), daemon=True)
    press.start()
    progress = Progress(len(study.files))
    deadline = time.monotonic() + DELIVERY_SECONDS_MAX
    while time.monotonic() < deadline:
        if failure:
            raise DemoError(f"the PACS could not send: {failure[0]}")
        deliveries = site.gateway.deliveries()
        if deliveries:
            progress.show(deliveries[0])
            check(deliveries)
            if not press.is_alive() and all(delivery["state"] in ("notified", "pulled") for delivery in deliveries):
                return
        time.sleep(POLL_SECONDS)
    raise DemoError(f"no notice within {DELIVERY_SECONDS_MAX} s")


def send(site: Site, failure: list[Exception]) -> None:
    try:
        site.pacs.send(BUTTON, site.studies)
    except Exception as error:  # Handed to the thread that shows it.
        failure.append(error)


def check(deliveries: list[dict]) -> None:
    for delivery in deliveries:
        if delivery["state"] == "failed":
            raise DemoError(f"the delivery failed: {delivery['trouble']}")


def read_notice(site: Site) -> str:
    """The newest mail of the phone, as its owner sees it."""
    deadline = time.monotonic() + NOTICE_SECONDS_MAX
    while time.monotonic() < deadline:
        with Mailbox(site.store, "phone") as mailbox:
            messages = mailbox.messages()
        if messages:
            notice = message_from_bytes(messages[-1].content, policy=policy.default)
            text = f"{notice['Subject']}\n{notice.get_body(('plain',)).get_content().strip()}"
            say("the phone's mailbox has the notice:")
            print("\n".join(f"    | {line}" for line in text.splitlines()), flush=True)
            return text
        time.sleep(POLL_SECONDS)
    raise DemoError("the notice did not come into the phone's mailbox")


def pull(site: Site) -> None:
    say("the doctor pulls: scanpost-reader pull")
    result = site.reader.pull()
    print("\n".join(f"    | {line}" for line in result.stdout.splitlines()), flush=True)
    if result.returncode != 0:
        raise DemoError(f"scanpost-reader pull: {result.stderr.strip() or result.stdout.strip()}")


def finish(site: Site) -> list[dict]:
    """Waits until the gateway has verified the doctor's receipt."""
    say("waiting for the signed receipt at the gateway")
    return site.gateway.wait_for_state("pulled")


def keep_running(site: Site) -> None:
    gateway = site.gateway
    print(f"""
  Everything keeps running until Ctrl-C. It lies in {site.dir}:
    keys/ gateway/ pulled/ log/ and mail/ (passwords: mail/mail-passwords.json)
    DICOM 127.0.0.1:{gateway.port} ({DESTINATION})   SMTPS localhost:{site.store.smtps_port}   IMAPS localhost:{site.store.imaps_port}
  The technician's page: {site.technician_url}   user {site.technician.name}   password {site.technician.password}
    (its authority: {site.keys.ca}; the study is found there by the patient's name or id, or sent to {page.HOLD} it waits there)
  The doctor's app: {site.portal.url}/   user {site.phone.name}   password {site.phone.password}   one-time code: {site.phone.code()} now,
    later of {site.phone.secret} in any code app (the same authority); a browser enrols with what this prints, and opens what is sent after:
    {program('scanpost-gateway')} doctor invite doctor --config {gateway.config}
  Try:
    storescu -aec {DESTINATION} +sd 127.0.0.1 {gateway.port} FOLDER
    {program('scanpost-gateway')} deliveries --config {gateway.config}
    {program('scanpost-gateway')} check --config {gateway.config}
    {program('scanpost-reader')} pull --config {site.reader.config}
    openssl s_client -connect localhost:{site.store.imaps_port} -CAfile {site.store.ca}
""", flush=True)
    while gateway.child.is_running():
        time.sleep(0.5)
    raise DemoError("the gateway ended by itself")


def explain(site: Site, error: Exception) -> None:
    print(f"\nThe demo failed: {error}\nLogs:", *(f"  {path}" for path in site.logs() if path.exists()), sep="\n", file=sys.stderr, flush=True)


def say(text: str) -> None:
    print(f"  {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
