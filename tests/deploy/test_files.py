"""The deployment files agree with the broker: names of settings, commands, probes, ports and times."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from broker.http.health import bp as health
from tests.deploy.files import (
    MANIFESTS,
    ROOT,
    compose,
    dockerfile,
    instructions,
    known_names,
    manifest,
    procfile,
    unit,
)  # fmt: skip

WEB, RELEASE = procfile("web"), procfile("release")
# A worker has twenty seconds for accepted requests; five more are a margin (docs/operations.md).
AFTER_DRAIN = 25
APPLIED_BEFORE = {"namespace", "secret.example", "migrate-job"}


def pod(name: str) -> dict[str, Any]:
    spec: dict[str, Any] = manifest(name)["spec"]["template"]["spec"]
    return spec


def seconds(text: str) -> int:
    return int(text.removesuffix("s"))


@pytest.mark.parametrize("path", sorted(MANIFESTS.glob("*.yaml")), ids=lambda path: path.stem)
def test_manifests_are_valid(path: Path) -> None:
    document = yaml.safe_load(path.read_text())
    if document["kind"] != "Kustomization":
        kubernetes_validate.validate(document, "1.31", strict=True)


def test_kustomization_lists_what_is_applied_together() -> None:
    listed = {name.removesuffix(".yaml") for name in manifest("kustomization")["resources"]}
    assert listed == {path.stem for path in MANIFESTS.glob("*.yaml")} - {"kustomization"} - APPLIED_BEFORE


def test_every_variable_is_a_setting() -> None:
    settings = set(manifest("configmap")["data"]) | set(manifest("secret.example")["stringData"])
    settings |= set(compose()["services"]["broker"]["environment"])
    assert len(settings) > 8
    assert settings - known_names() == set()


def test_commands_are_those_of_the_procfile() -> None:
    assert json.loads(instructions("broker", "CMD")[0]) == WEB
    assert pod("deployment")["containers"][0]["command"] == WEB
    assert pod("migrate-job")["containers"][0]["command"] == RELEASE
    assert compose()["services"]["migrate"]["command"] == RELEASE
    started = unit()["ExecStart"][0].removeprefix("/opt/live-broker/bin/").split()
    started.remove("--bind")
    started.remove("127.0.0.1:8080")
    assert started == WEB
    assert unit()["ExecStartPre"] == ["/opt/live-broker/bin/" + " ".join(RELEASE)]


def test_manifests_name_the_image_of_this_version() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    images = {pod(name)["containers"][0]["image"] for name in ("deployment", "migrate-job")}
    assert images == {f"live-broker:{version}"}


def test_probes_ask_routes_that_exist() -> None:
    source = Path(str(health.import_name).replace(".", "/") + ".py")
    routes = set(re.findall(r'bp\.get\("([^"]+)"', (ROOT / source).read_text()))
    container = pod("deployment")["containers"][0]
    asked = {name: container[f"{name}Probe"]["httpGet"] for name in ("startup", "liveness", "readiness")}
    assert {probe["path"] for probe in asked.values()} == routes
    assert asked["readiness"]["path"] == "/readyz"
    assert {probe["port"] for probe in asked.values()} == {container["ports"][0]["name"]}
    (check,) = instructions("broker", "HEALTHCHECK")
    assert "'/healthz'" in check


def test_ports_agree() -> None:
    assert instructions("broker", "EXPOSE") == ["8080"]
    assert pod("deployment")["containers"][0]["ports"][0]["containerPort"] == 8080
    assert compose()["services"]["caddy"]["environment"]["BROKER_UPSTREAM"] == "broker:8080"
    assert "server 127.0.0.1:8080;" in (ROOT / "deploy/nginx/live-broker.conf").read_text()
    assert "{$BROKER_UPSTREAM:127.0.0.1:8080}" in (ROOT / "deploy/caddy/Caddyfile").read_text()
    port = manifest("service")["spec"]["ports"][0]
    backend = manifest("ingress")["spec"]["rules"][0]["http"]["paths"][0]["backend"]["service"]
    assert backend == {"name": manifest("service")["metadata"]["name"], "port": {"name": port["name"]}}
    assert port["targetPort"] == "http"


def test_every_stop_leaves_time_to_drain() -> None:
    spec = pod("deployment")
    drain = int(manifest("configmap")["data"]["BROKER_DRAIN_SECONDS"])
    readiness = spec["containers"][0]["readinessProbe"]
    assert drain >= readiness["periodSeconds"] * readiness["failureThreshold"]
    before = spec["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert spec["terminationGracePeriodSeconds"] >= before + drain + AFTER_DRAIN
    assert seconds(compose()["services"]["broker"]["stop_grace_period"]) >= AFTER_DRAIN
    assert int(unit()["TimeoutStopSec"][0]) >= AFTER_DRAIN


def test_selectors_choose_the_brokers_pods_and_nothing_else() -> None:
    labels = manifest("deployment")["spec"]["template"]["metadata"]["labels"]
    assert manifest("service")["spec"]["selector"] == labels
    assert manifest("deployment")["spec"]["selector"]["matchLabels"] == labels
    assert manifest("disruption-budget")["spec"]["selector"]["matchLabels"] == labels
    assert manifest("network-policy")["spec"]["podSelector"]["matchLabels"] == labels
    assert manifest("migrate-job")["spec"]["template"]["metadata"]["labels"] != labels
    assert (
        manifest("autoscaler")["spec"]["scaleTargetRef"]["name"] == manifest("deployment")["metadata"]["name"]
    )


def test_pods_fit_the_connections_that_postgresql_allows_by_default() -> None:
    settings = manifest("configmap")["data"]
    pods = manifest("autoscaler")["spec"]["maxReplicas"]
    pods += manifest("deployment")["spec"]["strategy"]["rollingUpdate"]["maxSurge"]
    assert pods * int(settings["WEB_CONCURRENCY"]) * int(settings["BROKER_DATABASE_CONNECTIONS"]) <= 95


@pytest.mark.parametrize("name", ["deployment", "migrate-job"])
def test_pods_run_without_rights(name: str) -> None:
    spec = pod(name)
    assert spec["securityContext"]["runAsNonRoot"]
    user = spec["securityContext"]["runAsUser"]
    assert instructions("base", "USER") == [f"{user}:{user}"]
    own = spec["containers"][0]["securityContext"]
    assert own["readOnlyRootFilesystem"]
    assert not own["allowPrivilegeEscalation"]
    assert own["capabilities"] == {"drop": ["ALL"]}
    assert not spec["automountServiceAccountToken"]
    assert not spec["enableServiceLinks"]


def test_compose_trusts_the_network_of_its_proxy_alone() -> None:
    file = compose()
    (network,) = file["networks"]["front"]["ipam"]["config"]
    services = file["services"]
    assert services["broker"]["environment"]["BROKER_TRUSTED_PROXIES"] == network["subnet"]
    assert {name for name, service in services.items() if "front" in service.get("networks", ())} == {
        "broker", "caddy",
    }  # fmt: skip
    assert "ports" not in services["broker"]
    assert services["broker"]["read_only"]


def test_image_copies_only_what_its_context_has() -> None:
    shown = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    copied = set()
    for stage in ("bundle", "build"):
        for text in instructions(stage, "COPY"):
            if not text.startswith("--from"):
                copied |= set(text.split()[:-1])
    assert copied == shown
    assert all((ROOT / name).exists() for name in copied)


def test_last_stage_is_the_broker() -> None:
    stages = re.findall(r"^FROM \S+ AS (\S+)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    assert stages[-1] == "broker"
    assert "standin" in stages
    assert not [name for name, _text in dockerfile("broker") if name in ("RUN", "ADD", "USER", "ENTRYPOINT")]


def test_unit_is_valid(tmp_path: Path) -> None:
    """systemd's own check, where systemd is installed. The unit's programs are put into the test's folder."""
    text = (ROOT / "deploy/systemd/live-broker.service").read_text()
    assert unit()["EnvironmentFile"] == ["/etc/live-broker/environment"]
    if not (verify := shutil.which("systemd-analyze")):
        return
    for program in ("broker", "gunicorn"):
        (tmp_path / program).write_text("#!/bin/sh\n")
        (tmp_path / program).chmod(0o755)
    (tmp_path / "live-broker.service").write_text(text.replace("/opt/live-broker/bin", str(tmp_path)))
    ran = subprocess.run(
        [verify, "verify", "--man=no", str(tmp_path / "live-broker.service")],
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert [line for line in ran.stderr.splitlines() if "live-broker" in line] == []
