"""`scanpost-gateway check` finds each planted fault, and says nothing beside it where the same thing is set up with care."""

import contextlib
import os
import re
import socket
import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from lab.mail_store import StoreBehind
from lab.ports import free_port
from peers import careless
from peers.authority import Authority
from peers.own_network import own_network

from test_check import DOMAIN, Audit, audit, dns  # noqa: F401

LOOPBACK, ANY = "127.0.0.1", "0.0.0.0"
SMALL_MB, ROOMY_MB = 300, 2_000
DAY_S = 86_400
PAGE_BYTES = 4096
POLICY = f"https://mta-sts.{DOMAIN}/.well-known/mta-sts.txt"
RUN_SECONDS_MAX = 60


class Ground:
    """Where faults are planted: an audit whose only host is a loopback address of its own."""

    def __init__(self, audit: Audit, folder: Path):
        self.audit, self.folder, self.address = audit, folder, careless.own_address()
        self.gateway, self.settings = audit.bench.gateway, audit.settings
        self.base = self.gateway.extra_configuration + f'hosts = ["{self.address}"]\n'
        self.check()

    def check(self, *lines: str) -> None:
        """More keys of `[check]`."""
        self.gateway.extra_configuration = self.base + "".join(f"{line}\n" for line in lines)

    def fresh(self, name: str, is_planted: bool) -> Path:
        return self.folder / f"{name}-{'planted' if is_planted else 'clean'}"


Fault = Callable[[Ground, bool], AbstractContextManager[None]]
FAULTS: dict[str, tuple[str, str, str, Fault]] = {}


def fault(area: str, words: str, twin: str) -> Callable[[Callable[[Ground, bool], Iterator[None]]], Fault]:
    """A state of a site, with the fault or without: by the area that must notice, what it says, and by what the same thing passes without it."""
    def named(state: Callable[[Ground, bool], Iterator[None]]) -> Fault:
        FAULTS[state.__name__] = area, words, twin, contextlib.contextmanager(state)
        return FAULTS[state.__name__][-1]
    return named


@fault("ports", r"port 5900/tcp: open to the network on 0\.0\.0\.0.*\[check\] ports", r"this machine: known and open to the network: 22/tcp")
def a_port_nobody_knows_of(ground: Ground, is_planted: bool) -> Iterator[None]:
    with own_network(), careless.listening(ANY if is_planted else LOOPBACK, 5900), careless.listening(ANY, 22):
        ground.check('ports = ["22/tcp"]')
        yield


@fault("ports", r"port 161/udp: open to the network", r"this machine: known and open to the network: 123/udp")
def a_port_of_udp_nobody_knows_of(ground: Ground, is_planted: bool) -> Iterator[None]:
    with own_network(), careless.listening(ANY if is_planted else LOOPBACK, 161, socket.SOCK_DGRAM), careless.listening(ANY, 123, socket.SOCK_DGRAM):
        ground.check('ports = ["123/udp"]')
        yield


@fault("banners", r":21: tells its version: .*vsFTPd 3\.", r":21: tells no version")
def a_greeting_that_tells_a_version(ground: Ground, is_planted: bool) -> Iterator[None]:
    lines = [] if is_planted else ["ftpd_banner=Files of 127.0.0.1"]
    with careless.vsftpd(ground.fresh("ftp", is_planted), ground.address, "anonymous_enable=NO", *lines):
        yield


@fault("banners", r":8000/: tells its version: SimpleHTTP/0\.6 Python/3", r":8000/: tells no version")
def a_web_server_that_tells_its_version(ground: Ground, is_planted: bool) -> Iterator[None]:
    with careless.web_server(ground.fresh("web", is_planted), ground.address) if is_planted else careless.quiet_web_server(ground.address):
        yield


@fault("listing", r":8000/: shows a listing of its folder", r":8000/: shows no listing")
def a_folder_that_is_listed(ground: Ground, is_planted: bool) -> Iterator[None]:
    folder = ground.fresh("web", is_planted)
    folder.mkdir()
    (folder / ("backup.zip" if is_planted else "index.html")).write_text("something")
    with careless.web_server(folder, ground.address):
        yield


@fault("plain", r":23: telnet is open", r": no telnet, rexec")
def telnet(ground: Ground, is_planted: bool) -> Iterator[None]:
    with careless.listening(ground.address, 23 if is_planted else 22):
        yield


