"""What a handler is given: progress that is coalesced, and an end that comes when somebody asks for it."""

import asyncio
from collections.abc import Callable

import pytest

from schemas.errors import Cancelled, HandlerFailed
from schemas.job_status import Progress
from worker.context import Cancellation, Context, Delivery


class Page:
    """A job's face as its owner sees it, and a context that writes to it."""

    def __init__(self) -> None:
        """Begin with nothing written."""
        self.progress: list[int] = []
        self.lines: list[str] = []
        given = Delivery(
            id="trials_1",
            queue="trials",
            name="run",
            data={},
            number=2,
            limit=3,
            waited_s=None,
            set_progress=self._set_progress,
            append_log=self._append_log,
        )
        self.job = Context(given, tenant="acme", ports={})

    async def _set_progress(self, progress: Progress) -> None:
        self.progress.append(progress.done)

    async def _append_log(self, line: str) -> None:
        self.lines.append(line)


async def test_a_handler_knows_its_job() -> None:
    """Id, tenant and the number of the attempt; a line it logs is written at once."""
    page = Page()
    assert (page.job.id, page.job.tenant, page.job.attempt) == ("trials_1", "acme", 2)
    await page.job.log("a line")
    assert page.lines == ["a line"]


async def test_progress_is_coalesced_and_the_newest_wins() -> None:
    """Of a thousand reports in one moment the first and the last are written."""
    page = Page()
    for done in range(1_000):
        await page.job.progress(Progress(done=done, total=1_000))
    assert page.progress == [0]
    await page.job.flush()
    await page.job.flush()
    assert page.progress == [0, 999]


async def test_progress_that_was_written_is_not_written_again() -> None:
    """A flush with nothing held back writes nothing."""
    page = Page()
    await page.job.progress(Progress(done=1, total=2))
    await page.job.flush()
    assert page.progress == [1]


async def _hang(cancellation: Cancellation, begun: asyncio.Event) -> None:
    with cancellation:
        begun.set()
        await asyncio.Event().wait()


async def test_a_request_ends_the_attempt_as_cancelled() -> None:
    """The task itself is not cancelled: it goes on to report what happened."""
    cancellation, begun = Cancellation(), asyncio.Event()

    async def attempt() -> int:
        with pytest.raises(Cancelled, match="while it ran"):
            await _hang(cancellation, begun)
        await asyncio.sleep(0)
        task = asyncio.current_task()
        return task.cancelling() if task else -1

    task = asyncio.create_task(attempt())
    await begun.wait()
    cancellation.request()
    cancellation.request()
    assert await task == 0


async def test_a_request_after_the_end_harms_nobody() -> None:
    """It came too late: the attempt has ended and the task does other things."""
    cancellation = Cancellation()
    with cancellation:
        pass
    cancellation.request()
    await asyncio.sleep(0)


async def test_a_request_before_the_attempt_keeps_it_from_beginning() -> None:
    """The wish stood when the job was taken."""
    with pytest.raises(Cancelled, match="before it began"), Cancellation(requested=True):
        raise SystemExit


async def test_a_cancel_from_elsewhere_goes_on() -> None:
    """A worker that stops, or has lost the lock, wants no outcome."""
    cancellation, begun = Cancellation(), asyncio.Event()
    task = asyncio.create_task(_hang(cancellation, begun))
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.parametrize("request_first", [True, False])
async def test_of_two_cancels_the_workers_wins(request_first: bool) -> None:  # noqa: FBT001 - a case
    """Whichever came first: what may not be reported is not reported."""
    cancellation, begun = Cancellation(), asyncio.Event()
    task = asyncio.create_task(_hang(cancellation, begun))
    await begun.wait()
    steps: list[Callable[[], object]] = [cancellation.request, task.cancel]
    for step in steps if request_first else reversed(steps):
        step()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_time_limit_that_runs_out_as_the_request_comes_leaves_one_end() -> None:
    """The race of both is a cancelled job, never a leaked cancel."""
    cancellation = Cancellation()

    async def attempt() -> None:
        with cancellation:
            async with asyncio.timeout(0):
                cancellation.request()
                await asyncio.Event().wait()

    with pytest.raises(Cancelled):
        await asyncio.create_task(attempt())


async def test_a_cancel_that_nobody_asked_for_is_the_handlers_failure() -> None:
    """It waited for something that was cancelled; the attempt is judged like any other failure."""

    async def attempt() -> None:
        with Cancellation():
            raise asyncio.CancelledError

    with pytest.raises(HandlerFailed):
        await asyncio.create_task(attempt())


async def test_a_handler_that_fails_while_it_is_ended_was_cancelled() -> None:
    """What counts is the owner's wish; the error is kept as its cause."""
    cancellation, begun = Cancellation(), asyncio.Event()

    async def attempt() -> None:
        with cancellation:
            try:
                begun.set()
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                raise OSError from None

    task = asyncio.create_task(attempt())
    await begun.wait()
    cancellation.request()
    with pytest.raises(Cancelled) as caught:
        await task
    assert isinstance(caught.value.__cause__, OSError)


async def test_a_handler_that_finishes_all_the_same_is_done() -> None:
    """Done is done, and the task is left without a trace of the cancel."""
    cancellation, begun = Cancellation(), asyncio.Event()

    async def attempt() -> int:
        with cancellation:
            try:
                begun.set()
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                pass
        task = asyncio.current_task()
        return task.cancelling() if task else -1

    task = asyncio.create_task(attempt())
    await begun.wait()
    cancellation.request()
    assert await task == 0
