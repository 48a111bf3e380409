"""The Debian packages: what is in them, what their units allow, and a fresh Debian 12 from `apt install` to a study at the doctor, upgrade, way back and
uninstall. The same programs in containers."""

import hashlib
import json
import os
import re
import shutil
import sqlite3
import ssl
import subprocess
import time
from pathlib import Path

import pydicom
import pytest
from lab import mail_store, openssl, orthanc
from lab.keys import Keys
from lab.mail_store import MailStore
from lab.portal import Phone
from lab.ports import free_port
from lab.process import Child
from lab.programs import TOP, program
from lab.reader import Reader
from peers import fresh_debian
from peers.encoders import compress
from peers.fresh_debian import CannotBoot, FreshDebian
from peers.podman import USER, CannotRun, Podman

import harness

NAMES = ("scanpost-gateway", "scanpost-reader")
UNITS = {"scanpost-gateway.service": "scanpost-gateway", "scanpost-portal.service": "scanpost-reader", "scanpost-reader.service": "scanpost-reader"}
# Tenths: systemd's own scale ends at 10.0.
EXPOSURE_TENTHS_MAX = 12
OLDER, NEWER = "0.0.9", "0.1.0"
CONFIG, STATE = "/etc/scanpost/gateway.toml", "/var/lib/scanpost"
AE_TITLE = "DR_DOCTOR"
# Of an invitation.
CODE = r"([0-9A-Z]{4}-){5}[0-9A-Z]{4}@hospital.example"


@pytest.fixture(scope="module")
def packages(scratch: Path) -> dict[str, list[Path]]:
    """Both packages in two versions, of the same binaries."""
    return {version: pack(scratch / "packages", version) for version in (OLDER, NEWER)}


def pack(out: Path, version: str) -> list[Path]:
    # Packed in a hurry: the best compression takes most of a minute.
    environment = {**os.environ, "SCANPOST_BIN": str(program(NAMES[0]).parent), "DPKG_DEB_COMPRESSOR_TYPE": "gzip", "DPKG_DEB_COMPRESSOR_LEVEL": "1"}
    command = [TOP / "deploy/package", "--out", out, "--version", version]
    result = subprocess.run(list(map(str, command)), capture_output=True, text=True, env=environment, timeout=300)
    assert result.returncode == 0, result.stderr
    return [Path(line) for line in result.stdout.split()]


@pytest.fixture(scope="module")
def unpacked(packages: dict[str, list[Path]], scratch: Path) -> dict[str, Path]:
    folders = {}
    for package in packages[NEWER]:
        name = package.name.split("_")[0]
        folders[name] = scratch / "unpacked" / name
        folders[name].mkdir(parents=True)
        subprocess.run(["dpkg-deb", "-x", package, folders[name]], check=True)
    return folders


def test_packages_hold_program_unit_user_folders_manual_and_sample(packages: dict[str, list[Path]], unpacked: dict[str, Path]):
    assert sorted(unpacked) == sorted(NAMES)
    for unit, name in UNITS.items():
        assert (unpacked[name] / "lib/systemd/system" / unit).is_file()
    for name in NAMES:
        root, doc = unpacked[name], unpacked[name] / "usr/share/doc" / name
        assert (root / "usr/bin" / name).stat().st_mode & 0o7777 == 0o755
        assert (root / "usr/lib/sysusers.d" / f"{name}.conf").is_file() and (root / "usr/lib/tmpfiles.d" / f"{name}.conf").is_file()
        assert {"install.md", "config.md", "portal.md", "changelog.gz", "copyright"} <= {path.name for path in doc.iterdir()}
        bill = json.loads((doc / f"{name}.cdx.json").read_text())
        assert bill["metadata"]["component"]["name"] == name and len(bill["components"]) > 100
        # Nothing below /etc is the package's: what is there is the hospital's, and no upgrade asks about it.
        assert not (root / "etc").exists()
        depends = subprocess.run(["dpkg-deb", "-f", next(one for one in packages[NEWER] if one.name.startswith(name)), "Depends"],
                                 capture_output=True, text=True, check=True).stdout
        assert "libc6 (>=" in depends and "ca-certificates" in depends, depends
    for name, sample in (("scanpost-gateway", "gateway.sample.toml"), ("scanpost-reader", "reader.sample.toml")):
        packed = unpacked[name] / "usr/share/doc" / name / "examples" / sample
        assert packed.read_bytes() == (TOP / "deploy" / sample).read_bytes()
    monitoring = unpacked["scanpost-gateway"] / "usr/share/doc/scanpost-gateway/examples/monitoring"
    assert {path.name for path in monitoring.iterdir()} == {path.name for path in (TOP / "deploy/monitoring").iterdir()}


