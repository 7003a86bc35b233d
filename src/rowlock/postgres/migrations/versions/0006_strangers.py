"""Strangers: who did what (the audit trail), whose tokens are called back, and what customers' holds are counted by."""

from alembic import op

revision = "0006"
down_revision = "0005"
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
    "too_many_holds",
    "dropped",
)

STATEMENTS = (
    # The new constraint allows all that the old one did, so no row needs to be looked at again (NOT VALID). `trail`: role,
    # address, request id and user of whoever asked for the booking (domain/trails.py); null in rows from before.
    f"""
    ALTER TABLE bookings
        ADD COLUMN trail text,
        DROP CONSTRAINT bookings_reason_known,
        ADD CONSTRAINT bookings_reason_known CHECK (reason IN ({", ".join(f"'{r}'" for r in REASONS)})) NOT VALID
    """,
    # What bounds a customer's holds. Bookings that are confirmed at once are not in it, and cost nothing by it. In a large
    # database it may have been made before, without a lock (docs/operations.md).
    "CREATE INDEX IF NOT EXISTS bookings_held ON bookings (show_id, user_id, created_at) WHERE held",
    # What was done that is no new booking. `show_id` 0: to no show in particular. Ids are random, as those of bookings
    # are, so that one list may hold both.
    """
    CREATE TABLE audit (
        show_id     bigint NOT NULL,
        id          uuid NOT NULL DEFAULT gen_random_uuid(),
        at          timestamptz NOT NULL DEFAULT clock_timestamp(),
        user_id     text NOT NULL,
        role        text NOT NULL,
        address     text,
        request_id  text,
        action      text NOT NULL,
        target      text NOT NULL,
        outcome     text,
        detail      text,
        PRIMARY KEY (show_id, id)
    )
    """,
    "CREATE INDEX audit_by_time ON audit (at DESC, id DESC)",
    "CREATE INDEX audit_by_show ON audit (show_id, at DESC, id DESC)",
    "CREATE INDEX audit_by_user ON audit (user_id, at DESC, id DESC)",
    # Tokens that are good no more: one, by its id, or all of a user's that were issued until then. A row goes when what it
    # stands for would have expired anyway. Few, and the same for every show: not sharded.
    """
    CREATE TABLE revocations (
        kind        text NOT NULL,
        value       text NOT NULL,
        revoked_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
        until       timestamptz NOT NULL,
        PRIMARY KEY (kind, value),
        CONSTRAINT revocations_kind_known CHECK (kind IN ('token', 'user'))
    )
    """,
    "CREATE INDEX revocations_by_time ON revocations (revoked_at)",
)

# The trail is appended to, and nothing else: no row is changed, and none goes before it is 90 days old (in hours: a day
# has 25 of them when summer time ends), which is the least that ROWLOCK_KEEP_AUDIT_DAYS may say. A step of its own: where tables are sharded by Citus, which has no triggers
# on them, it is left out, and rights must do (docs/operations.md).
APPEND_ONLY = (
    """
    CREATE FUNCTION audit_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $body$
    BEGIN
        IF TG_OP = 'DELETE' AND OLD.at < now() - interval '2160 hours' THEN
            RETURN OLD;
        END IF;
        RAISE EXCEPTION 'the audit trail is append-only' USING ERRCODE = 'insufficient_privilege';
    END
    $body$
    """,
    """
    DO $do$
    BEGIN
        IF NOT EXISTS (SELECT FROM pg_extension WHERE extname = 'citus') THEN
            CREATE TRIGGER audit_append_only BEFORE UPDATE OR DELETE ON audit
                FOR EACH ROW EXECUTE FUNCTION audit_is_append_only();
            CREATE TRIGGER audit_no_truncate BEFORE TRUNCATE ON audit
                FOR EACH STATEMENT EXECUTE FUNCTION audit_is_append_only();
        END IF;
    END
    $do$
    """,
)


def upgrade() -> None:
    for statement in (*STATEMENTS, *APPEND_ONLY):
        op.execute(statement)


def downgrade() -> None:
    """What was recorded would be lost."""
    raise RuntimeError("0006 keeps a trail that 0005 has no place for")
