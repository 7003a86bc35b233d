"""The API's own description: whole, true, and shown without asking any other host."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from litestar.routes import HTTPRoute

from rowlock.http.application import create_http
from rowlock.http.identity import AuthConfig
from rowlock.http.problems import STATUS, Code
from tests.http.api import ADMIN, PROBLEM, SECRET, build, running

NOT_THE_API = ("/admin", "/api-docs", "/assets", "/booking", "/favicon", "/sign-in")


@pytest.fixture(scope="module")
def document() -> Any:
    """The document, as it is served."""

    async def fetch() -> Any:
        async with running(create_http(AuthConfig(secret_keys=(SECRET,)))) as client:
            answer = await client.get("/api-docs/openapi.json")
            assert answer.headers["Content-Type"] == "application/json"
            return answer.json()

    return asyncio.run(fetch())


def nodes(node: Any) -> Iterator[dict[str, Any]]:
    """Every object of a document."""
    if isinstance(node, dict):
        yield node
        for inner in node.values():
            yield from nodes(inner)
    elif isinstance(node, list):
        for inner in node:
            yield from nodes(inner)


def operations(document: Any) -> list[tuple[str, str, Any]]:
    """Every operation, with its method and path."""
    return [
        (method.upper(), path, operation)
        for path, item in document["paths"].items()
        for method, operation in item.items()
    ]


def test_every_reference_resolves(document: Any) -> None:
    """Generators of clients would fail."""
    for node in nodes(document):
        if isinstance(reference := node.get("$ref"), str):
            target = document
            for part in reference.removeprefix("#/").split("/"):
                target = target[part]


def test_it_says_what_it_is(document: Any) -> None:
    """A reader would not know what this is, or how to sign in."""
    assert document["openapi"].startswith("3.1")
    assert document["info"]["title"] == "Rowlock"
    assert document["info"]["description"]
    assert re.fullmatch(r"\d+\.\d+\.\d+.*", document["info"]["version"])
    assert document["servers"]
    assert set(document["components"]["securitySchemes"]) == {"bearer", "cookie"}


def test_every_route_is_described(document: Any) -> None:
    """A route could not be found by those who read."""
    app = create_http(AuthConfig(secret_keys=(SECRET,)))
    routes = {
        (method, route.path_format or "/")
        for route in app.routes
        if isinstance(route, HTTPRoute)
        for method in route.methods
        if method != "OPTIONS" and route.path != "/" and not route.path.startswith(NOT_THE_API)
    }
    assert routes == {(method, path) for method, path, _ in operations(document)}
    tags = {tag["name"] for tag in document["tags"]}
    ids = set()
    for method, path, operation in operations(document):
        assert operation["summary"], (method, path)
        assert operation["description"], (method, path)
        assert set(operation["tags"]) <= tags, (method, path)
        assert re.fullmatch(r"[a-z]+(_[a-z]+)+", operation["operationId"])
        ids.add(operation["operationId"])
    assert len(ids) == len(operations(document))


def test_every_route_says_what_can_go_wrong(document: Any) -> None:
    """A client would not be ready for the errors it meets."""
    said = set()
    for method, path, operation in operations(document):
        refusals = {status for status in operation["responses"] if status >= "400"}
        assert any(status < "500" for status in refusals), (method, path)
        for status in refusals:
            if path.startswith("/classic/"):
                content = operation["responses"][status]["content"]["application/json"]
                assert content["schema"] == {"$ref": "#/components/schemas/ClassicError"}
                continue
            content = operation["responses"][status]["content"][PROBLEM]
            codes = content["schema"]["allOf"][1]["properties"]["code"]["enum"]
            assert {STATUS[Code(code)] for code in codes} == {int(status)}
            assert set(content["examples"]) == set(codes)
            said |= set(codes)
        if "{" in path:
            assert "404" in refusals, (method, path)
        if "requestBody" in operation:
            words = {"400", "413"} if path.startswith("/classic/") else {"400", "413", "415"}
            assert words <= refusals, (method, path)
    assert said == set(Code) - {Code.METHOD_NOT_ALLOWED}
    assert set(document["components"]["schemas"]["Code"]["enum"]) == set(Code)


def test_every_field_is_explained(document: Any) -> None:
    """A reader would have to guess what a field means."""
    for name, schema in document["components"]["schemas"].items():
        for field, described in schema.get("properties", {}).items():
            assert described.get("description"), f"{name}.{field}"
    for method, path, operation in operations(document):
        for parameter in operation.get("parameters", ()):
            if parameter["in"] != "path":
                assert parameter["description"], (method, path, parameter["name"])


def test_schemas_have_names_for_people(document: Any) -> None:
    """Generated clients would have types called View and Body."""
    for name in document["components"]["schemas"]:
        assert re.fullmatch(r"[A-Z][A-Za-z]+", name)
        assert not name.endswith(("View", "Body", "Spec"))


def test_who_may_call_is_said(document: Any) -> None:
    """A client would be asked to sign in where it need not, or not where it must."""
    needs = {
        operation["operationId"]
        for _, _, operation in operations(document)
        if operation.get("security") and {} not in operation["security"]
    }
    assert needs == {
        "create_show",
        "change_show",
        "cancel_show",
        "block_seats",
        "unblock_seats",
        "get_statistics",
        "search_bookings",
        "export_bookings",
        "get_booking_calendar",
        "create_booking",
        "create_show_booking",
        "list_bookings",
        "list_user_bookings",
        "get_booking",
        "confirm_booking",
        "cancel_booking",
        "list_audit",
        "create_webhook",
        "list_webhooks",
        "get_webhook",
        "change_webhook",
        "delete_webhook",
        "list_deliveries",
        "redeliver_event",
        "classic_one_create_show",
        "classic_one_book",
        "classic_one_get_booking",
        "classic_two_create_show",
        "classic_two_book",
        "classic_four_create_show",
        "classic_four_book",
        "classic_four_get_booking",
    }


async def test_every_example_works(document: Any, dsn: str) -> None:
    """Whoever tries the page's examples would be told that they are wrong."""
    sent = 0
    async with running(build(dsn)) as client:
        # Shows come first, so that show 1 is there: numbered, and wide enough for the bookings.
        order = ["/api/shows", "/api/shows/{show_id}", "/block", "/unblock", "/bookings", "/api/bookings"]
        for method, path, operation in sorted(
            operations(document),
            key=lambda found: max((n for n, end in enumerate(order) if found[1].endswith(end)), default=0),
        ):
            if "requestBody" not in operation or path == "/api/session":
                continue
            content = operation["requestBody"]["content"]["application/json"]
            examples = [example["value"] for example in content["examples"].values()]
            assert examples, (method, path)
            for example in examples:
                answer = await client.request(
                    method, path.format(show_id=1, webhook_id=1), json=example, headers=ADMIN
                )
                assert answer.status_code in {200, 201}, (method, path, example, answer.text)
                sent += 1
    assert sent >= 12