def test_the_same_binaries_give_the_same_packages(packages: dict[str, list[Path]], scratch: Path):
    pack(scratch / "again", NEWER)
    for package in packages[NEWER]:
        assert digest(package) == digest(scratch / "again" / package.name), package.name


def test_units_are_what_systemd_understands_and_expose_little(unpacked: dict[str, Path], tmp_path: Path):
    for unit, name in UNITS.items():
        text = (unpacked[name] / "lib/systemd/system" / unit).read_text()
        # The program where it lies now, so that systemd finds it.
        local = tmp_path / unit
        local.write_text(text.replace("/usr/bin/", f"{unpacked[name]}/usr/bin/").replace("file:///usr/share/doc/", f"file://{unpacked[name]}/usr/share/doc/"))
        verified = subprocess.run(["systemd-analyze", "verify", "--man=no", local], capture_output=True, text=True)
        ours = [line for line in verified.stderr.splitlines() if unit in line]
        assert verified.returncode == 0 and not ours, verified.stderr
        judged = subprocess.run(["systemd-analyze", "security", "--offline=true", f"--threshold={EXPOSURE_TENTHS_MAX}", "--no-pager", local],
                                capture_output=True, text=True, env={**os.environ, "LANG": "C.UTF-8"})
        print(judged.stdout.strip().splitlines()[-1])
        assert judged.returncode == 0, judged.stdout


def test_who_decodes_frames_may_confine_the_process_that_does(unpacked: dict[str, Path]):
    for unit in ("scanpost-gateway.service", "scanpost-reader.service"):
        text = (unpacked[UNITS[unit]] / "lib/systemd/system" / unit).read_text()
        assert re.search(r"^SystemCallFilter=[^~\n]*\bseccomp\b", text, re.MULTILINE), unit


@pytest.fixture
def purge(tmp_path: Path):
    """Runs the scripts of a purge as dpkg does, on folders below `tmp_path` instead of the machine's, owned by a user without rights."""
    if os.geteuid() != 0:
        pytest.skip("NOT RUN: a purge is root's")
    etc, state = tmp_path / "etc/scanpost", tmp_path / "var/lib/scanpost"
    # The user has to reach them.
    for folder in [tmp_path, *tmp_path.parents]:
        if folder.stat().st_uid == os.geteuid():
            folder.chmod(folder.stat().st_mode | 0o011)
    etc.mkdir(parents=True), (state / "audit").mkdir(parents=True)
    (etc / "site.cert.pem").write_text("the site's")
    (state / "audit/0001").write_text("who moved what")
    (state / "journal.sqlite").write_text("rows")

    def run() -> None:
        for folder in (etc, state):
            subprocess.run(["chown", "-RPh", f"{USER}:{USER}", folder], check=True)
        for name in NAMES:
            script = (TOP / f"deploy/debian/{name}.postrm").read_text()
            local = re.sub(r"(?<![\w/])/(etc|var)/", rf"{tmp_path}/\1/", script)
            subprocess.run(["sh", "-c", local, "postrm", "purge"], check=True, cwd="/", capture_output=True, text=True)
    return run, etc, state


def test_a_purge_writes_through_no_link_and_over_no_certificate(purge, tmp_path: Path):
    run, etc, state = purge
    victim = tmp_path / "victim"
    victim.write_text("root's alone")
    victim.chmod(0o600)
    # Whoever has taken over the service's user would have root write, or read, for them.
    (state / "site.cert.pem").symlink_to(victim)
    run()
    assert victim.read_text() == "root's alone" and victim.stat().st_uid == 0
    copies = [path for path in state.glob("site.cert.*Z.pem") if path.read_text() == "the site's"]
    assert len(copies) == 1 and not etc.exists() and (state / "audit/0001").exists() and not (state / "journal.sqlite").exists()

    # A second site on the same trail: its certificate comes beside the first.
    etc.mkdir()
    (etc / "site.cert.pem").write_text("another")
    (state / "site.cert.pem").unlink()
    (state / "site.cert.pem").write_text("an earlier one")
    copies[0].rename(state / "site.cert.20200101T000000Z.pem")
    run()
    assert sorted(path.read_text() for path in state.glob("site.cert*.pem")) == ["an earlier one", "another", "the site's"]
    assert (state / "site.cert.pem").read_text() == "an earlier one"
    # What is kept already is not kept twice.
    etc.mkdir()
    (etc / "site.cert.pem").write_text("another")
    run()
    assert len(list(state.glob("site.cert*.pem"))) == 3

    etc.mkdir()
    (etc / "site.cert.pem").symlink_to(victim)
    with pytest.raises(subprocess.CalledProcessError):
        run()
    assert not any("root's alone" in path.read_text() for path in state.glob("site.cert*.pem"))


