"""Where webhooks may go. The service stands inside a network that its users may not reach through it (SSRF).

An address is judged by what its name resolves to, when the webhook is stored and again for every request; the request
goes to the very address that was judged (see `network`), so a name that changes its mind in between gains nothing.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import httpx

LONGEST_URL = 2048
RESOLVE_SECONDS = 5.0

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Resolve = Callable[[str, int], Sequence[str]]

_PRIVATE = tuple(
    map(ipaddress.ip_network, ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7"))
)
# Where clouds tell a machine its own credentials, as far as that is not link-local anyway.
_METADATA = frozenset(map(ipaddress.ip_address, ("168.63.129.16", "100.100.100.200", "192.0.0.192", "fd00:ec2::254")))
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_NEVER = tuple(map(ipaddress.ip_network, ("64:ff9b:1::/48", "2001::/23", "fec0::/10")))

_RESOLVERS = ThreadPoolExecutor(max_workers=64, thread_name_prefix="webhook-dns")


class TargetRefused(ValueError):
    """A webhook may not go there; the message says why."""


def resolve(host: str, port: int) -> list[str]:
    """The addresses of a host, as the machine resolves names. Raises OSError."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


def parse_target(url: str) -> httpx.URL:
    """An address that is well-formed and says nothing that it should not. Raises TargetRefused."""
    if len(url) > LONGEST_URL:
        raise TargetRefused(f"is longer than {LONGEST_URL} characters")
    try:
        parsed = httpx.URL(url)
    except (httpx.InvalidURL, ValueError) as error:
        raise TargetRefused(f"is not an address: {error}") from error
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise TargetRefused("must be an https:// or http:// address of a host")
    if parsed.userinfo:
        raise TargetRefused("must not hold a user name or password; the signature tells who sends")
    if parsed.fragment:
        raise TargetRefused("must not have a fragment (#...), which is never sent")
    if not 0 < port_of(parsed) <= 65535:
        raise TargetRefused("has a port that nobody can listen on")
    return parsed


def permitted(address: str, *, allow_private: bool = False) -> bool:
    """Whether requests may go to this address.

    To public ones; where private ones are allowed, also to loopback and to the networks of a site. Never to link-local
    ones, to what clouds tell their machines, to groups, or to what stands for no host at all.
    """
    return all(_is_permitted(one, allow_private) for one in _meanings(ipaddress.ip_address(address.partition("%")[0])))


def _meanings(address: Address) -> list[Address]:
    """The address itself, or the IPv4 addresses that it carries: translators on the way would send there."""
    if isinstance(address, ipaddress.IPv4Address):
        return [address]
    if address.ipv4_mapped:
        return [address.ipv4_mapped]
    if address in _NAT64:
        return [ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)]
    if address.sixtofour:
        return [address, address.sixtofour]
    return [address]


def _is_permitted(address: Address, allow_private: bool) -> bool:
    if address in _METADATA or address.is_multicast or any(address in network for network in _NEVER):
        return False
    if allow_private and (address.is_loopback or any(address in network for network in _PRIVATE)):
        return True
    return address.is_global and not address.is_reserved


@dataclass(frozen=True, slots=True)
class Guard:
    """Finds the addresses of hosts and refuses those where webhooks may not go."""

    allow_private: bool = False
    resolve: Resolve = resolve

    def check(self, url: str) -> None:
        """Raises TargetRefused for an address that could not be sent to just now."""
        target = parse_target(url)
        try:
            found = self.lookup(target.raw_host.decode("ascii"), port_of(target)).result(RESOLVE_SECONDS)
        except OSError as error:
            raise unresolved(target.host) from error
        self.judge(target.host, found)

    def lookup(self, host: str, port: int) -> Future[Sequence[str]]:
        """The addresses of a host, in a thread of its own: some name servers take their time. Fails with OSError."""
        return _RESOLVERS.submit(self._lookup, host, port)

    def judge(self, host: str, addresses: Sequence[str]) -> None:
        """Raises TargetRefused unless requests may go to all of these: one bad one is one too many."""
        if not addresses:
            raise unresolved(host)
        if not all(permitted(address, allow_private=self.allow_private) for address in addresses):
            # Which address it is, is not told: that would map the network from inside.
            raise TargetRefused(
                f"{host!r} is in a network where webhooks may not go; use a public address, "
                "or have the operator set ASSAY_WEBHOOKS_ALLOW_PRIVATE"
            )

    def _lookup(self, host: str, port: int) -> Sequence[str]:
        try:
            return self.resolve(host, port)
        except UnicodeError as error:  # a label that is too long for the domain name system
            raise OSError(f"{host!r} is not the name of a host") from error


def port_of(url: httpx.URL) -> int:
    if url.port is not None:
        return url.port
    return 443 if url.scheme == "https" else 80


def unresolved(host: str) -> TargetRefused:
    return TargetRefused(f"the host {host!r} cannot be found")
