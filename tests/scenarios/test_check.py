"""`scanpost-gateway check` against a real zone and real servers: right, missing and wrong each get their verdict."""

import base64
import hashlib
import json
import os
import re
import shutil
import subprocess
import time
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from lab import openssl
from lab.keys import Keys
from lab.mail_store import MailStore
from lab.openssl import openssl as run
from lab.programs import program
from peers.authority import Authority
from peers import senders
from peers.dns_server import DnsServer
from peers.policy_server import PolicyServer

import harness
from harness import Bench

DOMAIN = "scanpost.test"
EXIT_PASS, EXIT_MEND = 0, 2


class Audit:
    """A configuration that is never served, and a zone beside it."""

    def __init__(self, bench: Bench, dns: DnsServer, folder: Path):
        self.bench, self.zone = bench, dns.zone
        authority = Authority(folder / "web", "web root")
        web = authority.issue(f"mta-sts.{DOMAIN}")
        self.policy = PolicyServer(web.certificate, web.key)
        self.key = folder / "dkim.pem"
        openssl.write_secret(self.key, run("genpkey", "-algorithm", "ED25519"))
        self.settings = bench.settings
        self.settings.submit_lines = ["[[submit.dkim]]", f'domain = "{DOMAIN}"', 'selector = "s1"', f'key = "{self.key}"']
        bench.gateway.extra_configuration = (
            f'[check]\nresolver = "127.0.0.1:{dns.port}"\npolicy_server = "127.0.0.1:{self.policy.port}"\nca = "{authority.certificate}"\n')
        (bench.gateway.folder / "state").mkdir(mode=0o700, parents=True, exist_ok=True)

    def run(self, *more: str, credentials: Path | None = None, seconds: float = 120) -> tuple[int, dict]:
        self.bench.gateway.write_configuration()
        command = [program("scanpost-gateway"), "check", "--config", self.bench.gateway.config, "--json", *more]
        environment = {**os.environ, "CREDENTIALS_DIRECTORY": str(credentials)} if credentials else None
        result = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=seconds, env=environment)
        assert result.stdout, result.stderr
        return result.returncode, json.loads(result.stdout)

    def publish(self) -> None:
        """Puts into the zone what the program prints."""
        _, report = self.run()
        self.zone.put(DOMAIN, "MX", "10 localhost.")
        for record in report["publish"]:
            if record["kind"] == "file":
                self.policy.text = record["value"]
            else:
                self.zone.put(record["name"], record["kind"], record["value"])

    def verdicts(self, area: str) -> list[tuple[str, str]]:
        """(verdict, all words) of each check of an area."""
        _, report = self.run()
        return [(check["verdict"], f'{check["subject"]}: {check["found"]} {check["mend"]}') for check in report["checks"] if check["area"] == area]


@pytest.fixture
def dns():
    server = DnsServer()
    yield server
    server.stop()


@pytest.fixture
def audit(bench: Bench, dns: DnsServer, tmp_path: Path):
    audit = Audit(bench, dns, tmp_path)
    yield audit
    audit.policy.stop()


def test_what_it_prints_is_what_it_wants_to_see(audit: Audit, store: MailStore):
    # What else is open on this machine, and whether it follows a time server, is not the scenario's.
    audit.bench.gateway.extra_configuration += 'hosts = []\nskip = ["ports", "clock"]\n'
    before, _ = audit.run()
    audit.publish()
    after, report = audit.run()
    failed = [check for check in report["checks"] if check["verdict"] == "fail"]
    assert (before, after, failed) == (EXIT_MEND, EXIT_PASS, [])
    published = {(record["name"], record["kind"]): record["value"] for record in report["publish"]}
    public = run("pkey", "-in", audit.key, "-pubout", "-outform", "DER")[12:]
    assert published[f"s1._domainkey.{DOMAIN}", "TXT"] == f"v=DKIM1; k=ed25519; p={base64.b64encode(public).decode()}"
    assert published[DOMAIN, "TXT"] == "v=spf1 a:localhost -all"
    assert published[f"_dmarc.{DOMAIN}", "TXT"] == "v=DMARC1; p=reject; adkim=s; aspf=s"
    certificate = run("x509", "-in", store.dir / "tls" / "server.cert.pem", "-pubkey", "-noout")
    spki = run("pkey", "-pubin", "-outform", "DER", data=certificate)
    for port in (store.smtps_port, store.imaps_port):
        assert published[f"_{port}._tcp.localhost", "TLSA"] == f"3 1 1 {hashlib.sha256(spki).hexdigest()}"
    policy = published[f"https://mta-sts.{DOMAIN}/.well-known/mta-sts.txt", "file"]
    assert policy.splitlines() == ["version: STSv1", "mode: enforce", "mx: localhost", "max_age: 604800"]


