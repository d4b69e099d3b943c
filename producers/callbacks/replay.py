"""Sending a callback again because somebody wants it: the same event under the same id, signed anew."""

from dataclasses import dataclass, replace

from pydantic import ValidationError

from producers.engine.job_record import tenant_of
from producers.engine.jobs import Engine
from producers.enqueue import Enqueue, Order
from schemas.callback_attempt import CallbackStatus
from schemas.envelope import Envelope
from schemas.errors import Permanent
from schemas.jobs.callbacks import DELIVER, REPLAY_RETRY, DeliverCallback

_REPLAY = replace(DELIVER, retry=REPLAY_RETRY)


class CallbackNotReplayable(Permanent):
    """There is nothing left to send again: its job is no longer kept, or it was a ping. Remedy: add the job again."""

    code = "callback_not_replayable"


@dataclass(frozen=True)
class Replay:
    """Adds the jobs that send callbacks again."""

    engine: Engine
    enqueue: Enqueue

    async def __call__(self, tenant: str, callback: CallbackStatus) -> str:
        """Have a callback sent again, whatever the breaker says, and give the id of the job that does it.

        Asked twice before the first replay was tried, it is one replay.

        Raises:
            CallbackNotReplayable: the job that carried it is gone.
            TenantLimitReached: the tenant has too much in the queues.
            EngineUnavailable: the server did not confirm; it is safe to try again.
        """
        found = await self.engine.read(callback.id)
        if found is None or tenant_of(found) != tenant:
            raise CallbackNotReplayable(f"the callback {callback.id} is no longer kept")
        try:
            _, payload = Envelope.unwrap(found.data)
            notice = DeliverCallback.model_validate(payload)
        except ValidationError as error:
            raise CallbackNotReplayable(f"the callback {callback.id} is a ping; send another") from error
        again = notice.model_copy(update={"replay_of": callback.id})
        once = f"replay {callback.id} {callback.attempts}"
        return (await self.enqueue(Order(_REPLAY, again, tenant, idempotency_key=once))).job_id
