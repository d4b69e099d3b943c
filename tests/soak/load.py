"""Puts the orders in by the API, as callers do who want each done once: again under its key until it is accepted."""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from http import HTTPStatus
from importlib.resources import files
from pathlib import Path
from typing import Any

from producers.client import ApiRefused, ApiUnreachable, Corral
from schemas.jobs.documents import CONVERT
from tests.soak.ledger import Fault, Ledger
from tests.soak.order import Order, orders
from tests.support.until import passed

_CALLERS = 9
_AGAIN_S = 0.2
_ROOM_S = 0.02
_SAMPLES = ("page.html", "plain.txt")
# The job has ended; or a killed server has lost it, which the verdict will tell.
_TOO_LATE = frozenset({HTTPStatus.CONFLICT, HTTPStatus.NOT_FOUND})
_PASSING = frozenset({HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.TOO_MANY_REQUESTS})


@dataclass(frozen=True)
class Api:
    """Where the API is, who may speak to it, and where it is to call back."""

    url: str
    tokens: dict[str, str]
    callback_url: str


@asynccontextmanager
async def clients(api: Api) -> AsyncIterator[dict[str, Corral]]:
    """Open a client for each tenant."""
    async with AsyncExitStack() as stack:
        opened = {tenant: Corral(api.url, token=token) for tenant, token in api.tokens.items()}
        for client in opened.values():
            await stack.enter_async_context(client)
        yield opened


class Load:
    """Some callers that never have more than ``ahead`` jobs open."""

    def __init__(self, api: Api, ledger: Ledger, rng: random.Random, *, ahead: int) -> None:
        """Note in ``ledger`` what is accepted."""
        self._api = api
        self._ledger = ledger
        self._rng = rng
        self._ahead = ahead
        self._stopping = False
        self._clients: dict[str, Corral] = {}
        self._documents: dict[str, list[str]] = {}

    def stop(self) -> None:
        """Put no more in."""
        self._stopping = True

    async def run(self, count: int) -> None:
        """Put ``count`` orders in, fewer on ``stop``; return when all are accepted and all wishes to cancel heard."""
        async with clients(self._api) as self._clients:
            for tenant, client in self._clients.items():
                uploads = [await client.upload(Path(str(files("corral") / "samples" / name))) for name in _SAMPLES]
                self._documents[tenant] = [upload.ref for upload in uploads]
            line = orders(count, self._rng)
            async with asyncio.TaskGroup() as group:
                for _ in range(_CALLERS):
                    group.create_task(self._call(line, group))

    async def _call(self, line: Iterator[Order], group: asyncio.TaskGroup) -> None:
        for order in line:
            if self._stopping:
                return
            while len(self._ledger.unheard) >= self._ahead:
                await passed(_ROOM_S)
            job_ids = set(await asyncio.gather(*(self._post(order) for _ in range(order.posts))))
            if len(job_ids) > 1:
                self._ledger.faults += [
                    Fault(job_id, f"order {order.number} became several jobs") for job_id in job_ids
                ]
            if order.sort.cancel_s is not None:
                group.create_task(self._cancel(job_ids.pop(), order))

    async def _post(self, order: Order) -> str:
        headers = {"Idempotency-Key": f"order-{order.number}"}
        path, body = f"/v1/jobs/{order.sort.kind}", self._body(order)
        answer = await self._insist(order, "POST", path, json=body, headers=headers)
        self._ledger.accept(str(answer["id"]), order, time.time())
        return str(answer["id"])

    async def _cancel(self, job_id: str, order: Order) -> None:
        await passed(self._rng.uniform(0, order.sort.cancel_s or 0.0))
        await self._insist(order, "DELETE", f"/v1/jobs/{job_id}")

    async def _insist(self, order: Order, method: str, path: str, **options: Any) -> Any:  # noqa: ANN401 - as the client
        while True:
            try:
                return await self._clients[order.tenant].request(method, path, **options)
            except ApiRefused as error:
                if method == "DELETE" and error.status in _TOO_LATE:
                    return None
                if error.status not in _PASSING:
                    raise
            except ApiUnreachable:
                pass  # whether it was heard nobody knows
            self._ledger.refused += 1
            await passed(_AGAIN_S)

    def _body(self, order: Order) -> dict[str, Any]:
        payload: dict[str, Any] = {"number": order.number, "seconds": order.seconds}
        if order.sort.kind == CONVERT.kind:
            payload = {"source": {"file": self._documents[order.tenant][order.number % len(_SAMPLES)]}}
        callback = {"callback": {"url": self._api.callback_url}} if order.sort.has_callback else {}
        return {"payload": payload, **callback, **order.sort.asked}
