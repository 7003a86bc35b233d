"""Reading requests: bodies and queries, strictly, with refusals in plain words.

1. A body is JSON of at most 1 MiB, decoded straight into the type that the route declares: no coercion, no unknown
   fields. Nothing is read beyond the limit.
2. A query has no unknown parameters, and none twice. An empty value counts as none.
3. Every refusal names the field by its path, such as `layout.sections[0].rows[1].seats`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from enum import Enum
from functools import cache
from typing import Any, get_args, get_origin, get_type_hints
from urllib.parse import parse_qsl, urlencode

import msgspec
from litestar import Request
from litestar.enums import ParamType
from litestar.exceptions import ValidationException
from litestar.handlers import BaseRouteHandler
from litestar.params import ParameterKwarg
from litestar.types import Empty

from rowlock.domain.layout_spec import COLOR_PATTERN
from rowlock.http.identity import Caller
from rowlock.http.problems import Code, FieldError, Problem, invalid

BODY_BYTES_MAX = (
    1_048_576  # a layout of 100,000 seats in counted rows has some 100 kB; listed, some 20,000 seats
)
ECHO_CHARS_MAX = 80  # of what a caller sent, so much is said back

_WHERE = " - at `$"
_UNKNOWN = re.compile(r"Object contains unknown field `(.*?)`(?: - at `\$(.*)`)?", re.DOTALL)
_MISSING = re.compile(r"Object missing required field `(.*?)`(?: - at `\$(.*)`)?", re.DOTALL)
_TYPE_NAMES = {
    "int": "a whole number",
    "float": "a number with a fraction or exponent",
    "str": "a text",
    "bool": "true or false",
    "object": "an object",
    "array": "a list",
    "null": "null",
    "datetime": "a time with an offset, such as 2030-01-01T19:30:00Z",
}
A_TIME = f"must be {_TYPE_NAMES['datetime']}"


A_TIME_IN_QUERY = f"{A_TIME} (in an address, a + is written %2B)"


class ClientGoneError(Exception):
    """The caller hung up before the whole body was there: nobody is left to answer."""


class ApiRequest(Request[Caller, Any, Any]):
    """A request whose JSON body is decoded strictly, into the type that its route declares as `data`."""

    async def body(self) -> bytes:
        """The bytes of a JSON body. Refuses other content types, empty bodies, and those beyond the limit."""
        state = self._connection_state
        body = await self._read() if state.body is Empty else state.body
        state.body = body
        return body

    async def json(self) -> Any:
        """The body as the route's type."""
        field = self.scope["route_handler"].parsed_data_field
        return decode(await self.body(), Any if field is None else field.annotation)

    async def _read(self) -> bytes:
        media_type = encoding = length = None
        for name, value in self.scope["headers"]:
            if name == b"content-type":
                media_type = value
            elif name == b"content-length":
                length = value
            elif name == b"content-encoding":
                encoding = value
        if media_type is None or media_type.partition(b";")[0].strip().lower() != b"application/json":
            raise Problem(Code.UNSUPPORTED_MEDIA_TYPE, "Send JSON, with `Content-Type: application/json`.")
        if encoding is not None and encoding.strip().lower() != b"identity":
            raise Problem(Code.UNSUPPORTED_MEDIA_TYPE, "Send the body without a Content-Encoding.")
        if length is not None and length.isdigit() and int(length[:20]) > BODY_BYTES_MAX:
            raise _too_large()
        chunks: list[bytes] = []
        size = 0
        more = True
        while more:
            event: Any = await self.receive()
            if event["type"] == "http.disconnect":
                raise ClientGoneError
            chunk = event.get("body", b"")
            size += len(chunk)
            if size > BODY_BYTES_MAX:
                raise _too_large()
            chunks.append(chunk)
            more = event.get("more_body", False)
        if not size:
            raise Problem(
                Code.INVALID_REQUEST, "This needs a JSON body.", errors=[FieldError("body", "is empty")]
            )
        return chunks[0] if len(chunks) == 1 else b"".join(chunks)