def test_a_purge_reaches_what_a_link_of_the_hospital_leads_to(purge, tmp_path: Path):
    run, etc, state = purge
    for folder in (etc, state, tmp_path / "var/lib/scanpost-portal"):
        folder.mkdir(exist_ok=True)
        elsewhere = tmp_path / f"disk-{folder.parent.name}-{folder.name}"
        folder.rename(elsewhere)
        folder.symlink_to(elsewhere)
        (elsewhere / "secret").write_text("key")
        subprocess.run(["chown", "-R", f"{USER}:{USER}", elsewhere], check=True)
    run()
    assert not list(tmp_path.glob("disk-*/secret"))
    assert {path.name for path in (tmp_path / "disk-lib-scanpost").iterdir()} == {"audit", "site.cert.pem"}


def test_a_refusal_that_no_restart_mends_ends():
    units = sorted((TOP / "deploy/debian").glob("*.service"))
    assert len(units) == len(UNITS)
    for unit in units:
        text = unit.read_text()
        restart_s, within_s, starts = (int(re.search(rf"^{key}=(\d+)$", text, re.M)[1]) for key in ("RestartSec", "StartLimitIntervalSec", "StartLimitBurst"))
        # Reached though each start takes twice the pause.
        assert starts * 3 * restart_s <= within_s, unit.name


class Hospital:
    """What stands around the fresh server: a PACS, a mail store, a doctor with a reader of their own."""

    def __init__(self, folder: Path, store: MailStore, keys: Keys):
        self.store, self.folder = store, folder
        self.pacs = orthanc.Orthanc(folder / "pacs", folder / "orthanc.log")
        self.pacs.start()
        self.port = free_port({store.smtps_port, store.imaps_port})
        self.page_port = free_port({self.port, store.smtps_port, store.imaps_port})
        self.reader = Reader(folder / "reader.toml", folder / "pulled", store, keys)
        self.reader.config.write_text(self._reader())

    def answers(self, ca: str) -> str:
        """All that setup has to be told; the rest are its defaults."""
        return "\n".join([
            'site = "hospital.example"',
            f'pacs_ae_title = "{orthanc.AE_TITLE}"',
            f'pacs_address = "127.0.0.1:{self.pacs.dicom_port}"',
            f'listen = "127.0.0.1:{self.port}"',
            f'page = "127.0.0.1:{self.page_port}"',
            f'smtp = "localhost:{self.store.smtps_port}"',
            f'imap = "localhost:{self.store.imaps_port}"',
            f'mail_user = "{mail_store.address("gateway")}"',
            f'mail_password = "{self.store.password("gateway")}"',
            f'mail_ca = "{ca}"',
            'doctor = "doctor"',
            f'doctor_mailbox = "{mail_store.address("doctor")}"',
            f'notice_mailbox = "{mail_store.address("phone")}"',
            "",
        ])

    def press(self, study: list[Path]) -> None:
        """The PACS's button, once its administrator has entered what setup has printed."""
        self.pacs.know_gateway("doctor", AE_TITLE, self.port)
        self.pacs.know_gateway("gateway", "SCANPOST", self.port)
        self.pacs.send("doctor", sorted({self.pacs.add_file(path) for path in study}))

    def enrol(self, code: str) -> Child:
        """The doctor's command; it goes on until the hospital has confirmed."""
        file = self.folder / "code"
        openssl.write_secret(file, code.encode())
        return Child([program("scanpost-reader"), "enrol", "--config", self.reader.config, "--code-file", file], self.folder / "enrol.log")

    def fingerprint(self) -> str:
        """What the doctor reads out."""
        def read_out() -> re.Match | None:
            log = self.folder / "enrol.log"
            return re.search(r"administrator: (\S+)", log.read_text() if log.exists() else "")
        harness.wait_until("the fingerprint", read_out, 30)
        return read_out()[1]

    def _reader(self) -> str:
        passphrase = self.folder / "passphrase"
        openssl.write_secret(passphrase, b"correct horse battery staple\n")
        return "\n".join([
            f'output = "{self.folder / "pulled"}"',
            "[doctor]",
            f'keys = "{self.folder / "keys"}"',
            f'passphrase_file = "{passphrase}"',
            f'address = "{mail_store.address("doctor")}"',
            "[mailbox]",
            'host = "localhost"',
            f"port = {self.store.imaps_port}",
            f'user = "{mail_store.address("doctor")}"',
            f'password_file = "{self.store.password_file("doctor")}"',
            f'ca = "{self.store.ca}"',
            "",
        ])


