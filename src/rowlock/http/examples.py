"""Requests that work as they stand, for the documentation; a test sends every one."""

from __future__ import annotations

from typing import Any

NEW_SHOWS: dict[str, dict[str, Any]] = {
    "Only numbered seats": {"name": "Late Show", "start_time": "2035-03-01T21:00:00Z", "total_seats": 120},
    "A hall with categories": {
        "name": "Così fan tutte",
        "venue": "Opera House",
        "start_time": "2035-03-01T19:30:00+01:00",
        "end_time": "2035-03-01T22:45:00+01:00",
        "time_zone": "Europe/Vienna",
        "currency": "EUR",
        "categories": [
            {"name": "Stalls", "price_cents": 8900, "color": "#b3261e"},
            {"name": "Balcony", "price_cents": 4500, "color": "#1e63b3"},
        ],
        "layout": {
            "sections": [
                {
                    "name": "Stalls",
                    "rows": [
                        {"label": "A", "seats": 24},
                        {
                            "label": "B",
                            "seats": [{"label": "B-left", "gap_after": True}, {"accessible": True}, {}],
                        },
                    ],
                },
                {"name": "Balcony", "rows": [{"label": "K", "category": "Balcony", "seats": 16}]},
            ]
        },
    },
    "A coach trip": {
        "kind": "trip",
        "name": "Vienna to Graz",
        "origin": "Vienna",
        "destination": "Graz",
        "start_time": "2035-03-02T07:10:00+01:00",
        "categories": [{"name": "Seat", "price_cents": 1990}],
        "layout": {
            "sections": [
                {
                    "name": "Coach",
                    "rows": [
                        {
                            "label": "1",
                            "seats": [
                                {"label": "1A"},
                                {"label": "1B", "gap_after": True},
                                {"label": "1C"},
                                {"label": "1D"},
                            ],
                        }
                    ],
                }
            ]
        },
    },
}
SHOW_CHANGES: dict[str, dict[str, Any]] = {
    "Later, and in another house": {"start_time": "2035-03-01T20:00:00+01:00", "venue": "Concert Hall"},
    "Only after a payment": {"confirm_by": "service", "hold_seconds": 600},
}
SEATS: dict[str, dict[str, Any]] = {"Two seats": {"seats": ["119", "120"]}}
SHOW_BOOKINGS: dict[str, dict[str, Any]] = {
    "Seats by name": {"seats": ["7", "8"]},
    "The best two": {"seat_count": 2},
    "Held, to be confirmed later": {"seats": [21, 22], "confirm": False},
    "With a name": {"seat_count": 1, "customer_name": "Ada Lovelace", "email": "ada@example.org"},
}
BOOKINGS: dict[str, dict[str, Any]] = {
    "Seats by name": {"show_id": 1, "seats": ["1", "2"]},
    "The best three": {"show_id": 1, "seat_count": 3},
    "Held, to be confirmed later": {"show_id": 1, "seats": [31], "confirm": False},
}

WEBHOOKS: dict[str, dict[str, Any]] = {
    "Everything": {"url": "https://example.org/hooks"},
    "Sales only": {
        "url": "https://example.org/sales",
        "types": ["booking.confirmed", "booking.cancelled"],
        "description": "The ledger",
    },
}
WEBHOOK_CHANGES: dict[str, dict[str, Any]] = {
    "On again": {"active": True},
    "Another address": {"url": "https://example.org/other"},
}

BY_OPERATION: dict[str, dict[str, dict[str, Any]]] = {
    "create_show": NEW_SHOWS,
    "change_show": SHOW_CHANGES,
    "block_seats": SEATS,
    "unblock_seats": SEATS,
    "create_booking": BOOKINGS,
    "create_show_booking": SHOW_BOOKINGS,
    "create_webhook": WEBHOOKS,
    "change_webhook": WEBHOOK_CHANGES,
    "sign_in": {"A guest": {"name": "Ada Lovelace"}},
}
