"""deploy/monitoring and docs/monitoring.md ask for what the gateway exports and nothing else; the alerts fire when they should, in Prometheus itself; health and
readiness say what is so."""

import http.client
import json
import re
import shutil
import subprocess
import urllib.error
import urllib.request
from contextlib import suppress
from pathlib import Path

import pytest
import yaml
from lab import openssl, page
from lab.api import Api
from lab.mail_store import MailStore
from lab.study import ct
from peers import prometheus, senders
from peers.authority import Authority
from peers.documents import rows, section
from peers.prometheus import TOP, Prometheus
from peers.raw_store import RawAssociation, Rejected

import harness
from harness import Bench
from test_channels import FORM, NUMBER, metrics_of, servers, table, ways  # noqa: F401
from test_duty import MACHINE, duty, start as start_with_duty
from test_ending import api as api_of_alarms, press, study  # noqa: F401
from test_full_disk import SETTINGS, STRANGERS, SmallDisk, disk  # noqa: F401
from test_quota import PIECE_BYTES_MAX, fill, limited, make_room  # noqa: F401

DOCUMENT = (TOP / "docs" / "monitoring.md").read_text()


def health(api: Api, path: str) -> tuple[int, str]:
    """Without a token."""
    try:
        with urllib.request.urlopen(api.url.removesuffix("/api/v1") + path, timeout=60, context=api.tls) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def listed(heading: str) -> dict[str, list[str]]:
    """The table of a section, by its first column."""
    return {cells[0].strip("`"): cells[1:] for cells in rows(section(DOCUMENT, f"## {heading}"))}


# --- the files by themselves

def test_rules_and_their_tests_pass_and_the_sample_is_a_configuration(tmp_path: Path):
    for checked in (prometheus.promtool("check", "rules", prometheus.RULES), prometheus.promtool("test", "rules", prometheus.RULE_TESTS)):
        assert checked.returncode == 0, checked.stdout + checked.stderr
    for file in (prometheus.SAMPLE, prometheus.RULES):
        shutil.copy(file, tmp_path)
    for name in ("scanpost.token", "scanpost-ca.pem"):
        (tmp_path / name).touch()
    checked = prometheus.promtool("check", "config", tmp_path / prometheus.SAMPLE.name)
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_each_alert_is_tested_both_ways_and_documented():
    alerts = {rule["alert"]: rule for rule in prometheus.rules()}
    fires, silent = set(), set()
    for group in yaml.safe_load(prometheus.RULE_TESTS.read_text())["tests"]:
        for one in group["promql_expr_test"]:
            for name in re.findall(r'alertname="(\w+)",alertstate="firing"', one["expr"]):
                (fires if one.get("exp_samples") else silent).add(name)
    assert fires == silent == alerts.keys()
    documented = listed("Alerts")
    assert documented.keys() == alerts.keys()
    for name, (severity, means, who) in documented.items():
        assert severity == alerts[name]["labels"]["severity"] and means and who, name
        assert alerts[name]["annotations"].keys() == {"summary", "action"}, name


def test_the_dashboard_can_be_provisioned_and_each_panel_is_documented():
    dashboard = json.loads(prometheus.DASHBOARD.read_text())
    # Every source of data is the variable that Grafana asks for, or fills in.
    sources = re.findall(r'"uid": "([^"]*)"', json.dumps(dashboard["panels"]) + json.dumps(dashboard["templating"]))
    assert set(sources) == {"${datasource}"}
    assert "__inputs" not in dashboard and dashboard["uid"]
    titles = [panel["title"] for panel in prometheus.panels()]
    assert titles == list(listed("The dashboard")) and len(set(titles)) == len(titles)
    places = [(panel["gridPos"]["x"] + dx, panel["gridPos"]["y"] + dy) for panel in dashboard["panels"]
              for dx in range(panel["gridPos"]["w"]) for dy in range(panel["gridPos"]["h"])]
    assert len(places) == len(set(places)) and max(x for x, _ in places) < 24, "panels lie over each other"


# --- against a gateway

