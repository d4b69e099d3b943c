"""``python -m tests.support.guarantee_table``: writes docs/explanation/delivery-guarantees.md from what tests prove.

Each row comes from a marker of a test, ``@pytest.mark.guarantee(part, case, outcome)``, as pytest collects it.
A test checks that the file is what this program would write.
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FILE = ROOT / "docs" / "explanation" / "delivery-guarantees.md"

PARTS = {
    "entry": "How the job enters",
    "end": "How it ends",
    "operator": "What an operator does, with Node's `Queue` or bull-board",
    "death": "What dies",
    "receiver": "What the receiver does",
}
_ROW = "guarantee row: "

_INTRODUCTION = """\
# A callback is never lost

<!-- Made by `python -m tests.support.guarantee_table` from the markers of the tests; edit those, or the text there. -->

Any BullMQ program may ask for a callback, with one key beside the payload:

```js
await new Queue('documents', { connection }).add('convert', {
  source: { file: ref },
  _corral: { callback: { url } },
})
```

A job that asks for a callback, however it entered and however it ends, has it delivered at least once or parked, always
with the same `webhook-id`. A receiver that keeps the ids it has seen does each thing once.

## How

1. **The callback is the job's parent** in one flow of the engine. The script that ends the job, or removes it, is the
   one that makes the callback due: no crash can come between. The API adds both by one script.
2. **A job that was added plainly** is given its callback by the worker that takes it, before the work, or within
   `CORRAL_RECONCILE_S` (60) by the reconciler, while it waits. Its id follows from the job's. From then on it is as
   one of the API. A job that its producer wanted removed at its end is kept as long as the API's, so that each
   try tells the same.
3. **A reconciler** in every worker process takes turns with all others. It looks for what no script has seen: callbacks
   whose job is gone or has ended without moving them, and jobs, live or ended, without their callback. It reads
   lists and sets, never events; it walks in pages of 100 and goes on where the last turn stopped.

What follows is tested, each row by the test it names: with real processes and signals, a real server, and Node's own
package. "Parked" is a callback that has failed for good: it is kept among the failed of the queue `callbacks`.
"""
_LIMITS = """
## What it does not cover

- **A plain job that is removed before anybody has seen it**: at most `CORRAL_RECONCILE_S` after it was added, and no
  worker had taken it. There is no trace of it. What goes through the API has no such moment.
- **A plain job that a worker in Node does and removes at its end**, before the reconciler has seen it.
- **Who removes a callback itself**, from the queue `callbacks` and after its job has ended, means that one: it does not
  come back, unless its job ended since the last turn. Node's `remove` of a callback removes its job as well.
- **An envelope that nobody can read** (`_corral` with unknown fields) names nobody: such a job fails with
  `envelope_unreadable`, and nobody is told but the operator: `corral_attempts_total{code="envelope_unreadable"}` counts
  it, and where it asked for a callback the log has `callback.unreadable` with its id.
- The callback of a **child in another program's flow** comes with the next turn of the reconciler, not at once.
- What the server itself had not written when its machine died: see `appendfsync` in `deploy/valkey.conf`.
"""


def table() -> str:
    """Give the whole page."""
    rows = _rows()
    parts = [_part(title, [row for row in rows if row[0] == part]) for part, title in PARTS.items()]
    return "\n".join([_INTRODUCTION, *parts]) + _LIMITS


def _part(title: str, rows: list[list[str]]) -> str:
    lines = [f"| {case} | {outcome} | [{test}](../../{file}) |" for _, case, outcome, file, test in rows]
    return "\n".join([f"## {title}\n", "| | the callback | proven by |\n| --- | --- | --- |", *lines, ""])


def _rows() -> list[list[str]]:
    # pytest itself says what it collects: a marker may stand on a test, on a case, or come from a function.
    files = sorted(path for path in (ROOT / "tests").rglob("test_*.py") if "mark.guarantee(" in path.read_text())
    command = [
        sys.executable,
        "-m",
        "pytest",
        "--collect-only",
        "-qq",
        "-p",
        __name__,
        "-p",
        "no:randomly",
        *map(str, files),
    ]
    said = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    rows = [line.removeprefix(_ROW) for line in said.splitlines() if line.startswith(_ROW)]
    return [json.loads(row) for row in dict.fromkeys(rows)]


def pytest_collection_finish(session: pytest.Session) -> None:
    """Print every row, where this module is a plugin."""
    for item in session.items:
        for part, case, outcome in _marks(item):
            file = item.path.relative_to(ROOT).as_posix()
            row = [part, case, outcome, file, item.name.partition("[")[0].removeprefix("test_").replace("_", " ")]
            print(_ROW + json.dumps(row))  # noqa: T201 - this is how it tells


def _marks(item: pytest.Item) -> Iterator[tuple[str, str, str]]:
    for mark in item.iter_markers("guarantee"):
        part, case, outcome = mark.args
        if part not in PARTS:
            raise ValueError(f"{item.nodeid}: the guarantee has no part {part!r}; there are {', '.join(PARTS)}")
        yield part, case, outcome


if __name__ == "__main__":
    # As a plugin it is loaded under its name, not as the program.
    from tests.support import guarantee_table

    FILE.write_text(guarantee_table.table())
    print(f"{FILE.name} is written")  # noqa: T201 - a program says what it did
