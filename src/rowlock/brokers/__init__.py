"""Brokers: parts that may be there and may be away, and never decide."""