@fault("plain", r":587: offers a login before TLS", r":587: no login without TLS")
def a_login_in_the_clear(ground: Ground, is_planted: bool) -> Iterator[None]:
    store = ground.audit.bench.store
    login = ["smtpd_sasl_auth_enable = yes", "smtpd_sasl_type = dovecot", f"smtpd_sasl_path = {store.dir}/run/postfix-auth",
             f"smtpd_tls_auth_only = {'no' if is_planted else 'yes'}"]
    with careless.postfix(ground.address, (587,), *login):
        yield


@fault("plain", r":143: offers a login before TLS", r":143: no login without TLS")
def a_mailbox_in_the_clear(ground: Ground, is_planted: bool) -> Iterator[None]:
    tls = ground.audit.bench.store.dir / "tls"
    lines = ["ssl = yes", "disable_plaintext_auth = no"] if is_planted else ["ssl = required"]
    # A path below this folder would be too long for Dovecot's sockets.
    folder = Path(tempfile.mkdtemp(dir=tls.parent.parent, prefix="imap"))
    folder.chmod(0o755)
    with careless.dovecot(folder, ground.address, tls / "server.cert.pem", tls / "server.key.pem", *lines):
        yield


@fault("relay", r":25: open relay: takes mail for this machine, without a login", r":25: refuses to relay")
def an_open_relay(ground: Ground, is_planted: bool) -> Iterator[None]:
    friends = "127.0.0.0/8" if is_planted else "198.51.100.0/24"
    with careless.postfix(ground.address, (25,), f"mynetworks = {friends}"):
        yield


@contextlib.contextmanager
def submission_by_s_server(ground: Ground, is_planted: bool, certificate: Path, key: Path, *arguments: str) -> Iterator[None]:
    """In the place of the store's Postfix."""
    store, port = ground.gateway.store, free_port()
    ground.gateway.store = StoreBehind(store.dir, smtps_port=port)
    try:
        with careless.s_server(ground.folder, port, certificate, key, *arguments):
            yield
    finally:
        ground.gateway.store = store


@fault("old-tls", r"submit localhost:\d+: takes TLS 1\.0, TLS 1\.1", r"submit localhost:\d+: refuses SSL 3\.0")
def tls_of_the_last_century(ground: Ground, is_planted: bool) -> Iterator[None]:
    tls = ground.audit.bench.store.dir / "tls"
    versions = ["-cipher", "ALL:@SECLEVEL=0", "-min_protocol", "TLSv1"] if is_planted else ["-min_protocol", "TLSv1.2"]
    with submission_by_s_server(ground, is_planted, tls / "server.cert.pem", tls / "server.key.pem", *versions):
        yield


@fault("tls", r"submit localhost:\d+: TLS 1\.3, \d days left.*renew the certificate", r"submit localhost:\d+: TLS 1\.3, \d\d days left")
def a_server_certificate_about_to_end(ground: Ground, is_planted: bool) -> Iterator[None]:
    authority = Authority(ground.fresh("authority", is_planted))
    issued = authority.issue(ends=9 if is_planted else 90)
    store_ca = ground.gateway.store.ca
    both = ground.fresh("roots.pem", is_planted)
    both.write_text(authority.certificate.read_text() + store_ca.read_text())
    with submission_by_s_server(ground, is_planted, issued.certificate, issued.key):
        ground.gateway.store.ca = both
        yield


@fault("proxy", r":8888: open proxy", r":8888: carries nobody's")
def an_open_proxy(ground: Ground, is_planted: bool) -> Iterator[None]:
    with careless.tinyproxy(ground.fresh("proxy", is_planted), ground.address, *([] if is_planted else ["Allow 198.51.100.1"])):
        yield


@fault("ftp", r":21: lets anybody in", r":21: refuses an anonymous")
def anonymous_ftp(ground: Ground, is_planted: bool) -> Iterator[None]:
    with careless.vsftpd(ground.fresh("ftp", is_planted), ground.address, f"anonymous_enable={'YES' if is_planted else 'NO'}"):
        yield


@fault("zone-transfer", r"scanpost\.test at the resolver .*: hands the whole zone to anybody", r"scanpost\.test at the resolver .*: refuses")
def a_zone_for_everybody(ground: Ground, is_planted: bool) -> Iterator[None]:
    ground.audit.zone.put(DOMAIN, "NS", f"ns.{DOMAIN}.")
    ground.audit.zone.allows_transfer = is_planted
    yield


