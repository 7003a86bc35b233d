"""What is said of a request that was to be queued at a broker that did not answer."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest

from rowlock.brokers.rabbitmq import BrokerDown, RabbitMQ, Unanswered
from rowlock.operations.queue_broker import BrokerQueue
from rowlock.operations.queueing import QueueDown

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("error", "said"), [(BrokerDown("away"), "can't be reached"), (Unanswered("lost"), "or it was not")]
)
async def test_a_lost_answer_is_no_refusal(
    monkeypatch: pytest.MonkeyPatch, error: Exception, said: str
) -> None:
    """A customer would be told that nothing was queued, book again, and have two bookings."""

    async def publish(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr("rowlock.operations.queue_broker.encode", lambda _: b"")
    broker: Any = SimpleNamespace(publish=publish)
    table: Any = None
    queued: Any = SimpleNamespace(request=SimpleNamespace(show_id=1), id=UUID(int=1), at=datetime.now(UTC))
    with pytest.raises(QueueDown, match=said):
        await BrokerQueue(broker, table).put(queued)


async def test_a_message_that_went_out_may_have_arrived() -> None:
    """The publisher would say that it was not sent, of a message that the broker kept as it died."""

    class Channel:
        is_closed = False

        class default_exchange:  # noqa: N801
            @staticmethod
            async def publish(*_: Any, **__: Any) -> None:
                raise ConnectionResetError

    broker = RabbitMQ("amqp://localhost", "test")
    with pytest.raises(BrokerDown) as unsent:
        await broker.publish("", "q", b"")
    assert not isinstance(unsent.value, Unanswered)
    broker._publisher = Channel()  # type: ignore[assignment]
    with pytest.raises(Unanswered):
        await broker.publish("", "q", b"")