@pytest.fixture(scope="module")
def debian_archive(scratch: Path) -> Path:
    try:
        return fresh_debian.archive(scratch)
    except CannotBoot as error:
        pytest.skip(f"NOT RUN: no fresh Debian can be made on this machine: {error}")


@pytest.fixture
def hospital(tmp_path: Path, store: MailStore, keys: Keys):
    hospital = Hospital(tmp_path, store, keys)
    yield hospital
    hospital.pacs.stop()


@pytest.fixture
def debian(scratch: Path, tmp_path: Path, debian_archive: Path):
    """Booted. A container without its own kernel cannot always be; then the scenario says so and is counted as skipped."""
    fresh = FreshDebian(scratch / "debian", tmp_path / "debian.log").unpack(debian_archive)
    try:
        fresh.boot()
    except CannotBoot as error:
        fresh.stop()
        pytest.skip(f"NOT RUN: systemd-nspawn boots nothing on this machine: {error}")
    yield fresh
    fresh.stop()


def test_from_apt_install_to_a_study_upgrade_way_back_and_purge(
        packages: dict[str, list[Path]], debian: FreshDebian, hospital: Hospital, keys: Keys, mr_study: list[Path], ct_study: list[Path]):
    before = debian.files()
    for package in [*packages[OLDER], *packages[NEWER]]:
        shutil.copy(package, debian.root / "root")
    shutil.copy(hospital.store.ca, debian.root / "root/ca.pem")
    openssl.write_secret(debian.root / "root/answers.toml", hospital.answers("/root/ca.pem").encode())

    try:
        walk(debian, hospital, keys, (mr_study, ct_study), before)
    except Exception:
        print(debian.run("journalctl", "--no-pager", "--unit=scanpost-gateway", "--unit=scanpost-portal", "--unit=scanpost-reader", expect=None).stdout[-6000:])
        raise


def walk(debian: FreshDebian, hospital: Hospital, keys: Keys, studies: tuple[list[Path], list[Path]], before: set[str]) -> None:
    study, other = studies
    commands, minutes = first_delivery(debian, hospital, study)
    print(f"from the packages to the first study at the doctor: {len(commands)} commands, {minutes:.1f} min")
    assert len(commands) <= 5 and minutes <= 5, commands
    the_service_is_confined(debian)
    secrets_move_to_systemd(debian, hospital, compress(other, hospital.folder / "compressed", "JPEG 2000"))
    the_portal_answers_and_stops(debian, hospital.store, keys)
    the_reader_pulls_by_itself_and_stops(debian, hospital)
    an_upgrade_migrates_and_leaves_what_the_hospital_wrote(debian)
    an_older_version_refuses_and_the_copy_is_the_way_back(debian)
    what_is_left_is_what_the_manual_says(debian, before)
    a_second_setup_comes_over_no_kept_trail(debian)


def first_delivery(debian: FreshDebian, hospital: Hospital, study: list[Path]) -> tuple[list[str], float]:
    """What people had to type, and the minutes until the doctor had the study; the press is the PACS's."""
    commands = []

    def typed(*command: str) -> subprocess.CompletedProcess:
        commands.append(" ".join(command))
        return debian.run(*command)

    began = time.monotonic()
    typed("apt-get", "install", "--yes", "--quiet", *(f"/root/{name}_{OLDER}_{architecture()}.deb" for name in NAMES))
    told = typed("scanpost-gateway", "setup", "--answers", "/root/answers.toml").stdout
    typed("systemctl", "start", "scanpost-gateway")
    enrolling = hospital.enrol(re.search(CODE, told)[0])
    commands.append("scanpost-reader enrol")
    confirm = ["scanpost-gateway", "doctor", "confirm", "doctor", "--config", CONFIG]
    fingerprint = hospital.fingerprint()
    harness.wait_until("the doctor's request", lambda: fingerprint in debian.run(*confirm).stdout, 60)
    typed(*confirm, "--fingerprint", fingerprint)
    harness.wait_until("the answer", lambda: not enrolling.is_running(), 60)
    assert "Enrolled" in enrolling.log_tail(), enrolling.log_tail()

    hospital.press(study)
    harness.wait_until("the notice", lambda: states(debian) == ["notified"], 60)
    pulled = hospital.reader.pull()
    minutes = (time.monotonic() - began) / 60
    assert pulled.returncode == harness.EXIT_DONE, pulled.stdout + pulled.stderr
    harness.wait_until("the receipt", lambda: states(debian) == ["pulled"], 60)
    assert harness.completeness(deliveries(debian)[0]) == {"is": "proved", "instances": len(study)}
    assert len(hospital.reader.files()) == len(study)
    # What setup has said: the PACS's entries, the records of the zone, whose turn it is.
    assert "systemctl edit" not in told
    for words in (f"AE title {AE_TITLE}", f"port {hospital.port}", "scanpost.test  TXT  v=spf1 a:localhost -all", "s1._domainkey.scanpost.test  TXT  v=DKIM1",
                  "_dmarc.scanpost.test  TXT", f"_{hospital.store.smtps_port}._tcp.localhost  TLSA", "the doctor, with the code above: directory"):
        assert words in told, f"{words!r} not in\n{told}"
    assert "cannot log in" not in told
    again = debian.run("scanpost-gateway", "setup", "--answers", "/root/answers.toml", expect=1)
    assert "nothing is written over" in again.stderr
    # Root ran it, and everything is the service's.
    owners = debian.run("find", "/etc/scanpost", STATE, "!", "-user", "scanpost").stdout
    assert owners == "", owners
    return commands, minutes


