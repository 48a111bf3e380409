"""`scanpost-gateway check` against a real zone and real servers: right, missing and wrong each get their verdict."""

import base64
import hashlib
import json
import subprocess
from pathlib import Path

import pytest

from lab import openssl
from lab.keys import Keys
from lab.mail_store import MailStore
from lab.openssl import openssl as run
from lab.programs import program
from peers.authority import Authority
from peers.dns_server import DnsServer

import harness
from harness import Bench

DOMAIN = "scanpost.test"
EXIT_PASS, EXIT_MEND = 0, 2


class Audit:
    """A configuration that is never served, and a zone beside it."""

    def __init__(self, bench: Bench, dns: DnsServer, folder: Path):
        self.bench, self.zone = bench, dns.zone
        self.key = folder / "dkim.pem"
        openssl.write_secret(self.key, run("genpkey", "-algorithm", "ED25519"))
        self.settings = bench.settings
        self.settings.submit_lines = ["[[submit.dkim]]", f'domain = "{DOMAIN}"', 'selector = "s1"', f'key = "{self.key}"']
        bench.gateway.extra_configuration = f'[check]\nresolver = "127.0.0.1:{dns.port}"\n'
        bench.gateway.folder.mkdir(parents=True, exist_ok=True)
        (bench.gateway.folder / "state").mkdir(mode=0o700, exist_ok=True)

    def run(self, *more: str) -> tuple[int, dict]:
        self.bench.gateway.config.write_text(self.bench.gateway._configuration())
        command = [program("scanpost-gateway"), "check", "--config", self.bench.gateway.config, "--json", *more]
        result = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=120)
        assert result.stdout, result.stderr
        return result.returncode, json.loads(result.stdout)

    def publish(self) -> None:
        """Puts into the zone what the program prints."""
        _, report = self.run()
        for record in report["publish"]:
            if record["kind"] != "file":
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
def audit(bench: Bench, dns: DnsServer, tmp_path: Path) -> Audit:
    return Audit(bench, dns, tmp_path)


def test_what_it_prints_is_what_it_wants_to_see(audit: Audit, store: MailStore):
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


def test_areas_of_others_can_be_left_out(audit: Audit):
    audit.bench.gateway.extra_configuration += 'skip = ["tlsa", "mta-sts"]\n'
    assert {verdict for verdict, _ in audit.verdicts("tlsa") + audit.verdicts("mta-sts")} == {"not_checked"}


def test_open_secrets_and_old_certificates_are_found(audit: Audit, keys: Keys, tmp_path: Path):
    authority = Authority(tmp_path / "authority")
    old = authority.issue("gateway", purpose="clientAuth", ends=10)
    audit.settings.server_lines = [f'client_certificate = "{old.certificate}"', f'client_key = "{old.key}"']
    old.key.chmod(0o644)
    secrets, certificates = audit.verdicts("secrets"), audit.verdicts("certificates")
    assert [words for verdict, words in secrets if verdict == "fail" and str(old.key) in words and "chmod 600" in words]
    assert [words for verdict, words in certificates if verdict == "fail" and str(old.certificate) in words and "renew" in words]
    assert [words for verdict, words in certificates if verdict == "pass" and "seal.certificate" in words and "days left" in words]


def test_tls_of_the_servers_is_judged_and_nobody_is_logged_in(audit: Audit, store: MailStore):
    logins = (store.dir / "log" / "postfix.log").read_text(errors="replace").count("sasl_username=")
    found = audit.verdicts("tls")
    assert len(found) == 2 and all(verdict == "pass" and "TLS 1.3, " in words and "days left" in words for verdict, words in found), found
    assert (store.dir / "log" / "postfix.log").read_text(errors="replace").count("sasl_username=") == logins
    store.stop()
    assert all(verdict == "fail" and "cannot be reached" in words for verdict, words in audit.verdicts("tls"))
    assert all(verdict == "not_checked" for verdict, _ in audit.verdicts("tlsa"))
    store.start()
