"""The API's own description: OpenAPI 3.1 at `/api-docs/openapi.json`, and Swagger UI at `/api-docs`.

Litestar writes the document from the routes and types. What it can't know is added here: which problems a route may
answer with, what the fields of answers mean (field_texts.py), and the headers of answers. The page asks no other
host: its files come from the installed package `swagger_ui`, and its policy forbids anything else.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
from litestar import Litestar, MediaType, Request, Response, Router, get
from litestar.exceptions import NotFoundException
from litestar.openapi import OpenAPIConfig
from litestar.openapi.datastructures import ResponseSpec
from litestar.openapi.plugins import JsonRenderPlugin, OpenAPIRenderPlugin
from litestar.openapi.spec import (
    Components,
    Contact,
    Example,
    License,
    OpenAPIType,
    Operation,
    Parameter,
    Schema,
    SecurityScheme,
    Server,
    Tag,
)
from litestar.serialization import encode_json

from rowlock import __version__
from rowlock.domain.layout_public import PublicLayout
from rowlock.http import examples
from rowlock.http.classic import describing as classic
from rowlock.http.field_texts import FIELDS, NAMES
from rowlock.http.identity import SESSION_COOKIE, Role
from rowlock.http.problems import STATUS, Code
from rowlock.http.rendering import PROBLEM_JSON, TITLES, ProblemBody
from rowlock.http.wire import (
    BookingBody,
    NewShowBody,
    SeatsBody,
    ShowBookingBody,
    ShowChangeBody,
    WebhookBody,
    WebhookChangeBody,
)
from rowlock.operations.find_audit import AuditView
from rowlock.operations.queueing import QueuedView
from rowlock.operations.seats import AvailabilityView, SeatsView
from rowlock.operations.views import BookingView, ShowView
from rowlock.operations.webhooks import DeliveryView, WebhookView
from rowlock.seatmap.live import Delta, Snapshot, event

PATH = "/api-docs"
EVENT_STREAM = "text/event-stream"
PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
ASSETS = {
    "swagger-ui-bundle.js": "text/javascript",
    "swagger-ui.css": "text/css",
    "favicon-32x32.png": "image/png",
}
_TYPES = (
    AuditView,
    AvailabilityView,
    BookingBody,
    BookingView,
    QueuedView,
    Delta,
    DeliveryView,
    NewShowBody,
    ProblemBody,
    PublicLayout,
    Role,
    SeatsBody,
    SeatsView,
    ShowBookingBody,
    ShowChangeBody,
    ShowView,
    Snapshot,
    WebhookBody,
    WebhookChangeBody,
    WebhookView,
    *classic.TYPES,
)
_EVENTS = {"Snapshot", "Delta"}  # OpenAPI 3.1 can't say what is in a stream, so no route names them
_PROBLEM = "#/components/schemas/Problem"

DESCRIPTION = """\
Rowlock sells reserved seats, at shows and on trips, and never sells a seat twice.

- JSON in and out; times are RFC 3339, answered in UTC; money is integer minor units of an ISO 4217 currency.
- Seats go by their label, which is unique in a show.
- A booking is all or nothing. Send an `Idempotency-Key` with it, and ask again as often as need be.
- Lists come in pages: pass `next_cursor` back as `cursor`.
- What goes wrong is told as `application/problem+json`; go by its `code`.
- Every answer bears `X-Request-Id`, which is also in the logs.
"""


def problems(*codes: Code) -> dict[int, ResponseSpec]:
    """A route's `responses`: the problems it may answer with beside those that follow from its shape."""
    by_status: dict[int, list[Code]] = {}
    for code in codes:
        by_status.setdefault(STATUS[code], []).append(code)
    return {
        status: ResponseSpec(
            ProblemBody,
            generate_examples=False,
            media_type=PROBLEM_JSON,
            examples=[Example(id=code.value, value={}) for code in of_status],
        )
        for status, of_status in by_status.items()
    }


@dataclass
class KeyedOperation(Operation):
    """An operation that takes an Idempotency-Key, and may be put off."""

    def __post_init__(self) -> None:
        key = Parameter(
            name="Idempotency-Key",
            param_in="header",
            description="1 to 255 printable ASCII characters of your own. The same key, user and show again: the first "
            "answer's status, the booking as it is now, and the header `Idempotency-Replayed: true`.",
            required=False,
            schema=Schema(type=OpenAPIType.STRING, min_length=1, max_length=255, pattern="^[ -~]+$"),
        )
        prefer = Parameter(
            name="Prefer",
            param_in="header",
            description="`respond-async`: don't wait for the decision. Other preferences are ignored.",
            required=False,
            schema=Schema(type=OpenAPIType.STRING),
            examples={"respond-async": Example(id="respond-async", value="respond-async")},
        )
        self.parameters = [*(self.parameters or []), key, prefer]