def test_nothing_published_is_said_record_by_record(audit: Audit):
    for area in ("spf", "dkim", "dmarc", "mta-sts", "tlsa"):
        found = audit.verdicts(area)
        assert found[0][0] == "fail" and "no " in found[0][1] and "publish" in found[0][1], found


WRONG = [
    ("spf", DOMAIN, "TXT", ["v=spf1 a:localhost ~all"], "fail", "does not end with -all"),
    ("spf", DOMAIN, "TXT", ["v=spf1 a:localhost -all", "v=spf1 -all"], "fail", "several SPF records"),
    ("spf", DOMAIN, "TXT", ["v=spf1 a:mail.else.example -all"], "fail", "does not allow localhost"),
    ("spf", DOMAIN, "TXT", ["v=spf1 include:provider.example -all"], "not_checked", "is not followed up"),
    ("spf", DOMAIN, "TXT", ["unrelated=1", "v=spf1 A:localhost -all"], "pass", ""),
    ("dkim", f"s1._domainkey.{DOMAIN}", "TXT", ["v=DKIM1; k=ed25519; p="], "fail", "revoked"),
    ("dkim", f"s1._domainkey.{DOMAIN}", "TXT", ["v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="], "fail", "another key than ours"),
    ("dmarc", f"_dmarc.{DOMAIN}", "TXT", ["v=DMARC1; p=none"], "fail", "not rejected"),
    ("dmarc", f"_dmarc.{DOMAIN}", "TXT", ["v=DMARC1; p=reject; pct=10"], "fail", "not rejected"),
    ("mta-sts", f"_mta-sts.{DOMAIN}", "TXT", ["v=STSv1; id=not-a-word"], "fail", "no usable id"),
]


@pytest.mark.parametrize(("area", "name", "kind", "values", "verdict", "words"), WRONG)
def test_wrong_records_are_told_from_right_ones(audit: Audit, area: str, name: str, kind: str, values: list[str], verdict: str, words: str):
    audit.publish()
    audit.zone.put(name, kind, *values)
    found = audit.verdicts(area)[0]
    assert found[0] == verdict and words in found[1], found


def test_a_tlsa_record_of_another_key_or_in_an_unsigned_zone_does_not_pass(audit: Audit, store: MailStore):
    audit.publish()
    name = f"_{store.smtps_port}._tcp.localhost"
    right = audit.zone.records[name, "TLSA"]
    audit.zone.put(name, "TLSA", "3 1 1 " + "00" * 32)
    assert any(verdict == "fail" and "none of the records" in words for verdict, words in audit.verdicts("tlsa"))
    audit.zone.put(name, "TLSA", *right)
    audit.zone.is_signed = False
    assert all(verdict == "fail" and "not signed by DNSSEC" in words for verdict, words in audit.verdicts("tlsa"))


def test_a_resolver_that_fails_is_no_verdict_on_the_zone(audit: Audit):
    audit.zone.is_broken = True
    for area in ("spf", "dkim", "dmarc", "mta-sts", "tlsa"):
        verdict, words = audit.verdicts(area)[0]
        assert verdict == "not_checked" and "resolver" in words, (verdict, words)


def policy(audit: Audit) -> tuple[str, str]:
    return audit.verdicts("mta-sts")[1]


def test_the_policy_that_is_served_is_compared_with_the_exchangers(audit: Audit):
    audit.publish()
    assert policy(audit)[0] == "pass", policy(audit)
    assert set(audit.policy.asked) == {("/.well-known/mta-sts.txt", f"mta-sts.{DOMAIN}")}
    audit.zone.put(DOMAIN, "MX", "10 localhost.", "20 elsewhere.example.")
    assert policy(audit)[0] == "fail" and "does not name the mail exchanger elsewhere.example" in policy(audit)[1]
    audit.zone.put(DOMAIN, "MX", "10 localhost.")
    audit.policy.status = 302
    assert policy(audit)[0] == "fail" and "answers 302" in policy(audit)[1]
    audit.policy.status, audit.policy.text = 200, "version: STSv1\n" + "mx: a.example\n" * 10_000
    assert policy(audit)[0] == "fail" and "more than 65536 bytes" in policy(audit)[1]


