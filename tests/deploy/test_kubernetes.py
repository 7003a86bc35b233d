"""deploy/kubernetes/ fits Kubernetes' own schemas, and what belongs together is called alike."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from rowlock import telemetry
from rowlock.serving import DRAIN_SECONDS_MAX

FOLDER = Path(__file__).parents[2] / "deploy/kubernetes"
PROBED = {"startupProbe", "livenessProbe", "readinessProbe"}


def resources() -> list[dict[str, Any]]:
    """Everything that `kubectl apply -k` would make."""
    files = yaml.safe_load((FOLDER / "kustomization.yaml").read_text())["resources"]
    assert sorted(files) == sorted(p.name for p in FOLDER.glob("*.yaml") if p.name != "kustomization.yaml")
    return [found for name in files for found in yaml.safe_load_all((FOLDER / name).read_text())]


def of_kind(*kinds: str) -> list[dict[str, Any]]:
    """The resources of some kinds."""
    return [found for found in resources() if found["kind"] in kinds]


@pytest.mark.parametrize(
    "resource", resources(), ids=lambda found: f"{found['kind']}-{found['metadata']['name']}"
)
def test_each_fits_its_schema(resource: dict[str, Any]) -> None:
    """A field that is misspelt is refused, or worse, ignored."""
    kubernetes_validate.validate(resource, kubernetes_validate.latest_version(), strict=True)


def test_selectors_find_what_they_are_for() -> None:
    """A service without servers, or a budget that guards nothing."""
    deployments = {found["metadata"]["name"]: found for found in of_kind("Deployment")}
    for deployment in deployments.values():
        labels = deployment["spec"]["template"]["metadata"]["labels"]
        assert deployment["spec"]["selector"]["matchLabels"] == labels
    servers = deployments["rowlock-server"]["spec"]["template"]
    (service,) = of_kind("Service")
    assert service["spec"]["selector"] == servers["metadata"]["labels"]
    budgets = {found["metadata"]["name"]: found for found in of_kind("PodDisruptionBudget")}
    assert budgets.keys() == deployments.keys()
    for name, budget in budgets.items():
        labels = deployments[name]["spec"]["template"]["metadata"]["labels"]
        assert budget["spec"]["selector"]["matchLabels"] == labels
    (scaler,) = of_kind("HorizontalPodAutoscaler")
    assert scaler["spec"]["scaleTargetRef"]["name"] in deployments
    (container,) = servers["spec"]["containers"]
    assert container.keys() >= PROBED
    assert {probe["httpGet"]["port"] for name, probe in container.items() if name in PROBED} == {"http"}


def test_nothing_runs_as_root_and_everything_may_end_in_order() -> None:
    """A sale would lose what a server has in hand; a break-in would have the machine."""
    dockerfile = (FOLDER.parents[1] / "Dockerfile").read_text()
    user = re.search(r"^USER (\d+)$", dockerfile, re.MULTILINE)
    assert user
    for found in of_kind("Deployment", "Job"):
        pod = found["spec"]["template"]["spec"]
        assert pod["securityContext"]["runAsUser"] == int(user[1])
        for container in pod["containers"]:
            assert container["securityContext"]["readOnlyRootFilesystem"]
            assert container["args"][0] in {"serve", "work", "migrate"}
    (server,) = [found for found in of_kind("Deployment") if found["metadata"]["name"] == "rowlock-server"]
    pod = server["spec"]["template"]["spec"]
    pause = int(pod["containers"][0]["lifecycle"]["preStop"]["exec"]["command"][1])
    assert pod["terminationGracePeriodSeconds"] >= 2 * DRAIN_SECONDS_MAX + pause  # draining, then the lanes


def test_the_scaler_asks_for_what_the_adapter_brings() -> None:
    """Servers would be multiplied by their CPU alone, while people wait for a lock."""
    rules = yaml.safe_load((FOLDER / "prometheus-adapter/values.yaml").read_text())["rules"]["custom"]
    (scaler,) = of_kind("HorizontalPodAutoscaler")
    asked = [
        metric["pods"]["metric"]["name"] for metric in scaler["spec"]["metrics"] if metric["type"] == "Pods"
    ]
    assert asked == ["rowlock_lane_depth"]
    assert [rule["name"]["matches"] for rule in rules] == [f"^({name})$" for name in asked]
    assert all(telemetry.LANE_DEPTH._name in rule["seriesQuery"] for rule in rules)


def test_prometheus_finds_each_port_that_it_is_told_of() -> None:
    """A worker would be watched by nobody."""
    for deployment in of_kind("Deployment"):
        template = deployment["spec"]["template"]
        (container,) = template["spec"]["containers"]
        ports = [str(port["containerPort"]) for port in container["ports"]]
        assert ports == [template["metadata"]["annotations"]["prometheus.io/port"]]
        named = {one["name"]: one["value"] for one in container["env"]}
        assert named.get("ROWLOCK_METRICS_PORT", "8000") == ports[0]
