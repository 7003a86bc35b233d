"""Alembic's entry: write the migrations as one SQL script, for rowlock.postgres.migrate to run."""

from typing import Any

from alembic import context
from alembic.ddl.postgresql import PostgresqlImpl


class Verbatim(PostgresqlImpl):
    """PostgreSQL, with statements written as they stand: `%` and `:name` are SQL here, not SQLAlchemy's parameters."""

    __dialect__ = "postgresql"

    def execute(self, sql: Any, execution_options: dict[str, Any] | None = None) -> None:
        """Write a statement."""
        if isinstance(sql, str):
            self.static_output(sql.strip() + self.command_terminator)
        else:
            super().execute(sql, execution_options)


if not context.is_offline_mode():
    raise SystemExit(
        "`rowlock migrate` runs the migrations; `alembic` makes new ones, or shows SQL (upgrade --sql)"
    )

# No BEGIN and COMMIT in the script: who runs it has begun a transaction, to take a lock first.
context.configure(dialect_name="postgresql", literal_binds=True, transactional_ddl=False)
context.run_migrations()
