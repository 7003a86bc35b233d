"""Brokers beside PostgreSQL: optional, and never the source of truth."""
