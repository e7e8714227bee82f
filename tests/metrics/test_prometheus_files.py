"""What we ship for Prometheus and Grafana: valid, about metrics that exist, every alert tested."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest
from typer.testing import CliRunner

from agents.metrics import ProcessMetrics
from agents.metrics_api import ApiMetrics
from agents.metrics_chat import GatewayMetrics, ResponderMetrics
from agents.metrics_facilitator import FacilitatorMetrics
from agents.metrics_server import PORTS
from agents.metrics_sink import SinkMetrics
from agents.metrics_trainer import TrainerMetrics
from agents.metrics_worker import WorkerMetrics
from cli.main import app
from config.loading import values, variable
from config.settings import Settings
from schemas.dead_letter import DeadLetterReason
from sinks.registry import STORES

ROOT = Path(__file__).parents[2]
SHIPPED = ROOT / "config" / "prometheus"
ALERTS = (SHIPPED / "alerts.yml").read_text()
RECORDING = (SHIPPED / "recording.yml").read_text()
RUNBOOK = (ROOT / "docs" / "operations.md").read_text()
DASHBOARD = json.loads((ROOT / "config" / "grafana" / "learner.json").read_text())
NAMES = re.findall(r"- alert: (\w+)", ALERTS)
RECORDED = set(re.findall(r"- record: (\S+)", RECORDING))


def checked(*command: str) -> str:
    """What promtool says; it must be content."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def declared() -> set[str]:
    """Every name that a process of ours may answer with."""
    processes: tuple[ProcessMetrics, ...] = (
        WorkerMetrics(), TrainerMetrics(), SinkMetrics(["redis"]), FacilitatorMetrics(),
        ApiMetrics(), GatewayMetrics(), ResponderMetrics(),
    )  # fmt: skip
    names = set()
    for process in processes:
        for family in process.registry.collect():
            endings = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count")}
            info = {"info": ("_info",), "gauge": ("",)}
            names |= {family.name + end for end in {**endings, **info}[family.type]}
    return names


def asked(text: str) -> set[str]:
    """Names of metrics in an expression: of ours, of processes, and what is recorded."""
    return set(re.findall(r"\b(?:learner_[a-z_]+|process_[a-z_]+|[a-z_]+:[a-z0-9_:]+)\b", text))


def expressions() -> list[str]:
    return [target["expr"] for panel in DASHBOARD["panels"] for target in panel.get("targets", ())]


@pytest.mark.parametrize("file", ["prometheus.yml", "localhost.yml"])
def test_promtool_takes_the_configuration(file: str, promtool: str) -> None:
    said = checked(promtool, "check", "config", str(SHIPPED / file))
    assert said.count("SUCCESS") == 4


def test_each_alert_fires_and_is_silent_as_its_test_says(promtool: str) -> None:
    checked(promtool, "test", "rules", str(SHIPPED / "alerts_test.yml"))


def test_there_is_a_test_for_every_alert() -> None:
    told = (SHIPPED / "alerts_test.yml").read_text()
    assert len(NAMES) == len(set(NAMES)) > 20
    assert set(re.findall(r'alertname="(\w+)"', told)) == set(NAMES)
    groups = re.split(r"\n  - name: ", told)[1:]
    silent = {group.split("\n")[0].split()[0] for group in groups if "exp_samples: []" in group}
    assert set(NAMES) <= silent


def test_every_alert_is_rehearsed_to_its_end() -> None:
    told = Path("tests/operations/test_runbook.py").read_text()
    ended = set(re.findall(r'"(Learner\w+)"', "".join(re.findall(r"until_silent[^)]*\)", told))))
    assert ended == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_an_alert_says_what_is_wrong_and_what_to_do(name: str) -> None:
    rule = re.split(r"\n      - alert: ", ALERTS)[1 + NAMES.index(name)]
    for said in ("severity: ", "summary: ", "description: ", "runbook: "):
        assert said in rule, said
    assert re.search(r"severity: (critical|warning)\b", rule)


def test_every_alert_has_its_section_in_the_runbook_and_every_section_its_alert() -> None:
    assert re.findall(r"^## (.*)$", RUNBOOK, re.M) == NAMES
    assert re.findall(r"runbook_url: (.*)", ALERTS) == [
        f"docs/operations.md#{name.lower()}" for name in NAMES
    ]


