"""HTTP to addresses that strangers gave us: nothing but the public web is ever reached."""

import asyncio
import socket
from collections.abc import Iterable
from pathlib import Path

import pytest

from producers.callbacks.signing_key import SigningKey
from schemas.errors import DocumentTooLarge, SourceRefused, SourceUnavailable
from tests.support.http_receiver import Answer, HttpReceiver, receiving
from tests.support.tls import self_signed, speaking_tls
from worker.adapters.guarded_http import HttpPost, HttpSourceFetcher
from worker.guarded_client import GuardedClient

ADDRESSES = {
    "loopback": "http://127.0.0.1/",
    "loopback by name": "http://localhost/",
    "all of this machine": "http://0.0.0.0/",
    "private 10": "http://10.0.0.1/",
    "private 172": "http://172.16.0.1/",
    "private 192": "http://192.168.1.1/",
    "carrier": "http://100.64.0.1/",
    "link-local": "http://169.254.1.1/",
    "metadata of AWS": "http://169.254.169.254/latest/meta-data/",
    "metadata of Azure": "http://168.63.129.16/",
    "metadata of Alibaba": "http://100.100.100.200/",
    "metadata of Oracle": "http://192.0.0.192/opc/v2/instance/",
    "metadata of AWS by IPv6": "http://[fd00:ec2::254]/latest/meta-data/",
    "benchmarking": "http://198.18.0.1/",
    "documentation": "http://203.0.113.7/",
    "reserved": "http://240.0.0.1/",
    "multicast": "http://224.0.0.1/",
    "broadcast": "http://255.255.255.255/",
    "decimal": "http://2130706433/",
    "hexadecimal": "http://0x7f000001/",
    "octal": "http://0177.0.0.1/",
    "short": "http://127.1/",
    "percent-encoded": "http://%31%32%37.0.0.1/",
    "full-width digits": "http://\uff11\uff12\uff17.0.0.1/",
    "IPv6 loopback": "http://[::1]/",
    "IPv6 unspecified": "http://[::]/",
    "IPv6 unique local": "http://[fd00::1]/",
    "IPv6 link-local": "http://[fe80::1]/",
    "IPv6 of an IPv4": "http://[::ffff:127.0.0.1]/",
    "NAT64": "http://[64:ff9b::7f00:1]/",
    "NAT64 of a public address": "http://[64:ff9b::808:808]/",
    "6to4 of a public address": "http://[2002:808:808::]/",
    "Teredo of a public address": "http://[2001:0:808:808::f7f7:f7f7]/",
    "IPv6 of a public IPv4": "http://[::ffff:8.8.8.8]/",
    "IPv4-compatible IPv6": "http://[::8.8.8.8]/",
    "an IPv6 zone": "http://[fe80::1%25eth0]/",
    "IPv6 multicast": "http://[ff02::1]/",
    "local NAT64": "http://[64:ff9b:1::7f00:1]/",
    "6to4": "http://[2002:7f00:1::]/",
    "Teredo": "http://[2001:0:7f00:1::]/",
    "user name": "http://user:word@example.com/",
    "user name of nobody": "http://@example.com/",
    "a back slash": "http://example.com\\@127.0.0.1/",
    "a line break": "http://example.com/\r\nHost: other/",
    "odd port": "http://example.com:6379/",
    "another scheme": "ftp://example.com/",
    "a file": "file:///etc/passwd",
    "no host": "http:///x",
}


class Names:
    """A resolver that knows one name; each answer is the next of those given, the last one for ever."""

    def __init__(self, *answers: str) -> None:
        """Answer with these addresses in turn."""
        self._answers = list(answers)
        self.asked = 0

    def __call__(
        self, _host: str, port: int, *_: object, **__: object
    ) -> Iterable[tuple[int, int, int, str, tuple[str, int]]]:
        """Answer as ``socket.getaddrinfo`` does."""
        self.asked += 1
        address = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        return [(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (address, port))]


@pytest.mark.parametrize("url", ADDRESSES.values(), ids=ADDRESSES)
async def test_an_address_that_is_not_public_is_refused(url: str, tmp_path: Path) -> None:
    """For callbacks and for sources alike, for good, however it is written."""
    async with GuardedClient(allow_loopback=False, resolver=Names("127.0.0.1")) as client:
        told = await HttpPost(client)(url, [SigningKey.new("hmac-sha256")], "x", b"{}")
        assert told.error is not None
        assert (told.error.code, told.status, told.address) == ("callback_refused", None, None)
        with pytest.raises(SourceRefused):
            await HttpSourceFetcher(client, limit_bytes=1).fetch(url, tmp_path / "source")


PRIVATE = ["127.0.0.1", "10.0.0.1", "169.254.169.254", "168.63.129.16", "192.0.0.192", "100.100.100.200"]


@pytest.mark.parametrize("address", PRIVATE)
async def test_a_public_name_of_a_private_address_is_refused(address: str, tmp_path: Path) -> None:
    """What counts is where the name leads."""
    async with GuardedClient(allow_loopback=False, resolver=Names(address)) as client:
        with pytest.raises(SourceRefused):
            await HttpSourceFetcher(client, limit_bytes=1).fetch("http://public.example/", tmp_path / "source")


