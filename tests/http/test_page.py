"""The page's files over HTTP: found, kept, compressed, confined; and in nobody's way."""

from __future__ import annotations

import gzip
import sys
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from rowlock.http.application import create_http
from rowlock.http.identity import AuthConfig
from rowlock.http.page import FOLDER, POLICY, SCRIPT_POLICY, Page
from tests.http.api import PAGE, PROBLEM, SECRET, running

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

BROWSER = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
VIEWS = [
    "/",
    "/booking/1",
    "/bookings",
    "/bookings/0-0",
    "/sign-in",
    "/admin",
    "/admin/shows/1",
    "/admin/new",
]
SCRIPT = "/assets/index-D2fzKxQw.js"
AUTH = AuthConfig(secret_keys=(SECRET,))
INDEX = PAGE.files["index.html"].content


@pytest.mark.parametrize("path", VIEWS)
async def test_each_view_is_the_page(path: str) -> None:
    """Somebody who opens a link, or loads a page again, would be told that it isn't there."""
    async with running(create_http(AUTH, page=PAGE)) as client:
        answer = await client.get(path, headers={**BROWSER, "Cookie": "rowlock_session=gone-bad"})
        assert (answer.status_code, answer.content) == (200, INDEX)
        assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
        assert answer.headers["Cache-Control"] == "no-cache"
        again = await client.get(path, headers={"If-None-Match": answer.headers["ETag"]})
        assert (again.status_code, again.content) == (304, b"")
        assert again.headers["Content-Security-Policy"] == POLICY, "the browser would take the API's over"


async def test_the_page_may_do_only_what_it_needs() -> None:
    """A script that a customer wrote into its name would run in the box office's browser."""
    async with running(create_http(AUTH, page=PAGE)) as client:
        headers = (await client.get("/")).headers
    rules = dict(rule.split(" ", 1) for rule in headers["Content-Security-Policy"].split("; "))
    assert headers["Content-Security-Policy"] == POLICY
    assert rules["script-src"] == rules["connect-src"] == rules["default-src"] == "'self'"
    assert rules["frame-ancestors"] == rules["object-src"] == rules["base-uri"] == "'none'"
    assert [name for name, value in rules.items() if "unsafe" in value] == ["style-src-attr"]
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert "camera=()" in headers["Permissions-Policy"]


async def test_a_worker_of_the_page_may_write_and_nothing_else() -> None:
    """Halls would be lettered in whatever font a machine has; or a worker could send away what it is told."""
    async with running(create_http(AUTH, page=PAGE)) as client:
        first = await client.get(SCRIPT)
        again = await client.get(SCRIPT, headers={"If-None-Match": first.headers["ETag"]})
    assert (first.status_code, again.status_code) == (200, 304)
    for answer in (first, again):
        assert answer.headers["Content-Security-Policy"] == SCRIPT_POLICY
    rules = dict(rule.split(" ", 1) for rule in SCRIPT_POLICY.split("; "))
    assert (rules["default-src"], rules["font-src"], rules["script-src"]) == ("'none'", "'self'", "'self'")


@pytest.mark.parametrize(
    ("accepted", "encoding"),
    [
        ("gzip, deflate, br, zstd", "zstd"),
        ("gzip", "gzip"),
        ("zstd;q=0, gzip", "gzip"),
        ("identity", None),
        ("", None),
    ],
)
async def test_a_file_is_compressed_as_its_caller_takes_it(accepted: str, encoding: str | None) -> None:
    """The page would take several times as long to come over a telephone's network, or not be readable."""
    async with (
        running(create_http(AUTH, page=PAGE)) as client,
        client.stream("GET", SCRIPT, headers={"Accept-Encoding": accepted}) as answer,
    ):
        body = b"".join([part async for part in answer.aiter_raw()])
    assert answer.headers.get("Content-Encoding") == encoding
    assert answer.headers["Vary"] == "Accept-Encoding"
    assert answer.headers["Content-Type"] == "text/javascript; charset=utf-8"
    assert answer.headers["Cache-Control"] == "public, max-age=31536000, immutable"
    plain = PAGE.files[SCRIPT[1:]].content
    unpack: dict[str | None, Callable[[bytes], bytes]] = {"zstd": zstd.decompress, "gzip": gzip.decompress}
    assert unpack.get(encoding, bytes)(body) == plain
    assert encoding is None or len(body) < len(plain) / 2