def start_with_everything(bench: Bench, notice_server, folder: Path) -> Api:
    """A gateway that has something to say in every metric: beside a good doctor one whose mailbox nobody knows, a channel that refuses and one that is away."""
    folder.mkdir()
    key, certificate = folder / "nobody.key.pem", folder / "nobody.cert.pem"
    openssl.issue((bench.keys.folder / "ca.key.pem", bench.keys.ca), key, certificate, "nobody", openssl.RECIPIENT)
    hospital = Authority(folder / "hospital", "hospital root")
    server = hospital.issue("localhost")
    tls = ['listen = "127.0.0.1:0"', f'certificate = "{server.certificate}"', f'key = "{server.key}"', f'client_ca = "{hospital.certificate}"']
    nobody = [f"[doctors.nobody]\nmailbox = 'nobody@scanpost.test'\nfolder = 'user/nobody'\ncertificate = '{certificate}'\nphone = 'phone@scanpost.test'",
              "[destinations.DR_NOBODY]\ndoctors = ['nobody']", "[destinations.DR_GROUP]\ndoctors = ['doctor', 'nobody']"]
    channels = [table(bench, name, "sms", f'url = "{notice_server.url("/" + name)}"', f"body = {FORM}") for name in ("wrong", "away")]
    return start_with_duty(bench, *channels, *nobody, doctor=tuple(ways(("wrong", NUMBER), ("away", NUMBER))), dicom_tls_lines=tls)


def test_every_name_that_is_asked_for_is_exported_and_alerts_fire_in_prometheus(bench: Bench, servers, ct_study: list[Path],  # noqa: F811
                                                                               mr_study: list[Path], tmp_path: Path):
    api = start_with_everything(bench, servers({"/wrong": ["400"], "/away": ["503"]}), tmp_path / "nobody")
    bench.gateway.wait_for("the daily test", lambda _: duty(bench)["daily"])
    bench.gateway.wait_for_state("notified")
    bench.pull(bench.reader_of(MACHINE))
    bench.gateway.wait_for("its end", lambda _: duty(bench)["daily"][0]["ended_at_ms"])
    senders.pynetdicom(bench.port, "DR_NOBODY", mr_study[:2])
    bench.gateway.wait_for("the dead letter", lambda all: any(one["state"] == "failed" for one in all))
    senders.pynetdicom(bench.port, "DR_GROUP", ct_study[:2])
    told = lambda one: one["state"] == "notified" and any(way["state"] == "refused" for way in one["doctors"][0]["notices"])  # noqa: E731
    bench.gateway.wait_for("the notice", lambda all: any(map(told, all)))

    text = metrics_of(api)
    found = prometheus.exported(text)
    asked = [one for expression in prometheus.expressions() for one in prometheus.asked_for(expression)]
    assert len(asked) > 40
    for name, labels in asked:
        assert any(labels.items() <= one.items() for one in found.get(name, [])), f"{name}{labels} is asked for and not exported"
    documented = listed("Metrics")
    assert documented.keys() == found.keys(), "docs/monitoring.md names other metrics than are exported"
    for name, (labels, counts) in documented.items():
        assert all(one.keys() == set(re.findall(r"`(\w+)`", labels)) for one in found[name]), f"{name} has other labels"
    for value in {one["state"] for one in found["scanpost_deliveries"] + found["scanpost_notices"]} | {one["what"] for one in found["scanpost_cases_7d"]}:
        assert f"`{value}`" in section(DOCUMENT, "## Metrics"), value
    assert {one["of"] for one in found["scanpost_certificate_ends_seconds"]} == {"doctors", "site", "page", "dicom"}
    assert prometheus.value(text, "scanpost_dead_letters") == 1 and prometheus.value(text, "scanpost_recipients_refused") == 2
    named = set(re.findall(r"\bscanpost_[a-z0-9_]+", "\n".join(path.read_text() for path in (TOP / "docs").glob("*.md"))))
    assert named <= found.keys(), f"{named - found.keys()} stand in docs/ and are not exported"

    server = Prometheus(tmp_path / "prometheus", int((bench.folder / "page.port").read_text()), api.token, bench.keys.ca)
    try:
        harness.wait_until("Prometheus", server.is_ready)
        harness.wait_until("a look", lambda: server.query("scanpost_intake_open"))
        expected = {"ScanpostDeliveryFailed", "ScanpostRecipientRefused", "ScanpostNoticesRefused"}
        harness.wait_until("its alerts", lambda: server.alerts("firing") == expected)
        for panel in prometheus.panels():
            for target in panel["targets"]:
                assert server.query(prometheus.with_variables(target["expr"])), f"the panel {panel['title']!r} is empty"
        bench.gateway.stop()
        harness.wait_until("the loss of the gateway", lambda: "ScanpostDown" in server.alerts("pending"))
    finally:
        server.stop()


def test_health_and_readiness_are_constant_words_for_everybody(bench: Bench):
    page.make_certificate(bench.keys)
    bench.start(page_lines=page.lines(bench.keys, bench.folder / "page.port"))
    api = bench.api()
    assert health(api, "/healthz") == (200, "alive\n") and health(api, "/readyz") == (200, "ready\n")
    assert health(api, "/metrics")[0] == 401
    # What compose.yaml asks is answered by this gateway.
    check, = [service["healthcheck"]["test"] for service in yaml.safe_load((TOP / "deploy/container/compose.yaml").read_text())["services"].values()
              if "healthcheck" in service]
    kind, command = check
    asked = lambda port: subprocess.run(command.replace("8443", str(port)), shell=True, timeout=60).returncode  # noqa: E731
    assert kind == "CMD-SHELL" and "8443" in command and asked((bench.folder / "page.port").read_text()) == 0
    bench.gateway.stop()
    assert asked((bench.folder / "page.port").read_text()) != 0


