"""How every process of Corral logs: one line per fact, JSON for machines, colours for a terminal."""

import logging
import re
import sys
import time
from collections.abc import MutableMapping
from functools import lru_cache
from typing import Any, cast

import structlog
from pydantic_core import to_json

from schemas.settings import LogSettings

_SECRET_FIELD = re.compile(r"secret|token|password|authorization|api_key|sealing_key", re.IGNORECASE)
# No part reaches beyond a string of JSON: it is looked for in the line as it will be written.
_SECRET_TEXT = re.compile(
    r"""whs(?:ec|k)_[A-Za-z0-9+/=]+|(?i:(?<=Bearer ))[^\s"\\]+|(?<=://)[^/\s:@"]*:[^/\s@"]+(?=@)"""
)
_HIDDEN = "[redacted]"
# What holds nothing else, so that nothing is to be looked for in it.
_PLAIN = frozenset({str, int, float, bool, type(None)})


def redact(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Hide whole fields whose names speak of secrets, at any depth."""
    for name, value in event.items():
        if _is_secret(name):
            event[name] = _HIDDEN
        elif type(value) not in _PLAIN:
            event[name] = _redacted(value)
    return event


def hide(_logger: object, _method: str, line: str) -> str:
    """Hide in a finished line whatever looks like a secret, whichever field it came from."""
    # Without one of these there is nothing to find, and most lines have none.
    if "://" in line or "whsec_" in line or "whsk_" in line or "earer " in line or "EARER " in line:
        return _SECRET_TEXT.sub(_HIDDEN, line)
    return line


@lru_cache(maxsize=4096)
def _is_secret(name: str) -> bool:
    return _SECRET_FIELD.search(name) is not None


def _redacted(value: object) -> object:
    match value:
        case dict():
            return redact(None, "", {str(name): inner for name, inner in value.items()})
        case list() | tuple() | set() | frozenset():
            return [_redacted(inner) for inner in value]
        case _:
            return value


def _stamp(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    # As structlog's TimeStamper, of which the calendar is most of the cost: that changes once a second.
    second, nanoseconds = divmod(time.time_ns(), 1_000_000_000)
    event["timestamp"] = f"{_calendar(second)}.{nanoseconds // 1000:06d}Z"
    return event


@lru_cache(maxsize=2)
def _calendar(second: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))


def _json(_logger: object, _method: str, event: MutableMapping[str, Any]) -> str:
    return to_json(event, fallback=str, inf_nan_mode="constants").decode()


def configure(settings: LogSettings) -> None:
    """Set up structlog and the standard library's logging for this process, on standard error."""
    pretty = settings.log_format == "pretty" or (settings.log_format == "auto" and sys.stderr.isatty())
    level = logging.getLevelNamesMapping()[settings.log_level.upper()]
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        _stamp,
    ]
    # The stubs have no name for what comes after the renderer: a step that takes the finished line.
    look: list[structlog.typing.Processor] = [
        # First, for a trace may hold a secret as well.
        structlog.processors.format_exc_info,
        redact,
        structlog.dev.ConsoleRenderer() if pretty else _json,
        cast("structlog.typing.Processor", hide),
    ]
    structlog.configure(
        processors=[*shared, *look],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
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