async def test_encodings_have_etags_of_their_own() -> None:
    """A cache would give a compressed file to a caller that can't read it."""
    async with running(create_http(AUTH, page=PAGE)) as client:
        tags = {
            (await client.get(SCRIPT, headers={"Accept-Encoding": accepted})).headers["ETag"]
            for accepted in ("zstd", "gzip", "identity")
        }
        font = await client.get("/assets/serif-1.woff2", headers={"Accept-Encoding": "gzip, zstd"})
    assert len(tags) == 3
    assert (font.headers["Content-Type"], font.headers.get("Content-Encoding")) == ("font/woff2", None)


@pytest.mark.parametrize(
    "path",
    [
        "/assets/../index.html",
        "/assets/..%2findex.html",
        "/assets/%2e%2e/%2e%2e/app.py",
        "/assets/..%5c..%5capp.py",
        "/assets//etc/passwd",
        "/assets/nothing.js",
        "/assets/",
    ],
)
async def test_no_address_leads_out_of_the_folder(path: str) -> None:
    """Anyone could read the server's files."""
    async with running(create_http(AUTH, page=PAGE)) as client:
        url = client.base_url.copy_with(raw_path=path.encode())
        answer = await client.get(url, headers={"Accept": "*/*"})
    assert answer.status_code == 404
    assert answer.headers["Content-Type"] == PROBLEM


async def test_an_address_that_is_not_there_is_told_as_its_caller_reads_it() -> None:
    """A mistyped address would show JSON to a person, or a page to a program."""
    async with running(create_http(AUTH, page=PAGE)) as client:
        person = await client.get("/shows/of/yesterday", headers=BROWSER)
        assert (person.status_code, person.content) == (404, INDEX)
        assert person.headers["Content-Security-Policy"] == POLICY
        for path in (
            "/nothing",
            "/api/nothing",
            "/api-docs/nothing",
            "/assets/x",
            "/classic/9",
            "/metrics/x",
        ):
            headers = {} if path == "/nothing" else BROWSER
            answer = await client.get(path, headers=headers)
            assert answer.status_code == 404
            assert answer.headers["Content-Type"] in {PROBLEM, "application/json"}, path
        assert (await client.post("/nothing", headers=BROWSER)).headers["Content-Type"] == PROBLEM


async def test_without_a_page_the_root_says_how_to_get_it(tmp_path: Path) -> None:
    """Whoever has no Node.js would see an error, and think that nothing works."""
    async with running(create_http(AUTH, page=Page(tmp_path))) as client:
        answer = await client.get("/", headers=BROWSER)
        assert answer.status_code == 200
        assert "make page" in answer.text
        assert "/api-docs" in answer.text
        assert (await client.get("/health")).status_code == 200


async def test_a_head_has_no_body() -> None:
    """A look at the headers would bring the whole file."""
    async with running(create_http(AUTH, page=PAGE)) as client:
        answer: httpx.Response = await client.head(SCRIPT)
    assert (answer.status_code, answer.content) == (200, b"")


def test_the_built_page_keeps_to_its_policy() -> None:
    """A script in index.html would be refused by the browser, and the page stay as it is before it runs."""
    index = Page(FOLDER).files.get("index.html", PAGE.files["index.html"]).content.decode()
    assert "<script>" not in index
    assert "<style" not in index
    assert "http://" not in index
    assert "https://" not in index
