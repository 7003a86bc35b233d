"""compose.yaml and the Dockerfile: right by their own linters, and each of our services' command lines, run natively.

No container engine is needed: what an image would run is run here, with the environment that the file gives it.
"""

from __future__ import annotations

import contextlib
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
import yaml

from rowlock.settings import known_variables
from tests.processes import environment, rowlock, wait_until_ready
from tests.programs import find_program, free_port, listens
from tests.rabbit import RabbitServer
from tests.redis_server import RedisServer

ROOT = Path(__file__).parents[2]
SECRETS = {
    "POSTGRES_PASSWORD": "secret",
    "RABBITMQ_PASSWORD": "secret",
    "ROWLOCK_SECRET_KEY": "k" * 40,
    "GRAFANA_PASSWORD": "secret",
}
NEEDED = re.compile(r"\$\{(\w+):\?[^}]*\}")


def services() -> dict[str, Any]:
    """All services, as they stand there."""
    found: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]
    return found


def image_environment() -> dict[str, str]:
    """What the Dockerfile sets for Rowlock, but the paths of the image."""
    line = re.search(r"^ENV (.*)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    assert line
    return {name: value for name, value in re.findall(r"(\w+)=(\S+)", line[1]) if name != "PATH"}


def variables_of(service: dict[str, Any], **replaced: str) -> dict[str, str]:
    """A service's environment, with the secrets put in."""
    given = {
        name: NEEDED.sub(lambda found: SECRETS[found[1]], str(value))
        for name, value in service["environment"].items()
    }
    return {**image_environment(), **given, **replaced}


def test_compose_fits_its_specification() -> None:
    """`docker compose up` would refuse the file."""
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec"]
    done = subprocess.run(
        [*command, str(ROOT / "compose.yaml")], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="hadolint is not packaged for other systems")
def test_the_dockerfile_is_without_reproach() -> None:
    """The image would be larger, or run as root."""
    hadolint = Path(sys.executable).with_name("hadolint")
    done = subprocess.run(
        [hadolint, str(ROOT / "Dockerfile")], capture_output=True, text=True, timeout=120, check=False
    )
    assert (done.returncode, done.stdout) == (0, ""), done.stdout + done.stderr
    assert re.findall(r"^USER (\S+)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE) == ["10001"]


def test_secrets_have_no_defaults_and_files_are_there() -> None:
    """A password that everybody knows is none; a missing file would be mounted as an empty folder."""
    text = (ROOT / "compose.yaml").read_text()
    assert set(NEEDED.findall(text)) == set(SECRETS)
    assert not re.search(r"(?i)(password|secret\w*): (?!\$\{)", text)
    for name, service in services().items():
        for volume in service.get("volumes", []):
            source = volume.partition(":")[0]
            assert not source.startswith(".") or (ROOT / source).exists(), (name, source)


def test_what_compose_names_are_its_own_services() -> None:
    """nginx or Prometheus would look for servers that nobody starts."""
    servers = {name for name, service in services().items() if service.get("command") == ["serve"]}
    for file in ("nginx/compose-servers.conf", "prometheus/compose.yml"):
        assert set(re.findall(r"(server-\d):8000", (ROOT / "deploy" / file).read_text())) == servers
    assert "worker:9101" in (ROOT / "deploy/prometheus/compose.yml").read_text()
    assert services()["worker"]["environment"]["ROWLOCK_METRICS_PORT"] == "9101"
    user = services()["rabbitmq"]["environment"]["RABBITMQ_DEFAULT_USER"]
    assert services()["worker"]["environment"]["AMQP_URL"].startswith(f"amqp://{user}:$")
    nginx = services()["nginx"]["networks"]["default"]["ipv4_address"]
    assert {services()[name]["environment"]["FORWARDED_ALLOW_IPS"] for name in servers} == {nginx}


@contextlib.contextmanager
def running_service(
    folder: Path, name: str, **replaced: str
) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
    """A service's command line, run here."""
    service = services()[name]
    log = folder / f"{name}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "rowlock", *service["command"]],
            cwd=folder,
            env=environment(folder, **variables_of(service, **replaced)),
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        yield process, log
    finally:
        process.terminate()
        assert process.wait(60) == 0, log.read_text()


def test_each_command_line_of_ours_runs(
    empty_dsn: str, tmp_path: Path, redis_server: RedisServer, rabbit_server: RabbitServer
) -> None:
    """The first start would fail before anybody has seen anything."""
    addresses = {"DATABASE_URL": empty_dsn, "REDIS_URL": redis_server.url, "AMQP_URL": rabbit_server.url}
    migrate = services()["migrate"]
    done = rowlock(tmp_path, *migrate["command"], **variables_of(migrate, **addresses))
    assert done.returncode == 0, done.stderr
    port = free_port()
    with (
        running_service(tmp_path, "server-1", **addresses, PORT=str(port)) as (server, log),
        running_service(
            tmp_path, "worker", **addresses, ROWLOCK_METRICS_PORT=str(metrics := free_port())
        ) as (worker, _),
    ):
        wait_until_ready(server, port, log)
        probe = re.search(r"CMD (\[.*\])$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
        assert probe
        command = yaml.safe_load(probe[1])
        checked = environment(tmp_path, PORT=str(port))
        subprocess.run([sys.executable, *command[1:]], check=True, timeout=60, env=checked)
        assert httpx.get(f"http://127.0.0.1:{port}/api/shows").json()["items"] == []
        while not listens(metrics):
            assert worker.poll() is None
            time.sleep(0.1)
        asks = services()["worker"]["healthcheck"]["test"]
        asks = [part.replace("9101", str(metrics)) for part in asks[2:]]
        subprocess.run([sys.executable, *asks], check=True, timeout=60, env=checked)


def test_rediss_command_line_runs(short_dir: Path, tmp_path: Path) -> None:
    """Redis would not start, and rate limits would count for each process."""
    program, *options = services()["redis"]["command"]
    folder = short_dir / f"compose-{tmp_path.name}"
    folder.mkdir()
    server = RedisServer(folder, *options)
    assert find_program(program)
    server.start()
    try:
        assert server.client.config_get("maxmemory-policy") == {"maxmemory-policy": "volatile-lru"}
    finally:
        server.stop()


def test_rabbitmqs_health_check_runs(rabbit_server: RabbitServer) -> None:
    """Servers would wait for a broker that is well, or start before it is."""
    program, *options = services()["rabbitmq"]["healthcheck"]["test"][1:]
    done = rabbit_server.ask(program, *options)
    assert done.returncode == 0, done.stdout + done.stderr


def test_composes_prometheus_configuration_is_right() -> None:
    """Prometheus would not start, and nobody be woken."""
    command = [find_program("promtool"), "check", "config", str(ROOT / "deploy/prometheus/compose.yml")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_postgresqls_health_check_runs(empty_dsn: str) -> None:
    """Nothing would be migrated, or too early."""
    asks = services()["postgres"]["healthcheck"]["test"][1:]
    host = parse_qs(urlsplit(empty_dsn).query)["host"][0]
    asks[asks.index("127.0.0.1")] = host  # the tests' server has a socket only
    done = subprocess.run(
        [find_program(asks[0]), *asks[1:]], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


CITUS = ROOT / "deploy/citus/compose.yaml"


def test_citus_overlay_fits_its_specification_and_the_file_it_is_laid_over() -> None:
    """Shows would be spread, and servers not know it; or half of the overlay change a service that nobody starts."""
    command = [
        sys.executable,
        "-m",
        "check_jsonschema",
        "--builtin-schema",
        "vendor.compose-spec",
        str(CITUS),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    overlay = yaml.safe_load(CITUS.read_text())["services"]
    ours = {name for name, service in services().items() if service.get("image") == "rowlock"}
    assert ours <= overlay.keys()
    nodes = overlay.keys() - services().keys() - {"nodes"}
    told = " ".join(overlay["nodes"]["command"])
    assert nodes
    assert all(f"'{node}'" in told for node in nodes)
    for name in ours:
        spread = overlay[name]["environment"]
        assert spread.keys() <= set(known_variables())
        assert (spread["ROWLOCK_SHARDED"], spread["ROWLOCK_EVENTS"]) == ("on", "off")
    assert set(NEEDED.findall(CITUS.read_text())) == {"POSTGRES_PASSWORD"}


def test_a_server_of_the_overlay_runs(
    dsn: str, tmp_path: Path, redis_server: RedisServer, rabbit_server: RabbitServer
) -> None:
    """It would not start with what the overlay says. (On one PostgreSQL, which a server that spreads is content with.)"""
    spread = yaml.safe_load(CITUS.read_text())["services"]["server-1"]["environment"]
    addresses = {"DATABASE_URL": dsn, "REDIS_URL": redis_server.url, "AMQP_URL": rabbit_server.url}
    port = free_port()
    with running_service(tmp_path, "server-1", **addresses, **spread, PORT=str(port)) as (server, log):
        wait_until_ready(server, port, log)