@pytest.mark.parametrize("name", NAMES)
def test_a_section_of_the_runbook_says_what_it_means_and_what_to_do(name: str) -> None:
    section = RUNBOOK.partition(f"## {name}\n")[2].partition("\n#")[0]
    assert "**Means.** " in section
    assert "**Do.** " in section


def test_the_runbook_names_commands_metrics_alerts_and_settings_that_there_are() -> None:
    commands = set(re.findall(r"`learner ([a-z]+)(?: ([a-z-]+))?", RUNBOOK))
    assert len(commands) > 10
    for command in commands:
        words = [word for word in command if word and word not in STORES]
        assert CliRunner().invoke(app, [*words, "--help"]).exit_code == 0, command
    assert asked(RUNBOOK) - RECORDED <= {re.sub(r"_(bucket|sum|count)$", "", n) for n in declared()}
    assert set(re.findall(r"\bLearner[A-Z]\w+", RUNBOOK)) == set(NAMES)
    known = {variable(value.name) for value in values(Settings(_env_file=None), {}, None)}
    assert set(re.findall(r"LEARNER_\w+__\w+", RUNBOOK)) <= known
    reasons = set(re.findall(r"--reason ([a-z_]+)", RUNBOOK))
    assert reasons <= set(DeadLetterReason)


def test_alerts_and_recordings_are_about_metrics_that_there_are() -> None:
    rules = " ".join(re.findall(r"expr: (.*?)(?=\n {8}\w|\n {6}[-#]|\Z)", ALERTS + RECORDING, re.S))
    found = asked(rules)
    assert len(found) > 30
    assert found - RECORDED - declared() == set()


def test_the_text_of_an_alert_names_metrics_that_there_are() -> None:
    known = {re.sub(r"_(bucket|sum|count)$", "", name) for name in declared()}
    named = set(re.findall(r"\blearner_[a-z_]+[a-z]\b", ALERTS))
    assert {re.sub(r"_(bucket|sum|count)$", "", name) for name in named} <= known


def test_the_dashboard_asks_for_metrics_that_there_are(tmp_path: Path, promtool: str) -> None:
    assert len(expressions()) > 40
    found = asked(" ".join(expressions()))
    assert found - RECORDED - declared() == set()
    # Grafana puts a duration there; promtool is who can read the rest.
    rules = [
        {"record": f"panel{n}", "expr": expression.replace("$__rate_interval", "1m")}
        for n, expression in enumerate(expressions())
    ]
    file = tmp_path / "panels.json"
    file.write_text(json.dumps({"groups": [{"name": "panels", "rules": rules}]}))
    checked(promtool, "check", "rules", str(file))


def test_the_dashboard_shows_what_every_kind_of_process_tells() -> None:
    shown = asked(" ".join([*expressions(), RECORDING]))
    for part in ("decisions", "events", "sink", "deliver", "api", "chat", "tree", "examples"):
        assert any(part in name for name in shown), part


def test_commands_are_scraped_where_they_serve() -> None:
    compose, local = ((SHIPPED / name).read_text() for name in ("prometheus.yml", "localhost.yml"))
    settings = Settings(_env_file=None)
    gateway = {"gateway": settings.chat.port}
    for command, port in {**PORTS, **gateway}.items():
        job = compose.partition(f"job_name: {command}\n")[2].partition("job_name")[0]
        assert f"port: {port}" in job, command
    for command, port in {**PORTS, **gateway, "api": settings.api.port}.items():
        job = local.partition(f"job_name: {command}\n")[2].partition("job_name")[0]
        found = re.findall(r"localhost:(\d+)", job)
        assert str(port) in found, command
        assert all(int(other) % 10 == port % 10 for other in found)


def test_every_service_of_ours_in_compose_is_scraped() -> None:
    services = re.findall(r"^  ([a-z-]+):$", (ROOT / "docker-compose.yml").read_text(), re.M)
    ours = {n for n in services if n in {*PORTS, "gateway"} or n.startswith("sink-")}
    assert len(ours) >= 8
    config = (SHIPPED / "prometheus.yml").read_text()
    named = {
        name for found in re.findall(r"names: \[(.*?)\]", config) for name in found.split(", ")
    }
    assert ours <= named
