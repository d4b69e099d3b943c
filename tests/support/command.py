"""Runs ``corral`` as a person does: as a process of its own."""

import asyncio
import os
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Ended:
    """How a command ended and what it said."""

    code: int
    out: str
    err: str


async def corral(*arguments: str, stdin: str = "", **environment: str) -> Ended:
    """Run ``corral`` with these arguments and, beside our own, these variables."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "corral",
        *arguments,
        cwd=ROOT,
        env={**os.environ, **environment},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate(stdin.encode())
    return Ended(process.returncode or 0, out.decode(), err.decode())
