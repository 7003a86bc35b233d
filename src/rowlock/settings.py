"""Settings: everything an operator may choose, read once from the environment and `.env`, and never changed after.

Nothing else in Rowlock reads the environment. Whatever is wrong becomes one line that names the variable and the
cause, so that a start fails with something a person can act on; the value of a secret is never repeated.
docs/configuration.md documents each of them, and a test holds it to that.
"""

from __future__ import annotations

import difflib
import ipaddress
import os
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import parse_qs, urlsplit

from dotenv import dotenv_values
from dotenv.parser import parse_stream
from pydantic import (
    AliasChoices,
    BeforeValidator,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

PREFIX = "ROWLOCK_"
# What may be said in an address of Redis. Time-outs and retries are ours to choose: bookings depend on them.
REDIS_OPTIONS = frozenset({"db"})
REDIS_TLS_OPTIONS = frozenset({"ssl_ca_certs", "ssl_ca_path", "ssl_cert_reqs", "ssl_certfile", "ssl_keyfile"})
SECRET_KEY_BYTES_MIN = 32  # HS256 is as strong as its key: RFC 7518 §3.2 asks for the hash's own size


class SettingsError(Exception):
    """A setting that can't be used. Its text is one line, and names the variable."""


def _lower(value: object) -> object:
    return value.lower() if isinstance(value, str) else value


def _split_commas(value: object) -> object:
    return (
        tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value
    )


class Settings(BaseSettings):
    """What an operator chose; frozen. Each field's variable is `ROWLOCK_` and its name, unless its alias says else."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_ignore_empty=True,  # `PORT=` means what leaving PORT out means
        extra="ignore",  # unknown ROWLOCK_* are refused by load(), which can name the nearest known one
        frozen=True,
        populate_by_name=True,
        allow_inf_nan=False,
        hide_input_in_errors=True,
    )

    database_url: str | None = Field(
        default=None,
        repr=False,
        validation_alias=AliasChoices("DATABASE_URL", "SUPABASE_URL"),
        description="PostgreSQL 14 or later, postgresql://user:password@host:port/name; embedded if unset",
    )
    direct_database_url: str | None = Field(
        default=None,
        repr=False,
        description="the same database without a pooler between, for LISTEN; DATABASE_URL if unset",
    )
    redis_url: str | None = Field(
        default=None,
        repr=False,
        validation_alias="REDIS_URL",
        description="Redis, redis://user:password@host:port/db, rediss:// or unix://; none if unset",
    )
    amqp_url: str | None = Field(
        default=None,
        repr=False,
        validation_alias="AMQP_URL",
        description="RabbitMQ 3.10 or later, amqp://user:password@host:port/vhost; without it a table is the queue",
    )
    host: str = Field(
        default="127.0.0.1", validation_alias="HOST", description="address or name to listen on"
    )
    port: int = Field(
        default=8000,
        ge=0,
        le=65535,
        validation_alias="PORT",
        description="port to listen on; 0: any free one",
    )
    data_dir: Path = Field(default=Path("var"), description="folder of the embedded PostgreSQL")
    secret_key: str | None = Field(
        default=None,
        repr=False,
        description="signs tokens and sessions, 32 bytes or more; needed in token mode; with commas between, the first signs and all verify",
    )
    auth: Annotated[Literal["token", "demo"], BeforeValidator(_lower)] = Field(
        default="token", description="demo: callers without credentials may do all; only on loopback"
    )
    workers: int = Field(default=1, ge=1, le=64, description="server processes")
    log_level: Annotated[Literal["debug", "info", "warning", "error"], BeforeValidator(_lower)] = Field(
        default="info", description="least level that is logged"
    )
    log_format: Annotated[Literal["auto", "json", "console"], BeforeValidator(_lower)] = Field(
        default="auto", description="auto: console in a terminal, else json"
    )
    hold_seconds: int = Field(
        default=120, ge=1, le=86_400, description="how long a PENDING booking holds its seats"
    )
    holds_per_customer: int = Field(
        default=5, ge=0, description="holds a customer may have of a show at a time; 0: no limit"
    )
    held_seats_per_customer: int = Field(
        default=20,
        ge=0,
        description="seats a customer may hold of a show at a time, or as many as one booking may have; 0: no limit",
    )
    holds_of_seat_per_hour: int = Field(
        default=3, ge=0, description="how often within an hour a customer may hold the same seat; 0: no limit"
    )
    sweep_seconds: float = Field(
        default=5, ge=0.05, le=3600, description="pause between sweeps of overdue holds"
    )
    work: bool = Field(
        default=True, description="on: servers do the background work too; off: only `rowlock work` does"
    )
    metrics_port: int | None = Field(
        default=None, ge=1, le=65535, description="port where `rowlock work` serves its metrics, at HOST"
    )
    keep_failed_days: float = Field(
        default=30, gt=0, le=36_500, description="how long FAILED bookings are kept"
    )
    keep_audit_days: float = Field(
        default=1095, ge=90, le=36_500, description="how long the audit trail is kept; at least 90"
    )
    events: bool = Field(
        default=True, description="on: what happens is written to the outbox, for RabbitMQ and webhooks"
    )
    events_exchange: str = Field(
        default="rowlock.events",
        min_length=1,
        max_length=127,
        description="RabbitMQ's topic exchange that events are published to, where AMQP_URL is set",
    )
    keep_events_days: float = Field(
        default=7, gt=0, le=3650, description="how long published events and the log of deliveries are kept"
    )
    webhook_allow_private: bool = Field(
        default=False, description="whether webhooks may lead to private, loopback and link-local addresses"
    )
    webhook_disable_days: float = Field(
        default=3,
        gt=0,
        le=365,
        description="after so many days of nothing but failure a webhook is switched off",
    )
    lanes: int = Field(
        default=2, ge=1, le=16, description="batches a process may have in flight, a connection each"
    )
    sharded: bool = Field(
        default=False, description="on: tables are spread by show (Citus); each show has a lane of its own"
    )
    pool_size: int = Field(
        default=10, ge=4, le=1000, description="connections of a process for reading, and for background work"
    )
    statement_cache: int = Field(
        default=100,
        ge=0,
        le=10_000,
        description="prepared statements kept per connection; 0 behind PgBouncer",
    )
    cors_origins: Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split_commas)] = Field(
        default=(), description="origins of other sites' pages that may call, with commas between"
    )
    oidc_issuer: str | None = Field(
        default=None, description="OpenID Connect issuer whose tokens are accepted"
    )
    oidc_audience: str | None = Field(default=None, description="audience its tokens must be for")
    oidc_client_id: str | None = Field(default=None, description="client id for staff's sign-in by code flow")
    oidc_client_secret: str | None = Field(
        default=None, repr=False, description="that client's secret, if it has one"
    )
    oidc_roles_claim: str = Field(default="roles", description="claim that holds a caller's roles")
    public_url: str | None = Field(
        default=None, description="where browsers reach Rowlock; for the sign-in's way back"
    )
    session_hours: float = Field(
        default=12, gt=0, le=8760, description="how long a sign-in on the page lasts"
    )
    rate_bookings_per_minute: int = Field(
        default=600, ge=0, description="booking requests per customer; 0: no limit"
    )
    rate_guests_per_minute: int = Field(
        default=600, ge=0, description="booking requests of all guests at one address; 0: no limit"
    )
    rate_holds_per_minute: int = Field(
        default=60,
        ge=0,
        description="holds per customer, and those of all guests at one address; 0: no limit",
    )
    rate_sign_ins_per_minute: int = Field(
        default=30, ge=0, description="sign-ins per address, and as one user; 0: no limit"
    )
    statement_timeout_seconds: float = Field(
        default=10, ge=0, le=3600, description="PostgreSQL's statement_timeout; 0: none"
    )
    lock_timeout_seconds: float = Field(
        default=5, ge=0, le=3600, description="PostgreSQL's lock_timeout; 0: none"
    )
    idle_in_transaction_seconds: float = Field(
        default=3, ge=0, le=3600, description="PostgreSQL's idle_in_transaction_session_timeout; 0: none"
    )

    @field_validator("database_url", "direct_database_url")
    @classmethod
    def _is_postgresql(cls, url: str | None) -> str | None:
        if url is not None:
            try:
                parts = urlsplit(url)
                hosts = parts.netloc.rpartition("@")[2].split(",")  # a primary and its standbys, say
                ports = [urlsplit(f"//{host}").port for host in hosts]
                known = parts.scheme in {"postgresql", "postgres"} and all(p is None or p > 0 for p in ports)
            except ValueError:  # a port that is no number, a broken [IPv6] address
                known = False
            if not known:
                raise ValueError("must look like postgresql://user:password@host:5432/name")
        return url

    @field_validator("redis_url")
    @classmethod
    def _is_redis(cls, url: str | None) -> str | None:
        if url is not None and (wrong := _wrong_with_redis(url)):
            raise ValueError(wrong)
        return url

    @field_validator("amqp_url")
    @classmethod
    def _is_amqp(cls, url: str | None) -> str | None:
        if url is not None:
            try:
                parts = urlsplit(url)
                known = parts.scheme in {"amqp", "amqps"} and bool(parts.hostname)
                known = known and (parts.port is None or parts.port > 0)
            except ValueError:
                known = False
            if not known:
                raise ValueError("must look like amqp://user:password@host:5672/vhost")
        return url

    @field_validator("secret_key")
    @classmethod
    def _is_long_enough(cls, key: str | None) -> str | None:
        if key is not None and len(key.encode()) < SECRET_KEY_BYTES_MIN:
            raise ValueError(
                f"must be {SECRET_KEY_BYTES_MIN} bytes or more, not {len(key.encode())}; `openssl rand -hex 32` makes one"
            )
        return key

    @property
    def secret_keys(self) -> tuple[str, ...]:
        """The keys of `secret_key`: the first signs, all verify."""
        return () if self.secret_key is None else split_keys(self.secret_key)

    @field_validator("oidc_issuer", "public_url")
    @classmethod
    def _is_web_address(cls, url: str | None, info: ValidationInfo) -> str | None:
        if url is not None and not (url.startswith(("https://", "http://")) and urlsplit(url).hostname):
            raise ValueError("must be an address such as https://example.org")
        # An issuer is compared letter by letter with its tokens, so only our own address may be tidied.
        return url.rstrip("/") if url and info.field_name == "public_url" else url

    @field_validator("cors_origins")
    @classmethod
    def _are_origins(cls, origins: tuple[str, ...]) -> tuple[str, ...]:
        for origin in origins:
            parts = urlsplit(origin)
            if parts.scheme not in {"http", "https"} or origin != f"{parts.scheme}://{parts.netloc}":
                raise ValueError(f"must be origins such as https://example.org, not {origin!r}")
        return origins

    @model_validator(mode="after")
    def _fit_together(self) -> Self:
        if self.auth == "demo" and not is_loopback(self.host):
            raise ValueError(
                f"HOST={self.host}: demo mode (ROWLOCK_AUTH=demo) lets every caller do everything, so it listens on loopback only (127.0.0.1)"
            )
        if self.sharded and not self.statement_timeout_seconds:
            raise ValueError(
                "ROWLOCK_STATEMENT_TIMEOUT_SECONDS=0: ROWLOCK_SHARDED needs a limit, as a node may not answer"
            )
        if self.sharded and self.events:
            raise ValueError(
                "ROWLOCK_EVENTS=on: events are not brought out of tables that are spread; ROWLOCK_SHARDED needs it off"
            )
        needs = (
            (self.direct_database_url, "direct_database_url", self.database_url, "database_url"),
            (self.oidc_issuer, "oidc_issuer", self.oidc_audience or self.oidc_client_id, "oidc_audience"),
            (self.oidc_client_id, "oidc_client_id", self.oidc_issuer, "oidc_issuer"),
            (self.oidc_client_id, "oidc_client_id", self.public_url, "public_url"),
            (self.oidc_client_secret, "oidc_client_secret", self.oidc_client_id, "oidc_client_id"),
        )
        for present, field, needed, needed_field in needs:
            if present and not needed:
                raise ValueError(
                    f"{variables(needed_field)[0]} is not set, but {variables(field)[0]} needs it"
                )
        return self


def split_keys(secret_key: str) -> tuple[str, ...]:
    """The keys that ROWLOCK_SECRET_KEY names, with commas between.

    A comma before or after what is too short for a key is part of it, as it was when there could be but one.
    """
    parts = tuple(part.strip() for part in secret_key.split(","))
    return parts if all(len(part.encode()) >= SECRET_KEY_BYTES_MIN for part in parts) else (secret_key,)


def _wrong_with_redis(url: str) -> str | None:
    """What is wrong with an address of Redis, without repeating any of it; None if nothing is."""
    try:
        parts = urlsplit(url)
        asked = parse_qs(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query))
        on_socket = parts.scheme == "unix"
        known = (
            bool(parts.path)
            if on_socket
            else parts.scheme in {"redis", "rediss"}
            and bool(parts.hostname)
            and (parts.port is None or parts.port > 0)
        )
        numbers = asked.get("db", []) if on_socket else [parts.path.strip("/") or "0", *asked.get("db", [])]
    except ValueError:  # a port that is no number, a broken [IPv6] address, a query that is none
        known, asked, numbers = False, {}, []
    if not known:
        return "must look like redis://user:password@host:6379/0, rediss://… (TLS) or unix:///path/of/socket"
    if not all(number.isascii() and number.isdigit() for number in numbers):
        return "must end in the number of a database, as in redis://host:6379/0"
    options = REDIS_OPTIONS | (REDIS_TLS_OPTIONS if parts.scheme == "rediss" else frozenset())
    if not asked.keys() <= options:
        return f"has an option that is not known; after the ? there may be {', '.join(sorted(options))}"
    if asked.get("ssl_cert_reqs", ["required"]) not in (["required"], ["optional"], ["none"]):
        return "must have ssl_cert_reqs as required, optional or none"
    return None


def variables(field: str) -> tuple[str, ...]:
    """The environment variables that set a field, the one that wins first."""
    alias = Settings.model_fields[field].validation_alias
    if isinstance(alias, AliasChoices):
        return tuple(str(choice) for choice in alias.choices)
    return (alias,) if isinstance(alias, str) else (PREFIX + field.upper(),)


def known_variables() -> tuple[str, ...]:
    """Every environment variable that Rowlock reads, in the order of the documentation."""
    return tuple(name for field in Settings.model_fields for name in variables(field))


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a server that listens on `host`."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower().rstrip(".") == "localhost"


def load(env_file: Path | None = Path(".env")) -> Settings:
    """Read and check the settings; raises `SettingsError`."""
    names = _names_set(env_file)
    known = known_variables()
    for name in names:
        if name.startswith(PREFIX) and name not in known:
            bare = name.removeprefix(PREFIX)
            nearest = bare if bare in known else difflib.get_close_matches(name, known, n=1, cutoff=0)[0]
            raise SettingsError(f"{name}: there is no such setting; did you mean {nearest}?")
    try:
        return Settings(_env_file=env_file)  # type: ignore[call-arg]  # pydantic-settings' own, unknown to mypy
    except ValidationError as errors:
        raise SettingsError("; ".join(_line(error, names) for error in errors.errors())) from None


def database_variable(env_file: Path | None = Path(".env")) -> str:
    """The variable that says where the database is: the one to name when it can't be reached."""
    for names in (_names_set(None), _names_set(env_file)):  # what the environment says wins over the file
        for name in variables("database_url"):
            if name in names:
                return name
    return "DATABASE_URL"


def _names_set(env_file: Path | None) -> frozenset[str]:
    """The names of all variables that have a value, in capitals, of the environment and of the file."""
    from_file: Mapping[str, str | None] = {}
    if env_file is not None:
        try:
            if env_file.is_dir():
                raise SettingsError(f"{env_file}: is a folder, and must be a file of settings")
            if broken := _broken_lines(env_file):
                raise SettingsError(f"{env_file}: line {broken[0]} is not a setting: NAME=value is expected")
            from_file = dotenv_values(env_file, encoding="utf-8")
        except (OSError, UnicodeDecodeError) as cause:
            raise SettingsError(f"{env_file}: can't be read: {cause}") from None
    return frozenset(name.upper() for name, value in (*from_file.items(), *os.environ.items()) if value)


def _broken_lines(env_file: Path) -> list[int]:
    """The numbers of the lines that are no settings; the library would skip them with a warning."""
    if not env_file.exists():
        return []
    with env_file.open(encoding="utf-8") as lines:
        return [binding.original.line for binding in parse_stream(lines) if binding.error]


_MESSAGES = {
    "bool_parsing": "must be on or off",
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_parsing": "must be a number",
    "finite_number": "must be a number",
    "greater_than_equal": "must be at least {ge}",
    "greater_than": "must be more than {gt}",
    "less_than_equal": "must be at most {le}",
    "literal_error": "must be {expected}",
}


def _line(error: Mapping[str, Any], names: Collection[str]) -> str:
    """One of pydantic's errors as `VARIABLE=value: cause`, without the value of a secret."""
    known = _MESSAGES.get(error["type"])
    message = known.format_map(error.get("ctx", {})) if known else error["msg"].removeprefix("Value error, ")
    message = " ".join(message.split())
    if not error["loc"]:
        return str(message)
    loc = str(error["loc"][0]).upper()
    field = next(name for name in Settings.model_fields if loc in {name.upper(), *variables(name)})
    variable = next((name for name in variables(field) if name in names), variables(field)[0])
    value = error.get("input")
    shown = f"={value!r}" if isinstance(value, str) and Settings.model_fields[field].repr else ""
    return f"{variable}{shown}: {message}"