def _too_large() -> Problem:
    # The connection is closed: else the server would have to read the rest, however long, to find the next request.
    return Problem(
        Code.BODY_TOO_LARGE,
        f"The body is larger than {BODY_BYTES_MAX:,} bytes.",
        errors=[FieldError("body", f"must be at most {BODY_BYTES_MAX:,} bytes")],
        headers={"Connection": "close"},
    )


@cache  # one for each type that a route declares
def _decoder(type_: Any) -> Callable[[bytes], Any]:
    return msgspec.json.Decoder(type_).decode


def decode(body: bytes, type_: Any) -> Any:
    """A JSON body as `type_`. Raises a `Problem` that names the field at fault."""
    try:
        return _decoder(type_)(body)
    except msgspec.ValidationError as error:
        raise _problem(str(error), type_) from None
    except UnicodeDecodeError:
        raise invalid("body", "is not valid UTF-8") from None
    except RecursionError:
        raise invalid("body", "is nested too deeply") from None
    except msgspec.DecodeError as error:
        raise _malformed(body, str(error)) from None


def _problem(message: str, type_: Any) -> Problem:
    for pattern, words in ((_UNKNOWN, "there is no such field"), (_MISSING, "is missing")):
        found = pattern.fullmatch(message)
        if found is not None:
            return invalid(_join(found[2], found[1]), words)
    text, at, where = message.rpartition(_WHERE)
    path = _join(where.removesuffix("`"), None) if at else ""
    return invalid(path or "body", plain(text or message, path, _choices_at(type_, path)))


def _join(where: str | None, name: str | None) -> str:
    path = (where or "").removeprefix(".")
    if name is not None:
        path = f"{path}.{name}" if path else name
    return "".join(sign if sign.isprintable() else "�" for sign in path[:ECHO_CHARS_MAX])


def plain(text: str, field: str, choices: list[str]) -> str:
    """One of msgspec's messages, in words for people who have never heard of it."""
    match text.split(" "):
        case ["Invalid", "enum", *_]:
            return f"must be one of {', '.join(choices)}"
        case ["Invalid", "RFC3339", *_] | ["Expected", "`datetime`", "with", *_]:
            return A_TIME
        case ["Integer" | "Number", *_, "range"]:
            return "is out of range"
        case ["Expected", "`array`", "of", "length", ">=", least]:
            return f"must have at least {least} {'entry' if least == '1' else 'entries'}"
        case ["Expected", "`array`", "of", "length", "<=", most]:
            return f"must have at most {most} entries"
        case ["Expected", "`str`", "of", "length", ">=", "1"]:
            return "must not be empty"
        case ["Expected", "`str`", "of", "length", "<=", most]:
            return f"must have at most {most} characters"
        case ["Expected", "`str`", "matching", *_]:
            return _pattern(text, field)
        case ["Expected", _, ">=", least]:
            return f"must be at least {int(least):,}"
        case ["Expected", _, "<=", most]:
            return f"must be at most {int(most):,}"
        case ["Expected", *_] if choices:
            return f"must be one of {', '.join(choices)}"
        case ["Expected", *_] if (found := re.fullmatch(r"Expected `(.+?)`, got `(\w+)`", text)) is not None:
            wanted = [_TYPE_NAMES.get(name, name) for name in found[1].split(" | ") if name != "null"]
            return f"must be {' or '.join(wanted)}, not {_TYPE_NAMES.get(found[2], found[2])}"
    return "is not valid"


def _pattern(text: str, field: str) -> str:
    if COLOR_PATTERN in text.replace("\\\\", "\\"):
        return "must be a colour such as #1a2b3c"
    if field == "currency":
        return "must be three capital letters, as in ISO 4217, such as EUR"
    if field == "email":
        return "must be an e-mail address"
    if "(?!\\s)" in text.replace("\\\\", "\\"):  # NAME_PATTERN
        return "must not have control characters or hidden ones, nor a blank at either end"
    return "must not be blank or have control characters"


def _choices_at(type_: Any, path: str) -> list[str]:
    """The values of the enumeration at the top of a body, or in a list there, if there is one."""
    name = path.partition("[")[0]
    if isinstance(type_, type) and issubclass(type_, msgspec.Struct) and name in type_.__struct_fields__:
        hint = get_type_hints(type_)[name]
        listed = any(get_origin(part) is tuple for part in (hint, *get_args(hint)))
        return choices_of(hint) if listed == (name != path) else []
    return []


