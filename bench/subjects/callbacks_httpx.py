"""The floor: the same signed bodies, POSTed by plain httpx from as many tasks as the worker has places; no queue.

``python -m bench.subjects.callbacks_httpx URL COUNT SECRET BODY`` prints the CPU time of one, in us.
"""

import asyncio
import sys
import time
from datetime import UTC, datetime

import httpx
import uvloop
from standardwebhooks.webhooks import Webhook

from schemas import job_id
from worker.settings import WorkerSettings

PLACES = WorkerSettings(redis_url="redis://localhost").concurrency_of("callbacks")


async def _main(url: str, count: int, secret: str, body: str) -> None:
    webhook, left = Webhook(secret), iter(range(count))
    async with httpx.AsyncClient(trust_env=False) as client:

        async def send() -> None:
            for _ in left:
                webhook_id, now = job_id.new("callbacks"), datetime.now(UTC)
                headers = {
                    "content-type": "application/json",
                    "webhook-id": webhook_id,
                    "webhook-timestamp": str(int(now.timestamp())),
                    "webhook-signature": webhook.sign(webhook_id, now, body),
                }
                answer = await client.post(url, content=body, headers=headers)
                answer.raise_for_status()

        used_s = time.process_time()
        await asyncio.gather(*(send() for _ in range(PLACES)))
        print((time.process_time() - used_s) / count * 1e6)


if __name__ == "__main__":
    uvloop.run(_main(sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4]))
