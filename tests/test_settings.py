"""Settings: a wrong one stops the start with a line that says what to change, and no secret is ever shown."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from pydantic import ValidationError

from rowlock import settings
from rowlock.brokers.redis import Link
from rowlock.settings import Settings, SettingsError

KEY = "k" * 32


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nothing of the machine's environment, and no .env."""
    for name in (*settings.known_variables(), *os.environ):
        if name in settings.known_variables() or name.startswith("ROWLOCK_"):
            monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)


def load(monkeypatch: pytest.MonkeyPatch, **variables: str) -> Settings:
    """The settings of an environment."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    return settings.load()


def test_nothing_needs_to_be_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """A bare machine serves on loopback, with the embedded database."""
    found = load(monkeypatch)
    assert (found.host, found.port, found.database_url, found.auth) == ("127.0.0.1", 8000, None, "token")


def test_an_empty_value_is_as_good_as_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compose files and platforms set variables to nothing."""
    found = load(monkeypatch, PORT="", DATABASE_URL="", ROWLOCK_SECRET_KEY="", ROWLOCK_LANES="")
    assert (found.port, found.database_url, found.secret_key, found.lanes) == (8000, None, None, 2)


def test_values_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """What an operator writes arrives."""
    found = load(
        monkeypatch,
        SUPABASE_URL="postgres://me:pw@db.example.org:6543/postgres?sslmode=require",
        ROWLOCK_WORK="off",
        ROWLOCK_LOG_LEVEL="DEBUG",
        ROWLOCK_CORS_ORIGINS="https://a.example, http://b.example:81",
        ROWLOCK_PUBLIC_URL="https://tickets.example.org/",
        ROWLOCK_SWEEP_SECONDS="0.5",
    )
    assert found.database_url == "postgres://me:pw@db.example.org:6543/postgres?sslmode=require"
    assert found.work is False
    assert found.log_level == "debug"
    assert found.cors_origins == ("https://a.example", "http://b.example:81")
    assert found.public_url == "https://tickets.example.org"
    assert found.sweep_seconds == 0.5
    assert settings.database_variable() == "SUPABASE_URL"


def test_database_url_wins_over_supabase_url(monkeypatch: pytest.MonkeyPatch) -> None:
    """The common name is the one that counts."""
    found = load(monkeypatch, SUPABASE_URL="postgresql://b/b", DATABASE_URL="postgresql://a/a")
    assert found.database_url == "postgresql://a/a"
    assert settings.database_variable() == "DATABASE_URL"


