"""Backup beside a running gateway, and the way back: every study that was acknowledged before arrives once, what was deleted after stays deleted, nobody
who has a study is told of it again, and what is damaged, foreign or in the way is refused in words."""

import fcntl
import json
import os
import re
import shutil
import subprocess
from contextlib import contextmanager
from pathlib import Path

import pytest
from lab import gateway, openssl, page
from lab.api import Api
from lab.keys import SITE, Keys
from lab.mailbox import Mailbox
from lab.portal import Portal, b64u
from lab.programs import program
from peers import senders, tiny

import harness
from harness import Bench
from test_audit import audit, kept
from test_ending import holding, needles, of, press, proofs, until
from test_page import write_study
from test_portal import account, deliver, enrolled, portal  # noqa: F401

IMAGES = 4
PATIENT = "Kasumi^Kanaria"


def run(bench: Bench, *words: object) -> subprocess.CompletedProcess:
    command = [program("scanpost-gateway"), *words, "--config", bench.gateway.config]
    return subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=120)


def backup(bench: Bench, name: str = "backup", *arguments: str) -> Path:
    folder = bench.folder / name
    made = run(bench, "backup", "--to", folder, *arguments)
    assert made.returncode == 0, made.stderr
    return folder


def state(bench: Bench) -> Path:
    return bench.gateway.folder / "state"


def lose_the_machine(bench: Bench) -> None:
    bench.gateway.kill()
    shutil.rmtree(state(bench))


def restore(bench: Bench, folder: Path, *arguments: object) -> str:
    result = run(bench, "restore", "--from", folder, *arguments)
    assert result.returncode == 0, result.stderr
    return result.stdout


def refusal(bench: Bench, folder: Path, *arguments: object) -> str:
    before = sorted(map(str, state(bench).rglob("*"))) if state(bench).exists() else []
    result = run(bench, "restore", "--from", folder, *arguments)
    assert result.returncode == 1, result.stdout
    assert (sorted(map(str, state(bench).rglob("*"))) if state(bench).exists() else []) == before, "a refused restore leaves nothing"
    return result.stderr


def notices(bench: Bench) -> int:
    bench.store.wait_until_handed_over()
    return len(harness.messages(bench.store, "phone"))


def receipts(bench: Bench) -> list[str]:
    names = (harness.header(message, "Message-ID") for message in harness.messages(bench.store, "doctor"))
    return [name for name in names if ".cover@" not in name and ".1@" not in name]