def the_service_is_confined(debian: FreshDebian) -> None:
    pid = debian.run("systemctl", "show", "--property=MainPID", "--value", "scanpost-gateway").stdout.strip()
    status = debian.run("cat", f"/proc/{pid}/status").stdout
    uid = debian.run("id", "-u", "scanpost").stdout.strip()
    for line in (f"Uid:\t{uid}\t{uid}\t{uid}\t{uid}", "NoNewPrivs:\t1", "Seccomp:\t2", "CapEff:\t0000000000000000", "CapBnd:\t0000000000000000"):
        assert line in status, f"{line} not in\n{status}"
    assert is_read_only(debian.run("cat", f"/proc/{pid}/mountinfo").stdout)
    log = debian.run("journalctl", "--unit=scanpost-gateway", "--no-pager").stdout
    assert "listening for DICOM" in log and "ERROR" not in log and "WARN" not in log, log


def is_read_only(mounts: str) -> bool:
    """Of a process, by its mountinfo (proc(5)): the file system that its root is."""
    root = [line.split() for line in mounts.splitlines() if line.split()[4] == "/"]
    return root[-1][5].split(",")[0] == "ro"


def secrets_move_to_systemd(debian: FreshDebian, hospital: Hospital, study: list[Path]) -> None:
    """By the manual's own words; from then on no secret lies in the clear, and the service does its work."""
    debian.run("sh", "-e", "-c", manual("systemd-creds encrypt"))
    log = ("journalctl", "--unit=scanpost-gateway", "--no-pager")
    harness.wait_until("the start", lambda: debian.run(*log).stdout.count("listening for DICOM") == 2, 30)
    for name in ("scanpost-passphrase", "spool.key", "mail.password"):
        assert not (debian.root / "etc/scanpost" / name).exists()
    hospital.press(study)
    harness.wait_until("the notice", lambda: states(debian) == ["pulled", "notified"], 60)
    # The process that decodes what others encoded confines itself inside the confined unit.
    assert hospital.reader.pull().returncode == harness.EXIT_DONE
    derived = [pydicom.dcmread(path, stop_before_pixels=True).get("DerivationDescription", "") for path in hospital.reader.files()]
    assert sum("decoded from JPEG 2000 lossless" in text for text in derived) == len(study), derived


def manual(word: str) -> str:
    """The block of docs/install.md that has this word."""
    return next(block for block in re.findall(r"```\n(.*?)```", (TOP / "docs/install.md").read_text(), re.S) if word in block)


def the_portal_answers_and_stops(debian: FreshDebian, store: MailStore, keys: Keys) -> None:
    port = free_port()
    configure_portal(debian.root / "etc/scanpost-portal", port, store, keys)
    debian.run("chown", "-R", "scanpost-portal:", "/etc/scanpost-portal")
    debian.run("scanpost-reader", "portal", "account", "add", "doctor", "--config", "/etc/scanpost-portal/portal.toml")
    debian.run("systemctl", "start", "scanpost-portal")
    harness.wait_until("the portal", lambda: portal_answers(keys, port), 30)
    owners = debian.run("find", "/var/lib/scanpost-portal", "/var/cache/scanpost-portal", "!", "-user", "scanpost-portal").stdout
    assert owners == "", owners
    debian.run("systemctl", "stop", "scanpost-portal")
    assert debian.run("systemctl", "show", "--property=Result", "--value", "scanpost-portal").stdout.strip() == "success"


