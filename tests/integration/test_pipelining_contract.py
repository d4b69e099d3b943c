"""The pipelining client answers as redis-py's own does, command by command."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from redis.asyncio import Redis
from redis.exceptions import RedisError

from corral.valkey import ValkeyServer
from producers.pipelining import PipeliningRedis

Client = Any  # redis-py types each method for its blocking and its async client at once
Reply = Any
Operation = Callable[[Client], Awaitable[object]]
_SUM = "return redis.call('INCRBY', KEYS[1], ARGV[1])"


async def _hash(client: Client) -> object:
    await client.hset("h", mapping={"a": "1", "b": "ü"})
    return [await client.hgetall("h"), await client.hexists("h", "a"), await client.hexists("h", "x")]


async def _claim(client: Client) -> object:
    claims = [await client.set("k", value, nx=True, get=True, ex=60) for value in ("first", "second")]
    kept = await client.set("k", "third", xx=True, keepttl=True)
    return [claims, kept, await client.get("k"), 0 < await client.ttl("k") <= 60]


async def _scripts(client: Client) -> object:
    script = client.register_script(_SUM)
    loaded = [await script(keys=["n"], args=[2]), await script(keys=["n"], args=[3])]
    await client.script_flush()
    return [loaded, await script(keys=["n"], args=[4]), await client.eval(_SUM, 1, "n", 1), await client.get("n")]


async def _script_in_pipeline(client: Client) -> object:
    script = client.register_script(_SUM)
    answers = []
    for transaction in (True, False):
        await client.script_flush()
        async with client.pipeline(transaction=transaction) as pipe:
            pipe.set("n", 5)
            await script(keys=["n"], args=[2], client=pipe)
            pipe.get("n")
            answers.append(await pipe.execute())
    return answers


async def _pipelines(client: Client) -> object:
    answers = []
    for transaction in (True, False):
        pipe = client.pipeline(transaction=transaction)
        pipe.hset("h", mapping={"a": "1"}).hgetall("h").hexists("h", "a").rpush("l", "x").lrange("l", 0, -1).get("none")
        answers.append(await pipe.execute())
        answers.append(await pipe.execute())
    return answers


async def _pipeline_with_errors(client: Client) -> object:
    await client.set("text", "x")
    answers: list[object] = []
    for transaction in (True, False):
        pipe = client.pipeline(transaction=transaction).lrange("text", 0, -1).get("text")
        answers.append([_plain(reply) for reply in await pipe.execute(raise_on_error=False)])
        pipe = client.pipeline(transaction=transaction).get("text").lrange("text", 0, -1)
        answers.append(await _error(pipe.execute()))
        pipe = client.pipeline(transaction=transaction).get("text").execute_command("NOSUCH", 1)
        answers.append(await _error(pipe.execute()))
    return answers


async def _watch(client: Client) -> object:
    await client.set("k", "1")
    async with client.pipeline() as pipe:
        await pipe.watch("k")
        before = await pipe.get("k")
        pipe.multi()
        pipe.incr("k")
        done = await pipe.execute()
    async with client.pipeline() as pipe:
        await pipe.watch("k")
        await client.set("k", "other")
        pipe.multi()
        pipe.incr("k")
        changed = await _error(pipe.execute())
    return [before, done, changed, await client.transaction(lambda pipe: pipe.get("k"), "k")]


async def _streams(client: Client) -> object:
    added = [await client.xadd("s", {"a": "1"}, id=f"1-{n}") for n in (1, 2)]
    ranges = [await client.xrange("s"), await client.xrevrange("s", count=1), await client.xtrim("s", maxlen=1)]
    reads = [await client.xread({"s": "1-1"}), await client.xread({"s": "1-2"}, block=20)]
    return [added, ranges, reads, await client.xlen("s")]


async def _sorted(client: Client) -> object:
    await client.zadd("z", {"a": 1, "b": 2.5})
    ranges = [await client.zrange("z", 0, -1, withscores=True), await client.zrevrange("z", 0, -1, withscores=True)]
    popped = [await client.bzpopmin("z", timeout=1), await client.bzpopmin("none", timeout=0.02)]
    return [ranges, popped, await client.zscore("z", "b"), await client.zscore("z", "x"), await client.zcard("z")]


async def _lists(client: Client) -> object:
    await client.rpush("l", "a", "b", "c")
    ends = [await client.blpop("l", timeout=1), await client.blpop("none", timeout=0.02), await client.lpos("l", "c")]
    return [ends, await client.lrange("l", 0, -1), await client.llen("l"), await client.lrange("none", 0, -1)]


async def _scan(client: Client) -> object:
    await client.mset({f"key:{n}": n for n in range(50)})
    return sorted([key async for key in client.scan_iter(match="key:*", count=7)])


async def _names(client: Client) -> object:
    set_to = await client.client_setname("corral:w")
    return [set_to, await client.client_getname(), "corral:w" in str(await client.client_list())]


async def _server(client: Client) -> object:
    info = await client.info()
    return [
        info["redis_version"],
        info["maxmemory_policy"],
        await client.ping(),
        isinstance(await client.time(), tuple),
    ]


async def _errors(client: Client) -> object:
    await client.set("text", "x")
    calls = [client.lrange("text", 0, -1), client.evalsha("0" * 40, 0), client.execute_command("NOSUCH")]
    calls += [client.set("k", value) for value in (True, None, object(), [1])]
    return [await _error(call) for call in calls]


async def _values(client: Client) -> object:
    values = ["", "ü\0\r\n", "x" * 200_000, -1, 1.5, 2**70, b"bytes", bytearray(b"array"), memoryview(b"view")]
    for number, value in enumerate(values):
        await client.set(f"v{number}", value)
    return [await client.get(f"v{number}") for number in range(len(values))]


async def _misc(client: Client) -> object:
    await client.set("k", "v", px=60_000)
    await client.hset("h", "f", "v")
    counts = [await client.delete("k", "none"), await client.exists("h"), await client.pttl("none")]
    dumped = await client.dump("h")
    return [counts, isinstance(dumped, bytes), await client.restore("h2", 0, dumped), await client.wait(0, 1)]


OPERATIONS: dict[str, Operation] = {
    operation.__name__.strip("_"): operation
    for operation in (
        *(_hash, _claim, _scripts, _script_in_pipeline, _pipelines, _pipeline_with_errors, _watch, _streams, _sorted),
        *(_lists, _scan, _names, _server, _errors, _values, _misc),
    )
}


@pytest.mark.parametrize("operation", OPERATIONS.values(), ids=OPERATIONS)
@pytest.mark.parametrize("decode_responses", [True, False], ids=["text", "bytes"])
@pytest.mark.parametrize("protocol", [None, 2, 3], ids=["default", "resp2", "resp3"])
async def test_it_answers_as_redis_py_does(
    valkey: ValkeyServer, operation: Operation, *, decode_responses: bool, protocol: int | None
) -> None:
    """Values, shapes, types and errors are the same, whatever the protocol and the decoding."""
    answers = []
    for client_type in (Redis, PipeliningRedis):
        async with client_type.from_url(valkey.url, decode_responses=decode_responses, protocol=protocol) as client:
            await client.flushall()
            answers.append(await operation(client))
            await client.flushall()
    assert answers[1] == answers[0]
    assert repr(answers[1]) == repr(answers[0])


async def test_pubsub_and_monitor_have_sockets_of_their_own(valkey: ValkeyServer) -> None:
    """A subscriber hears what the same client publishes, while its other commands go on."""
    async with PipeliningRedis.from_url(valkey.url, decode_responses=True) as client, client.pubsub() as subscriber:
        await subscriber.subscribe("news")
        await client.ping()
        async with client.monitor() as monitor:
            await asyncio.gather(client.publish("news", "hello"), client.set("k", "v"), client.delete("k"))
            seen = [(await monitor.next_command())["command"].split()[0] for _ in range(3)]
        heard = [await subscriber.get_message(timeout=1) for _ in range(2)]
    assert seen == ["PUBLISH", "SET", "DEL"]
    assert [message["data"] for message in heard if message] == [1, "hello"]


async def _error(call: Awaitable[object]) -> tuple[str, str]:
    try:
        return ("no error", str(await call))
    except RedisError as error:
        name, text = _plain(error)
        return name, text


def _plain(reply: Reply) -> Reply:
    return (type(reply).__name__, str(reply)) if isinstance(reply, Exception) else reply
