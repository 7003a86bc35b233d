"""A booking as an entry of a calendar (iCalendar, RFC 5545)."""

from __future__ import annotations

from zoneinfo import ZoneInfo

from icalendar import Calendar, Event

from rowlock import __version__
from rowlock.domain.lifecycles import BookingStatus
from rowlock.operations.views import BookingView, ShowKind, ShowStatus, ShowView

MEDIA_TYPE = "text/calendar"
_STATUS = {BookingStatus.PENDING: "TENTATIVE", BookingStatus.CONFIRMED: "CONFIRMED"}
CANCELLED = "CANCELLED"


def calendar_of(booking: BookingView, show: ShowView) -> bytes:
    """The calendar with the booking in it, and nothing else.

    The entry's UID is made of the booking's id: imported again after it was cancelled, it takes the place of the first.
    Times are in the show's own time zone, with its rules, so that they stay right wherever the calendar is read.
    """
    status = _STATUS.get(booking.status, CANCELLED)
    if show.status is ShowStatus.CANCELLED:
        status = CANCELLED
    zone = ZoneInfo(show.time_zone or "UTC")
    event = Event()
    event.add("uid", f"{booking.id}@rowlock")
    event.add("dtstamp", booking.settled_at or booking.created_at)
    event.add("sequence", len(booking.history) + (show.status is ShowStatus.CANCELLED))
    event.add("status", status)
    event.add("summary", show.name)
    event.add("dtstart", show.start_time.astimezone(zone))
    if show.end_time is not None:  # else nobody said how long: a mark in the day, and no guess
        event.add("dtend", show.end_time.astimezone(zone))
    if show.venue is not None or show.origin is not None:
        event.add("location", show.venue or show.origin)
    event.add("description", "\n".join(_lines(booking, show)))
    event.add("transp", "TRANSPARENT" if status == CANCELLED else "OPAQUE")
    calendar = Calendar()
    calendar.add("prodid", f"-//Rowlock//Rowlock {__version__}//EN")
    calendar.add("version", "2.0")
    calendar.add_component(event)
    calendar.add_missing_timezones()
    content: bytes = calendar.to_ical()
    return content


def _lines(booking: BookingView, show: ShowView) -> list[str]:
    seats = f"{'Seat' if len(booking.seats) == 1 else 'Seats'} {', '.join(booking.seats)}"
    lines = [seats] if booking.seats else []
    if show.kind is ShowKind.TRIP and show.origin and show.destination:
        lines.append(f"From {show.origin} to {show.destination}")
    return [*lines, f"Booking {booking.id}"]