def test_several_hosts_may_be_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a fail-over nobody has to change an address."""
    url = "postgresql://me:pw@a.example:5432,b.example:5433/rowlock?target_session_attrs=read-write"
    assert load(monkeypatch, DATABASE_URL=url).database_url == url


def test_the_file_is_read_and_the_environment_wins(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """.env holds what is always so; a variable overrides it once."""
    (tmp_path / ".env").write_text("PORT=9000\nROWLOCK_LANES=3\nSOMETHING_ELSE=1\n")
    found = load(monkeypatch, ROWLOCK_LANES="4")
    assert (found.port, found.lanes) == (9000, 4)


def test_settings_never_change() -> None:
    """What a process was started with holds until it ends."""
    with pytest.raises(ValidationError, match="frozen"):
        Settings().port = 1


@pytest.mark.parametrize(
    ("variables", "line"),
    [
        ({"PORT": "abc"}, "PORT='abc': must be a whole number"),
        ({"PORT": "70000"}, "PORT='70000': must be at most 65535"),
        ({"PORT": "1\n2"}, r"PORT='1\n2': must be a whole number"),
        ({"ROWLOCK_HOLD_SECONDS": "0"}, "ROWLOCK_HOLD_SECONDS='0': must be at least 1"),
        ({"ROWLOCK_LANES": "17"}, "ROWLOCK_LANES='17': must be at most 16"),
        ({"ROWLOCK_WORKERS": "1.5"}, "ROWLOCK_WORKERS='1.5': must be a whole number"),
        ({"ROWLOCK_SWEEP_SECONDS": "nan"}, "ROWLOCK_SWEEP_SECONDS='nan': must be a number"),
        (
            {"AMQP_URL": "http://me:pw@queue.example.org/"},
            "AMQP_URL: must look like amqp://user:password@host:5672/vhost",
        ),
        ({"AMQP_URL": "amqp://:pw@"}, "AMQP_URL: must look like amqp://user:password@host:5672/vhost"),
        ({"AMQP_URL": "amqp://host:no"}, "AMQP_URL: must look like amqp://user:password@host:5672/vhost"),
        (
            {"ROWLOCK_SHARDED": "on"},
            "ROWLOCK_EVENTS=on: events are not brought out of tables that are spread; ROWLOCK_SHARDED needs it off",
        ),
        (
            {"ROWLOCK_SHARDED": "on", "ROWLOCK_EVENTS": "off", "ROWLOCK_STATEMENT_TIMEOUT_SECONDS": "0"},
            "ROWLOCK_STATEMENT_TIMEOUT_SECONDS=0: ROWLOCK_SHARDED needs a limit, as a node may not answer",
        ),
        ({"ROWLOCK_WORK": "maybe"}, "ROWLOCK_WORK='maybe': must be on or off"),
        ({"ROWLOCK_AUTH": "none"}, "ROWLOCK_AUTH='none': must be 'token' or 'demo'"),
        ({"ROWLOCK_WORKRS": "2"}, "ROWLOCK_WORKRS: there is no such setting; did you mean ROWLOCK_WORKERS?"),
        ({"ROWLOCK_HOST": "::1"}, "ROWLOCK_HOST: there is no such setting; did you mean HOST?"),
        (
            {"ROWLOCK_OIDC_ISSUER": "https://id.example"},
            "ROWLOCK_OIDC_AUDIENCE is not set, but ROWLOCK_OIDC_ISSUER needs it",
        ),
        (
            {"ROWLOCK_CORS_ORIGINS": "*"},
            "ROWLOCK_CORS_ORIGINS='*': must be origins such as https://example.org, not '*'",
        ),
        (
            {"ROWLOCK_PUBLIC_URL": "example.org"},
            "ROWLOCK_PUBLIC_URL='example.org': must be an address such as https://example.org",
        ),
        (
            {"PORT": "x", "ROWLOCK_LANES": "y"},
            "PORT='x': must be a whole number; ROWLOCK_LANES='y': must be a whole number",
        ),
    ],
)
def test_a_wrong_value_is_named_in_one_line(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], line: str
) -> None:
    """A person knows at once what to change."""
    with pytest.raises(SettingsError) as error:
        load(monkeypatch, **variables)
    assert str(error.value) == line


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DATABASE_URL", "mysql://root:hunter2@db/x"),
        ("DATABASE_URL", "postgresql://me:hunter2@a.example:5432,b.example:none/x"),
        ("DATABASE_URL", "postgresql://root:hunter2@db:port/x"),
        ("SUPABASE_URL", "https://root:hunter2@db.example.org"),
        ("ROWLOCK_SECRET_KEY", "hunter2"),
        ("REDIS_URL", "http://root:hunter2@cache:6379"),
        ("REDIS_URL", "root:hunter2@cache"),
        ("REDIS_URL", "redis://root:hunter2@cache:port"),
        ("REDIS_URL", "redis://root:hunter2@cache:0"),
        ("REDIS_URL", "redis://root:hunter2@[cache"),
        ("REDIS_URL", "redis://:hunter2@"),
        ("REDIS_URL", "redis://root:hunter2@cache/one"),
        ("REDIS_URL", "redis://root:hunter2@cache/0?db=-1"),
        ("REDIS_URL", "redis://root:hunter2@cache/0?socket_timeout=60"),
        ("REDIS_URL", "redis://root@cache/0?password=hunter2"),
        ("REDIS_URL", "redis://root:hunter2@cache/0?ssl_ca_certs=/ca.pem"),
        ("REDIS_URL", "rediss://root:hunter2@cache/0?ssl_cert_reqs=maybe"),
        ("REDIS_URL", "redis://root:hunter2@cache/0?what"),
        ("REDIS_URL", "unix://hunter2@"),
    ],
)
def test_a_secret_is_not_shown(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    """Logs are read by more people than may know a password."""
    with pytest.raises(SettingsError) as error:
        load(monkeypatch, **{name: value})
    assert str(error.value).startswith(f"{name}: ")
    assert "hunter2" not in str(error.value)
    assert "\n" not in str(error.value)


def test_secrets_are_not_in_the_settings_text(monkeypatch: pytest.MonkeyPatch) -> None:
    """Printing the settings gives nothing away."""
    found = load(
        monkeypatch,
        DATABASE_URL="postgresql://u:hunter2@db/x",
        ROWLOCK_SECRET_KEY=KEY,
        REDIS_URL="redis://u:hunter2@cache",
    )
    assert "hunter2" not in repr(found)
    assert KEY not in repr(found)


@pytest.mark.parametrize(
    ("url", "server"),
    [
        ("redis://cache", "cache:6379"),
        ("redis://u:hunter2@cache.example.org:6380/3", "cache.example.org:6380"),
        ("redis://:hunter%2F2@[::1]:6379/", "[::1]:6379"),
        (
            "rediss://u:hunter2@cache/0?ssl_cert_reqs=required&ssl_ca_certs=/etc/ssl/certs/ca-certificates.crt",
            "cache:6379",
        ),
        ("unix:///run/redis/redis.sock", "/run/redis/redis.sock"),
        ("unix://u:hunter2@/run/redis.sock?db=2", "/run/redis.sock"),
    ],
)
def test_an_address_of_redis_that_is_taken_can_be_used(
    monkeypatch: pytest.MonkeyPatch, url: str, server: str
) -> None:
    """A server would start, and then fail for an address that was said to be right; or tell its password."""
    found = load(monkeypatch, REDIS_URL=url)
    assert found.redis_url == url
    link = Link(url, "rowlock:", b"a key")
    link._pool.make_connection()  # type: ignore[no-untyped-call]
    assert link._server == server


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.org", "localhost.example.org"])
def test_demo_mode_is_refused_where_others_can_reach_it(monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    """A demo can't be put on the internet by mistake."""
    with pytest.raises(SettingsError, match=r"^HOST=.*demo mode"):
        load(monkeypatch, HOST=host, ROWLOCK_AUTH="demo")


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "[::1]", "localhost", "LOCALHOST"])
def test_demo_mode_works_on_loopback(monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    """Every name of this machine for itself will do."""
    assert load(monkeypatch, HOST=host, ROWLOCK_AUTH="demo").auth == "demo"


def test_an_unreadable_file_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A broken .env is a line too."""
    (tmp_path / ".env").write_bytes(b"PORT=\xff\xfe")
    with pytest.raises(SettingsError, match=r"^\.env: can't be read"):
        load(monkeypatch)