@contextmanager
def aside_locked(folder: Path):
    """As a backup that is under way has it."""
    descriptor = os.open(folder, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    yield
    os.close(descriptor)


@pytest.fixture
def api(bench: Bench) -> Api:
    bench.start_with_page()
    return bench.api()


@pytest.fixture
def study(tmp_path: Path, ct_study: list[Path]) -> list[Path]:
    return write_study(tmp_path / "study", ct_study, PATIENT, number=77, count=IMAGES)


def sealed_and_collecting(bench: Bench, sealed: list[Path], collecting: list[Path]) -> Path:
    """A backup of a gateway whose mail server is down: one study waits for it, sealed, the other one still comes."""
    bench.store.stop()
    senders.storescu(bench.port, "DR_DEMO", sealed)
    bench.gateway.wait_for("the sealed one", lambda all: any(one["state"] == "sealed" for one in all))
    bench.gateway.stop()
    bench.start(settle_ms=60_000, silence_ms=60_000)
    senders.storescu(bench.port, "DR_DEMO", collecting)
    copy = backup(bench)
    bench.configure(settle_ms=500, silence_ms=3_000)
    return copy


def test_what_was_acknowledged_before_arrives_once_after_the_machine_was_lost(bench: Bench, tmp_path: Path):
    studies = {name: tiny.generate(tmp_path / name, IMAGES, seed=80 + number)
               for number, name in enumerate(("pulled", "mailed", "sealed", "collecting", "after", "late"))}
    bench.start()
    senders.storescu(bench.port, "DR_DEMO", studies["pulled"])
    bench.deliver_and_pull()
    senders.storescu(bench.port, "DR_DEMO", studies["mailed"])
    bench.gateway.wait_for_state("notified", "pulled", count=2)
    bench.store.wait_until_handed_over()
    copy = sealed_and_collecting(bench, studies["sealed"], studies["collecting"])
    bench.gateway.stop()
    # The gateway goes on, and sends all of it; what is sealed now is sealed anew after the restore, unless the mailbox shows it.
    bench.store.start()
    bench.gateway.start()
    senders.storescu(bench.port, "DR_DEMO", studies["after"])
    bench.gateway.wait_for_state("notified", "pulled", count=5)
    bench.pull()
    bench.gateway.wait_for_state("pulled", count=5)
    told = notices(bench)
    lose_the_machine(bench)
    words = restore(bench, copy)
    assert "as they were at" in words and "no newer audit trail was named" in words, words
    bench.gateway.start()
    # The one that came after is known again, by what lies in the mailbox.
    bench.gateway.wait_for_state("pulled", count=5)
    assert bench.log.read_text().count("is not sent to them again") >= 3
    senders.storescu(bench.port, "DR_DEMO", studies["late"])
    bench.gateway.wait_for_state("notified", "pulled", count=6)
    bench.pull()
    bench.gateway.wait_for_state("pulled", count=6)
    harness.assert_equal_bytes([path for paths in studies.values() for path in paths], bench.reader.files())
    assert notices(bench) == told + 1, "nobody is told again of what is here"
    assert audit(bench, "verify").returncode == 0
    assert any("restored from a backup" in message for message in kept(bench))


def test_what_nobody_had_sent_yet_is_sent_after_a_restore_elsewhere(bench: Bench, tmp_path: Path):
    studies = {name: tiny.generate(tmp_path / name, IMAGES, seed=90 + number) for number, name in enumerate(("sealed", "collecting"))}
    bench.start()
    copy = sealed_and_collecting(bench, studies["sealed"], studies["collecting"])
    (orphan,) = [one["id"] for one in bench.gateway.deliveries() if one["state"] == "received"]
    lose_the_machine(bench)
    restore(bench, copy)
    bench.store.start()
    # A piece that went after the backup, and whose cover never did: it has the name of one that is to come.
    name = f"<{orphan}.1@{SITE}>"
    with Mailbox(bench.store, "doctor") as mailbox:
        mailbox.append(f"Message-ID: {name}\r\nSubject: orphan\r\n\r\nAAAA\r\n".encode())
    bench.gateway.start()
    bench.gateway.wait_for_state("notified", count=2)
    named = [message for message in harness.messages(bench.store, "doctor") if harness.header(message, "Message-ID") == name]
    assert [harness.header(message, "Subject") == "orphan" for message in named] == [False], "one piece of this name, and not the orphan"
    bench.pull()
    bench.gateway.wait_for_state("pulled", count=2)
    harness.assert_equal_bytes([path for paths in studies.values() for path in paths], bench.reader.files())
    assert notices(bench) == 2


def test_a_case_that_was_closed_after_the_backup_stays_deleted(bench: Bench, api: Api, study: list[Path]):
    case = press(bench, api, study)
    delivery = of(bench, case)["id"]
    bench.pull()
    until(bench, case, "the receipt", lambda one: one["state"] == "pulled")
    copy = backup(bench)
    assert api.post(f"/studies/{case}/close").status == 204
    until(bench, case, "the proof", lambda one: one["ended"] and one["ended"]["proved_at_ms"])
    told = notices(bench)
    trail = bench.folder / "old-audit"
    bench.gateway.kill()
    shutil.copytree(state(bench) / "audit", trail)
    shutil.rmtree(state(bench))
    restore(bench, copy, "--audit", trail)
    own = {name: needle for name, needle in needles(study, delivery).items() if not name.startswith("delivery")}
    assert any("study" in found for found in holding(state(bench), own)), "the backup brought nothing back that could be deleted"
    bench.gateway.start()
    ended = until(bench, case, "the second proof", lambda one: one["ended"] and one["ended"]["proved_at_ms"])
    assert (ended["state"], ended["ended"]["how"], ended["ended"]["by"]) == ("closed", "closed", "system pacs")
    harness.wait_until("the journal to forget", lambda: not holding(state(bench), own))
    assert not harness.messages(bench.store, "doctor") and len(proofs(bench)) == 2
    assert notices(bench) == told
    assert audit(bench, "verify").returncode == 0


def test_a_study_that_was_recalled_after_the_backup_is_not_sent(bench: Bench, api: Api, study: list[Path]):
    bench.store.stop()
    try:
        senders.storescu(bench.port, page.HOLD, study)
        (case,) = [one["case"] for one in api.get("/studies").body if one["delivery"]["state"] == "held"]
        assert api.post("/deliveries", {"study": {"case": case}, "doctors": ["doctor"]}).status == 201
        bench.gateway.wait_for("the sealed one", lambda all: any(one["state"] == "sealed" for one in all))
        copy = backup(bench)
        assert api.post(f"/studies/{case}/withdraw").status in (200, 204)
        trail = bench.folder / "old-audit"
        bench.gateway.kill()
        shutil.copytree(state(bench) / "audit", trail)
        shutil.rmtree(state(bench))
        restore(bench, copy, "--audit", trail)
    finally:
        bench.store.start()
    bench.gateway.start()
    assert of(bench, case)["state"] == "recalled"
    bench.gateway.wait_for("it waits for another press", lambda all: [one["state"] for one in all if one["case"] != case] == ["held"])
    assert not harness.messages(bench.store, "doctor") and notices(bench) == 0


def test_a_backup_holds_patients_data_under_the_spools_key_alone(bench: Bench, api: Api, study: list[Path]):
    case = press(bench, api, study)
    copy = backup(bench)
    searched = needles(study, of(bench, case)["id"])
    # A piece's header has the id of its delivery, as it has in the mailbox.
    searched = {name: needle for name, needle in searched.items() if not name.startswith("delivery")}
    assert not holding(copy, searched), "something of the patient lies in the backup in plain"
    assert any(path.name == "journal.sqlite" for path in copy.iterdir())
    modes = {path.stat().st_mode & 0o077 for path in [copy, *copy.rglob("*")]}
    assert modes == {0}, "others may look into it"
    manifest = json.loads((copy / "manifest.json").read_text())
    left_out = {Path(path) for path in manifest["left_out"]}
    assert bench.gateway.spool_key in left_out and bench.keys.key("site") in left_out
    key = bench.gateway.spool_key.read_bytes()
    assert not holding(copy, {"spool key": key})
    with_secrets = backup(bench, "with-secrets", "--with-secrets")
    assert holding(with_secrets, {"spool key": key})
    assert json.loads((with_secrets / "manifest.json").read_text())["left_out"] == []
    assert run(bench, "backup", "--to", copy).stderr.count("is there already") == 1


def test_configuration_and_keys_come_back_with_their_modes(bench: Bench):
    stamp = bench.folder / "done"
    bench.start(check_lines=[f'backup_stamp = "{stamp}"'])
    certificate = bench.folder / "own" / "site.cert.pem"
    certificate.parent.mkdir()
    shutil.copy(bench.keys.certificate("site"), certificate)
    text = bench.gateway.config.read_text()
    bench.gateway.config.write_text(text.replace(str(bench.keys.certificate("site")), str(certificate)))
    copy = backup(bench, "backup", "--with-secrets")
    assert stamp.read_text().strip() == str(copy), "`check` tells by it how old the last one is"
    stamp.unlink()
    stamp.mkdir()
    again = run(bench, "backup", "--to", bench.folder / "again")
    assert again.returncode == 0 and "the backup is whole, but [check] backup_stamp cannot be written" in again.stdout, again
    lose_the_machine(bench)
    configuration, key = bench.gateway.config.read_bytes(), bench.gateway.spool_key.read_bytes()
    bench.gateway.config.unlink()
    bench.gateway.spool_key.unlink()
    certificate.unlink()
    # A backup that says itself whose it is.
    words = refusal(bench, copy)
    digest = re.search(r"--site-sha256 ([0-9a-f]{64})", words)
    assert digest and "no certificate of the site is on this machine" in words, words
    fingerprint = digest.group(1)
    assert "not signed by this site's key" in refusal(bench, copy, "--site-sha256", fingerprint.replace(fingerprint[0], "e" if fingerprint[0] != "e" else "f"))
    folder = certificate.parent
    folder.rename(folder.with_name("away"))
    assert f"{folder} is missing" in refusal(bench, copy, "--site-sha256", fingerprint)
    assert not bench.gateway.config.exists() and not bench.gateway.spool_key.exists(), "a refused restore puts nothing anywhere"
    folder.with_name("away").rename(folder)
    # Of one that was killed.
    half = bench.gateway.spool_key.with_name(bench.gateway.spool_key.name + ".unfinished")
    half.write_bytes(b"half")
    words = restore(bench, copy, "--site-sha256", ":".join(re.findall("..", fingerprint.upper())))
    assert certificate.read_bytes() == bench.keys.certificate("site").read_bytes() and not half.exists()
    assert f"put back: {bench.gateway.spool_key}" in words
    assert (bench.gateway.config.read_bytes(), bench.gateway.spool_key.read_bytes()) == (configuration, key)
    assert bench.gateway.spool_key.stat().st_mode & 0o777 == 0o600
    assert state(bench).stat().st_mode & 0o777 == 0o700
    assert not any(path.stat().st_mode & 0o077 for path in state(bench).rglob("*") if path.is_file() and path.name == "journal.sqlite")
    bench.gateway.start()


def test_the_first_start_waits_for_the_mailboxes_and_is_begun_again_after_a_kill(bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    study = tiny.generate(tmp_path / "study", IMAGES, seed=71)
    bench.start()
    senders.storescu(bench.port, "DR_DEMO", study)
    bench.gateway.wait_for_state("notified")
    copy = backup(bench)
    bench.deliver_and_pull()
    told = notices(bench)
    bench.store.stop()
    bench.gateway.stop()
    bench.gateway.start()
    lose_the_machine(bench)
    restore(bench, copy)
    with monkeypatch.context() as patch:
        # One that was not restored starts without a mail server, as it just did.
        patch.setattr(gateway, "START_SECONDS_MAX", 4)
        with pytest.raises(RuntimeError, match="does not start"):
            bench.gateway.start()
    assert "audit trail and mailboxes are read before anything is sent or taken" in bench.log.read_text()
    bench.gateway.kill()
    bench.store.start()
    bench.gateway.start()
    bench.gateway.wait_for_state("pulled")
    bench.pull()
    harness.assert_equal_bytes(study, bench.reader.files())
    assert notices(bench) == told


def test_what_must_not_be_put_back_is_refused_in_words(bench: Bench, tmp_path: Path):
    bench.start()
    senders.storescu(bench.port, "DR_DEMO", tiny.generate(tmp_path / "study", IMAGES, seed=70))
    bench.deliver_and_pull()
    copy = backup(bench)
    assert "is not empty" in refusal(bench, copy), "over a state that is there"
    lose_the_machine(bench)

    def changed(name: str) -> Path:
        other = bench.folder / name
        shutil.copytree(copy, other)
        return other

    damaged = changed("damaged")
    content = bytearray((damaged / "journal.sqlite").read_bytes())
    content[len(content) // 2] ^= 1
    (damaged / "journal.sqlite").write_bytes(content)
    assert "journal.sqlite is not what was written: the backup is damaged" in refusal(bench, damaged)
    lacking = changed("lacking")
    (lacking / "content.key").unlink()
    assert "content.key is missing" in refusal(bench, lacking)
    forged = changed("forged")
    text = (forged / "manifest.json").read_text()
    (forged / "manifest.json").write_text(text.replace('"site": "', '"site": "x'))
    assert "not signed by this site's key" in refusal(bench, forged)
    foreign = Keys(bench.folder / "foreign").make()
    bench.gateway.config.write_text(bench.gateway.config.read_text().replace(str(bench.keys.certificate("site")), str(foreign.certificate("site"))))
    assert "not signed by this site's key" in refusal(bench, copy), "of another site"
    bench.gateway.write_configuration()
    opened = changed("open")
    opened.chmod(0o755)
    assert "open to others" in refusal(bench, opened)
    (bench.folder / "empty").mkdir(mode=0o700)
    assert "is no backup" in refusal(bench, bench.folder / "empty")
    other_trail = bench.folder / "other-audit"
    other_trail.mkdir(mode=0o700)
    (other_trail / "trail-000001.log").write_text("something else\n")
    assert "does not begin with that of the backup" in refusal(bench, copy, "--audit", other_trail)
    key = bench.gateway.spool_key.read_bytes()
    bench.gateway.spool_key.unlink()
    openssl.write_secret(bench.gateway.spool_key, bytes(32))
    assert "another spool key" in refusal(bench, copy)
    bench.gateway.spool_key.unlink()
    openssl.write_secret(bench.gateway.spool_key, key)
    # As a kill left it: spool and keys are in place, the journal is not.
    half = state(bench) / "restore.unfinished"
    half.mkdir(parents=True, mode=0o700)
    with pytest.raises(RuntimeError, match=r"a restore is under way, or was cut short \(operator: "):
        bench.gateway.start()
    assert list(state(bench).iterdir()) == [half], "no journal was begun beside it"
    shutil.rmtree(state(bench))
    restore(bench, copy)
    bench.gateway.start()
    bench.gateway.wait_for_state("pulled")


def test_what_a_killed_backup_left_goes_and_two_do_not_meet(bench: Bench):
    bench.start()
    aside, half = state(bench) / "backup.unfinished", bench.folder / "killed.unfinished"
    for folder in (aside, half):
        folder.mkdir(mode=0o700)
        (folder / "journal.sqlite").write_text("keys")
    (aside / "to").symlink_to(half)
    with aside_locked(aside):
        refused = run(bench, "backup", "--to", bench.folder / "second")
        assert refused.returncode == 1 and "another backup is under way" in refused.stderr, refused
        assert (aside / "journal.sqlite").exists() and half.exists()
    bench.gateway.stop()
    bench.gateway.start()
    harness.wait_until("what was left to go", lambda: not aside.exists() and not half.exists())
    backup(bench)
    assert not aside.exists()


def test_the_syslog_server_does_not_get_again_what_it_has(bench: Bench):
    bench.start()
    taken = state(bench) / "audit" / "taken"
    taken.write_text("1 100\n")
    copy = backup(bench)
    lose_the_machine(bench)
    restore(bench, copy)
    assert taken.read_text() == "1 100\n"


def test_a_study_that_was_pressed_and_recalled_after_the_backup_is_deleted_where_it_lies(bench: Bench, api: Api, study: list[Path]):
    copy = backup(bench)
    case = press(bench, api, study)
    mails = harness.messages(bench.store, "doctor")
    told = notices(bench)
    assert api.post(f"/studies/{case}/withdraw").status in (200, 204)
    harness.wait_until("the mailbox to be empty", lambda: not harness.messages(bench.store, "doctor"))
    trail = bench.folder / "old-audit"
    bench.gateway.kill()
    shutil.copytree(state(bench) / "audit", trail)
    shutil.rmtree(state(bench))
    # As if the machine had been lost before that.
    with Mailbox(bench.store, "doctor") as mailbox:
        for mail in mails:
            mailbox.append(mail.content)
    restore(bench, copy, "--audit", trail)
    bench.gateway.start()
    assert [one["state"] for one in bench.gateway.deliveries()] == ["recalled"]
    harness.wait_until("the mailbox to be empty again", lambda: not harness.messages(bench.store, "doctor"))
    assert notices(bench) == told


def test_a_cover_is_not_deleted_as_an_orphan_wherever_it_lies(bench: Bench, tmp_path: Path):
    # Of a device that enrolled after the backup: the doctor has no certificate in it.
    bench.start(settle_ms=60_000, silence_ms=60_000, destinations={"DR_DEMO": ["doctor"], "DR_TWO": ["doctor2"]}, without_certificate=("doctor2",))
    senders.storescu(bench.port, "DR_DEMO", tiny.generate(tmp_path / "moved", IMAGES, seed=61))
    (moved,) = [one["id"] for one in bench.gateway.deliveries()]
    senders.storescu(bench.port, "DR_TWO", tiny.generate(tmp_path / "new", IMAGES, seed=62))
    (new,) = [one["id"] for one in bench.gateway.deliveries() if one["id"] != moved]
    copy = backup(bench)
    lose_the_machine(bench)
    restore(bench, copy)

    def cover(delivery: str) -> bytes:
        return f"Message-ID: <{delivery}.cover@{SITE}>\r\nSubject: earlier\r\n\r\nAAAA\r\n".encode()

    with Mailbox(bench.store, "doctor2") as mailbox:
        mailbox.append(cover(new))
    with Mailbox(bench.store, "doctor") as mailbox:
        assert mailbox.imap.append("Junk", None, None, cover(moved))[0] == "OK"
    try:
        bench.gateway.start()
        states = {one["id"]: one["state"] for one in bench.gateway.deliveries()}
        assert states[new] in ("submitted", "notified") and states[moved] == "received", states
        assert [harness.header(mail, "Subject") for mail in harness.messages(bench.store, "doctor2")] == ["earlier"]
    finally:
        with Mailbox(bench.store, "doctor") as mailbox:
            mailbox.imap.select("Junk")
            left = len(mailbox.messages())
            mailbox.empty()
    assert left == 1, "whether it is needed is not known"


def test_a_folder_that_is_missing_holds_up_neither_the_first_start_nor_a_proof(bench: Bench, study: list[Path]):
    bench.start_with_page(destinations={"DR_DEMO": ["doctor"], "DR_AWAY": ["away"]}, without_certificate=("away",))
    api = bench.api()
    case = press(bench, api, study)
    bench.pull()
    until(bench, case, "the receipt", lambda one: one["state"] == "pulled")
    senders.storescu(bench.port, page.HOLD, tiny.generate(study[0].parent.parent / "waits", IMAGES, seed=63))
    copy = backup(bench)
    assert api.post(f"/studies/{case}/close").status == 204
    until(bench, case, "the proof", lambda one: one["ended"] and one["ended"]["proved_at_ms"])
    trail = bench.folder / "old-audit"
    bench.gateway.kill()
    shutil.copytree(state(bench) / "audit", trail)
    shutil.rmtree(state(bench))
    restore(bench, copy, "--audit", trail)
    bench.gateway.start()
    until(bench, case, "the second proof", lambda one: one["ended"] and one["ended"]["proved_at_ms"])
    assert len(proofs(bench)) == 2 and b'"doctor":"away"' not in proofs(bench)[1]


def test_a_portal_comes_back_with_its_accounts_and_phones_and_nobody_signed_in(bench: Bench, portal: Portal, account):  # noqa: F811
    phone, passkey = enrolled(portal, account)
    copy = bench.folder / "portal.db.backup"
    made = portal.command("backup", "--to", str(copy))
    assert made.returncode == 0, made.stderr
    assert copy.stat().st_mode & 0o777 == 0o600
    assert "is there already" in portal.command("backup", "--to", str(copy)).stderr
    refused = portal.command("restore", "--from", str(copy))
    assert refused.returncode != 0 and "puts nothing over it" in refused.stderr
    portal.stop()
    shutil.rmtree(portal.state)
    damaged = bench.folder / "damaged.db"
    content = copy.read_bytes()
    damaged.write_bytes(content[:4096] + bytes(len(content) - 4096))
    damaged.chmod(0o600)
    foreign = bench.folder / "foreign.db"
    foreign.write_text("no database")
    foreign.chmod(0o600)
    for wrong in (damaged, foreign):
        refused = portal.command("restore", "--from", str(wrong))
        assert refused.returncode != 0 and "is no whole state of a portal" in refused.stderr, refused
        assert not any(portal.state.iterdir())
    # The log of a database that is gone would be applied to the one that comes.
    log = portal.state / "portal.db-wal"
    log.write_text("pages")
    refused = portal.command("restore", "--from", str(copy))
    assert refused.returncode != 0 and "portal.db-wal is there: restore puts nothing over it" in refused.stderr, refused
    log.unlink()
    damaged.chmod(0o644)
    assert "is open to others" in portal.command("restore", "--from", str(damaged)).stderr
    put_back = portal.command("restore", "--from", str(copy))
    assert put_back.returncode == 0 and "all sessions have ended" in put_back.stdout, put_back
    assert (portal.state / "portal.db").stat().st_mode & 0o777 == 0o600
    assert portal.state.stat().st_mode & 0o777 == 0o700, "the restore has made it"
    portal.start()
    assert phone.get("/api/home").error == "signed_out"
    assert portal.phone().by_passkey(passkey).status == 200


def test_a_reader_that_comes_back_older_pulls_what_it_lacks_and_shows_nothing_twice(bench: Bench, tmp_path: Path):
    first, second = (tiny.generate(tmp_path / name, IMAGES, seed=number) for number, name in enumerate(("first", "second"), 50))
    bench.start()
    senders.storescu(bench.port, "DR_DEMO", first)
    bench.deliver_and_pull()
    copy = bench.folder / "output-then"
    shutil.copytree(bench.reader.output, copy)
    senders.storescu(bench.port, "DR_DEMO", second)
    bench.deliver_and_pull(count=2)
    sent = receipts(bench)
    assert len(sent) == 2
    shutil.rmtree(bench.reader.output)
    shutil.copytree(copy, bench.reader.output)
    told = notices(bench)
    bench.pull()
    harness.assert_equal_bytes([*first, *second], bench.reader.files())
    bench.pull()
    harness.assert_equal_bytes([*first, *second], bench.reader.files())
    assert notices(bench) == told
    assert receipts(bench) == sent, "its receipts are found in the mailbox"


def test_a_phone_that_was_revoked_after_the_backup_is_revoked_after_the_restore(bench: Bench, portal: Portal, account, ct_study: list[Path]):  # noqa: F811
    deliver(bench, ct_study)
    phone, passkey = enrolled(portal, account)
    listed = run(bench, "doctor", "list", "--json")
    identity = next(device["identity"] for device in json.loads(listed.stdout) if device["doctor"] == "doctor")
    assert phone.request("PUT", f"/api/keys/{b64u(passkey.credential)}?identity={identity}", b"wrapped").status == 200
    copy = bench.folder / "portal.db.backup"
    assert portal.command("backup", "--to", str(copy)).returncode == 0
    assert run(bench, "doctor", "revoke", "doctor", "--all").returncode == 0
    harness.wait_until("the phone to be out", lambda: phone.get("/api/home").status == 401)
    portal.stop()
    shutil.rmtree(portal.state)
    assert portal.command("restore", "--from", str(copy)).returncode == 0
    portal.start()
    harness.wait_until("the mail of the hospital to be read again", lambda: portal.phone().by_passkey(passkey).error == "wrong")
