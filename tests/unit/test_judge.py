"""What follows from an error, for every policy there could be."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.callback_attempt import CallbackParked
from schemas.errors import Cancelled as CancelledError
from schemas.errors import CorralError, DocumentEncrypted, HandlerFailed, Permanent, Retryable
from schemas.job_spec import RetryPolicy, RetrySchedule
from schemas.outcome import Cancelled, DeadLettered, Retrying
from worker.judge import Chances, judge, known

seconds = st.floats(0, 10_000)
policies = st.one_of(
    st.builds(RetryPolicy, attempts=st.integers(1, 50), base_s=seconds, cap_s=seconds),
    st.builds(RetrySchedule, delays_s=st.lists(seconds, min_size=1, max_size=12).map(tuple), jitter=st.floats(0, 1)),
)
numbers = st.integers(1, 2_000)
seeds = st.integers(0, 2**32).map(random.Random)


@given(policy=policies, number=numbers, limit=numbers, rng=seeds)
def test_a_permanent_error_is_never_retried(
    policy: RetryPolicy | RetrySchedule, number: int, limit: int, rng: random.Random
) -> None:
    """No policy gives a permanent error another attempt."""
    error = DocumentEncrypted("it needs a password")
    assert judge(error, Chances(number, limit, policy), rng) == DeadLettered(error)


@given(policy=policies, number=numbers, limit=numbers, rng=seeds)
def test_a_wish_to_end_is_no_failure(
    policy: RetryPolicy | RetrySchedule, number: int, limit: int, rng: random.Random
) -> None:
    """A cancelled job is cancelled, however many attempts it had left."""
    error = CancelledError("somebody asked")
    assert judge(error, Chances(number, limit, policy), rng) == Cancelled(error)


@given(policy=policies, number=numbers, limit=numbers, rng=seeds, asked_s=seconds)
def test_a_retryable_error_is_retried_up_to_the_jobs_own_limit(
    policy: RetryPolicy | RetrySchedule, number: int, limit: int, rng: random.Random, asked_s: float
) -> None:
    """Below the limit another attempt follows, no sooner than the other side asked; at the limit none does."""
    error = Retryable("not now", retry_after_s=asked_s)
    outcome = judge(error, Chances(number, limit, policy), rng)
    if number < limit:
        assert isinstance(outcome, Retrying)
        assert outcome.delay_s >= asked_s
    else:
        assert outcome == DeadLettered(error)


@given(base_s=seconds, cap_s=seconds, number=numbers, rng=seeds)
def test_full_jitter_stays_within_its_bounds(base_s: float, cap_s: float, number: int, rng: random.Random) -> None:
    """The wait is drawn from [0, min(cap, base * 2^(n-1))], for any number of attempts."""
    wait_s = RetryPolicy(base_s=base_s, cap_s=cap_s).delay_s(number, rng)
    assert 0 <= wait_s <= min(cap_s, base_s * 2.0 ** min(number - 1, 1_000))


def test_full_jitter_uses_the_whole_range() -> None:
    """A fleet that failed together comes back spread over all of the wait, not around its end."""
    rng, policy = random.Random(3), RetryPolicy(base_s=100)  # noqa: S311 - jitter
    waits = [policy.delay_s(1, rng) for _ in range(1_000)]
    assert min(waits) < 5
    assert max(waits) > 95
    assert 45 < sum(waits) / len(waits) < 55


@given(delays=st.lists(seconds, min_size=1, max_size=12).map(tuple), jitter=st.floats(0, 1), number=numbers, rng=seeds)
def test_a_schedule_is_kept_up_to_its_jitter(
    delays: tuple[float, ...], jitter: float, number: int, rng: random.Random
) -> None:
    """The wait after attempt n is the n-th, the last one from there on, give or take a share of itself."""
    stated_s = delays[min(number, len(delays)) - 1]
    wait_s = RetrySchedule(delays, jitter).delay_s(number, rng)
    assert stated_s * (1 - jitter) <= wait_s * 1.000001
    assert wait_s <= stated_s * (1 + jitter) * 1.000001


def test_a_schedule_has_an_attempt_before_and_after_each_wait() -> None:
    """Three waits make four attempts."""
    assert RetrySchedule((1, 2, 3)).attempts == 4


@pytest.mark.parametrize("error", [Permanent("x"), Retryable("x"), CancelledError("x")])
def test_an_error_of_ours_is_what_it_says(error: CorralError) -> None:
    """Its class, code and message go on unchanged."""
    assert known(error) is error


@pytest.mark.parametrize("error", [ValueError("secret"), TimeoutError("secret"), OSError("secret"), KeyError("secret")])
def test_nothing_of_a_foreign_error_becomes_public_but_its_class(error: Exception) -> None:
    """Its message may hold anything; it is worth another attempt, for nobody knows what it was."""
    public = known(error)
    assert isinstance(public, HandlerFailed)
    assert "secret" not in str(public.public())
    assert type(error).__name__ in str(public)


@given(policy=policies, number=numbers, limit=numbers, rng=seeds, asked_s=seconds)
def test_a_callback_that_was_parked_has_not_been_tried(
    policy: RetryPolicy | RetrySchedule, number: int, limit: int, rng: random.Random, asked_s: float
) -> None:
    """It waits for as long as it was told, and never for the last time."""
    error = CallbackParked("not now", retry_after_s=asked_s)
    assert judge(error, Chances(number, limit, policy), rng) == Retrying(error, asked_s)
