"""What the fields of answers mean, with an example each: the words of the OpenAPI document.

The answers' types belong to the operations and the domain, which know nothing of HTTP; so the words stand here. A
test fails where a field has none.
"""

from __future__ import annotations

from typing import Any

# How schemas are called in the document, by the names of their types.
NAMES = {
    "ShowView": "Show",
    "BookingView": "Booking",
    "Page_rowlock.operations.views.ShowView_": "ShowList",
    "Page_rowlock.operations.views.BookingView_": "BookingList",
    "StatisticsView": "Statistics",
    "SeatView": "Seat",
    "SeatsView": "SeatList",
    "AvailabilityView": "SeatMap",
    "Snapshot": "LiveSnapshot",
    "Delta": "LiveDelta",
    "PublicLayout": "Layout",
    "PublicSection": "Section",
    "PublicRow": "Row",
    "PublicSeat": "SeatPlace",
    "LayoutSpec": "NewLayout",
    "SectionSpec": "NewSection",
    "RowSpec": "NewRow",
    "SeatSpec": "NewSeat",
    "NewShowBody": "NewShow",
    "ShowChangeBody": "ShowChange",
    "Bucket": "StatisticsInterval",
    "BookingBody": "NewBooking",
    "ShowBookingBody": "NewShowBooking",
    "SeatsBody": "Seats",
    "ProblemBody": "Problem",
    "WebhookBody": "NewWebhook",
    "WebhookChangeBody": "WebhookChange",
    "WebhookView": "Webhook",
    "DeliveryView": "Delivery",
    "Page_rowlock.operations.webhooks.WebhookView_": "WebhookList",
    "Page_rowlock.operations.webhooks.DeliveryView_": "DeliveryList",
    "Step": "BookingStep",
    "QueuedView": "QueuedBooking",
    "QueuedStep": "QueuedBookingStep",
}

Texts = dict[str, tuple[str, Any]]

_SHOW: Texts = {
    "id": ("The show's id, 1 to 2^53-1.", 1),
    "kind": ("`show`, or `trip`.", "show"),
    "name": ("What it is called.", "Così fan tutte"),
    "venue": ("Where it is.", "Opera House"),
    "start_time": ("When it begins.", "2030-01-01T19:30:00Z"),
    "end_time": ("When it ends, if that is known.", "2030-01-01T22:30:00Z"),
    "time_zone": ("The IANA time zone of the place.", "Europe/Vienna"),
    "origin": ("Where a trip begins.", "Vienna"),
    "destination": ("Where a trip ends.", "Graz"),
    "status": ("`cancelled`: nothing more is sold.", "scheduled"),
    "total_seats": ("All seats; the four counts add up to it.", 1200),
    "available_seats": ("Seats that can be had.", 1100),
    "reserved_seats": ("Seats that PENDING bookings hold.", 4),
    "booked_seats": ("Seats that CONFIRMED bookings have.", 90),
    "blocked_seats": ("Seats that are off sale.", 6),
    "currency": ("ISO 4217, of all prices of the show.", "EUR"),
    "categories": ("Price bands.", None),
    "max_seats_per_booking": ("Most seats in one booking.", 10),
    "hold_seconds": ("How long a PENDING booking holds its seats.", 120),
    "confirm_by": ("Who confirms: also the booking's `owner`, or only a `service`.", "owner"),
    "on_sale_at": ("Before this nothing is sold; null: on sale.", "2029-12-01T09:00:00Z"),
    "created_at": ("When it was made.", "2029-11-01T12:00:00Z"),
}

_BOOKING: Texts = {
    "id": ("The booking's id.", "00000000-0001-8a5d-9c3e-0b8f6d2a7e41"),
    "show_id": ("The show it is for.", 1),
    "user_id": ("Whose it is.", "u-17"),
    "customer_name": ("The name that came with it.", "Ada Lovelace"),
    "email": ("The address that came with it.", "ada@example.org"),
    "status": ("PENDING holds its seats; CONFIRMED has them; FAILED and CANCELLED have none.", "CONFIRMED"),
    "reason": ("Why it FAILED or was CANCELLED; else null.", None),
    "seats": ("Its seats by label; those it had, where it has them no more.", ["A-12", "A-13"]),
    "seat_count": ("How many seats were asked for.", 2),
    "amount_cents": ("What they cost together, in minor units of `currency`.", 17800),
    "currency": ("ISO 4217.", "EUR"),
    "created_at": ("When it was made.", "2029-12-01T09:00:00.123456Z"),
    "expires_at": ("Until when a PENDING booking holds its seats; else null.", "2029-12-01T09:02:00.123456Z"),
    "settled_at": ("When it became what it is now; null while PENDING.", "2029-12-01T09:00:41.654321Z"),
    "history": ("The statuses it went through, oldest first.", None),
    "conflicts": ("The seats that stood in the way; only where it FAILED for `seats_taken`.", ["A-12"]),
}

