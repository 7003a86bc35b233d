"""The predecessors' calls in the OpenAPI document: their errors, their examples, and who may call."""

from __future__ import annotations

from typing import Any

from litestar.openapi.spec import Tag

from rowlock.http.classic import shapes

TAGS = [
    Tag(
        name=f"Predecessor {number}",
        description=f"For clients written for predecessor {number}: {what}. The base address is `/classic/{number}`; "
        'whatever goes wrong is `{"error": "…"}`.',
    )
    for number, what in ((1, "seats by name"), (2, "only counts"), (4, "seats by number"))
]

TYPES = tuple(
    value for name, value in vars(shapes).items() if name.startswith("Classic") and isinstance(value, type)
)

BESIDE = {"ClassicError"}  # schemas that no route of Litestar's names

_ADMIN = frozenset({"classic_one_create_show", "classic_two_create_show", "classic_four_create_show"})
_BOOK = frozenset({"classic_one_book", "classic_two_book", "classic_four_book"})
_OWN = frozenset({"classic_one_get_booking", "classic_four_get_booking"})
_BY_NUMBER = frozenset({"classic_four_get_show", "classic_four_get_booking"})

EXAMPLES: dict[str, dict[str, Any]] = {
    "classic_one_create_show": {
        "name": "Rock Concert 2025",
        "start_time": "2025-12-25T19:00:00Z",
        "total_seats": 100,
    },
    "classic_one_book": {"seat_nos": ["41", "42"], "user_id": "user123", "immediate_confirm": True},
    "classic_two_create_show": {
        "name": "Movie Name",
        "start_time": "2024-03-20T18:00:00Z",
        "total_seats": 40,
    },
    "classic_two_book": {"show_id": 1, "seat_count": 2},
    "classic_four_create_show": {
        "name": "City Express",
        "startTime": "2024-12-12T15:00:00Z",
        "totalSeats": 40,
    },
    "classic_four_book": {"seats": [51, 52, 53], "userName": "Maya"},
}

_ERRORS = {
    400: ("A field is wrong; it is named.", "name: is missing"),
    401: ("Nobody is signed in, or the credential is bad.", "Sign in first, or send a bearer token."),
    403: ("Not for this caller.", "This needs the role admin."),
    404: ("There is no such thing.", "There is no show 7."),
    409: ("Nothing can be had of this show now.", "This show is not on sale before 2029-12-01T09:00:00Z."),
    413: ("The body is too large.", "The body is larger than 1,048,576 bytes."),
    429: ("Too many requests.", "Too many requests; ask again in 17 s."),
    500: ("A bug here.", "Something went wrong here; it is logged as request 5f0c2a9d4be15f0c2a9d4be1."),
    503: ("Busy, or the database does not answer.", "The database does not answer at the moment."),
}


def finish_operation(operation: dict[str, Any]) -> None:
    """One operation with what Litestar can't know."""
    name: str = operation["operationId"]
    statuses = {401, 403, 500} | (set() if name == "classic_four_health" else {503})
    responses: dict[str, Any] = operation["responses"]
    if "requestBody" in operation:
        statuses |= {400, 413}
        example = {"summary": "As on its page", "value": EXAMPLES[name]}
        operation["requestBody"]["content"]["application/json"]["examples"] = {"as_on_its_page": example}
    if name in _BOOK:
        statuses |= {404, 409, 429}
        operation.setdefault("parameters", []).append(_KEY)
    if name in _BY_NUMBER:
        statuses.add(400)
    if "parameters" in operation:
        statuses.add(404)
    for refused in [status for status in responses if status >= "400"]:
        del responses[refused]
    if name == "classic_four_book":
        responses["201"]["content"]["application/json"]["schema"] = _ref("ClassicFourConfirmed")
    for response in responses.values():
        names = ["X-Request-Id"] + (["Idempotency-Replayed"] if name in _BOOK else [])
        _add_headers(response, names)
    for status in sorted(statuses):
        responses[str(status)] = _error(status)
    if name == "classic_one_book":
        responses["409"]["description"] = "Others have the seats, or nothing can be had of this show now."
        responses["409"]["content"]["application/json"]["example"] = {
            "error": "Seats 7 and 8 are taken; nothing was booked."
        }
    operation["responses"] = dict(sorted(responses.items()))
    open_to_all: list[dict[str, Any]] = [] if name in _ADMIN | _BOOK | _OWN else [{}]
    operation["security"] = [*open_to_all, {"bearer": []}, {"cookie": []}]


_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "description": "1 to 255 visible ASCII characters of your own, as at `/api`: the same key, user and show again get the "
    "same booking, and the header `Idempotency-Replayed: true`.",
    "required": False,
    "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"},
}


def _error(status: int) -> dict[str, Any]:
    description, words = _ERRORS[status]
    content = {"schema": _ref("ClassicError"), "example": {"error": words}}
    response = {"description": description, "content": {"application/json": content}}
    _add_headers(response, ["X-Request-Id"] + (["Retry-After"] if status in {429, 503} else []))
    return response


def _ref(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}


def _add_headers(response: dict[str, Any], names: list[str]) -> None:
    response["headers"] = {name: {"$ref": f"#/components/headers/{name}"} for name in names}
