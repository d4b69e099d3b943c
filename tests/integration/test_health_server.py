"""The worker's small HTTP server, asked well and badly."""

import asyncio
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from corral.stack import free_port
from schemas.errors import Misconfigured
from worker.health_server import Address, Answer, fetch, serving, verdict


async def yes() -> Answer:
    """Say yes."""
    return verdict([])


async def no() -> Answer:
    """Say no."""
    return verdict(["the queue documents is not being read"])


ROUTES = {"/livez": yes, "/readyz": no}


@pytest.fixture
async def port() -> AsyncIterator[int]:
    """The port of a server with a good and a bad answer."""
    port = free_port()
    async with serving(Address("127.0.0.1", port), ROUTES):
        yield port


async def test_a_no_has_its_reasons(port: int) -> None:
    """200 and 503, as JSON, never from a cache."""
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False) as http:
        good, bad = await http.get("/livez"), await http.get("/readyz?verbose")
    assert (good.status_code, good.json()) == (200, {"status": "ok"})
    assert (bad.status_code, bad.json()["reasons"]) == (503, ["the queue documents is not being read"])
    assert good.headers["cache-control"] == "no-store"


async def test_nothing_else_is_answered(port: int) -> None:
    """Another path is a 404, another method a 405, and HEAD has no body."""
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False) as http:
        assert (await http.get("/etc/passwd")).status_code == 404
        assert (await http.post("/livez", content=b"x")).status_code == 405
        assert (await http.head("/livez")).content == b""


@pytest.mark.parametrize("request_", [b"\x16\x03\x01\x00", b"GET", b"A" * 100_000, b"\r\n\r\n"])
async def test_a_request_that_is_none_hurts_nobody(port: int, request_: bytes) -> None:
    """It is closed or refused, and the next one is answered."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request_)
    writer.write_eof()
    try:
        await asyncio.wait_for(reader.read(-1), 10)
    except ConnectionResetError:
        pass
    finally:
        writer.close()
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False) as http:
        assert (await http.get("/livez")).is_success


async def test_a_port_that_is_taken_is_a_setting_to_change() -> None:
    """The process ends with the setting's name: to start it anew is no cure."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = Address("127.0.0.1", taken.getsockname()[1])
        with pytest.raises(Misconfigured, match="CORRAL_WORKER_METRICS_PORT"):
            async with serving(address, ROUTES):
                pass


async def test_a_socket_that_nobody_answers_on_is_no_answer(tmp_path: Path) -> None:
    """None for a process that is not there, its answer for one that is."""
    path = tmp_path / "0.sock"
    assert await fetch(path, "/livez") is None
    async with serving(Address(socket=path), ROUTES):
        answer = await fetch(path, "/livez")
    assert answer is not None
    assert answer.body == b'{"status": "ok"}'
