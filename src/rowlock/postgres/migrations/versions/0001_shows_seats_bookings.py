"""Shows, seats, inventory and bookings: who may sell what, and who got it."""

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

# All tables carry show_id first: it is the key they can be sharded by. Constraints are named, because
# rowlock.postgres.errors goes by their names. There are no foreign keys to what is hot: a key check takes a lock on
# the show's row for every booking.
STATEMENTS = (
    """
    CREATE SEQUENCE show_ids AS bigint MAXVALUE 9007199254740991
    """,
    """
    CREATE TABLE shows (
        id              bigint PRIMARY KEY,
        kind            text NOT NULL,
        name            text NOT NULL,
        venue           text,
        origin          text,
        destination     text,
        start_time      timestamptz NOT NULL,
        end_time        timestamptz,
        time_zone       text,
        currency        text NOT NULL,
        categories      json NOT NULL,
        layout          json NOT NULL,
        created_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
        CONSTRAINT shows_id_range CHECK (id BETWEEN 1 AND 9007199254740991),
        CONSTRAINT shows_kind_known CHECK (kind IN ('show', 'trip')),
        CONSTRAINT shows_end_after_start CHECK (end_time > start_time)
    )
    """,
    """
    CREATE INDEX shows_by_start ON shows (start_time, id)
    """,
    # A show's counts, its version, and the terms of its sale. Everyone who changes a seat holds this row when they
    # commit, so whatever a decision needs to know of the show stands here and not in shows.
    """
    CREATE TABLE inventory (
        show_id             bigint PRIMARY KEY,
        total               integer NOT NULL,
        available           integer NOT NULL,
        reserved            integer NOT NULL DEFAULT 0,
        booked              integer NOT NULL DEFAULT 0,
        blocked             integer NOT NULL DEFAULT 0,
        version             bigint NOT NULL DEFAULT 0,
        closed              boolean NOT NULL DEFAULT false,
        settling            boolean NOT NULL DEFAULT false,
        on_sale_at          timestamptz,
        max_seats           integer NOT NULL,
        hold_seconds        integer,
        confirm_by_service  boolean NOT NULL DEFAULT false,
        CONSTRAINT inventory_total_range CHECK (total BETWEEN 1 AND 100000),
        CONSTRAINT inventory_counts_positive
            CHECK (available >= 0 AND reserved >= 0 AND booked >= 0 AND blocked >= 0),
        CONSTRAINT inventory_counts_add_up CHECK (available + reserved + booked + blocked = total),
        CONSTRAINT inventory_settling_when_closed CHECK (closed OR NOT settling),
        CONSTRAINT inventory_max_seats_range CHECK (max_seats BETWEEN 1 AND 500),
        CONSTRAINT inventory_hold_seconds_range CHECK (hold_seconds BETWEEN 1 AND 86400)
    ) WITH (fillfactor = 50)
    """,
    """
    CREATE INDEX inventory_settling ON inventory (show_id) WHERE settling
    """,
    # One row a seat. No other index, and room in each page, so that an update stays in its page (HOT).
    """
    CREATE TABLE seats (
        show_id     bigint NOT NULL,
        seat_no     integer NOT NULL,
        status      "char" NOT NULL DEFAULT 'A',
        booking_id  uuid,
        held_until  timestamptz,
        PRIMARY KEY (show_id, seat_no),
        CONSTRAINT seats_status_known CHECK (status IN ('A', 'R', 'B', 'X')),
        CONSTRAINT seats_owned_when_taken CHECK ((booking_id IS NOT NULL) = (status IN ('R', 'B'))),
        CONSTRAINT seats_time_when_reserved CHECK ((held_until IS NOT NULL) = (status = 'R'))
    ) WITH (fillfactor = 70)
    """,
    """
    CREATE TABLE bookings (
        show_id         bigint NOT NULL,
        id              uuid NOT NULL,
        user_id         text NOT NULL,
        customer_name   text,
        email           text,
        status          text NOT NULL,
        reason          text,
        seats           integer[] NOT NULL,
        conflicts       integer[],
        seat_count      integer NOT NULL,
        amount_cents    bigint NOT NULL,
        held            boolean NOT NULL,
        request_hash    bytea,
        created_at      timestamptz NOT NULL,
        expires_at      timestamptz,
        confirmed_at    timestamptz,
        settled_at      timestamptz,
        release_at      timestamptz,
        PRIMARY KEY (show_id, id),
        CONSTRAINT bookings_status_known CHECK (status IN ('PENDING', 'CONFIRMED', 'FAILED', 'CANCELLED')),
        CONSTRAINT bookings_reason_known CHECK (reason IN (
            'seats_taken', 'not_enough_seats', 'hold_expired', 'released',
            'cancelled_by_customer', 'cancelled_by_admin', 'show_cancelled')),
        CONSTRAINT bookings_reason_when_ended CHECK ((reason IS NOT NULL) = (status IN ('FAILED', 'CANCELLED'))),
        CONSTRAINT bookings_expiry_when_pending CHECK ((expires_at IS NOT NULL) = (status = 'PENDING')),
        CONSTRAINT bookings_settled_unless_pending CHECK ((settled_at IS NULL) = (status = 'PENDING')),
        CONSTRAINT bookings_confirmed_at CHECK ((confirmed_at IS NOT NULL) = (status IN ('CONFIRMED', 'CANCELLED'))),
        CONSTRAINT bookings_release_of_holds CHECK (
            CASE status
                WHEN 'PENDING' THEN release_at IS NOT NULL AND release_at = expires_at
                WHEN 'FAILED' THEN true
                ELSE release_at IS NULL
            END),
        CONSTRAINT bookings_seat_count CHECK (
            cardinality(seats) = seat_count OR (status = 'FAILED' AND cardinality(seats) = 0)),
        CONSTRAINT bookings_seat_count_positive CHECK (seat_count > 0),
        CONSTRAINT bookings_amount_positive CHECK (amount_cents >= 0)
    )
    """,
    # What the sweeper goes by: holds that still have seats to free.
    """
    CREATE INDEX bookings_to_release ON bookings (release_at) WHERE release_at IS NOT NULL
    """,
    """
    CREATE INDEX bookings_by_user ON bookings (user_id, created_at DESC, id DESC)
    """,
    """
    CREATE INDEX bookings_by_show ON bookings (show_id, created_at DESC, id DESC)
    """,
    """
    CREATE INDEX bookings_by_time ON bookings (created_at DESC, id DESC)
    """,
    # What the pruner goes by.
    """
    CREATE INDEX bookings_failed ON bookings (settled_at) WHERE status = 'FAILED'
    """,
    # Keys that every process shares and that must outlive the rotation of any signing secret: booking ids of
    # idempotent requests are hashed with one, cursors are sealed with it.
    """
    CREATE TABLE secrets (
        name    text PRIMARY KEY,
        value   bytea NOT NULL
    )
    """,
    """
    INSERT INTO secrets (name, value)
    VALUES ('ids', decode(replace(gen_random_uuid()::text || gen_random_uuid()::text, '-', ''), 'hex'))
    """,
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    """There is nothing before this."""
    raise RuntimeError("0001 is the first schema; drop the database instead")