def published(area: str, words: str, name: str, kind: str, *values: str) -> None:
    """A record of mail identity that is wrong, beside the one that `check` prints."""
    def state(ground: Ground, is_planted: bool) -> Iterator[None]:
        ground.audit.publish()
        if is_planted:
            ground.audit.zone.put(name, kind, *values)
        yield
    state.__name__ = f"a_wrong_record_of_{area}"
    fault(area, words, rf"{re.escape(POLICY if area == 'mta-sts' else name)}: ")(state)


published("spf", r"does not end with -all", DOMAIN, "TXT", "v=spf1 +all")
published("dkim", r"the key is revoked", f"s1._domainkey.{DOMAIN}", "TXT", "v=DKIM1; k=ed25519; p=")
published("dmarc", r"not rejected", f"_dmarc.{DOMAIN}", "TXT", "v=DMARC1; p=none")
published("mta-sts", r"does not name the mail exchanger elsewhere", DOMAIN, "MX", "10 elsewhere.example.")


@fault("tlsa", r"none of the records is that of the server's key", r"that of the server's key")
def a_wrong_record_of_tlsa(ground: Ground, is_planted: bool) -> Iterator[None]:
    ground.audit.publish()
    if is_planted:
        ground.audit.zone.put(f"_{ground.gateway.store.smtps_port}._tcp.localhost", "TLSA", "3 1 1 " + "00" * 32)
    yield


@fault("certificates", r"directory\.ca .* days left.*renew the certificate", r"directory\.ca .*: \d+ days left")
def a_certificate_of_ours_about_to_end(ground: Ground, is_planted: bool) -> Iterator[None]:
    authority = Authority(ground.fresh("authority", is_planted))
    ending = authority.self_signed(is_authority=True) if is_planted else authority
    ground.gateway.extra_configuration = ground.base + f'[directory]\nca = "{ending.certificate}"\n'
    yield


@fault("clock", r"by 127\.\S+: (89|90)\.\d s behind.*time server", r": right to 1 s")
def a_clock_that_is_wrong(ground: Ground, is_planted: bool) -> Iterator[None]:
    with careless.time_server(ground.address, 90 if is_planted else 0) as port:
        ground.check(f'time_server = "{ground.address}:{port}"')
        yield


@fault("disk", r"\d+ MB free: no study is taken any more", r"\d+ MB free")
def a_full_disk(ground: Ground, is_planted: bool) -> Iterator[None]:
    state = ground.gateway.folder / "state"
    with careless.small_disk(state, SMALL_MB if is_planted else ROOMY_MB):
        (state / "filler").write_bytes(bytes(100 << 20))
        yield


@fault("disk", r"room for \d+ files only", r"\d+ MB free")
def a_disk_without_inodes(ground: Ground, is_planted: bool) -> Iterator[None]:
    with careless.small_disk(ground.gateway.folder / "state", ROOMY_MB, 1_000 if is_planted else 100_000):
        yield


@fault("secrets", r"submit\.dkim\.key .*mode 0644, open to others.*chmod 600", r"submit\.dkim\.key .*: ours alone")
def a_key_that_others_read(ground: Ground, is_planted: bool) -> Iterator[None]:
    ground.audit.key.chmod(0o644 if is_planted else 0o600)
    yield


@fault("permissions", r"mode 0777: others can put another file there.*chmod go-w", r"folders: none of the")
def a_folder_that_others_change(ground: Ground, is_planted: bool) -> Iterator[None]:
    ground.gateway.folder.chmod(0o777 if is_planted else 0o755)
    yield


@fault("spool", r"encryption is off: studies lie on the disk in the clear", r"0 days old")
def a_spool_in_the_clear(ground: Ground, is_planted: bool) -> Iterator[None]:
    ground.settings.encryption = "off" if is_planted else "on"
    if not is_planted:
        ground.audit.bench.start()
        ground.gateway.stop()
    yield


@fault("backup", r"\d\d hours old, more than the 26.*backup job", r"2\d hours old")
def an_old_backup(ground: Ground, is_planted: bool) -> Iterator[None]:
    stamp = ground.fresh("stamp", is_planted)
    stamp.touch()
    done_at = time.time() - (2 * DAY_S if is_planted else DAY_S)
    os.utime(stamp, (done_at, done_at))
    ground.check(f'backup_stamp = "{stamp}"')
    yield