def the_reader_pulls_by_itself_and_stops(debian: FreshDebian, hospital: Hospital) -> None:
    """As the doctor's second machine: what is in the mailbox is decoded within the unit's confines."""
    etc, state, text = debian.root / "etc/scanpost-reader", debian.root / "var/lib/scanpost-reader", hospital.reader.config.read_text()
    shutil.copytree(hospital.folder / "keys", state / "keys")
    for path in (hospital.folder / "passphrase", hospital.store.password_file("doctor"), hospital.store.ca):
        shutil.copy(path, etc / path.name)
        text = text.replace(f'"{path}"', f'"{path.name}"')
    for path, inside in ((hospital.folder / "keys", "keys"), (hospital.reader.output, "cases")):
        text = text.replace(f'"{path}"', f'"/var/lib/scanpost-reader/{inside}"')
    (etc / "reader.toml").write_text(text)
    debian.run("chown", "-R", "scanpost-reader:", "/etc/scanpost-reader", "/var/lib/scanpost-reader")
    debian.run("systemctl", "start", "scanpost-reader")
    harness.wait_until("the study", lambda: list(state.rglob("delivery.json")), 60)
    assert debian.run("find", "/var/lib/scanpost-reader", "!", "-user", "scanpost-reader").stdout == ""
    assert len(list(state.rglob("*.dcm"))) > 1
    debian.run("systemctl", "stop", "scanpost-reader")
    assert debian.run("systemctl", "show", "--property=Result", "--value", "scanpost-reader").stdout.strip() == "success"


def configure_portal(etc: Path, port: int, store: MailStore, keys: Keys) -> None:
    keys.make_server("portal")
    for source, name in ((keys.certificate("portal"), "portal.cert.pem"), (keys.key("portal"), "portal.key.pem"), (keys.certificate("site"), "hospital.cert.pem"),
                         (store.ca, "mail-ca.pem"), (store.password_file("doctor"), "doctor.password")):
        shutil.copy(source, etc / name)
    (etc / "portal.toml").write_text(
        f'[portal]\nlisten = "127.0.0.1:{port}"\ncertificate = "portal.cert.pem"\nkey = "portal.key.pem"\norigin = "https://localhost:{port}"\n'
        f'state = "/var/lib/scanpost-portal"\ncache = "/var/cache/scanpost-portal"\nsites = ["hospital.cert.pem"]\n'
        f'[portal.mailboxes.doctor]\nhost = "localhost"\nport = {store.imaps_port}\nuser = "{mail_store.address("doctor")}"\n'
        'password_file = "doctor.password"\nca = "mail-ca.pem"\n')


def portal_answers(keys: Keys, port: int) -> bool:
    try:
        phone = Phone(port, ssl.create_default_context(cafile=str(keys.ca)), f"https://localhost:{port}")
        return phone.get("/shell.json").status == 200
    except OSError:
        return False


def an_upgrade_migrates_and_leaves_what_the_hospital_wrote(debian: FreshDebian) -> None:
    debian.run("systemctl", "stop", "scanpost-gateway")
    assert debian.run("systemctl", "show", "--property=Result", "--value", "scanpost-gateway").stdout.strip() == "success"
    state = debian.root / STATE.lstrip("/")
    for file in state.glob("journal.sqlite*"):
        file.rename(state / f"kept-{file.name}")
    older = journal_of_the_version_before(state / "journal.sqlite")
    debian.run("chown", "scanpost:", f"{STATE}/journal.sqlite")
    with open(debian.root / CONFIG.lstrip("/"), "a") as config:
        config.write("# of the hospital\n")
    etc = {path: digest(path) for path in (debian.root / "etc/scanpost").iterdir()}
    debian.run("apt-get", "install", "--yes", "--quiet", *(f"/root/{name}_{NEWER}_{architecture()}.deb" for name in NAMES))
    assert debian.run("systemctl", "is-active", "scanpost-gateway").stdout.strip() == "active"
    assert {path: digest(path) for path in (debian.root / "etc/scanpost").iterdir()} == etc
    copy = state / "before-upgrade" / f"journal-{older:04}.sqlite"
    harness.wait_until("the copy of before the upgrade", copy.exists, 30)
    assert rows(copy) == rows(state / "journal.sqlite") == [("doctor", 127)]
    assert schema(copy) == older < schema(state / "journal.sqlite")


