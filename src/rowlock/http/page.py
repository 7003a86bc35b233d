"""The page: the files that `make page` built, from memory, with the policy that they run under.

All files are read once, when the application is made: what is served is of one build, whatever happens to the folder
since. Files are looked up by name in a dict, so an address can't lead out of the folder. Those below `assets/` have a
hash of their content in their names and are kept for good; `index.html` answers every address that the page has a view
for, and must be asked about each time. A file is compressed when it is first asked for so.

Without a built page the API works all the same, and the page's addresses say how to get it.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from litestar import Request, Response, Router, get
from litestar.exceptions import HTTPException, NotFoundException
from litestar.params import FromPath
from litestar.types import ExceptionHandlersMap, Scope

from rowlock.http.caching import (
    COMPRESSED_BYTES_MIN,
    FOREVER,
    NO_CACHE,
    Encoded,
    coding_for,
    has_already,
)
from rowlock.http.identity import IGNORE_BAD_COOKIE
from rowlock.http.observing import vary_by_encoding
from rowlock.http.problems import Code, Problem
from rowlock.seatmap.encoded import Coding, compress

FOLDER = Path(__file__).parents[1] / "page"
INDEX = "index.html"
ASSETS = "assets/"
# The page's views. Any other address that a browser opens gets index.html too, with a 404: the page says so in its words.
VIEWS = (
    "/",
    "/booking/{booking_id:str}",
    "/bookings",
    "/bookings/{booking_id:str}",
    "/sign-in",
    "/admin",
    "/admin/{path:path}",
)
ROOT_FILES = ("favicon.svg",)  # what stands beside index.html, by name
NOT_THE_PAGES = ("/api", "/api-docs", "/assets", "/classic", "/health", "/metrics", "/ready")

# Scripts and style sheets are files of ours. `style` attributes alone are allowed in place: motion is written so.
POLICY = (
    "default-src 'self'; script-src 'self'; style-src 'self'; style-src-attr 'unsafe-inline'; "
    "img-src 'self' data: blob:; font-src 'self'; connect-src 'self'; object-src 'none'; base-uri 'none'; "
    "form-action 'self'; frame-ancestors 'none'"
)
# A worker is held to what its own script came with: it draws, with our fonts, and asks nobody for anything.
SCRIPT_POLICY = "default-src 'none'; script-src 'self'; font-src 'self'; frame-ancestors 'none'"
_SCRIPT_HEADERS = [(b"content-security-policy", SCRIPT_POLICY.encode())]
_DOCUMENT_HEADERS = [
    (b"content-security-policy", POLICY.encode()),
    (
        b"permissions-policy",
        b"camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()",
    ),
    (b"cross-origin-opener-policy", b"same-origin"),
]
_TYPES = {
    ".css": "text/css",
    ".html": "text/html",
    ".ico": "image/x-icon",
    ".js": "text/javascript",
    ".json": "application/json",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".txt": "text/plain",
    ".webmanifest": "application/manifest+json",
    ".woff2": "font/woff2",
}
_COMPRESSED = {".ico", ".png", ".woff2"}  # already, each in its own way
HOW_TO_GET_IT = b"""\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Rowlock</title>
</head>
<body>
<h1>Rowlock is running, without its page</h1>
<p>The page is not built yet. With Node.js 20 or later and npm installed, run</p>
<pre>make page</pre>
<p>and start the server again. The API works without it: see <a href="/api-docs">its documentation</a>.</p>
</body>
</html>
"""


class File:
    """One file, and what has become of it: each encoding is made once."""

    __slots__ = ("_forms", "_lock", "compressible", "content", "etag", "media_type")

    def __init__(self, content: bytes, suffix: str) -> None:
        self.content = content
        self.media_type = _TYPES.get(suffix, "application/octet-stream")
        self.compressible = suffix not in _COMPRESSED and len(content) >= COMPRESSED_BYTES_MIN
        self.etag = hashlib.sha256(content).hexdigest()[:20]
        self._forms = {Coding.PLAIN: content}
        self._lock = asyncio.Lock()

    async def form(self, coding: Coding) -> bytes:
        """The file as it is sent in a form; made in a thread, for it takes some milliseconds."""
        async with self._lock:
            if coding not in self._forms:
                self._forms[coding] = await asyncio.to_thread(compress, self.content, coding, best=True)
            return self._forms[coding]


class Page:
    """A built page. `files` by their path below its folder; none where it was not built."""

    def __init__(self, folder: Path = FOLDER) -> None:
        self.files: Mapping[str, File] = {
            path.relative_to(folder).as_posix(): File(path.read_bytes(), path.suffix)
            for path in sorted(folder.rglob("*"))
            if path.is_file() and path.suffix != ".map"
        }
        self._instead = File(HOW_TO_GET_IT, ".html")

    @property
    def built(self) -> bool:
        """Whether there is a page."""
        return INDEX in self.files

    async def document(self, scope: Scope) -> Response[Any]:
        """index.html, or how to get it."""
        return await _answer(scope, self.files.get(INDEX, self._instead), NO_CACHE, _DOCUMENT_HEADERS)

    def not_there(self) -> Response[Any]:
        """index.html for an address that has no view: the page says so in its own words."""
        file = self.files.get(INDEX, self._instead)
        return _encoded(404, file, file.content, [(b"cache-control", b"no-store"), *_DOCUMENT_HEADERS])

    async def file(self, scope: Scope, name: str) -> Response[Any]:
        """A file by its path. Raises a 404 `Problem`."""
        file = self.files.get(name)
        if file is None:
            raise Problem(Code.NOT_FOUND, f"There is nothing at {scope['path'][:200]}.")
        headers = _SCRIPT_HEADERS if name.endswith(".js") else []
        return await _answer(scope, file, FOREVER if name.startswith(ASSETS) else NO_CACHE, headers)


async def _answer(
    scope: Scope, file: File, cache_control: bytes, headers: list[tuple[bytes, bytes]]
) -> Response[Any]:
    coding = Coding.PLAIN
    if file.compressible:
        vary_by_encoding(scope)
        coding = coding_for(scope, len(file.content))
    etag = f"{file.etag}{'' if coding is Coding.PLAIN else '-' + coding}"
    kept = [(b"etag", b'"%b"' % etag.encode()), (b"cache-control", cache_control)]
    if has_already(scope, etag):
        return Encoded(304, [*kept, *headers], b"")
    if coding is not Coding.PLAIN:
        kept.append((b"content-encoding", coding.encode()))
    return _encoded(200, file, await file.form(coding), [*kept, *headers])


def _encoded(status: int, file: File, content: bytes, headers: list[tuple[bytes, bytes]]) -> Response[Any]:
    media_type = file.media_type
    if media_type.startswith("text/"):
        media_type += "; charset=utf-8"
    return Encoded(
        status,
        [
            (b"content-type", media_type.encode()),
            (b"content-length", b"%d" % len(content)),
            *headers,
        ],
        content,
    )


@get(list(VIEWS), opt={IGNORE_BAD_COOKIE: True}, include_in_schema=False)
async def view(request: Request[Any, Any, Any]) -> Response[Any]:
    """A view of the page: the page itself finds out which."""
    return await page_of(request).document(request.scope)


@get("/assets/{path:path}", opt={IGNORE_BAD_COOKIE: True}, include_in_schema=False)
async def asset(request: Request[Any, Any, Any], path: FromPath[Path]) -> Response[Any]:
    """A script, style sheet, font or picture."""
    return await page_of(request).file(request.scope, ASSETS + path.as_posix().removeprefix("/"))


@get([f"/{name}" for name in ROOT_FILES], opt={IGNORE_BAD_COOKIE: True}, include_in_schema=False)
async def root_file(request: Request[Any, Any, Any]) -> Response[Any]:
    """A file that is looked for by its name."""
    return await page_of(request).file(request.scope, request.scope["path"].removeprefix("/"))


def page_of(request: Request[Any, Any, Any]) -> Page:
    """The page of the application that is asked."""
    page: Page = request.app.state.page
    return page


def page_router() -> Router:
    """The page's routes."""
    return Router("/", route_handlers=[view, asset, root_file])


def for_people(handlers: ExceptionHandlersMap) -> ExceptionHandlersMap:
    """The same handlers; but who opens an address that isn't there in a browser gets the page, which says so."""
    handle: Any = handlers[HTTPException]

    def not_there(request: Request[Any, Any, Any], error: HTTPException) -> Any:
        if isinstance(error, NotFoundException) and _is_for_the_page(request.scope):
            return page_of(request).not_there()
        return handle(request, error)

    return {**handlers, HTTPException: not_there}


def _is_for_the_page(scope: Scope) -> bool:
    path = scope["path"]
    if scope.get("method") != "GET" or any(
        path == own or path.startswith((f"{own}/", f"{own}.")) for own in NOT_THE_PAGES
    ):
        return False
    return any(name == b"accept" and b"text/html" in value for name, value in scope["headers"])
