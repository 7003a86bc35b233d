"""The real Prometheus, with the rules that deploy/prometheus/ ships and the queries of deploy/grafana/'s dashboards."""

from __future__ import annotations

import asyncio
import json
import math
import re
import shutil
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from tests.end_to_end.conftest import Server
from tests.end_to_end.test_live import watching
from tests.end_to_end.test_stampede import create
from tests.programs import find_program, free_port, listens, running_program
from tests.redis_server import RedisServer

pytestmark = pytest.mark.anyio

ROOT = Path(__file__).parents[2]
SHIPPED = ROOT / "deploy/prometheus"
DASHBOARDS = sorted((ROOT / "deploy/grafana/dashboards").glob("*.json"))
SECONDS_MAX = 90.0


def rules() -> list[dict[str, Any]]:
    """All rules that are shipped."""
    groups = yaml.safe_load((SHIPPED / "rules.yml").read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def panels() -> list[dict[str, Any]]:
    """All panels of all dashboards."""
    return [panel for path in DASHBOARDS for panel in json.loads(path.read_text())["panels"]]


@pytest.fixture
async def servers(dsn: str, tmp_path: Path, redis_server: RedisServer) -> AsyncIterator[list[Server]]:
    """Two servers on one database and one Redis."""
    servers = [Server(dsn, tmp_path, REDIS_URL=redis_server.url) for _ in range(2)]
    try:
        for server in servers:
            await server.ready()
        yield servers
    finally:
        for server in servers:
            server.stop()


@pytest.fixture
async def worker(dsn: str, tmp_path: Path) -> AsyncIterator[str]:
    """A worker, and where it serves its metrics."""
    port = free_port()
    process = Server(dsn, tmp_path, "work", ROWLOCK_METRICS_PORT=str(port))
    try:
        async with asyncio.timeout(SECONDS_MAX):
            while not listens(port):
                assert process.process.poll() is None, process.log.read_text()
                await asyncio.sleep(0.1)
        yield f"127.0.0.1:{port}"
    finally:
        process.stop()


@pytest.fixture
def prometheus(tmp_path: Path, servers: list[Server], worker: str) -> Iterator[str]:
    """What is shipped, at the test's servers, and asking more often."""
    folder = tmp_path / "prometheus"
    folder.mkdir()
    config = yaml.safe_load((SHIPPED / "prometheus.yml").read_text())
    config["global"] = {"scrape_interval": "500ms", "evaluation_interval": "500ms"}
    config["scrape_configs"][0]["static_configs"][0]["targets"] = [
        f"127.0.0.1:{server.port}" for server in servers
    ]
    config["scrape_configs"][1]["static_configs"][0]["targets"] = [worker]
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
    shutil.copy(SHIPPED / "rules.yml", folder)
    url = f"http://127.0.0.1:{free_port()}"

    def answers() -> bool:
        try:
            return httpx.get(url + "/-/ready", timeout=5).status_code == 200
        except httpx.TransportError:
            return False

    command = [
        find_program("prometheus"),
        f"--config.file={folder}/prometheus.yml",
        f"--storage.tsdb.path={folder}/data",
        f"--web.listen-address={url.removeprefix('http://')}",
    ]
    with running_program(command, folder / "log", answers):
        yield url


async def test_every_query_has_data(
    prometheus: str, servers: list[Server], worker: str, tokens: dict[str, str]
) -> None:
    """A panel would be empty, or an alert never fire, and nobody would know until the night they are needed."""
    headers = {"Authorization": tokens["admin"]}
    async with (
        httpx.AsyncClient(base_url=servers[0].url, headers=headers, timeout=60) as seller,
        httpx.AsyncClient(base_url=servers[1].url, headers=headers, timeout=60) as reader,
        httpx.AsyncClient(base_url=prometheus, timeout=60) as asked,
    ):
        show = await create(seller, 20_000, hold_seconds=1)
        missing = [rule["expr"] for rule in rules() if "record" in rule]
        missing += [target["expr"] for panel in panels() for target in panel["targets"]]
        async with asyncio.timeout(SECONDS_MAX), watching(reader, show):
            while missing:
                for confirm in (True, False):
                    body = {"show_id": show, "seat_count": 1, "user_id": "ada", "confirm": confirm}
                    assert (await seller.post("/api/bookings", json=body)).status_code == 201
                answer = await asked.get("/api/v1/query", params={"query": missing[0]})
                assert answer.status_code == 200, answer.text
                values = [float(series["value"][1]) for series in answer.json()["data"]["result"]]
                if any(
                    not math.isnan(value) for value in values
                ):  # a rate of nothing divided by it is no data
                    missing.pop(0)
                else:
                    await asyncio.sleep(0.2)

        state = (await asked.get("/api/v1/rules")).json()["data"]["groups"]
        assert {rule["health"] for group in state for rule in group["rules"]} == {"ok"}
        targets = (await asked.get("/api/v1/targets")).json()["data"]["activeTargets"]
        assert [target["health"] for target in targets] == ["up", "up", "up"]

        said = (await seller.get("/metrics")).text + (await asked.get(f"http://{worker}/metrics")).text
        there = set(re.findall(r"^# TYPE (\w+)", said, re.MULTILINE))
        for query in [rule["expr"] for rule in rules()]:
            for name in re.findall(r"\browlock_\w+", query):
                assert name in there or re.sub("_(bucket|sum|count)$", "", name) in there, name


def test_every_alert_fires_on_what_it_is_for(tmp_path: Path) -> None:
    """An alert with a mistake in it looks like a system that is well."""
    for source in (SHIPPED / "rules.yml", SHIPPED / "prometheus.yml", ROOT / "tests/deploy/rules_test.yml"):
        shutil.copy(source, tmp_path)
    promtool = find_program("promtool")
    for command in (["check", "config", "prometheus.yml"], ["test", "rules", "rules_test.yml"]):
        done = subprocess.run(
            [promtool, *command], cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_has_a_section_to_read() -> None:
    """Whoever is woken by it would have to guess."""
    alerts = [rule for rule in rules() if "alert" in rule]
    sections = re.findall(r"^### (\w+)$", (ROOT / "docs/operations.md").read_text(), re.MULTILINE)
    assert [alert["alert"] for alert in alerts] == sections
    for alert in alerts:
        assert alert["annotations"]["runbook"] == f"docs/operations.md#{alert['alert'].lower()}"
        assert alert["annotations"]["summary"]


def test_panels_name_the_source_that_is_provisioned() -> None:
    """A dashboard would open empty in a Grafana that was just made."""
    sources = yaml.safe_load((ROOT / "deploy/grafana/provisioning/datasources/prometheus.yml").read_text())[
        "datasources"
    ]
    assert DASHBOARDS
    for panel in panels():
        assert panel["datasource"]["uid"] == sources[0]["uid"]
        assert panel["description"]