def test_a_policy_server_of_another_name_gets_no_verdict_but_a_refusal(audit: Audit, tmp_path: Path):
    audit.publish()
    authority = Authority(tmp_path / "other", "web root")
    wrong = authority.issue("www.scanpost.test")
    server = PolicyServer(wrong.certificate, wrong.key)
    extra = audit.bench.gateway.extra_configuration
    audit.bench.gateway.extra_configuration = extra.replace(str(audit.policy.port), str(server.port)).replace(str(tmp_path / "web" / "ca.pem"), str(authority.certificate))
    verdict, words = policy(audit)
    server.stop()
    assert verdict == "fail" and "certificate" in words and server.asked == [], words
    # By its own name, looked up in the zone: nobody listens there.
    audit.bench.gateway.extra_configuration = "\n".join(line for line in extra.splitlines() if not line.startswith("policy_server")) + "\n"
    assert policy(audit)[0] == "fail" and "has no address" in policy(audit)[1]
    audit.zone.put(f"mta-sts.{DOMAIN}", "A", "127.9.9.9")
    assert policy(audit)[0] == "fail" and "mta-sts.scanpost.test:443" in policy(audit)[1], policy(audit)


def test_the_directory_and_the_key_of_the_spool_are_looked_at(audit: Audit, ct_study: list[Path], tmp_path: Path):
    assert {verdict for verdict, _ in audit.verdicts("directory") + audit.verdicts("spool")} == {"not_checked"}
    authority = Authority(tmp_path / "authority")
    audit.bench.gateway.extra_configuration += f'[directory]\ncrl = "{authority.revocations(ends=5)}"\nca = "{authority.certificate}"\n'
    audit.bench.start(without_certificate=("doctor",))
    audit.bench.gateway.stop()
    (spool,) = audit.verdicts("spool")
    assert spool[0] == "pass" and "0 days old" in spool[1], spool
    crl, doctor = audit.verdicts("directory")
    assert crl[0] == "pass" and "good until" in crl[1], crl
    assert doctor[0] == "fail" and "doctor doctor has no certificate" in doctor[1] and "doctor invite doctor" in doctor[1], doctor
    authority.revocations(begins=-3, ends=-1)
    crl, _ = audit.verdicts("directory")
    assert crl[0] == "fail" and "out of date since" in crl[1], crl


def test_the_page_for_the_hospitals_files_says_what_check_says_and_asks_nobody(audit: Audit, tmp_path: Path, chromium: Browser):
    file = tmp_path / "report.html"
    file.touch(0o644)
    _, report = audit.run("--report", str(file))
    assert file.stat().st_mode & 0o777 == 0o600
    # What was found is told also where the page cannot be written.
    code, told = audit.run("--report", str(tmp_path / "nowhere" / "report.html"))
    assert code == 1 and told["checks"]
    asked = []
    page = chromium.new_page()
    page.on("request", lambda request: asked.append(request.url))
    page.goto(file.as_uri())
    assert asked == [file.as_uri()], "the page is whole in itself"
    headings = page.locator("h2").all_inner_texts()
    for words in ("保有するデータ / Data it holds", "責任分界 / Who is responsible for what", "点検の結果 / Checks of this day"):
        assert any(words in heading for heading in headings), headings
    assert len(headings) == 10
    rows = [row.locator("td").all_inner_texts() for row in page.locator("table").last.locator("tr").all()[1:]]
    words = {"pass": "適合 / pass", "fail": "不適合 / fail", "not_checked": "未点検 / not checked"}
    told = [[words[one["verdict"]], one["area"], one["subject"], one["found"], one["mend"] or ""] for one in report["checks"]]
    assert [[re.sub(r"\s+", " ", cell) for cell in row] for row in rows] == [[re.sub(r"\s+", " ", cell) for cell in row] for row in told]
    text = page.inner_text("body")
    for secret in (audit.bench.store.password("gateway"), "doctor@scanpost.test"):
        assert secret not in text
    assert harness.barriers(page) == []
    page.close()


