"""The folders that a laptop's stack keeps its state in."""

import tempfile
from pathlib import Path

from schemas.errors import Misconfigured


def made_writable(data_folder: Path, part: str = "") -> Path:
    """Make a data folder, or a part of it, readable by its owner only: jobs carry other people's documents.

    Raises:
        Misconfigured: it cannot be made or written.
    """
    folder = data_folder.resolve() / part
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise Misconfigured(
            f"the data folder {str(data_folder)!r} cannot be written ({error.strerror}): "
            "make it writable, or set CORRAL_DATA_FOLDER to one that is"
        ) from error
    return folder
