"""Rowlock sells reserved seats, at shows and on trips, and never sells a seat twice."""

__version__ = "0.1.0"
