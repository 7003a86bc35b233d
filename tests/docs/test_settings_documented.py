"""An operator can trust the page about settings: it has all of them, none that is gone, and their true defaults."""

from __future__ import annotations

import re
from pathlib import Path

from pydantic.fields import FieldInfo

from rowlock.settings import Settings, known_variables, variables

ROOT = Path(__file__).parents[2]
ROW = re.compile(r"^\| `([A-Z_]+)` \| (?:none|`(.+?)`) \| (.+) \|$", re.MULTILINE)
EXAMPLE = re.compile(r"^# ([A-Z_]+)=(.*)$", re.MULTILINE)


def shown(field: FieldInfo) -> str:
    """A default as an operator would write it."""
    default = field.default
    if default is None or default == ():
        return ""
    return ("on" if default else "off") if isinstance(default, bool) else f"{default}"


def expected() -> dict[str, str]:
    """Every variable and its default."""
    return {name: shown(field) for key, field in Settings.model_fields.items() for name in variables(key)}


def test_the_page_has_every_setting_with_its_default() -> None:
    """Nobody has to read the code to configure Rowlock."""
    rows = ROW.findall((ROOT / "docs/configuration.md").read_text())
    assert {name: default for name, default, _ in rows} == expected()
    assert len(rows) == len(known_variables()), "a setting stands there twice"


def test_the_example_has_every_setting_with_its_default() -> None:
    """A copy of .env.example with every # taken off changes nothing."""
    assert dict(EXAMPLE.findall((ROOT / ".env.example").read_text())) == expected()


def test_every_setting_says_what_it_is() -> None:
    """The model itself is documented too."""
    assert [key for key, field in Settings.model_fields.items() if not field.description] == []
