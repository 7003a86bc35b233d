"""What breaks things, by name, and the world that each needs."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable

from tests.faults.nemeses import brokers, network, postgres, processes
from tests.faults.world import Setting, World

Nemesis = Callable[[World, random.Random], Awaitable[None]]

ANYWHERE: dict[str, Nemesis] = {
    "server killed": processes.server_killed,
    "server frozen": processes.server_frozen,
    "backends ended": postgres.backends_ended,
}
ONLY_IN: dict[Setting, dict[str, Nemesis]] = {
    Setting.PLAIN: {
        "PostgreSQL killed": postgres.postgres_killed,
        "PostgreSQL crashed": postgres.postgres_crashed,
        "network delayed": network.delayed,
        "network half-open": network.half_open,
        "answer to COMMIT cut off": network.commit_cut,
        "Redis stopped": brokers.redis_stopped,
        "Redis frozen": brokers.redis_frozen,
        "Redis emptied": brokers.redis_emptied,
        "RabbitMQ killed": brokers.rabbit_killed,
        "RabbitMQ restarted": brokers.rabbit_restarted,
        "RabbitMQ emptied": brokers.rabbit_emptied,
        "clocks ten minutes apart": processes.clocks_apart,
        "descriptors low": processes.descriptors_low,
        "memory low": processes.memory_low,
    },
    Setting.NETWORK: {
        "network cut": network.cut,
        "network lossy": network.lossy,
        "network reset": network.reset,
        "PostgreSQL killed": postgres.postgres_killed,
    },
    Setting.PAIR: {"fail-over": postgres.failed_over},
    Setting.DISK: {"disk full": postgres.disk_full},
}


def nemeses(setting: Setting) -> dict[str, Nemesis]:
    """What may happen in a world."""
    return ONLY_IN[setting] | ANYWHERE