@contextlib.contextmanager
def stopped_gateway(ground: Ground) -> Iterator[Path]:
    """One that has worked here; its journal."""
    ground.audit.bench.start()
    ground.gateway.stop()
    yield ground.gateway.folder / "state" / "journal.sqlite"


def set_journal_mode(journal: Path, mode: str) -> None:
    with contextlib.closing(sqlite3.connect(journal)) as connection:
        connection.execute(f"PRAGMA journal_mode = {mode}")


@fault("journal", r"journal\.sqlite: has no write-ahead log: somebody changed it", r"whole by SQLite's quick_check")
def a_journal_of_another_kind(ground: Ground, is_planted: bool) -> Iterator[None]:
    with stopped_gateway(ground) as journal:
        if is_planted:
            set_journal_mode(journal, "DELETE")
        yield
        set_journal_mode(journal, "WAL")


@fault("journal", r"journal\.sqlite: .*(damaged|malformed).*restore", r"whole by SQLite's quick_check")
def a_damaged_journal(ground: Ground, is_planted: bool) -> Iterator[None]:
    with stopped_gateway(ground) as journal:
        before = journal.read_bytes()
        if is_planted:
            # From the second page on are the roots of tables and of their indices.
            with journal.open("r+b") as file:
                file.seek(PAGE_BYTES)
                file.write(os.urandom(8 * PAGE_BYTES))
        yield
        journal.write_bytes(before)


@fault("directory", r"out of date since", r"good until")
def a_revocation_list_of_yesterday(ground: Ground, is_planted: bool) -> Iterator[None]:
    authority = Authority(ground.fresh("authority", is_planted))
    crl = authority.revocations(begins=-3, ends=-1) if is_planted else authority.revocations(ends=5)
    ground.gateway.extra_configuration = ground.base + f'[directory]\ncrl = "{crl}"\nca = "{authority.certificate}"\n'
    yield


@pytest.fixture
def ground(audit: Audit, tmp_path: Path) -> Ground:  # noqa: F811
    if os.geteuid() != 0:
        pytest.skip("NOT RUN: well-known ports, networks and disks of one's own take root")
    # Postfix and vsftpd reach their files as other users.
    for folder in (tmp_path, tmp_path.parent, tmp_path.parent.parent):
        folder.chmod(0o755)
    return Ground(audit, tmp_path)


@pytest.mark.parametrize("name", FAULTS)
def test_a_planted_fault_is_found_and_its_careful_twin_is_not(ground: Ground, name: str):
    area, words, twin, state = FAULTS[name]
    with state(ground, False):
        clean = ground.audit.verdicts(area)
    assert all(verdict != "fail" for verdict, _ in clean) and any(verdict == "pass" and re.search(twin, one) for verdict, one in clean), clean
    with state(ground, True):
        code, report = ground.audit.run()
    found = [f'{check["subject"]}: {check["found"]} {check["mend"]}' for check in report["checks"] if check["area"] == area and check["verdict"] == "fail"]
    assert any(re.search(words, one) for one in found), (found, [check for check in report["checks"] if check["area"] == area])
    assert code == 2


def test_who_keeps_silent_holds_nothing_up(ground: Ground):
    """Every port takes connections and says nothing, the mail server and the resolver too: within a minute each area says that it was not looked at."""
    ports = (21, 25, 80, 110, 143, 443, 587, 1080, 3128, 8000, 8080, 8081, 8118, 8888)
    silent = free_port()
    store = ground.gateway.store
    ground.gateway.store = StoreBehind(store.dir, smtps_port=silent, imaps_port=silent)
    with contextlib.ExitStack() as listening:
        for port in ports:
            listening.enter_context(careless.listening(ground.address, port))
        listening.enter_context(careless.listening(LOOPBACK, silent))
        code, report = ground.audit.run("--resolver", f"{LOOPBACK}:{silent}", seconds=RUN_SECONDS_MAX)
    ground.gateway.store = store
    passed = {check["area"] for check in report["checks"] if check["verdict"] == "pass"}
    assert not passed & {"banners", "plain", "relay", "proxy", "listing", "tls", "old-tls", "ftp", "zone-transfer", "spf", "dkim", "dmarc", "mta-sts", "tlsa"}, passed
    areas = {check["area"] for check in report["checks"]}
    assert areas >= {"banners", "plain", "relay", "proxy", "ftp", "listing", "zone-transfer", "old-tls", "tls", "spf", "dkim", "dmarc", "mta-sts", "tlsa"}, areas
    assert code == 2


