"""Who reads events beside the webhooks: what nobody reads is done as it is written."""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

STATEMENTS = (
    # A row, `broker`, while events are published to one. Webhooks have a table of their own.
    """
    CREATE TABLE event_readers (
        name  text PRIMARY KEY,
        CONSTRAINT event_readers_known CHECK (name IN ('broker'))
    )
    """,
    # There may be a broker. Where there is none, that is found out within a minute (workers/outbox.py).
    "INSERT INTO event_readers (name) VALUES ('broker')",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    """Events would wait for readers that there are not."""
    raise RuntimeError("0005 marks events that 0004 would wait with")
