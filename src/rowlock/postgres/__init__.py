"""PostgreSQL: the pool, named queries, errors translated once, migrations, the embedded server."""
