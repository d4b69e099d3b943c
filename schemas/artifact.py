"""A file in the store, as jobs and answers refer to it: by what it contains."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

FileRef = Annotated[
    str,
    StringConstraints(pattern=r"^sha256-[0-9a-f]{64}$"),
    Field(
        description="A file's reference: `sha256-` and the SHA-256 of its bytes.",
        examples=["sha256-9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"],
    ),
]

_DEFAULT_NAME = "file"
_LONGEST_NAME = 255


class Artifact(BaseModel):
    """A stored file: an upload, or a part of a result. Its bytes never change."""

    model_config = ConfigDict(frozen=True)

    ref: FileRef
    size_bytes: int = Field(ge=0)
    media_type: str = "application/octet-stream"
    name: str = Field(description="The name to offer when somebody saves the file.")


def file_name(given: str) -> str:
    """Give the last part of a name, without what no name should have; ``file`` when nothing is left.

    The end is kept of a name that is too long: it has the suffix.
    """
    last = given.replace("\\", "/").rpartition("/")[2]
    printable = "".join(char for char in last if char.isprintable()).strip()
    return _DEFAULT_NAME if printable.strip(".") == "" else printable[-_LONGEST_NAME:]