_PAGE: Texts = {
    "items": ("This page.", None),
    "next_cursor": ("Pass it as `cursor` for the rest; null at the end.", "kq3v0cVb2JpZ2lu"),
}

_CATEGORY: Texts = {
    "name": ("What the price band is called; unique in the show.", "Stalls"),
    "price_cents": ("The price of one seat, in minor units.", 8900),
    "color": ("A colour for seat maps.", "#b3261e"),
}

FIELDS: dict[str, Texts] = {
    "Show": _SHOW,
    "Booking": _BOOKING,
    "ShowList": _PAGE,
    "BookingList": _PAGE,
    "Category": _CATEGORY,
    "QueuedBooking": {name: text for name, text in _BOOKING.items() if name != "conflicts"}
    | {
        "user_id": ("Whose it is; null where only its id is known, and staff asks.", "u-17"),
        "status": ("Always PENDING: it has no seats yet, and may get none.", "PENDING"),
        "reason": ("Always `queued`.", "queued"),
        "seats": ("The seats that were asked for, where that is known.", ["A-12", "A-13"]),
        "seat_count": ("How many seats were asked for, where that is known.", 2),
        "amount_cents": ("What the seats that were asked for cost, where that is known.", 17800),
        "currency": ("ISO 4217, where it is known.", "EUR"),
        "created_at": ("When it was queued, where that is known.", "2029-12-01T09:00:00.123456Z"),
        "expires_at": ("Null: nothing is held yet.", None),
        "settled_at": ("Null: it is not decided.", None),
        "history": ("That it was queued, where it is known when.", None),
    },
    "QueuedBookingStep": {
        "status": ("PENDING.", "PENDING"),
        "reason": ("`queued`.", "queued"),
        "at": ("When.", "2029-12-01T09:00:00.123456Z"),
    },
    "BookingStep": {
        "status": ("What it became.", "PENDING"),
        "reason": ("Why, where it FAILED or was CANCELLED.", None),
        "at": ("When.", "2029-12-01T09:00:00.123456Z"),
    },
    "Seat": {
        "seat": ("Its label.", "A-12"),
        "section": ("Its section's name.", "Stalls"),
        "row": ("Its row's label.", "A"),
        "category": ("Its price band.", "Stalls"),
        "price_cents": ("Its price, in minor units of the show's currency.", 8900),
        "accessible": ("Whether a wheelchair has room.", False),
        "status": ("AVAILABLE, RESERVED, BOOKED or BLOCKED.", "AVAILABLE"),
    },
    "SeatList": {
        "show_id": ("The show.", 1),
        "version": ("Rises with each change to the show's seats.", 17),
        "seats": ("All seats in layout order.", None),
    },
    "SeatMap": {
        "show_id": ("The show.", 1),
        "version": ("Rises with each change to the show's seats.", 17),
        "available": ("How many seats can be had.", 2),
        "statuses": (
            "One letter a seat in layout order: A available, R reserved, B booked, X blocked.",
            "AARB",
        ),
    },
    "LiveSnapshot": {
        "show_id": ("The show.", 1),
        "version": ("The version it shows.", 17),
        "available": ("How many seats can be had.", 2),
        "statuses": (
            "One letter a seat in layout order: A available, R reserved, B booked, X blocked.",
            "AARB",
        ),
    },
    "LiveDelta": {
        "from_version": ("The version it applies to: that of the event before.", 17),
        "version": ("The version after it.", 18),
        "available": ("How many seats can be had now.", 1),
        "changes": (
            "Each `[position, letter]`: the seat in layout order, from 0, and its status now.",
            [[0, "B"]],
        ),
    },
    "Statistics": {
        "show_id": ("The show.", 1),
        "as_of": ("When it was counted.", "2029-12-01T09:05:00.123456Z"),
        "currency": ("ISO 4217.", "EUR"),
        "revenue_cents": ("What all booked seats cost together, in minor units.", 801000),
        "bookings": ("How many there are of each status.", None),
        "categories": ("Seats and revenue of each price band.", None),
        "reasons": ("Why bookings FAILED or were CANCELLED, most frequent first.", None),
        "interval_seconds": ("How long an interval of the timeline is.", 3600),
        "timeline": (
            "The bookings by when they were made, oldest first; at most 121 intervals, none left out.",
            None,
        ),
    },
    "BookingCounts": {
        "pending": ("Those that hold seats.", 2),
        "confirmed": ("Those that have seats.", 45),
        "failed": ("Those that got none, or lost them unconfirmed; they are kept for some weeks only.", 7),
        "cancelled": ("Those that were given back.", 1),
    },
    "CategoryStatistics": {
        "category": ("The price band.", "Stalls"),
        "price_cents": ("The price of one seat, in minor units.", 8900),
        "total_seats": ("All its seats; the four counts add up to it.", 600),
        "available_seats": ("Seats that can be had.", 500),
        "reserved_seats": ("Seats that PENDING bookings hold.", 4),
        "booked_seats": ("Seats that CONFIRMED bookings have.", 90),
        "blocked_seats": ("Seats that are off sale.", 6),
        "revenue_cents": ("What its booked seats cost together.", 801000),
    },
    "ReasonCount": {
        "reason": ("Why they ended.", "seats_taken"),
        "bookings": ("How many bookings.", 6),
        "seats": ("How many seats they asked for.", 12),
    },
    "StatisticsInterval": {
        "at": ("When the interval begins.", "2029-12-01T09:00:00Z"),
        "pending": ("Bookings made in it that are PENDING.", 2),
        "confirmed": ("Those that are CONFIRMED.", 45),
        "failed": ("Those that FAILED.", 7),
        "cancelled": ("Those that were CANCELLED.", 1),
        "seats": ("The seats of the CONFIRMED ones.", 90),
        "amount_cents": ("What those cost together.", 801000),
    },
    "Layout": {
        "sections": ("From front to back.", None),
        "categories": ("Price bands.", None),
    },
    "Section": {"name": ("What it is called.", "Stalls"), "rows": ("From front to back.", None)},
    "Row": {"label": ("What it is called.", "A"), "seats": ("From left to right.", None)},
    "SeatPlace": {
        "label": ("The seat's label, unique in the show.", "A-12"),
        "category": ("Its price band.", "Stalls"),
        "accessible": ("Whether a wheelchair has room.", False),
        "gap_after": ("Whether an aisle parts it from the next seat.", False),
    },
    "NewLayout": {"sections": ("From front to back.", None)},
    "NewSection": {"name": ("What it is called.", "Stalls"), "rows": ("From front to back.", None)},
    "NewRow": {
        "label": ("What it is called.", "A"),
        "seats": ('A number, for seats "A-1" to "A-n" of a row A; or a list, from left to right.', 24),
        "category": ("The price band of its seats; the first one if left out.", "Stalls"),
    },
    "NewSeat": {
        "label": ("Unique in the show; row and number, as in `A-3`, if left out.", "A-3"),
        "category": ("Its price band; the row's if left out.", "Balcony"),
        "accessible": ("Whether a wheelchair has room.", True),
        "gap_after": ("Whether an aisle parts it from the next seat.", False),
    },
    "WebhookList": _PAGE,
    "DeliveryList": _PAGE,
    "Webhook": {
        "id": ("The webhook's id.", 1),
        "url": ("Where events are sent.", "https://example.org/hooks"),
        "types": ("Only events of these types are sent; of every type if empty.", ["booking.confirmed"]),
        "description": ("What it is for.", "The ledger"),
        "active": ("Whether events are queued and sent.", True),
        "notice": ("Why it was switched off, if it was not an admin.", None),
        "failing_since": ("Since when nothing was delivered; null where the last attempt worked.", None),
        "created_at": ("When it was made.", "2029-12-01T09:00:00.123456Z"),
        "secret": (
            "What its requests are signed with (Standard Webhooks). Only in the answer that it was made or changed by.",
            "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYo=",
        ),
    },
    "Delivery": {
        "event_id": ("The event's id, which is also the header `webhook-id`.", "1-17"),
        "type": ("The event's type.", "booking.confirmed"),
        "show_id": ("The show it is about.", 1),
        "status": (
            "`pending`: still to come; `delivered`: answered with 2xx; `failed`: given up after a day.",
            "delivered",
        ),
        "attempts": ("How often it was sent.", 1),
        "created_at": ("When it was queued.", "2029-12-01T09:00:00.123456Z"),
        "attempted_at": ("When it was last sent.", "2029-12-01T09:00:00.523456Z"),
        "delivered_at": ("When it was last answered with 2xx.", "2029-12-01T09:00:00.523456Z"),
        "answer_status": ("The status of the last answer; null where there was none.", 200),
        "answer": ("The beginning of the last answer.", "ok"),
        "error": ("What was wrong with the last attempt.", None),
    },
    "FieldError": {
        "field": ("The path of the field.", "seats[2]"),
        "message": ("What is wrong with it.", "must not be empty"),
    },
    "Health": {"status": ("Always `ok`.", "ok"), "version": ("Rowlock's version.", "1.0.0")},
    "Ready": {"status": ("Always `ready`.", "ready"), "schema": ("The database's schema.", "0002")},
}
