"""Where webhooks may go: neither a name, nor a way to write an address, leads into the service's own network."""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Sequence

import httpcore
import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.webhooks.network import GuardedBackend
from service.webhooks.sender import send
from service.webhooks.targets import LONGEST_URL, Guard, TargetRefused, parse_target, permitted

PUBLIC = ["8.8.8.8", "93.184.216.34", "2606:4700:4700::1111", "64:ff9b::808:808", "2002:808:808::1", "::ffff:8.8.8.8"]
NEVER = [
    "0.0.0.0",
    "0.1.2.3",
    "169.254.169.254",
    "169.254.0.1",
    "168.63.129.16",
    "100.100.100.200",
    "192.0.0.192",
    "192.0.2.1",
    "198.18.0.1",
    "224.0.0.1",
    "239.255.255.250",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "fe80::1",
    "fe80::1%eth0",
    "fec0::1",
    "ff02::1",
    "fd00:ec2::254",
    "fd00:ec2::254%eth0",
    "2001:db8::1",
    "2001:0:1234::1",
    "64:ff9b:1::1",
    "::ffff:169.254.169.254",
    "::ffff:0.0.0.0",
    "64:ff9b::a9fe:a9fe",
    "2002:a9fe:a9fe::1",
    "::169.254.169.254",
]
PRIVATE = [
    "127.0.0.1",
    "127.1.2.3",
    "10.0.0.1",
    "172.16.0.1",
    "172.31.255.255",
    "192.168.1.1",
    "100.64.0.1",
    "::1",
    "fc00::1",
    "fd12:3456::1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "64:ff9b::7f00:1",
]


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_are_permitted(address: str) -> None:
    assert permitted(address)
    assert permitted(address, allow_private=True)


@pytest.mark.parametrize("address", PRIVATE)
def test_private_addresses_are_permitted_where_the_operator_says_so(address: str) -> None:
    assert not permitted(address)
    assert permitted(address, allow_private=True)


@pytest.mark.parametrize("address", NEVER)
def test_some_addresses_are_never_permitted(address: str) -> None:
    assert not permitted(address)
    assert not permitted(address, allow_private=True)


@given(st.ip_addresses())
def test_nothing_is_permitted_that_is_not_global(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> None:
    if permitted(str(address)):
        assert address.is_global or getattr(address, "ipv4_mapped", None)
        assert not address.is_multicast
        assert not address.is_loopback
        assert permitted(str(address), allow_private=True)


@given(st.ip_addresses(v=4))
def test_an_address_in_disguise_is_the_address(address: ipaddress.IPv4Address) -> None:
    for disguise in (
        f"::ffff:{address}",
        str(ipaddress.IPv6Address(int(ipaddress.IPv6Address("64:ff9b::")) + int(address))),
    ):
        for allow_private in (False, True):
            assert permitted(disguise, allow_private=allow_private) == permitted(
                str(address), allow_private=allow_private
            )


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("ftp://example.org/", "https://"),
        ("file:///etc/passwd", "https://"),
        ("gopher://example.org/", "https://"),
        ("/hooks", "https://"),
        ("https://", "https://"),
        ("https:///path", "https://"),
        ("https://ada@example.org/", "user name"),
        ("https://ada:secret@example.org/", "user name"),
        ("https://:secret@example.org/", "user name"),
        ("https://example.org/#part", "fragment"),
        ("https://example.org:0/", "port"),
        ("https://example.org:99999/", "port"),
        ("https://[::1", "is not an address"),
        ("https://example.org/\r\nX: y", "is not an address"),
        ("https://example.org/" + "x" * LONGEST_URL, "longer"),
    ],
)
def test_addresses_that_say_too_much_or_too_little(url: str, why: str) -> None:
    with pytest.raises(TargetRefused, match=why):
        parse_target(url)


@pytest.mark.parametrize(
    "host",
    ["localhost", "127.0.0.1", "127.1", "0x7f.1", "0x7f000001", "2130706433", "017700000001", "0", "[::1]", "[::]",
     "[::ffff:127.0.0.1]"],
)  # fmt: skip
def test_this_machine_is_refused_however_it_is_written(host: str) -> None:
    """As the machine itself resolves names, so that nobody has to know all the ways to write an address."""
    with pytest.raises(TargetRefused, match="may not go"):
        Guard().check(f"http://{host}:8080/")


