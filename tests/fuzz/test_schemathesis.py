"""Every operation of the OpenAPI document, as a machine that has read it would call it: well, badly, and one after the other."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from rowlock.http.tokens import mint
from tests.end_to_end.conftest import SECRET_KEY, Server

SEED = os.environ.get("FUZZ_SEED", "20261127")
EXAMPLES = os.environ.get("FUZZ_EXAMPLES", "6")  # for each operation and phase: a minute of CPU
CONFIG = Path(__file__).with_name("schemathesis.toml")


@pytest.mark.timeout(900)
def test_no_request_meets_a_server_error_or_an_undocumented_answer(dsn: str, tmp_path: Path) -> None:
    """A client made from the document would meet what it does not say, or bring the server down."""
    server = Server(
        dsn, tmp_path, ROWLOCK_RATE_SIGN_INS_PER_MINUTE="0", ROWLOCK_WORK="off"
    )  # webhooks that are made up are sent nothing
    try:
        asyncio.run(server.ready())
        report = tmp_path / "report.json"
        admin = mint(SECRET_KEY, user_id="root", role="admin", hours=1)
        done = subprocess.run(
            [
                str(Path(sys.executable).with_name("schemathesis")),
                f"--config-file={CONFIG}",
                "run",
                f"{server.url}/api-docs/openapi.json",
                "--exclude-operation-id=sign_out",  # it would revoke the token that is used here: test_revocations.py
                "--mode=all",
                "--phases=examples,coverage,fuzzing,stateful",
                f"--max-examples={EXAMPLES}",
                f"--seed={SEED}",
                "--generation-deterministic",
                "--generation-with-security-parameters=false",  # the header below is; `ignored_auth` sends none
                "--continue-on-failure",
                "--no-color",
                f"--header=Authorization:Bearer {admin}",
                f"--report-json-path={report}",
            ],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=840,
            check=False,
        )
        assert done.returncode == 0, done.stdout[-20_000:] + done.stderr
        assert server.process.poll() is None, "the server lives"
        log = server.log.read_text()
        assert "request_failed" not in log
        assert "Traceback" not in log, log[-4000:]
        cases: Any = json.loads(report.read_text())
        assert cases
    finally:
        server.stop()
