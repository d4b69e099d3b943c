"""Files on the local disk, by the SHA-256 of their bytes, each tenant's in a folder of its own.

<root>/<tenant>/ab/sha256-ab12...        the bytes
<root>/<tenant>/ab/sha256-ab12....json   what is known about them
<root>/incoming/                         what is being written
"""

import asyncio
import hashlib
import os
import tempfile
import time
from collections.abc import AsyncIterable, AsyncIterator, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Self
from urllib.parse import quote

from schemas.artifact import Artifact
from schemas.errors import FileMissing, Permanent

_BLOCK_BYTES = 1024 * 1024
_ABANDONED_S = 24 * 3600


class FileTooLarge(Permanent):
    """The file is above the limit of one upload. Remedy: split it, or raise the limit."""

    code = "file_too_large"

    @classmethod
    def above(cls, limit_bytes: int) -> Self:
        """Say what the limit is."""
        return cls(f"a file may have {limit_bytes:,} bytes at the most")


class DiskFiles:
    """The store. A file appears whole or not at all, and its bytes never change."""

    def __init__(self, root: Path) -> None:
        """Keep files below ``root``, which is made when it is missing."""
        self._root = root
        self._incoming = root / "incoming"
        self._incoming.mkdir(parents=True, exist_ok=True)
        self._sweep()

    async def receive(
        self, tenant: str, chunks: AsyncIterable[bytes], *, media_type: str, name: str, limit_bytes: int
    ) -> tuple[Artifact, bool]:
        """Store a stream as it comes, in memory of one block; tell whether it was new.

        Raises:
            FileTooLarge: the stream is longer than ``limit_bytes``; nothing is kept of it.
        """
        digest, size_bytes = hashlib.sha256(), 0
        with self._draft() as draft:
            async for block in _blocks(chunks):
                size_bytes += len(block)
                if size_bytes > limit_bytes:
                    raise FileTooLarge.above(limit_bytes)
                # Hashing and writing release the interpreter's lock, so other requests go on.
                await asyncio.to_thread(_append, draft, digest, block)
            ref = f"sha256-{digest.hexdigest()}"
            artifact = Artifact(ref=ref, size_bytes=size_bytes, media_type=media_type, name=name)
            new = await asyncio.to_thread(self._keep, draft, tenant, artifact)
        return artifact, new

    def put(self, tenant: str, path: Path, *, media_type: str, name: str) -> Artifact:
        """Store a copy of a local file. Blocks."""
        digest, size_bytes = hashlib.sha256(), 0
        with self._draft() as draft, path.open("rb") as source:
            while block := source.read(_BLOCK_BYTES):
                size_bytes += len(block)
                _append(draft, digest, block)
            ref = f"sha256-{digest.hexdigest()}"
            artifact = Artifact(ref=ref, size_bytes=size_bytes, media_type=media_type, name=name)
            self._keep(draft, tenant, artifact)
        return artifact

    def path(self, tenant: str, ref: str) -> Path:
        """Give the path of a stored file, to be read and never written.

        Raises:
            FileMissing: this tenant has no such file.
        """
        path = self._place(tenant, ref)
        if not path.is_file():
            raise FileMissing(f"there is no file {ref}; upload it and use the reference in the answer")
        return path

    def describe(self, tenant: str, ref: str) -> Artifact:
        """Tell what is known about a stored file.

        Raises:
            FileMissing: this tenant has no such file.
        """
        return Artifact.model_validate_json(_facts(self.path(tenant, ref)).read_bytes())

    def _sweep(self) -> None:
        # What a killed process was writing. Another process may be writing now, but not since yesterday.
        for draft in self._incoming.iterdir():
            with suppress(FileNotFoundError):
                if draft.stat().st_mtime < time.time() - _ABANDONED_S:
                    draft.unlink()

    @contextmanager
    def _draft(self) -> Iterator[IO[bytes]]:
        with tempfile.NamedTemporaryFile(dir=self._incoming, delete=False) as draft:
            try:
                yield draft.file
            finally:
                Path(draft.name).unlink(missing_ok=True)

    def _keep(self, draft: IO[bytes], tenant: str, artifact: Artifact) -> bool:
        place = self._place(tenant, artifact.ref)
        if place.is_file() and _facts(place).is_file():
            return False
        place.parent.mkdir(parents=True, exist_ok=True)
        draft.flush()
        # A job may refer to the file as soon as we answer: it must survive a crash of the machine.
        os.fsync(draft.fileno())
        with self._draft() as facts:
            facts.write(artifact.model_dump_json().encode())
            facts.flush()
            os.fsync(facts.fileno())
            Path(facts.name).replace(_facts(place))
        # Last, for a file that is there counts as whole.
        Path(draft.name).replace(place)
        return True

    def _place(self, tenant: str, ref: str) -> Path:
        # Quoting leaves no "/" and the prefix no "..": a tenant's name is never a way out.
        return self._root / f"tenant-{quote(tenant, safe='')}" / ref[7:9] / ref


async def _blocks(chunks: AsyncIterable[bytes]) -> AsyncIterator[bytes]:
    # A chunk may be as small as a packet: each would cost a change of threads.
    gathered = bytearray()
    async for chunk in chunks:
        gathered += chunk
        if len(gathered) >= _BLOCK_BYTES:
            yield bytes(gathered)
            gathered.clear()
    if gathered:
        yield bytes(gathered)


def _facts(place: Path) -> Path:
    return place.with_name(f"{place.name}.json")


def _append(draft: IO[bytes], digest: "hashlib._Hash", block: bytes) -> None:
    digest.update(block)
    draft.write(block)
