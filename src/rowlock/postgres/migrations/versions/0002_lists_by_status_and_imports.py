"""Lists of bookings by status, and where imported rows came from."""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

# Each index is replaced by one that also knows the status, so that a list of few among many, a show's cancelled
# bookings among its 50,000, reads what it shows and nothing else. A list of all statuses is merged from four ranges.
# A change of status moved a row's index entries before as well (release_at and status stood in other indexes'
# columns and predicates), so no update is dearer; and a booking that failed is in one index less than it was: the
# pruner goes by bookings_by_status now.
# That one has a collation of its own, so that only what asks for it by COLLATE "C" finds it: statistics know nothing
# of users, shows and statuses together, and the planner would seek a show's few CONFIRMED ones among everybody's.
STATEMENTS = (
    "CREATE INDEX bookings_by_user_status ON bookings (user_id, status, created_at DESC, id DESC)",
    "CREATE INDEX bookings_by_show_status ON bookings (show_id, status, created_at DESC, id DESC)",
    'CREATE INDEX bookings_by_status ON bookings (status COLLATE "C", created_at DESC, id DESC)',
    "DROP INDEX bookings_by_user",
    "DROP INDEX bookings_by_show",
    "DROP INDEX bookings_by_time",
    "DROP INDEX bookings_failed",
    # `rowlock import` keeps a predecessor's ids. A source's show is brought over once; a booking is its show's.
    """
    ALTER TABLE shows
        ADD COLUMN import_source text,
        ADD COLUMN import_id text,
        ADD CONSTRAINT shows_import_whole CHECK ((import_source IS NULL) = (import_id IS NULL))
    """,
    "ALTER TABLE bookings ADD COLUMN import_id text",
    "CREATE UNIQUE INDEX shows_import_key ON shows (import_source, import_id) WHERE import_id IS NOT NULL",
    "CREATE UNIQUE INDEX bookings_import_key ON bookings (show_id, import_id) WHERE import_id IS NOT NULL",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    """Imported ids would be lost."""
    raise RuntimeError("0002 keeps ids that 0001 has no place for")
