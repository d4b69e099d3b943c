"""How every process of Corral logs: one line per fact, JSON for machines, colours for a terminal."""

import logging
import re
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog

from schemas.settings import LogSettings

_SECRET_FIELD = re.compile(r"secret|token|password|authorization|api_key", re.IGNORECASE)
_SECRET_TEXT = re.compile(r"whsec_[A-Za-z0-9+/=]+|(?i:(?<=Bearer ))\S+|(?<=://)[^/\s:@]*:[^/\s@]+(?=@)")
_HIDDEN = "[redacted]"


def redact(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Hide secrets at any depth: whole fields by name, and in texts whatever looks like one."""
    for name, value in event.items():
        event[name] = _HIDDEN if _SECRET_FIELD.search(name) else _redacted(value)
    return event


def _redacted(value: object) -> object:
    match value:
        case str():
            return _SECRET_TEXT.sub(_HIDDEN, value)
        case dict():
            return redact(None, "", {str(name): inner for name, inner in value.items()})
        case list() | tuple() | set() | frozenset():
            return [_redacted(inner) for inner in value]
        case None | bool() | int() | float():
            return value
        case _:
            # The renderer would take its text as it is.
            return _SECRET_TEXT.sub(_HIDDEN, str(value))


def configure(settings: LogSettings) -> None:
    """Set up structlog and the standard library's logging for this process, on standard error."""
    pretty = settings.log_format == "pretty" or (settings.log_format == "auto" and sys.stderr.isatty())
    level = logging.getLevelNamesMapping()[settings.log_level.upper()]
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    look: list[structlog.typing.Processor] = [
        # First, for a trace may hold a secret as well.
        structlog.processors.format_exc_info,
        redact,
        structlog.dev.ConsoleRenderer() if pretty else structlog.processors.JSONRenderer(),
    ]
    structlog.configure(
        processors=[*shared, *look],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *look],
        )
    )
    # Libraries speak up only when something is wrong.
    logging.basicConfig(handlers=[handler], level=max(level, logging.WARNING), force=True)
