"""Queued bookings: the requests that wait, and reasons for those that could not be had."""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

REASONS = (
    "seats_taken",
    "not_enough_seats",
    "hold_expired",
    "released",
    "cancelled_by_customer",
    "cancelled_by_admin",
    "show_cancelled",
    "not_on_sale",
    "forbidden",
    "too_many_seats",
    "dropped",
)

# The new constraint allows all that the old one did, so no row needs to be looked at again (NOT VALID): the table may be
# large, and is locked meanwhile.
STATEMENTS = (
    f"""
    ALTER TABLE bookings
        DROP CONSTRAINT bookings_reason_known,
        ADD CONSTRAINT bookings_reason_known CHECK (reason IN ({", ".join(f"'{r}'" for r in REASONS)})) NOT VALID
    """,
    # One row a show that ever had a request: whoever has it locked decides the show's requests, and nobody else.
    """
    CREATE TABLE booking_queues (
        show_id  bigint PRIMARY KEY
    )
    """,
    # A request that waits, or one that could not be decided (a dead letter: dead_at is set). It goes when its booking is
    # there. seq is the order of a show's requests.
    """
    CREATE TABLE booking_requests (
        show_id       bigint NOT NULL,
        id            uuid NOT NULL,
        seq           bigint GENERATED ALWAYS AS IDENTITY,
        user_id       text NOT NULL,
        request       bytea NOT NULL,
        request_hash  bytea NOT NULL,
        queued_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
        deliveries    integer NOT NULL DEFAULT 0,
        dead_at       timestamptz,
        cause         text,
        PRIMARY KEY (show_id, id),
        CONSTRAINT booking_requests_cause_when_dead CHECK ((dead_at IS NULL) = (cause IS NULL)),
        CONSTRAINT booking_requests_deliveries CHECK (deliveries >= 0)
    )
    """,
    """
    CREATE INDEX booking_requests_waiting ON booking_requests (show_id, seq) WHERE dead_at IS NULL
    """,
    """
    CREATE INDEX booking_requests_dead ON booking_requests (dead_at) WHERE dead_at IS NOT NULL
    """,
    # Queued bookings that failed and were pruned: their ids tell that they were queued, and must not read as if they still
    # were.
    """
    CREATE TABLE pruned_requests (
        show_id  bigint NOT NULL,
        id       uuid NOT NULL,
        PRIMARY KEY (show_id, id)
    )
    """,
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    """Requests that wait would be lost."""
    raise RuntimeError("0004 may hold requests that 0003 has no place for")
