"""`make fuzz`: feed every parser with many bad inputs, and say how many there were."""

from __future__ import annotations

import os

from tests.fuzz.parsers import PARSERS, try_parser

INPUTS = int(os.environ.get("FUZZ_INPUTS", "4500"))


def main() -> None:
    """Feed them all."""
    inputs = refused = 0
    for name in PARSERS:
        tried = try_parser(name, INPUTS)
        print(f"{tried.inputs:8,} inputs {tried.refused:8,} refused  {name}", flush=True)
        inputs += tried.inputs
        refused += tried.refused
    print(f"{inputs:8,} inputs {refused:8,} refused  in all, by {len(PARSERS)} parsers; none broke one")


if __name__ == "__main__":
    main()
