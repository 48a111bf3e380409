"""`scanpost-gateway check` on the shipped demo: nothing to mend, and nmap and testssl.sh see what it sees."""

import json
import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import demo
from lab.ports import free_port
from lab.programs import program
from lab.site import Site
from peers import careless
from peers.own_network import own_network

# RFC 5737: an address as the network sees it, on the loopback device of a network of one's own.
ADDRESS = "198.51.100.10"
STRANGER = 5900
EXIT_MEND = 2
RUN_SECONDS_MAX = 60
OLD = {"SSLv3": "SSL 3.0", "TLS1": "TLS 1.0", "TLS1_1": "TLS 1.1"}


@pytest.fixture(scope="module")
def site(scratch: Path) -> Iterator[Site]:
    """The demo's, alone in a network."""
    with own_network():
        subprocess.run(["ip", "address", "add", f"{ADDRESS}/32", "dev", "lo"], check=True)
        site = Site(scratch / "demo")
        try:
            site.start(demo.settings(site))
            yield site
        finally:
            site.stop()


def check(config: Path, *more: object) -> tuple[int, list[dict]]:
    command = [program("scanpost-gateway"), "check", "--config", config, "--json", *more]
    # Whatever the network does, the command ends within a minute.
    result = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=RUN_SECONDS_MAX)
    assert result.stdout, result.stderr
    return result.returncode, json.loads(result.stdout)["checks"]


def test_the_shipped_demo_is_green(site: Site):
    began = time.monotonic()
    code, checks = check(site.gateway.config)
    print(f"check took {time.monotonic() - began:.1f} s: {len(checks)} checks")
    # Whether this machine follows a time server is not the demo's.
    failed = [one for one in checks if one["verdict"] == "fail" and one["area"] != "clock"]
    assert failed == [] and (code == EXIT_MEND) == any(one["verdict"] == "fail" for one in checks), (code, failed)
    passed = {one["area"] for one in checks if one["verdict"] == "pass"}
    assert passed >= {"secrets", "permissions", "certificates", "ports", "disk", "spool", "directory", "journal", "tls", "old-tls", "banners", "plain",
                      "relay", "proxy", "ftp", "listing"}, passed
    # Our own page was really asked.
    assert {one["subject"] for one in checks if one["area"] == "proxy" and one["verdict"] == "pass"} == {"page.listen", "localhost"}


def test_nmap_sees_the_same_open_ports(site: Site):
    with careless.listening("0.0.0.0", STRANGER):
        _, checks = check(site.gateway.config)
        said = subprocess.run(["nmap", "-sT", "-Pn", "-n", "-p-", "-oG", "-", ADDRESS], capture_output=True, text=True, check=True).stdout
    scanned = {int(port) for port in re.findall(r"(\d+)/open/tcp", said)}
    words = [f'{one["subject"]} {one["found"].split(";")[0]}' for one in checks if one["area"] == "ports"]
    assert {int(port) for port in re.findall(r"(\d+)/tcp", " ".join(words))} == scanned, (words, said)
    strangers = [one["subject"] for one in checks if one["area"] == "ports" and one["verdict"] == "fail"]
    assert strangers == [f"port {STRANGER}/tcp"]


def old_protocols(port: int, folder: Path) -> list[str]:
    """Those that testssl.sh says are offered."""
    report = folder / f"testssl-{port}.json"
    command = ["testssl", "--quiet", "--color", "0", "--warnings", "off", "--nodns", "none", "--ip", "127.0.0.1", "-p", "--jsonfile", report, f"localhost:{port}"]
    result = subprocess.run(list(map(str, command)), stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120)
    found = {one["id"]: one["finding"] for one in json.loads(report.read_text())}
    assert "TLS1_2" in found, result.stdout + result.stderr
    return [words for name, words in OLD.items() if not found[name].startswith("not offered")]


def test_testssl_sees_the_same_old_protocols(site: Site, tmp_path: Path):
    _, checks = check(site.gateway.config)
    of = {one["subject"]: one for one in checks if one["area"] == "old-tls"}
    page, store = int(site.page_port_file.read_text()), site.store
    for subject, port in (("page.listen 127.0.0.1", page), ("pulled localhost", store.imaps_port)):
        assert of[f"{subject}:{port}"]["verdict"] == "pass" and old_protocols(port, tmp_path) == [], (port, of)


def test_testssl_and_check_see_the_same_where_old_protocols_are_offered(site: Site, tmp_path: Path):
    port, tls = free_port(), site.store.dir / "tls"
    text = site.gateway.config.read_text()
    config = tmp_path / "gateway.toml"
    config.write_text(text.replace(f"port = {site.store.smtps_port}\n", f"port = {port}\n"))
    versions = ["-cipher", "ALL:@SECLEVEL=0", "-min_protocol", "TLSv1"]
    with careless.s_server(tmp_path, port, tls / "server.cert.pem", tls / "server.key.pem", *versions):
        code, checks = check(config)
        offered = old_protocols(port, tmp_path)
    (found,) = [one["found"] for one in checks if one["area"] == "old-tls" and one["subject"] == f"submit localhost:{port}"]
    assert offered and found == f"takes {', '.join(offered)}" and code == EXIT_MEND, (found, offered)
