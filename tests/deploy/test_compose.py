"""compose.yaml and the Dockerfile: right by their own linters, and each of our services' command lines, run natively.

No container engine is needed: what an image would run is run here, with the environment that the file gives it.
"""

from __future__ import annotations

import contextlib
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from tests.processes import environment, rowlock, wait_until_ready
from tests.programs import find_program, free_port
from tests.redis_server import RedisServer

ROOT = Path(__file__).parents[2]
SECRETS = {"POSTGRES_PASSWORD": "secret", "ROWLOCK_SECRET_KEY": "k" * 40, "GRAFANA_PASSWORD": "secret"}
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


def test_each_command_line_of_ours_runs(empty_dsn: str, tmp_path: Path, redis_server: RedisServer) -> None:
    """The first start would fail before anybody has seen anything."""
    addresses = {"DATABASE_URL": empty_dsn, "REDIS_URL": redis_server.url}
    migrate = services()["migrate"]
    done = rowlock(tmp_path, *migrate["command"], **variables_of(migrate, **addresses))
    assert done.returncode == 0, done.stderr
    port = free_port()
    with (
        running_service(tmp_path, "server-1", **addresses, PORT=str(port)) as (server, log),
        running_service(tmp_path, "worker", **addresses) as (worker, _),
    ):
        wait_until_ready(server, port, log)
        probe = re.search(r"CMD (\[.*\])$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
        assert probe
        command = yaml.safe_load(probe[1])
        checked = environment(tmp_path, PORT=str(port))
        subprocess.run([sys.executable, *command[1:]], check=True, timeout=60, env=checked)
        assert httpx.get(f"http://127.0.0.1:{port}/api/shows").json()["items"] == []
        assert worker.poll() is None


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