async def test_the_page_asks_no_other_host() -> None:
    """On a train, or behind a firewall, the page would stay empty."""
    app = create_http(AuthConfig(secret_keys=(SECRET,)))
    async with running(app) as client:
        page = await client.get("/api-docs")
        assert page.headers["Content-Type"] == "text/html; charset=utf-8"
        assert "'self'" in page.headers["Content-Security-Policy"]
        assert "http" not in page.headers["Content-Security-Policy"]
        assert "<script>" not in page.text, "the policy forbids scripts in the page"
        files = re.findall(r'(?:href|src)="([^"]+)"', page.text)
        assert len(files) == 4
        for name in files:
            assert name.startswith("/api-docs/")
            answer = await client.get(name)
            assert answer.status_code == 200, name
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
        start = await client.get("/api-docs/start.js")
        assert start.headers["Content-Type"] == "text/javascript; charset=utf-8"
        assert "//" not in start.text
        icon = await client.get("/favicon.ico")
        assert (icon.headers["Content-Type"], icon.content[:4]) == ("image/png", b"\x89PNG")


async def test_what_is_not_there_is_a_problem_here_too() -> None:
    """A client would be given a page of HTML where it reads JSON."""
    app = create_http(AuthConfig(secret_keys=(SECRET,)))
    async with running(app) as client:
        for path in ("/api-docs/nothing", "/api-docs/nothing.json", "/api-docs/a/b"):
            answer: httpx.Response = await client.get(path)
            assert (answer.status_code, answer.headers["Content-Type"]) == (404, PROBLEM)