async def test_a_name_is_resolved_once_for_each_request(receiver: HttpReceiver, tmp_path: Path) -> None:
    """The address that was checked is the one that is reached: a name that changes in between gains nothing."""
    names = Names("127.0.0.1", "10.0.0.1")
    url = receiver.url.replace("127.0.0.1", "rebinding.example")
    receiver.answers = [Answer(200), Answer(200)]
    async with GuardedClient(allow_loopback=True, resolver=names) as client:
        fetcher = HttpSourceFetcher(client, limit_bytes=1)
        await fetcher.fetch(url, tmp_path / "source")
        assert names.asked == 1
        with pytest.raises(SourceRefused):
            await fetcher.fetch(url, tmp_path / "source")
    assert len(receiver.requests) == 1


async def test_a_proxy_of_the_environment_is_not_used(
    receiver: HttpReceiver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would be asked for addresses that we may not reach, and reach them."""
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, receiver.url)
    async with GuardedClient(allow_loopback=False, resolver=Names("127.0.0.1")) as client:
        with pytest.raises(SourceRefused):
            await HttpSourceFetcher(client, limit_bytes=1).fetch("http://public.example/", tmp_path / "source")
    assert receiver.requests == []


async def test_a_source_is_streamed_to_a_file(receiver: HttpReceiver, tmp_path: Path) -> None:
    """Its media type is what the server says."""
    receiver.answers = [Answer(200, (("content-type", "text/html"),), size_bytes=65_536)]
    async with GuardedClient(allow_loopback=True) as client:
        media_type = await HttpSourceFetcher(client, limit_bytes=65_536).fetch(receiver.url, tmp_path / "source")
    assert media_type == "text/html"
    assert (tmp_path / "source").stat().st_size == 65_536


async def test_a_source_beyond_the_limit_is_not_read_on(receiver: HttpReceiver, tmp_path: Path) -> None:
    """The download ends at the limit, whatever length was stated."""
    receiver.answers = [Answer(200, size_bytes=1 << 30)]
    async with GuardedClient(allow_loopback=True) as client:
        with pytest.raises(DocumentTooLarge):
            await HttpSourceFetcher(client, limit_bytes=100_000).fetch(receiver.url, tmp_path / "source")
    assert receiver.sent_bytes < 64 << 20


@pytest.mark.parametrize(("status", "healing"), [(404, False), (403, False), (302, False), (500, True), (429, True)])
async def test_a_sources_no_is_final_unless_time_may_heal_it(
    receiver: HttpReceiver,
    tmp_path: Path,
    status: int,
    healing: bool,  # noqa: FBT001 - a case
) -> None:
    """A 4xx or a redirect is a no for good; 429 and 5xx are worth another attempt, after the wait asked for."""
    receiver.answers = [Answer(status, (("retry-after", "7"), ("location", "/x")))]
    async with GuardedClient(allow_loopback=True) as client:
        fetching = HttpSourceFetcher(client, limit_bytes=1).fetch(receiver.url, tmp_path / "source")
        with pytest.raises(SourceUnavailable if healing else SourceRefused) as caught:
            await fetching
    if isinstance(caught.value, SourceUnavailable):
        assert caught.value.retry_after_s == 7


async def test_a_source_that_nobody_serves_is_worth_another_attempt(tmp_path: Path) -> None:
    """Nobody listens there now; that may change."""
    async with receiving() as closed:
        url = closed.url
    async with GuardedClient(allow_loopback=True) as client:
        with pytest.raises(SourceUnavailable):
            await HttpSourceFetcher(client, limit_bytes=1).fetch(url, tmp_path / "source")


async def test_one_private_address_among_public_ones_refuses_the_name(tmp_path: Path) -> None:
    """Every address is checked, not the first: the next request would be answered by another."""

    def both(_host: str, port: int, *_: object, **__: object) -> list[tuple[int, int, int, str, tuple[str, int]]]:
        kind = (socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "")
        return [(*kind, ("8.8.8.8", port)), (*kind, ("127.0.0.1", port))]

    async with GuardedClient(allow_loopback=False, resolver=both) as client:
        with pytest.raises(SourceRefused):
            await HttpSourceFetcher(client, limit_bytes=1).fetch("http://public.example/", tmp_path / "source")


async def test_the_hosts_name_is_kept(receiver: HttpReceiver, tmp_path: Path) -> None:
    """The connection goes to the address that was checked, the request to the name."""
    url = receiver.url.replace("127.0.0.1", "hooks.example")
    async with GuardedClient(allow_loopback=True, resolver=Names("127.0.0.1")) as client:
        await HttpSourceFetcher(client, limit_bytes=1).fetch(url, tmp_path / "source")
    assert receiver.requests[0].headers["host"] == url.split("/")[2]


async def test_the_name_is_what_tls_is_spoken_with(tmp_path: Path) -> None:
    """SNI has the name, not the address; a certificate that nobody vouches for ends it there."""
    seen: list[str] = []
    tls = speaking_tls(self_signed("hooks.example", tmp_path))
    tls.sni_callback = lambda _socket, name, _context: seen.append(name)
    async with await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0, ssl=tls) as server:
        url = f"https://hooks.example:{server.sockets[0].getsockname()[1]}/"
        async with GuardedClient(allow_loopback=True, resolver=Names("127.0.0.1")) as client:
            with pytest.raises(SourceUnavailable):
                await HttpSourceFetcher(client, limit_bytes=1).fetch(url, tmp_path / "source")
    assert seen == ["hooks.example"]
