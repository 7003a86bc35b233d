"""Network namespaces: servers and a database on machines of their own, as far as the network goes. Needs root.

The database stands in the middle: a veth pair leads from it to each server; another from each server to us, where the
clients are. Faults are nftables' rules at the database's end. (netem, which could delay, is missing in many kernels: the
proxy delays.)
"""

from __future__ import annotations

import itertools
import os
import subprocess
from typing import NamedTuple

from tests.programs import find_program

DATABASE_PORT = 5432
_numbers = itertools.count(1)


class Machine(NamedTuple):
    """A server's namespace. `address` is where we find it, `ours` we ourselves; `database` is what it calls the database."""

    name: str
    address: str
    ours: str
    database: str

    @property
    def wrap(self) -> list[str]:
        """What goes before a program to run it there."""
        return [find_program("ip"), "netns", "exec", self.name]


class Network:
    """Namespaces for a database and so many servers."""

    def __init__(self, servers: int) -> None:
        self._stem = f"rl{os.getpid() % 100_000}{next(_numbers)}"
        self.database = f"{self._stem}d"
        # A /24 of 10.0.0.0/8 for each process that tests: they run side by side.
        block = f"10.{64 + os.getpid() % 128}.{next(_numbers) % 250}"
        self.machines: list[Machine] = []
        self._names: list[str] = []
        try:
            self._add(self.database)
            for number in range(servers):
                self._connect(number, block)
        except BaseException:
            self.close()
            raise

    def _add(self, name: str) -> None:
        _ip("netns", "add", name)
        self._names.append(name)
        _ip("-n", name, "link", "set", "lo", "up")

    def _connect(self, number: int, block: str) -> None:
        name = f"{self._stem}s{number}"
        self._add(name)
        base = number * 8
        ours, theirs = f"{block}.{base + 1}", f"{block}.{base + 2}"
        at_server, at_database = f"{block}.{base + 5}", f"{block}.{base + 6}"
        _ip("link", "add", f"{name}o", "type", "veth", "peer", "name", "us", "netns", name)
        _ip("addr", "add", f"{ours}/30", "dev", f"{name}o")
        _ip("link", "set", f"{name}o", "up")
        _ip("-n", name, "addr", "add", f"{theirs}/30", "dev", "us")
        _ip("-n", name, "link", "set", "us", "up")
        _ip(
            "-n", name, "route", "add", "default", "via", ours
        )  # webhooks go to the first server's address of us
        _ip(
            "-n",
            name,
            "link",
            "add",
            "db",
            "type",
            "veth",
            "peer",
            "name",
            f"s{number}",
            "netns",
            self.database,
        )
        _ip("-n", name, "addr", "add", f"{at_server}/30", "dev", "db")
        _ip("-n", name, "link", "set", "db", "up")
        _ip("-n", self.database, "addr", "add", f"{at_database}/30", "dev", f"s{number}")
        _ip("-n", self.database, "link", "set", f"s{number}", "up")
        self.machines.append(Machine(name, theirs, ours, at_database))

    def break_link(self, server: int, rule: str) -> None:
        """Have nftables do something to all that goes between a server and the database, either way."""
        rules = f"""
            table inet torture {{
              chain to {{
                type filter hook input priority 0
                iifname "s{server}" {rule}
              }}
              chain from {{
                type filter hook output priority 0
                oifname "s{server}" {rule if "reject" not in rule else "accept"}
              }}
            }}"""
        self._nft(rules)

    def mend(self) -> None:
        """Take all rules away."""
        self._nft("flush ruleset")

    def _nft(self, rules: str) -> None:
        command = [find_program("ip"), "netns", "exec", self.database, find_program("nft"), "-f", "-"]
        done = subprocess.run(command, input=rules, text=True, capture_output=True, check=False)
        assert done.returncode == 0, done.stderr

    def close(self) -> None:
        """Remove all of it; interfaces go with their namespace."""
        for name in self._names:
            subprocess.run([find_program("ip"), "netns", "del", name], check=False, capture_output=True)


def _ip(*arguments: str) -> None:
    done = subprocess.run([find_program("ip"), *arguments], text=True, capture_output=True, check=False)
    assert done.returncode == 0, f"ip {' '.join(arguments)}: {done.stderr}"