@dataclass
class ConditionalOperation(Operation):
    """An operation that answers 304 to whoever has its answer already."""

    def __post_init__(self) -> None:
        tag = Parameter(
            name="If-None-Match",
            param_in="header",
            description="The ETag of an earlier answer.",
            required=False,
            schema=Schema(type=OpenAPIType.STRING),
        )
        self.parameters = [*(self.parameters or []), tag]


@dataclass
class EventStreamOperation(Operation):
    """An operation that answers with server-sent events."""

    def __post_init__(self) -> None:
        last = Parameter(
            name="Last-Event-ID",
            param_in="header",
            description="The id of the last event that came: what follows it is sent. Left out, or none of ours: a "
            "snapshot is sent first.",
            required=False,
            schema=Schema(type=OpenAPIType.STRING),
        )
        self.parameters = [*(self.parameters or []), last]


class _Document(JsonRenderPlugin):
    """The document, finished once and kept."""

    def __init__(self) -> None:
        super().__init__(path="/openapi.json", media_type=MediaType.JSON)
        self._finished: bytes | None = None

    def render(self, request: Request[Any, Any, Any], openapi_schema: dict[str, Any]) -> bytes:  # noqa: ARG002
        """The document as JSON."""
        if self._finished is None:
            self._finished = _encoded(openapi_schema)
        return self._finished


class _Page(OpenAPIRenderPlugin):
    """Swagger UI's page. Its scripts are files, so that its policy need not allow any in the page."""

    def __init__(self) -> None:
        super().__init__(path="/")

    def render(self, request: Request[Any, Any, Any], openapi_schema: dict[str, Any]) -> bytes:  # noqa: ARG002
        """The page."""
        return _PAGE


_PAGE = f"""\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Rowlock API</title>
<link rel="icon" type="image/png" href="{PATH}/favicon-32x32.png">
<link rel="stylesheet" href="{PATH}/swagger-ui.css">
</head>
<body>
<div id="swagger-ui"></div>
<script src="{PATH}/swagger-ui-bundle.js"></script>
<script src="{PATH}/start.js"></script>
</body>
</html>
""".encode()

_START = f"""\
SwaggerUIBundle({{
  url: "{PATH}/openapi.json",
  dom_id: "#swagger-ui",
  deepLinking: true,
  displayRequestDuration: true,
  tryItOutEnabled: true,
  validatorUrl: null,
}});
""".encode()


def config() -> OpenAPIConfig:
    """What Litestar is told about the document, and the routes to it."""
    return OpenAPIConfig(
        title="Rowlock",
        version=__version__,
        summary="Reserved seats, sold once.",
        description=DESCRIPTION,
        license=License(name="MIT", identifier="MIT"),
        contact=Contact(name="Rowlock"),
        servers=[Server(url="/", description="This server")],
        tags=[
            Tag(name="Shows", description="What is on, and what seats there are."),
            Tag(name="Bookings", description="Taking seats, confirming, giving back."),
            Tag(name="Webhooks", description="Being told of what happens."),
            Tag(name="Audit", description="Who did what, from where."),
            Tag(name="Session", description="Signing in and out of the page."),
            Tag(name="Box office", description="How a show sells, and who has which seats."),
            *classic.TAGS,
            Tag(name="Around it", description="For those who run the server."),
        ],
        components=Components(
            security_schemes={
                "bearer": SecurityScheme(
                    type="http",
                    scheme="bearer",
                    bearer_format="JWT",
                    description="A token of `rowlock token`, or one of the OpenID Connect issuer's.",
                ),
                "cookie": SecurityScheme(
                    type="apiKey",
                    security_scheme_in="cookie",
                    name=SESSION_COOKIE,
                    description="The page's session, begun with `POST /api/session`.",
                ),
            }
        ),
        render_plugins=[_Page(), _Document()],
        openapi_router=Router(
            PATH,
            route_handlers=[_start_script, _asset],
            include_in_schema=False,
            after_request=_refuse_unknown,
            response_headers={"Content-Security-Policy": PAGE_POLICY},
        ),
        path=PATH,
    )


async def _refuse_unknown(response: Response[Any]) -> Response[Any]:
    """Litestar's own page for what isn't there gives way to our problem."""
    if response.status_code == 404:
        raise NotFoundException
    return response


@get("/start.js", sync_to_thread=False)
def _start_script() -> Response[bytes]:
    """What starts the page."""
    return Response(_START, media_type="text/javascript")


