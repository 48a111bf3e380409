"""Prometheus as a hospital runs it: deploy/monitoring's own configuration and rules, but for addresses and for how often it looks."""

import json
import re
import shutil
import subprocess
import urllib.parse
import urllib.request
from pathlib import Path

import yaml
from lab.openssl import write_secret
from lab.ports import free_port
from lab.process import Child

TOP = Path(__file__).resolve().parents[2]
MONITORING = TOP / "deploy" / "monitoring"
RULES, RULE_TESTS = MONITORING / "scanpost-alerts.yml", MONITORING / "scanpost-alerts.test.yml"
DASHBOARD = MONITORING / "scanpost-dashboard.json"
SAMPLE = MONITORING / "prometheus.sample.yml"
METRIC = re.compile(r"\b(scanpost_\w+)(?:\{([^}]*)\})?")


def promtool(*arguments: object) -> subprocess.CompletedProcess:
    return subprocess.run(["promtool", *map(str, arguments)], capture_output=True, text=True, timeout=60)


def rules() -> list[dict]:
    (group,) = yaml.safe_load(RULES.read_text())["groups"]
    return group["rules"]


def panels() -> list[dict]:
    """Those that show something."""
    return [panel for panel in json.loads(DASHBOARD.read_text())["panels"] if panel["type"] != "row"]


def expressions() -> list[str]:
    """All that rules and dashboard ask for."""
    return [rule["expr"] for rule in rules()] + [target["expr"] for panel in panels() for target in panel["targets"]]


def with_variables(expression: str) -> str:
    """As the dashboard asks for all gateways."""
    return expression.replace("$job", "scanpost").replace("$instance", ".*")


def asked_for(expression: str) -> list[tuple[str, dict[str, str]]]:
    """Metrics by name, with the labels that they must have, and the values where these are named."""
    found = []
    for name, selector in METRIC.findall(with_variables(expression)):
        labels = dict(re.findall(r'(\w+)=~?"([^"]*)"', selector))
        found.append((name, {label: value for label, value in labels.items() if label not in ("job", "instance")}))
    return found


def exported(text: str) -> dict[str, list[dict[str, str]]]:
    """The series of an answer of /metrics, by name."""
    series: dict[str, list[dict[str, str]]] = {}
    for name, labels in re.findall(r"^(\w+)(?:\{(.*)\})? \S+$", text, re.MULTILINE):
        series.setdefault(name, []).append(dict(re.findall(r'(\w+)="([^"]*)"', labels)))
    return series


def value(text: str, series: str) -> float:
    """Of one series of an answer of /metrics."""
    (found,) = [line.rsplit(" ", 1)[1] for line in text.splitlines() if line.rsplit(" ", 1)[0] == series]
    return float(found)


class Prometheus:
    """The server itself; it looks every second."""

    def __init__(self, folder: Path, gateway_port: int, token: str, ca: Path):
        folder.mkdir()
        shutil.copy(RULES, folder)
        shutil.copy(ca, folder / "scanpost-ca.pem")
        write_secret(folder / "scanpost.token", token.encode())
        configuration = yaml.safe_load(SAMPLE.read_text())
        configuration["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
        del configuration["alerting"]
        (job,) = configuration["scrape_configs"] = [one for one in configuration["scrape_configs"] if one["job_name"] == "scanpost"]
        job["static_configs"] = [{"targets": [f"localhost:{gateway_port}"]}]
        self.configuration = folder / "prometheus.yml"
        self.configuration.write_text(yaml.safe_dump(configuration))
        self.log, self.port = folder / "prometheus.log", free_port()
        self.child = Child(["prometheus", f"--config.file={self.configuration}", f"--storage.tsdb.path={folder / 'data'}",
                            f"--web.listen-address=127.0.0.1:{self.port}"], self.log)

    def is_ready(self) -> bool:
        """It listens before it can be asked, and answers 503 until then."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/-/ready", timeout=30) as answer:
                return answer.status == 200
        except OSError:
            return False

    def query(self, expression: str) -> list[dict]:
        url = f"http://127.0.0.1:{self.port}/api/v1/query?" + urllib.parse.urlencode({"query": expression})
        with urllib.request.urlopen(url, timeout=30) as answer:
            return json.loads(answer.read())["data"]["result"]

    def alerts(self, state: str) -> set[str]:
        return {one["metric"]["alertname"] for one in self.query(f'ALERTS{{alertstate="{state}"}}')}

    def stop(self) -> None:
        self.child.stop()
