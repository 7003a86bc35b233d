"""Who goes without a word."""

from __future__ import annotations

import socket
import sys

import pytest

from rowlock import serving


@pytest.mark.skipif(sys.platform != "linux", reason="the options are read as Linux names them")
def test_connections_inherit_the_deadline() -> None:
    """Phones that lost their network would keep their places among the readers for a quarter of an hour."""
    with serving.bind("127.0.0.1", 0) as listener, socket.create_connection(listener.getsockname()):
        accepted, _ = listener.accept()
        with accepted:
            assert accepted.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 45_000
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 15