@get(
    [f"/{name}" for name in ASSETS],
    sync_to_thread=False,
)
def _asset(request: Request[Any, Any, Any]) -> Response[bytes]:
    """One of Swagger UI's own files."""
    return asset(request.scope["path"].rpartition("/")[2])


def asset(name: str) -> Response[bytes]:
    """A file of the installed package, as an answer."""
    return Response(_read(name), media_type=ASSETS[name], headers={"Cache-Control": "public, max-age=86400"})


@cache
def _read(name: str) -> bytes:
    spec = importlib.util.find_spec("swagger_ui")
    assert spec is not None, "a dependency"
    assert spec.submodule_search_locations is not None, "a package"
    return (Path(spec.submodule_search_locations[0]) / "static" / name).read_bytes()


def openapi_document(app: Litestar) -> bytes:
    """The document of an application that need not run."""
    return _encoded(app.openapi_schema.to_schema())


def _encoded(litestars: dict[str, Any]) -> bytes:
    return msgspec.json.encode(finish(litestars))


def finish(litestars: dict[str, Any]) -> dict[str, Any]:
    """Litestar's document with what it can't know."""
    document: dict[str, Any] = msgspec.json.decode(encode_json(litestars))
    schemas = document["components"]["schemas"]
    _, exact = msgspec.json.schema_components(_TYPES, ref_template="#/components/schemas/{name}")
    # Litestar's lack what is said of the parts of a union. In one order: clients are made from this text.
    for key in sorted(schemas.keys() & exact.keys() | classic.BESIDE | _EVENTS):
        schemas[key] = exact.pop(key)
    document["components"]["schemas"] = {_name(key): schema for key, schema in schemas.items()}
    for node in _objects(document):
        if "$ref" in node:
            prefix, _, key = node["$ref"].rpartition("/")
            node["$ref"] = f"{prefix}/{_name(key)}"
    for name, schema in document["components"]["schemas"].items():
        schema["title"] = name
        for field, (text, example) in FIELDS.get(name, {}).items():
            _describe(schema["properties"], field, text, example)
    document["components"]["headers"] = _HEADERS
    for path, item in document["paths"].items():
        for operation in item.values():
            if path.startswith("/classic/"):
                classic.finish_operation(operation)
            else:
                _finish_operation(path, operation)
    return document


def _name(key: str) -> str:
    return NAMES.get(key, key)


def _objects(node: object) -> Iterator[dict[str, Any]]:
    if isinstance(node, dict):
        yield node
        for inner in node.values():
            yield from _objects(inner)
    elif isinstance(node, list):
        for inner in node:
            yield from _objects(inner)


def _describe(properties: dict[str, Any], field: str, text: str, example: object) -> None:
    schema = properties[field]
    schema.setdefault("description", text)
    if example is not None and "$ref" not in schema:
        schema.setdefault("examples", [example])


_HEADERS = {
    "X-Request-Id": {
        "description": "The request's id: the caller's own if it sent one, else a new one.",
        "schema": {"type": "string"},
    },
    "Location": {"description": "Where the new thing is.", "schema": {"type": "string"}},
    "Preference-Applied": {
        "description": "The preference that was followed.",
        "schema": {"type": "string", "enum": ["respond-async"]},
    },
    "ETag": {"description": "Send it back as If-None-Match.", "schema": {"type": "string"}},
    "Retry-After": {"description": "Seconds after which to ask again.", "schema": {"type": "integer"}},
    "Idempotency-Replayed": {
        "description": "`true` where this answers an earlier request with the same Idempotency-Key.",
        "schema": {"type": "string", "enum": ["true"]},
    },
}


def _finish_operation(path: str, operation: dict[str, Any]) -> None:
    if "requestBody" in operation:
        of_operation = examples.BY_OPERATION[operation["operationId"]]
        operation["requestBody"]["content"]["application/json"]["examples"] = {
            name.lower().replace(" ", "_").replace(",", ""): {"summary": name, "value": value}
            for name, value in of_operation.items()
        }
    responses: dict[str, Any] = operation["responses"]
    said = {Code(name) for name in _said_codes(responses)}
    codes = said | set(_implied(path, operation))
    for number in {STATUS[code] for code in codes} | {400}:
        responses.pop(str(number), None)
    headers = {
        parameter["name"] for parameter in operation.get("parameters", ()) if parameter["in"] == "header"
    }
    if "If-None-Match" in headers:
        responses["304"] = {"description": "Not modified since."}
    if "Last-Event-ID" in headers:
        responses["200"] = _events_response()
    if "204" in responses:
        responses["204"].pop("content", None)  # Litestar takes "nothing" for a JSON null
    for status, response in responses.items():
        names = ["X-Request-Id"]
        if status == "202" and path.startswith(("/api/shows", "/api/bookings")):
            names += ["Location", "Preference-Applied"]
        if status == "201" and path.startswith(("/api/shows", "/api/bookings", "/api/webhooks")):
            names.append("Location")
        if "If-None-Match" in headers:
            names.append("ETag")
        if "Idempotency-Key" in headers:
            names.append("Idempotency-Replayed")
        _add_headers(response, names)
    for number in sorted({STATUS[code] for code in codes}):
        responses[str(number)] = _problem_response(sorted(code for code in codes if STATUS[code] == number))
    operation["responses"] = dict(sorted(responses.items()))
    if path.startswith("/api/"):
        open_to_all: list[dict[str, Any]] = [] if Code.UNAUTHENTICATED in said else [{}]
        operation["security"] = [*open_to_all, {"bearer": []}, {"cookie": []}]


