"""Several scripts as one, on a real server: each with keys and arguments of its own, until one ends them."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from redis.asyncio import Redis
from redis.exceptions import RedisError

from corral.stack import free_port
from corral.valkey import ValkeyServer, embedded_valkey
from producers import connection
from producers.engine.joined_script import WHEN_NUMBER, WHEN_TRUE, JoinedScripts, Part
from tests.support.until import until

# A local name of the one must be nothing to the other, and a return in the middle must end the part only.
_TEXT = """
local told = redis.call('GET', KEYS[1])
if told then return told .. ARGV[#ARGV] end
local many = redis.call('INCRBY', KEYS[#KEYS], ARGV[1])
if ARGV[2] then return ARGV[2] .. many end
-- the last line is a comment"""


def part(name: str, *args: object, ends: str = "false") -> Part:
    """Give a part that counts, and gives its second argument with the count."""
    return Part(name, _TEXT, ["told", f"count:{name}"], args, ends)


@pytest.fixture
async def client(valkey: ValkeyServer, redis: Redis) -> AsyncIterator[Redis]:
    """A producer's connection to the tests' server."""
    await redis.ping()
    async with connection.fail_fast(valkey.url, timeout_s=5) as made:
        yield made
    await redis.flushall()


async def test_each_part_has_its_own_keys_and_arguments(client: Redis) -> None:
    """They run in order, and what the last one gives is the answer."""
    scripts = JoinedScripts(client)
    assert await scripts.run(part("a", 1), part("b", 20, "b is "), part("c", 300, "c is ")) == (None, "c is 300")
    assert await client.mget("count:a", "count:b", "count:c") == ["1", "20", "300"]
    assert await scripts.run(part("a", 1)) == (None, None)


async def test_the_part_that_ends_it_is_the_last_that_runs(client: Redis) -> None:
    """What it gives is the answer, under its name; those behind it do nothing."""
    scripts = JoinedScripts(client)
    assert await scripts.run(part("a", 1, ends=WHEN_TRUE), part("b", 1, "b is ", ends=WHEN_NUMBER)) == (None, "b is 1")
    await client.set("told", "stop")
    assert await scripts.run(part("a", "!", ends=WHEN_TRUE), part("b", 1, "b is ")) == ("a", "stop!")
    assert await client.mget("count:a", "count:b") == ["1", "1"]
    number = Part("number", "return -5", [], [], WHEN_NUMBER)
    assert await scripts.run(number, part("b", 1)) == ("number", -5)


async def test_a_server_that_has_forgotten_is_told_once(client: Redis) -> None:
    """However many find out at the same moment; each of them is done once."""
    scripts = JoinedScripts(client)
    for round_ in (1, 2):
        await client.script_flush()
        await client.config_resetstat()
        await asyncio.gather(*(scripts.run(part("a", 1)) for _ in range(50)))
        assert (await client.info("commandstats"))["cmdstat_script|load"]["calls"] == 1
        assert await client.get("count:a") == str(50 * round_)


async def test_a_server_that_was_killed_is_told_anew(tmp_path: Path) -> None:
    """After kill -9 the same scripts run on, and what was confirmed is there."""
    port = free_port()
    async with connection.fail_fast(f"redis://127.0.0.1:{port}/0", timeout_s=5) as client:
        scripts = JoinedScripts(client)
        with embedded_valkey(tmp_path, port=port) as server:
            assert await scripts.run(part("a", 1, "a is ")) == (None, "a is 1")
            os.kill(server.pid, signal.SIGKILL)
            await until(lambda: _is_gone(client))
        with embedded_valkey(tmp_path, port=port):
            assert await scripts.run(part("a", 1, "a is ")) == (None, "a is 2")


async def _is_gone(client: Redis) -> bool:
    try:
        return not await client.ping()
    except RedisError:
        return True
