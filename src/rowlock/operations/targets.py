"""Targets: where a webhook may lead. Nobody may use Rowlock to reach what only Rowlock can reach (SSRF).

An address is refused unless it is one that the public internet routes: private networks, this machine, link-local
addresses (clouds keep their metadata there), carrier-grade NAT, multicast and whatever is reserved are not, nor are
IPv6 addresses that such an IPv4 address is wrapped in. Of IPv6 only what IANA has given out as global unicast is public:
what it holds back may be anybody's. A name is refused if any of its addresses is.

The URL is checked when it is given, so that whoever gives it is told. What counts is the check of the very address
that is connected to (workers/outgoing.py).
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from typing import Final
from urllib.parse import urlsplit

from rowlock.operations.errors import Invalid

URL_CHARS_MAX: Final = 2_000
RESOLVE_SECONDS_MAX: Final = 2.0
A_URL: Final = "must look like https://example.org/hooks"
_GLOBAL_UNICAST = ipaddress.ip_network("2000::/3")
# IPv6 addresses that are nothing but an IPv4 address, which is what counts: mapped, and NAT64's well-known prefix, which is
# all that a host without IPv4 sees of one.
_ONLY_IPV4 = (ipaddress.ip_network("::ffff:0:0/96"), ipaddress.ip_network("64:ff9b::/96"))
# Reserved by IANA, and taken for public by Python's older versions.
_RESERVED = tuple(
    ipaddress.ip_network(text)
    for text in ("192.0.0.0/24", "192.88.99.0/24", "2001::/23", "3fff::/20", "5f00::/16", "100::/64")
)
# Public by their number, private by their use: Azure's own server for its machines.
_METADATA = frozenset({ipaddress.ip_address("168.63.129.16")})

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class TargetRefused(Exception):  # noqa: N818
    """The address is not one to connect to."""


def assert_public(text: str) -> None:
    """Raises `TargetRefused` unless `text` is the number of a public address."""
    address = ipaddress.ip_address(text.partition("%")[0])
    if not all(_is_public(one) for one in (address, *_wrapped(address))):
        raise TargetRefused(f"{text} is not a public address")


def _is_public(address: Address) -> bool:
    if isinstance(address, ipaddress.IPv6Address):
        if any(address in network for network in _ONLY_IPV4):
            return True  # by itself
        if address not in _GLOBAL_UNICAST:
            return False
    reserved = any(address in network for network in _RESERVED)
    return address.is_global and not (address.is_multicast or reserved or address in _METADATA)


def _wrapped(address: Address) -> list[Address]:
    """The IPv4 addresses that an IPv6 address leads to, by the ways there are: mapped, NAT64, 6to4, Teredo."""
    if isinstance(address, ipaddress.IPv4Address):
        return []
    found: list[Address | None] = [address.sixtofour, *(address.teredo or ())]
    if any(address in network for network in _ONLY_IPV4):
        found.append(ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF))
    return [one for one in found if one is not None]


async def check_url(url: str, *, allow_private: bool) -> None:
    """Whether a webhook may lead to `url`. Raises `Invalid`. A name that has no address as yet is none of our business."""
    if len(url) > URL_CHARS_MAX or not url.isprintable() or " " in url:
        raise Invalid("url", f"must be an address of at most {URL_CHARS_MAX:,} characters, without spaces")
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:  # a port that is no number, a broken [IPv6] address
        raise Invalid("url", A_URL) from None
    if parts.scheme not in {"https", "http"} or not host or port == 0:
        raise Invalid("url", A_URL)
    if parts.username is not None or parts.password is not None:
        raise Invalid("url", "must not have a user name or password")
    if parts.fragment:
        raise Invalid("url", "must not have a fragment (#…)")
    if not allow_private:
        try:
            for address in await _addresses(host, port or 443):
                assert_public(address)
        except TargetRefused as refused:
            raise Invalid("url", f"leads to a private address: {refused}") from None


async def _addresses(host: str, port: int) -> list[str]:
    """What a host is known as now; nothing, where that can't be found out in time."""
    try:
        async with asyncio.timeout(RESOLVE_SECONDS_MAX):
            found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):  # TimeoutError is an OSError
        return []
    return [str(entry[4][0]) for entry in found]