def _events_response() -> dict[str, Any]:
    first = event("snapshot", 17, Snapshot(1, 17, 3, "AAAB"))
    then = event("delta", 18, Delta(17, 18, 2, ((0, "R"),)))
    return {
        "description": "Events, for as long as the connection stays. The `data` of a `snapshot` is a `LiveSnapshot`, that "
        "of a `delta` a `LiveDelta`.",
        "content": {
            EVENT_STREAM: {
                "schema": {
                    "type": "string",
                    "x-events": {
                        "snapshot": {"$ref": "#/components/schemas/LiveSnapshot"},
                        "delta": {"$ref": "#/components/schemas/LiveDelta"},
                    },
                },
                "examples": {
                    "events": {"summary": "A snapshot and a delta", "value": (first + then).decode()}
                },
            }
        },
    }


def _said_codes(responses: dict[str, Any]) -> Iterator[str]:
    for response in responses.values():
        yield from response.get("content", {}).get(PROBLEM_JSON, {}).get("examples", {})


def _implied(path: str, operation: dict[str, Any]) -> Iterable[Code]:
    """The problems that follow from what a route takes."""
    yield Code.INTERNAL_ERROR
    yield Code.UNAUTHENTICATED  # a bad credential is refused everywhere
    yield Code.FORBIDDEN  # demo mode under a foreign name; a change by a foreign page
    if path != "/health":
        yield Code.BUSY
    places = {parameter["in"] for parameter in operation.get("parameters", ())}
    if "path" in places or "404" in operation["responses"]:
        yield Code.NOT_FOUND
    if places & {"query", "header"} or "requestBody" in operation:
        yield Code.INVALID_REQUEST
    if "requestBody" in operation:
        yield Code.BODY_TOO_LARGE
        yield Code.UNSUPPORTED_MEDIA_TYPE
    if operation.get("operationId") == "sign_in":
        yield Code.RATE_LIMITED


def _problem_response(codes: list[Code]) -> dict[str, Any]:
    status = STATUS[codes[0]]
    response: dict[str, Any] = {
        "description": "; ".join(f"`{code}`: {TITLES[code].lower()}" for code in codes),
        "content": {
            PROBLEM_JSON: {
                "schema": {
                    "allOf": [
                        {"$ref": _PROBLEM},
                        {
                            "properties": {
                                "status": {"const": status},
                                "code": {"enum": [code.value for code in codes]},
                            }
                        },
                    ]
                },
                "examples": {
                    code.value: {"summary": TITLES[code], "value": _example(code)} for code in codes
                },
            }
        },
    }
    names = ["X-Request-Id"]
    if Code.RATE_LIMITED in codes or Code.BUSY in codes:
        names.append("Retry-After")
    _add_headers(response, names)
    return response


def _example(code: Code) -> dict[str, Any]:
    helps: dict[Code, dict[str, Any]] = {
        Code.INVALID_REQUEST: {"errors": [{"field": "seats[2]", "message": "must not be empty"}]},
        Code.SEATS_TAKEN: {"conflicts": ["A-12"]},
        Code.RATE_LIMITED: {"retry_after": 17},
        Code.BUSY: {"retry_after": 1},
        Code.NOT_ON_SALE: {"on_sale_at": "2029-12-01T09:00:00Z"},
        Code.INTERNAL_ERROR: {"request_id": "5f0c2a9d4be15f0c2a9d4be1"},
    }
    return {
        "type": f"urn:rowlock:problem:{code}",
        "title": TITLES[code],
        "status": STATUS[code],
        "detail": f"{TITLES[code]}.",
        "code": code.value,
        **helps.get(code, {}),
    }


def _add_headers(response: dict[str, Any], names: list[str]) -> None:
    headers = response.setdefault("headers", {})
    for name in names:
        headers[name] = {"$ref": f"#/components/headers/{name}"}
