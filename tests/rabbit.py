"""A real RabbitMQ for tests: its own node, ports, folder and cookie, on loopback; ended by its own process ids."""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import subprocess
import time
from pathlib import Path

SERVER = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
START_SECONDS_MAX = 120  # ten on an idle machine
STOP_SECONDS_MAX = 60
# RabbitMQ 3.10 writes which processes its quorum queues have twice a second (Ra's directory is a dets table with an
# auto_save of 500 ms). Killed before that, it comes up with new queues that have no process, until it is started again.
QUEUES_WRITTEN_SECONDS = 1


def missing() -> str | None:
    """Why there can be none here; None if there can."""
    if SERVER.exists() and shutil.which("epmd"):
        return None
    return f"RabbitMQ is not installed in {SERVER.parent} (scripts/install-debian-packages.sh installs it)"


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on; all are held until all are found, so that they differ."""
    listeners = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [listener.getsockname()[1] for listener in listeners]
    for listener in listeners:
        listener.close()
    return ports


class RabbitServer:
    """One node. It keeps its data over `stop`, `kill` and `start`; `close` ends its port mapper (epmd) too."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        self.folder = folder
        self.port, distribution, epmd = free_ports(3)
        self.url = f"amqp://guest:guest@127.0.0.1:{self.port}/"
        (folder / "rabbitmq.conf").write_text(f"listeners.tcp.1 = 127.0.0.1:{self.port}\n")
        (folder / "plugins").write_text("[].")
        cookie = folder / ".erlang.cookie"
        cookie.write_text(secrets.token_hex(16))
        cookie.chmod(0o400)
        self._environment = {
            "PATH": os.environ["PATH"],
            "LANG": "C.UTF-8",
            "HOME": str(folder),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "ERL_EPMD_PORT": str(epmd),
            "RABBITMQ_NODENAME": f"rowlock{self.port}@localhost",
            "RABBITMQ_DIST_PORT": str(distribution),
            "RABBITMQ_MNESIA_BASE": str(folder / "data"),
            "RABBITMQ_LOGS": "-",
            "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq"),
            "RABBITMQ_CONF_ENV_FILE": os.devnull,
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "plugins"),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
            "RUNNING_UNDER_SYSTEMD": "true",  # the script becomes the node, so that its pid is the node's
        }
        # Ours, so that it can be ended: a node would start one that outlives it.
        self._epmd = subprocess.Popen(
            ["epmd", "-address", "127.0.0.1", "-port", str(epmd)],
            env=self._environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self._node: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start, and wait until it takes connections."""
        with (self.folder / "log").open("ab") as log:
            self._node = subprocess.Popen(
                [SERVER], env=self._environment, cwd=self.folder, stdout=log, stderr=log
            )
        deadline = time.monotonic() + START_SECONDS_MAX
        while time.monotonic() < deadline:
            try:
                with socket.create_connection(("127.0.0.1", self.port), timeout=5) as connection:
                    connection.sendall(b"AMQP\x00\x00\x09\x01")
                    if connection.recv(1):
                        break
            except OSError:
                time.sleep(0.2)
            if self._node.poll() is not None:
                break
        # It takes connections before it has begun all that it has: a queue that is made then may never take a message.
        if self._node.poll() is None and self.ask("rabbitmqctl", "await_startup").returncode == 0:
            return
        raise AssertionError(f"RabbitMQ did not start: {(self.folder / 'log').read_text()[-3000:]}")

    def ask(self, program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run one of RabbitMQ's own commands against this node."""
        return subprocess.run(
            [SERVER.with_name(program), *arguments],
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def kill(self) -> None:
        """End it as a power failure does, once the queues that it has are on its disk."""
        assert self._node is not None
        time.sleep(QUEUES_WRITTEN_SECONDS)
        self._node.kill()
        self._node.wait(STOP_SECONDS_MAX)

    def stop(self) -> None:
        """End it in order."""
        if self._node is not None and self._node.poll() is None:
            self._node.terminate()
            try:
                self._node.wait(STOP_SECONDS_MAX)
            except subprocess.TimeoutExpired:
                self.kill()

    def close(self) -> None:
        """End all that was started."""
        self.stop()
        self._epmd.kill()
        self._epmd.wait(STOP_SECONDS_MAX)