def choices_of(annotation: Any) -> list[str]:
    """The values of the enumeration in an annotation, if there is one."""
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return [str(member.value) for member in annotation]
    return next((found for part in get_args(annotation) if (found := choices_of(part))), [])


def _malformed(body: bytes, cause: str) -> Problem:
    """Why JSON can't be read. Half a surrogate pair in a text looks like bad syntax to msgspec; here it gets its field."""
    try:
        tolerant = json.loads(body)
    except UnicodeDecodeError:
        return invalid("body", "is not valid UTF-8")
    except RecursionError:
        return invalid("body", "is nested too deeply")
    except ValueError:
        found = re.search(r"\(byte (\d+)\)", cause)
        where = f" at byte {found[1]}" if found else ": it ends too early"
        return invalid("body", f"is not valid JSON{where}")
    path = _find_surrogate(tolerant)
    if path is not None:
        return invalid(_join(path, None) or "body", "has half of a surrogate pair, which is no character")
    return invalid("body", "is not valid JSON")


def _find_surrogate(document: object) -> str | None:
    """The path of the first text with half a surrogate pair; without recursion, for nesting is the caller's choice."""
    pending: list[tuple[str, object]] = [("", document)]
    while pending:
        path, value = pending.pop()
        if isinstance(value, str) and _has_surrogate(value):
            return path
        if isinstance(value, dict):
            for name in value:
                if _has_surrogate(name):
                    return f"{path}.{name.encode(errors='replace').decode()}"
            pending.extend((f"{path}.{name}"[: ECHO_CHARS_MAX * 2], inner) for name, inner in value.items())
        elif isinstance(value, list):
            pending.extend(
                (f"{path}[{index}]"[: ECHO_CHARS_MAX * 2], inner) for index, inner in enumerate(value)
            )
    return None


def _has_surrogate(text: str) -> bool:
    return not text.isascii() and any("\ud800" <= sign <= "\udfff" for sign in text)


@cache  # one for each route
def _query_fields(handler: BaseRouteHandler) -> dict[str, Any]:
    """A route's query parameters, with their annotations."""
    fields = {}
    for name, field in handler.parsed_fn_signature.parameters.items():
        kwarg = field.kwarg_definition
        if isinstance(kwarg, ParameterKwarg) and kwarg.param_type is ParamType.QUERY:
            fields[kwarg.name or name] = field.raw
    return fields


async def check_query(request: Request[Any, Any, Any]) -> None:
    """Refuse unknown and repeated query parameters, and drop empty ones. For Litestar's `before_request`."""
    query = request.scope["query_string"]
    if not query:
        return
    known = _query_fields(request.scope["route_handler"])
    pairs = parse_qsl(query.decode("latin-1"), keep_blank_values=True)
    seen = set()
    for name, _ in pairs:
        if name not in known:
            raise invalid(_join(name, None) or "query", "there is no such query parameter")
        if name in seen:
            raise invalid(name, "is given more than once")
        seen.add(name)
    request.scope["query_string"] = urlencode([pair for pair in pairs if pair[1]]).encode()


def bad_parameters(request: Request[Any, Any, Any], error: ValidationException) -> Problem:
    """Litestar's refusal of query parameters, in our words."""
    handler = request.scope.get("route_handler")
    fields = {} if handler is None else _query_fields(handler)
    extra: Any = error.extra if isinstance(error.extra, list) else []
    errors = []
    for item in extra:
        name = str(item.get("key") or "query")
        message = str(item.get("message", "")).partition(_WHERE)[0]
        choices = choices_of(fields.get(name))
        errors.append(FieldError(name, _in_query(plain(message, name, choices))))
    if not errors:
        return Problem(Code.INVALID_REQUEST, "The request is not valid.")
    detail = "; ".join(f"{one.field}: {one.message}" for one in errors)
    return Problem(Code.INVALID_REQUEST, detail, errors=errors)


def _in_query(message: str) -> str:
    """Everything in a query is a text: to say so of what came would only confuse."""
    if message == A_TIME:
        return A_TIME_IN_QUERY
    return message.partition(", not ")[0]
