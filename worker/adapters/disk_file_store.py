"""Fills the port ``FileStore`` with the folder that the API writes uploads to."""

import asyncio
from pathlib import Path

from producers.file_store import DiskFiles
from schemas.artifact import Artifact
from worker.ports import FileStore


class DiskFileStore(FileStore):
    """The local store; hashing and copying happen in a thread, for they block."""

    def __init__(self, root: Path) -> None:
        """Keep files below ``root``."""
        self._files = DiskFiles(root)

    async def put(self, tenant: str, path: Path, *, media_type: str, name: str) -> Artifact:
        """Store a local file; storing the same bytes again changes nothing."""
        return await asyncio.to_thread(self._files.put, tenant, path, media_type=media_type, name=name)

    async def path(self, tenant: str, ref: str) -> Path:
        """Give a local path at which the file can be read, never written."""
        return self._files.path(tenant, ref)

    async def describe(self, tenant: str, ref: str) -> Artifact:
        """Tell what is known about a stored file."""
        return self._files.describe(tenant, ref)