def an_older_version_refuses_and_the_copy_is_the_way_back(debian: FreshDebian) -> None:
    state = debian.root / STATE.lstrip("/")
    debian.run("systemctl", "stop", "scanpost-gateway")
    # The journal of a version that is still to come, and its copy of what this version had.
    known = schema(state / "journal.sqlite")
    copy = state / "before-upgrade" / f"journal-{known:04}.sqlite"
    shutil.copy(state / "journal.sqlite", copy)
    with sqlite3.connect(state / "journal.sqlite") as journal:
        journal.execute("INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) VALUES (9999, 'newer', 1, x'00', 0)")
    journal.close()
    debian.run("chown", "-R", "scanpost:", STATE)
    def log() -> str:
        return debian.run("journalctl", "--unit=scanpost-gateway", "--no-pager", "--lines=20").stdout
    debian.run("systemctl", "start", "scanpost-gateway", expect=None)
    harness.wait_until("the refusal", lambda: "written by a newer version" in log(), 30)
    said = log()
    assert "install the newer version again" in said and f"before-upgrade/{copy.name}" in said and "only if no study was taken" in said, said
    words = manual("--allow-downgrades")
    for name, value in (("journal-NNNN.sqlite", copy.name), ("OLD_amd64", f"{OLDER}_{architecture()}"), ("apt install", "apt install --yes --quiet")):
        assert name in words
        words = words.replace(name, value)
    debian.run("sh", "-e", "-c", f"cd /root\n{words}")
    harness.wait_until("the start", lambda: "listening for DICOM" in log(), 30)
    assert debian.run("dpkg-query", "--show", "--showformat=${Version}", "scanpost-gateway").stdout == OLDER
    assert schema(state / "journal.sqlite") == known


def what_is_left_is_what_the_manual_says(debian: FreshDebian, before: set[str]) -> None:
    for unit in UNITS:
        drop_in = debian.root / f"etc/systemd/system/{unit}.d/override.conf"
        drop_in.parent.mkdir()
        drop_in.write_text("[Service]\nNice=1\n")
    debian.run("apt-get", "remove", "--yes", "--quiet", *NAMES)
    removed, purged = left_by_the_manual()
    assert outermost(debian.files() - before) == removed
    debian.run("apt-get", "purge", "--yes", "--quiet", *NAMES)
    assert outermost(debian.files() - before) == purged
    assert {path.name for path in (debian.root / STATE.lstrip("/")).iterdir()} == {"audit", "site.cert.pem"}
    assert any((debian.root / STATE.lstrip("/") / "audit").iterdir()), "the audit trail is gone"


def a_second_setup_comes_over_no_kept_trail(debian: FreshDebian) -> None:
    debian.run("apt-get", "install", "--yes", "--quiet", f"/root/scanpost-gateway_{NEWER}_{architecture()}.deb")
    setup = "scanpost-gateway setup --answers /root/answers.toml"
    refused = debian.run(*setup.split(), expect=1).stderr
    assert "would make its audit trail look forged" in refused and "Install again" in refused, refused
    debian.run("sh", "-e", "-c", manual("scanpost-until").replace("scanpost-gateway setup", setup))
    kept = next((debian.root / "var/lib").glob("scanpost-until-*"))
    assert {path.name for path in kept.iterdir()} == {"audit", "site.cert.pem", "verify.toml"}
    # By the new site's certificate it would look forged.
    config = kept / "verify.toml"
    config.write_text(config.read_text().replace(f"/{kept.relative_to(debian.root)}/site.cert.pem", "/etc/scanpost/site.cert.pem"))
    debian.run("scanpost-gateway", "audit", "verify", "--config", f"/{config.relative_to(debian.root)}", expect=3)
    debian.run("systemctl", "start", "scanpost-gateway")


def left_by_the_manual() -> tuple[set[str], set[str]]:
    """The table of docs/install.md: path, left by remove, left by purge."""
    text = (TOP / "docs/install.md").read_text()
    table = re.findall(r"^\| `(/[^`]+)`[^|]* \| (left|gone) \| (left|gone) \|", text, re.M)
    assert table
    return tuple({path for path, *kept in table if kept[column] == "left"} for column in (0, 1))


def outermost(paths: set[str]) -> set[str]:
    return {path for path in paths if not any(str(parent) in paths for parent in Path(path).parents)}


def journal_of_the_version_before(path: Path) -> int:
    """As sqlx leaves it: every migration but the last, and a row; the number of the last one comes back."""
    files = sorted((TOP / "gateway/migrations/sqlite").glob("*.sql"))[:-1]
    with sqlite3.connect(path) as journal:
        journal.execute("CREATE TABLE _sqlx_migrations (version BIGINT PRIMARY KEY, description TEXT NOT NULL, installed_on TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP, "
                        "success BOOLEAN NOT NULL, checksum BLOB NOT NULL, execution_time BIGINT NOT NULL)")
        for file in files:
            number, description = file.stem.split("_", 1)
            journal.executescript(file.read_text())
            journal.execute("INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) VALUES (?, ?, 1, ?, 0)",
                            (int(number), description.replace("_", " "), hashlib.sha384(file.read_bytes()).digest()))
        journal.execute("INSERT INTO roster_duty (who, days, from_minute, to_minute) VALUES ('doctor', 127, 0, 60)")
    journal.close()
    path.chmod(0o600)
    return schema(path)