def answering(*addresses: str) -> Guard:
    return Guard(resolve=lambda host, port: addresses)


def test_all_addresses_of_a_name_must_be_permitted() -> None:
    answering("93.184.216.34", "2606:4700:4700::1111").check("https://example.org/")
    with pytest.raises(TargetRefused, match="may not go") as refused:
        answering("93.184.216.34", "10.1.2.3").check("https://example.org/")
    assert "10.1.2.3" not in str(refused.value), "what a name stands for inside is not told"


def test_names_that_lead_nowhere() -> None:
    def unknown(host: str, port: int) -> Sequence[str]:
        raise OSError("Name or service not known")

    for guard in (Guard(resolve=unknown), answering()):
        with pytest.raises(TargetRefused, match=r"the host 'example\.org' cannot be found"):
            guard.check("https://example.org/")
    with pytest.raises(TargetRefused, match="cannot be found"):
        Guard().check("https://" + "a" * 64 + ".example/")
    with pytest.raises(TargetRefused, match="cannot be found"):
        Guard().check("https://a..example/")


def test_a_name_is_resolved_as_it_goes_over_the_wire() -> None:
    asked = []

    def resolve(host: str, port: int) -> Sequence[str]:
        asked.append((host, port))
        return ["93.184.216.34"]

    guard = Guard(resolve=resolve)
    for url in (
        "https://bücher.example/",
        "http://example.org/",
        "https://example.org:8443/",
        "http://[2606:4700::1]/",
    ):
        guard.check(url)

    assert asked == [
        ("xn--bcher-kva.example", 443),
        ("example.org", 80),
        ("example.org", 8443),
        ("2606:4700::1", 80),
    ]


def test_a_name_that_changes_its_mind_gains_nothing() -> None:
    """DNS rebinding: public when it is checked, private when it is used. The connection asks once, and uses that."""
    answers = iter([["93.184.216.34"], ["127.0.0.1"]])
    guard = Guard(resolve=lambda host, port: next(answers))
    guard.check("http://rebinding.example/")

    outcome = asyncio.run(send("http://rebinding.example/", {}, b"{}", guard, httpx.create_ssl_context()))

    assert outcome.status is None
    assert "may not go" in (outcome.error or "")
    with pytest.raises(StopIteration):
        next(answers)


def test_the_connection_goes_to_what_was_judged() -> None:
    """And to the next address when nobody listens at the first."""
    asked = []

    def resolve(host: str, port: int) -> Sequence[str]:
        asked.append(host)
        return ["127.0.0.2", "127.0.0.1"]

    async def connect() -> tuple[str, int]:
        server = await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", 0)
        async with server:
            port = server.sockets[0].getsockname()[1]
            backend = GuardedBackend(Guard(allow_private=True, resolve=resolve))
            stream = await backend.connect_tcp("receiver.example", port, timeout=10)
            peer: tuple[str, int] = stream.get_extra_info("server_addr")
            await stream.aclose()
            assert peer[1] == port
            return peer

    assert asyncio.run(connect())[0] == "127.0.0.1"
    assert asked == ["receiver.example"]


def test_a_name_without_an_answer_is_a_failure_like_others() -> None:
    def unknown(host: str, port: int) -> Sequence[str]:
        raise OSError("Temporary failure in name resolution")

    guard = Guard(resolve=unknown)
    outcome = asyncio.run(send("http://example.org/", {}, b"{}", guard, httpx.create_ssl_context()))

    assert outcome.error == "the host 'example.org' cannot be found"


def test_sockets_of_this_machine_are_out_of_reach() -> None:
    with pytest.raises(AssertionError):
        asyncio.run(GuardedBackend(Guard(allow_private=True)).connect_unix_socket("/run/docker.sock"))
    with pytest.raises((httpcore.UnsupportedProtocol, TargetRefused)):
        parse_target("http+unix://%2Frun%2Fdocker.sock/")
