"""The files for hosted platforms: their commands run natively, and all of them say the same."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import yaml

from rowlock.settings import known_variables
from tests.processes import environment, left_behind, wait_until_ready
from tests.programs import free_port

ROOT = Path(__file__).parents[2]
PROCFILE = dict(line.split(": ", 1) for line in (ROOT / "Procfile").read_text().splitlines())


def test_the_procfiles_lines_run(empty_dsn: str, tmp_path: Path) -> None:
    """The first deployment would fail, and say little."""
    port = free_port()
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    variables = environment(
        tmp_path, DATABASE_URL=empty_dsn, ROWLOCK_SECRET_KEY="k" * 44, PORT=str(port), PATH=path
    )
    subprocess.run(["sh", "-c", PROCFILE["release"]], env=variables, cwd=tmp_path, timeout=120, check=True)
    processes = []
    log = tmp_path / "log"
    with log.open("wb") as output:
        for name in ("web", "worker"):
            command = ["sh", "-c", PROCFILE[name]]
            processes.append(
                subprocess.Popen(
                    command,
                    env=variables,
                    cwd=tmp_path,
                    stdout=output,
                    stderr=output,
                    start_new_session=True,  # a shell may wait beside what it runs: both are ended as a group
                )
            )
    try:
        wait_until_ready(processes[0], port, log)
        assert processes[1].poll() is None
    finally:
        for process in processes:
            os.killpg(process.pid, signal.SIGTERM)
        for process in processes:
            process.wait(60)
    deadline = time.monotonic() + 60
    while left_behind(tmp_path) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert left_behind(tmp_path) == []


def test_all_platforms_are_told_the_same() -> None:
    """One would serve an old schema, or send people to a server that can't answer."""
    (web,) = yaml.safe_load((ROOT / "render.yaml").read_text())["services"]
    railway = json.loads((ROOT / "railway.json").read_text())
    fly = tomllib.loads((ROOT / "fly.toml").read_text())
    assert web["preDeployCommand"] == PROCFILE["release"]
    assert railway["deploy"]["preDeployCommand"] == [PROCFILE["release"]]
    assert f"rowlock {fly['deploy']['release_command']}" == PROCFILE["release"]
    assert f"rowlock {fly['processes']['worker']}" == PROCFILE["worker"]
    assert railway["deploy"]["startCommand"] in PROCFILE["web"]
    paths = {web["healthCheckPath"], railway["deploy"]["healthcheckPath"]}
    assert paths | {check["path"] for check in fly["http_service"]["checks"]} == {"/ready"}


def test_heroku_is_told_what_the_procfile_needs() -> None:
    """A new app would have no database, no key, or no worker, and its page say "Application error"."""
    app = json.loads((ROOT / "app.json").read_text())
    assert app["formation"].keys() == PROCFILE.keys() - {"release"}
    assert all(process["quantity"] == 1 for process in app["formation"].values())
    assert [addon["as"] for addon in app["addons"]] == ["DATABASE"]  # it sets DATABASE_URL
    assert app["env"]["ROWLOCK_SECRET_KEY"]["generator"] == "secret"
    assert all("value" in wanted or "generator" in wanted for wanted in app["env"].values())
    known = {*known_variables(), "FORWARDED_ALLOW_IPS"}
    assert app["env"].keys() <= known
    given = {name: wanted["value"] for name, wanted in app["env"].items() if "value" in wanted}
    assert given["ROWLOCK_WORK"] == "off"  # there is a worker
    assert "0.0.0.0/0" not in given["FORWARDED_ALLOW_IPS"]
    assert (ROOT / "requirements.txt").read_text().splitlines()[-1] == "."  # what its buildpack installs