def test_a_gateway_that_is_being_stopped_is_not_ready(bench: Bench):
    page.make_certificate(bench.keys)
    bench.start(page_lines=page.lines(bench.keys, bench.folder / "page.port"))
    api = bench.api()
    line = http.client.HTTPSConnection("localhost", int((bench.folder / "page.port").read_text()), timeout=60, context=api.tls)
    def ready() -> int:
        line.request("GET", "/readyz")
        answer = line.getresponse()
        answer.read()
        return answer.status
    # A sender who does not hang up when it is told to: the gateway waits for it a while.
    association = RawAssociation(bench.port, "DR_DEMO", ct.CT_IMAGE_STORAGE)
    assert ready() == 200
    bench.gateway.child.process.terminate()
    said = []
    with suppress(OSError, http.client.HTTPException):
        while True:
            said.append(ready())
    assert said == sorted(said) and said[-1] == 503, said
    association.vanish()


def test_a_full_disk_is_not_ready_and_is_again_once_there_is_room(bench: Bench, disk: SmallDisk):  # noqa: F811
    page.make_certificate(bench.keys)
    bench.start(**SETTINGS, page_lines=page.lines(bench.keys, bench.folder / "page.port"))
    api = bench.api()
    text = metrics_of(api)
    assert prometheus.value(text, "scanpost_intake_open") == prometheus.value(text, "scanpost_audit_written") == 1
    assert prometheus.value(text, "scanpost_disk_free_bytes") < prometheus.value(text, "scanpost_disk_bytes")
    # What the trail can still take is kept back in its last page: more than one has to be told.
    disk.fill()
    def trail_is_full() -> bool:
        for number in range(STRANGERS):
            with pytest.raises(Rejected):
                RawAssociation(bench.port, f"NOBODY{number}", ct.CT_IMAGE_STORAGE)
        return prometheus.value(metrics_of(api), "scanpost_audit_written") == 0
    harness.wait_until("the trail to be full", trail_is_full)
    assert prometheus.value(metrics_of(api), "scanpost_intake_open") == 0
    assert health(api, "/readyz") == (503, "not ready\n") and health(api, "/healthz")[0] == 200
    disk.make_room()
    harness.wait_until("the trail again", lambda: prometheus.value(metrics_of(api), "scanpost_audit_written") == 1)
    assert prometheus.value(metrics_of(api), "scanpost_intake_open") == 1 and health(api, "/readyz") == (200, "ready\n")


def test_an_alarm_counts_until_somebody_hears_it(bench: Bench, api_of_alarms: Api, study: list[Path]):  # noqa: F811
    heard = lambda: prometheus.value(metrics_of(api_of_alarms), "scanpost_alarms_unheard")  # noqa: E731
    assert heard() == 0
    case = press(bench, api_of_alarms, study)
    harness.wait_until("the alarm", lambda: heard() == 1)
    assert api_of_alarms.post(f"/studies/{case}/heard").status == 204
    harness.wait_until("the end of the alarm", lambda: heard() == 0)


@pytest.mark.parametrize("limited", [{"full_is_temporary": True}], indirect=True)
def test_a_full_mailbox_and_how_long_a_study_waits_for_it(limited: MailStore, bench: Bench, mr_study: list[Path]):  # noqa: F811
    page.make_certificate(bench.keys)
    bench.start(page_lines=page.lines(bench.keys, bench.folder / "page.port"), piece_bytes_max=PIECE_BYTES_MAX)
    api = bench.api()
    of = lambda name: prometheus.value(metrics_of(api), name)  # noqa: E731
    assert of("scanpost_mailboxes_full") == of("scanpost_unsent_seconds") == 0
    foreign = fill(bench.store, 88)
    senders.pynetdicom(bench.port, "DR_DEMO", mr_study)
    harness.wait_until("the full mailbox", lambda: of("scanpost_mailboxes_full") == of("scanpost_in_trouble") == 1)
    waited = of("scanpost_unsent_seconds")
    harness.wait_until("more waiting", lambda: of("scanpost_unsent_seconds") > waited)
    make_room(bench.store, foreign)
    bench.gateway.wait_for_state(*harness.DONE, seconds=180)
    harness.wait_until("all that is counted", lambda: of("scanpost_mailboxes_full") == of("scanpost_unsent_seconds") == 0)
