"""What a parser's parent and child say to each other: plain data."""

from dataclasses import dataclass
from pathlib import Path

from schemas.jobs.documents import ConvertOptions
from worker.parser.limit import ParserLimits
from worker.ports import ParsedDocument


@dataclass(frozen=True)
class ParseRequest:
    """One document to parse: outputs go to ``folder``, all else that is written to ``scratch``."""

    document: Path
    name: str
    options: ConvertOptions
    folder: Path
    scratch: Path
    tesseract: str | None
    """Where the tesseract command is; without one, RapidOCR reads scans."""
    limits: ParserLimits


@dataclass(frozen=True)
class Parsed:
    """The document could be parsed."""

    document: ParsedDocument
    network_off: bool
    """Whether the system let the child cut itself off from the network."""


@dataclass(frozen=True)
class Refused:
    """It could not: the code of one of ``schemas.errors`` and its message."""

    code: str
    message: str