OFFERS = {"banners", "plain", "relay", "proxy", "ftp", "listing"}


def test_a_host_that_is_not_found_passes_nowhere(ground: Ground):
    """Its name may be spelt wrong, and the real one be open to everybody."""
    ground.gateway.extra_configuration = ground.base.replace(ground.address, "no-such-host.invalid")
    _, report = ground.audit.run()
    of_host = [check for check in report["checks"] if check["area"] in OFFERS and "no-such-host.invalid" in check["subject"]]
    assert {check["area"] for check in of_host} == OFFERS and {check["verdict"] for check in of_host} == {"not_checked"}, of_host


def test_areas_that_are_left_out_send_nothing(ground: Ground):
    ports = (21, 23, 25, 80, 110, 143, 443, 587, 1080, 8080)
    ground.check(f"skip = {sorted(OFFERS | {'zone-transfer', 'spf', 'dkim', 'dmarc', 'mta-sts', 'tlsa'})}".replace("'", '"'))
    with contextlib.ExitStack() as open_sockets:
        listeners = [open_sockets.enter_context(socket.create_server((ground.address, port))) for port in ports]
        _, report = ground.audit.run()
        for listener in listeners:
            listener.setblocking(False)
            with pytest.raises(BlockingIOError):
                listener.accept()
    assert ground.audit.zone.asked == []
    assert {check["verdict"] for check in report["checks"] if check["area"] in OFFERS} == {"not_checked"}


def test_an_area_that_is_left_out_takes_no_other_with_it(ground: Ground):
    """Web servers are asked once, for their listings and for what they say of themselves."""
    def banners() -> list[str]:
        _, report = ground.audit.run()
        return [check["found"] for check in report["checks"] if check["area"] == "banners" and ":8000" in check["subject"]]

    with careless.quiet_web_server(ground.address):
        ground.check()
        before = banners()
        ground.check('skip = ["listing"]')
        assert before and banners() == before


def test_a_mail_server_that_hosts_does_not_name_is_not_asked_to_relay(audit: Audit):  # noqa: F811
    log = audit.bench.store.dir / "log" / "postfix.log"
    refused = log.read_text(errors="replace").count("relay-check@")
    assert {verdict for verdict, _ in audit.verdicts("relay")} == {"not_checked"}
    assert log.read_text(errors="replace").count("relay-check@") == refused


def test_no_zone_above_the_domain_is_asked_for(ground: Ground):
    """The zone above may be a registry's."""
    zone = ground.audit.zone
    zone.put("or.test", "NS", "ns.or.test.")
    zone.put("hospital.or.test", "MX", "10 mail.hospital.or.test.")
    ground.settings.submit_lines = ['from = "gateway@hospital.or.test"']
    assert [verdict for verdict, _ in ground.audit.verdicts("zone-transfer")] == ["not_checked"]
    assert [question for question in zone.asked if question[1] == "AXFR" or question == ("or.test", "NS")] == []


def test_a_name_server_that_cannot_say_is_not_checked(ground: Ground):
    ground.audit.zone.put(DOMAIN, "NS", f"ns.{DOMAIN}.")
    ground.audit.zone.fails_transfer = True
    found = ground.audit.verdicts("zone-transfer")
    assert len(found) == 2 and {verdict for verdict, _ in found} == {"not_checked"}, found
    assert any(f"ns.{DOMAIN}: the name server has no address" in words for _, words in found), found


def test_a_journal_that_was_cut_short_is_damaged(ground: Ground):
    journal = ground.gateway.folder / "state" / "journal.sqlite"
    journal.write_bytes(b"SQLite for")
    ((verdict, words),) = ground.audit.verdicts("journal")
    journal.unlink()
    assert verdict == "fail" and "restore" in words, words


def test_a_stamp_of_the_future_is_no_backup(ground: Ground):
    stamp = ground.folder / "stamp"
    stamp.touch()
    os.utime(stamp, (time.time() + DAY_S, time.time() + DAY_S))
    ground.check(f'backup_stamp = "{stamp}"')
    ((verdict, words),) = ground.audit.verdicts("backup")
    assert verdict == "fail" and "of the future" in words, words


def test_there_are_twenty_faults():
    assert len(FAULTS) >= 20