def rows(path: Path) -> list[tuple]:
    return query(path, "SELECT who, days FROM roster_duty")


def schema(path: Path) -> int:
    return query(path, "SELECT max(version) FROM _sqlx_migrations")[0][0]


def query(path: Path, sql: str) -> list[tuple]:
    journal = sqlite3.connect(path)
    try:
        return journal.execute(sql).fetchall()
    finally:
        journal.close()


def deliveries(debian: FreshDebian) -> list[dict]:
    return json.loads(debian.run("scanpost-gateway", "deliveries", "--config", CONFIG, "--json").stdout)


def states(debian: FreshDebian) -> list[str]:
    return [delivery["state"] for delivery in deliveries(debian)]


def architecture() -> str:
    return subprocess.run(["dpkg", "--print-architecture"], capture_output=True, text=True, check=True).stdout.strip()


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def podman(scratch: Path, debian_archive: Path):
    """With both images. A machine that runs no containers says so, and the scenario is counted as skipped."""
    podman = Podman(scratch / "podman")
    try:
        podman.build(debian_archive)
        podman.check("gateway")
    except CannotRun as error:
        podman.remove()
        pytest.skip(f"NOT RUN: {error}")
    yield podman
    podman.remove()


def test_images_work_without_rights_on_a_read_only_root(podman: Podman, hospital: Hospital, keys: Keys, mr_study: list[Path], tmp_path: Path):
    etc, state, portal_etc = folder_of_the_container(tmp_path / "etc"), folder_of_the_container(tmp_path / "state"), folder_of_the_container(tmp_path / "portal")
    volumes = [f"{etc}:/etc/scanpost", f"{state}:/var/lib/scanpost"]
    shutil.copy(hospital.store.ca, etc / "ca.pem")
    openssl.write_secret(etc / "answers.toml", hospital.answers("/etc/scanpost/ca.pem").encode())
    shutil.chown(etc / "answers.toml", USER, USER)
    told = podman.once("gateway", volumes, "setup", "--answers", "/etc/scanpost/answers.toml")
    code = re.search(CODE, told)[0]
    gateway = podman.start("gateway", volumes, tmp_path / "gateway.log")
    harness.wait_until("the start", lambda: "listening for DICOM" in gateway.log_tail(), 60)
    enrolling, fingerprint = hospital.enrol(code), hospital.fingerprint()
    confirm = ["scanpost-gateway", "doctor", "confirm", "doctor", "--config", CONFIG]
    harness.wait_until("the doctor's request", lambda: fingerprint in podman.inside("gateway", *confirm), 60)
    podman.inside("gateway", *confirm, "--fingerprint", fingerprint)
    harness.wait_until("the answer", lambda: not enrolling.is_running(), 60)
    hospital.press(mr_study)
    listed = ["scanpost-gateway", "deliveries", "--config", CONFIG, "--json"]
    harness.wait_until("the notice", lambda: '"notified"' in podman.inside("gateway", *listed), 60)
    status = podman.inside("gateway", "cat", "/proc/1/status")
    for line in (f"Uid:\t{USER}\t{USER}\t{USER}\t{USER}", "NoNewPrivs:\t1", "CapEff:\t0000000000000000", "CapBnd:\t0000000000000000"):
        assert line in status, f"{line} not in\n{status}"
    assert is_read_only(podman.inside("gateway", "cat", "/proc/1/mountinfo"))
    (_, healthy) = podman.compose["services"]["gateway"]["healthcheck"]["test"]
    podman.inside("gateway", "sh", "-c", healthy.replace("8443", str(hospital.page_port)))
    assert podman.stop("gateway") == 0 and "stopped" in gateway.log_tail()

    port = free_port()
    configure_portal(portal_etc, port, hospital.store, keys)
    for file in portal_etc.iterdir():
        shutil.chown(file, USER, USER)
    portal = podman.start("portal", [f"{portal_etc}:/etc/scanpost-portal:ro"], tmp_path / "portal.log")
    harness.wait_until("the portal", lambda: portal_answers(keys, port), 60)
    assert podman.stop("portal") == 0 and not portal.is_running()


def folder_of_the_container(path: Path) -> Path:
    path.mkdir(mode=0o700)
    shutil.chown(path, USER, USER)
    return path