def test_areas_of_others_can_be_left_out(audit: Audit):
    audit.bench.gateway.extra_configuration += 'skip = ["tlsa", "mta-sts"]\n'
    assert {verdict for verdict, _ in audit.verdicts("tlsa") + audit.verdicts("mta-sts")} == {"not_checked"}


def test_open_secrets_and_old_certificates_are_found(audit: Audit, keys: Keys, tmp_path: Path):
    authority = Authority(tmp_path / "authority")
    old, page = authority.issue("gateway", purpose="clientAuth", ends=10), authority.issue(ends=3)
    audit.settings.server_lines = [f'client_certificate = "{old.certificate}"', f'client_key = "{old.key}"']
    old.key.chmod(0o644)
    secrets, certificates = audit.verdicts("secrets"), audit.verdicts("certificates")
    assert [words for verdict, words in secrets if verdict == "fail" and str(old.key) in words and "chmod 600" in words]
    assert [words for verdict, words in certificates if verdict == "fail" and str(old.certificate) in words and "renew" in words]
    assert [words for verdict, words in certificates if verdict == "pass" and "seal.certificate" in words and "days left" in words]
    # The page's, and of several authorities in one file the one that ends first.
    both = tmp_path / "authorities.pem"
    both.write_text(authority.certificate.read_text() + authority.self_signed(is_authority=True).certificate.read_text())
    audit.settings.page_lines = ['listen = "127.0.0.1:0"', f'certificate = "{page.certificate}"', f'key = "{page.key}"']
    audit.bench.gateway.extra_configuration += f'[directory]\nca = "{both}"\n'
    ending = [words for verdict, words in audit.verdicts("certificates") if verdict == "fail"]
    assert any("page.certificate" in words and " 2 days left" in words for words in ending), ending
    assert any("directory.ca" in words and "29 days left" in words for words in ending), ending
    # The gateway says so itself, at its start and every day.
    old.key.chmod(0o600)
    audit.bench.gateway.start()
    deadline = time.monotonic() + 30
    while 'key="directory.ca"' not in (log := audit.bench.log.read_text()):
        assert time.monotonic() < deadline, log
        time.sleep(0.1)
    assert re.search('ERROR .*ends within a week.*key="page.certificate" days=2', log), log
    assert all(re.search(rf'WARN .*ends soon.*key="{key}"', log) for key in ("submit.client_certificate", "directory.ca")), log
    assert 'key="seal.certificate"' not in log


def test_a_credential_stands_for_a_password_and_never_for_a_key(audit: Audit, store: MailStore, tmp_path: Path):
    client = Authority(tmp_path / "authority").issue("gateway", purpose="clientAuth")
    client.key.chmod(0o644)
    audit.settings.server_lines = [f'client_certificate = "{client.certificate}"', f'client_key = "{client.key}"']
    credentials = tmp_path / "credentials"
    credentials.mkdir()
    for path in (client.key, store.password_file("gateway")):
        shutil.copy(path, credentials)
    _, report = audit.run(credentials=credentials)
    found = {check["subject"].split()[0]: check for check in report["checks"] if check["area"] == "secrets"}
    assert found["submit.password_file"]["found"] == "handed over by the service manager"
    assert found["submit.client_key"]["verdict"] == "fail", "a key is read from its file, whatever the service manager has"


def test_tls_of_the_servers_is_judged_and_nobody_is_logged_in(audit: Audit, store: MailStore):
    logins = (store.dir / "log" / "postfix.log").read_text(errors="replace").count("sasl_username=")
    found = audit.verdicts("tls")
    assert len(found) == 2 and all(verdict == "pass" and "TLS 1.3, " in words and "days left" in words for verdict, words in found), found
    assert (store.dir / "log" / "postfix.log").read_text(errors="replace").count("sasl_username=") == logins
    store.stop()
    assert all(verdict == "fail" and "cannot be reached" in words for verdict, words in audit.verdicts("tls"))
    assert all(verdict == "not_checked" for verdict, _ in audit.verdicts("tlsa"))
    store.start()
