"""The soak: mixed jobs on a fleet whose workers are killed and whose server is restarted, and then the verdict."""

import asyncio
import random
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import uvloop
from redis.asyncio import Redis

from bench.report import Report
from corral.receiver import Receiver, receiving
from producers import connection
from tests.soak.engine_state import engine_state, open_count
from tests.soak.fleet import QUEUES, Fleet, fleet
from tests.soak.ledger import Ledger
from tests.soak.load import Api, Load
from tests.soak.report import Run, Work, report, show_faults
from tests.soak.status import answered, recorded
from tests.soak.trouble import Trouble
from tests.soak.verdict import Evidence, completed_again, judge
from tests.soak.watch import Watch
from tests.support.child_process_ids import descendants
from tests.support.key_leak import leaked_keys
from tests.support.until import TooLateError, passed, until, until_sync
from worker.exit_code import STOPPED

_TELL_S = 5.0
_LISTEN_S = 0.1
_ASKED = 2_000
_GONE_S = 15.0


@dataclass(frozen=True)
class Plan:
    """How much is asked, what is done to the fleet meanwhile, and how long the last jobs may take."""

    jobs: int
    seconds: float
    kill_every_s: float
    restart_every_s: float
    processes: int
    settle_s: float
    seed: int
    ahead: int = 2_000


class Soak:
    """One run."""

    def __init__(self, plan: Plan, say: Callable[[str], None]) -> None:
        """Tell ``say`` how it goes."""
        self._plan = plan
        self._say = say
        self._begun = time.monotonic()
        self._ledger = Ledger()
        self._rng = random.Random(plan.seed)  # noqa: S311 - a mixture

    def run(self, folder: Path) -> Report:
        """Run it in ``folder``, and say what is wrong; on the main thread, and in a process that adopts orphans."""
        with fleet(folder, processes=self._plan.processes) as running:
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                seen, work = runner.run(self._work(running))
            codes = running.stop()
        with suppress(TooLateError):
            until_sync(lambda: not descendants(), within_s=_GONE_S)
        verdict, log = judge(seen), running.workers.log
        for line in show_faults(verdict, seen, log):
            self._say(line)
        run = Run(
            work=work,
            whole_s=time.monotonic() - self._begun,
            completed_again=completed_again(log),
            processes_left=len(descendants()),
            ended_badly=sum(code != STOPPED for code in codes),
        )
        return report(seen, verdict, run)

    async def _work(self, running: Fleet) -> tuple[Evidence, Work]:
        trouble = Trouble(running.server, running.supervisor.pid, self._rng)
        with receiving(running.workers.secret) as receiver:
            async with connection.patient(running.server.url) as redis:
                api = Api(running.api.url, running.tokens, receiver.url)
                watch = Watch(redis, QUEUES, running.lasting)
                begun, over = time.monotonic(), asyncio.Event()
                async with asyncio.TaskGroup() as group:
                    group.create_task(watch.run(over))
                    group.create_task(self._listen(receiver, over))
                    group.create_task(self._tell(trouble, over))
                    await self._load(api, trouble)
                    await self._settle(redis)
                    work = Work(time.monotonic() - begun, trouble.kills, watch.memory)
                    over.set()
                self._say("all has ended; looking at each job ...")
                return await self._evidence(api, redis, watch, trouble), work

    async def _load(self, api: Api, trouble: Trouble) -> None:
        plan, calm = self._plan, asyncio.Event()
        load = Load(api, self._ledger, self._rng, ahead=plan.ahead)
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGINT, load.stop)
        loop.call_later(plan.seconds, load.stop)
        async with asyncio.TaskGroup() as group:
            group.create_task(
                trouble.make(kill_every_s=plan.kill_every_s, restart_every_s=plan.restart_every_s, stop=calm)
            )
            await load.run(plan.jobs)
            calm.set()

    async def _settle(self, redis: Redis) -> None:
        async def settled() -> bool:
            return not self._ledger.unheard and await open_count(redis, QUEUES) == 0

        # What is open then is a fault of its job.
        with suppress(TooLateError):
            await until(settled, within_s=self._plan.settle_s)

    async def _listen(self, receiver: Receiver, over: asyncio.Event) -> None:
        while not over.is_set():
            await passed(_LISTEN_S, unless=over)
            self._ledger.listen(receiver)

    async def _tell(self, trouble: Trouble, over: asyncio.Event) -> None:
        while not over.is_set():
            await passed(_TELL_S, unless=over)
            accepted, seconds = len(self._ledger.accepted), time.monotonic() - self._begun
            self._say(
                f"{seconds:6.0f} s  {accepted:7,} accepted  {len(self._ledger.heard):7,} called back  "
                f"{len(self._ledger.unheard):5,} open  {trouble.kills:3} kills  {len(trouble.restarts):2} restarts  "
                f"{self._ledger.refused:5,} refused"
            )

    async def _evidence(self, api: Api, redis: Redis, watch: Watch, trouble: Trouble) -> Evidence:
        accepted = self._ledger.accepted
        # The API is asked for some, drawn by chance, and for each whose callback did not come.
        asked = {*self._rng.sample(list(accepted), min(len(accepted), _ASKED)), *self._ledger.unheard}
        statuses = await recorded(redis, accepted)
        statuses |= await answered(api, {job_id: accepted[job_id] for job_id in asked})
        return Evidence(
            ledger=self._ledger,
            engine=await engine_state(redis, QUEUES),
            statuses=statuses,
            ended_again=watch.ended_again,
            restarts=trouble.restarts,
            leaked_keys=await leaked_keys(redis),
        )
