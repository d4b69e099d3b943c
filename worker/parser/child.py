"""The one function that a child runs: a request in, a document or a refusal out.

Imported by the worker too, to name the function: nothing here loads a document library before
``parse`` is called.
"""

import os
import signal
import tempfile
import time

from schemas.errors import CorralError, DocumentTooLarge, DocumentUnreadable, ParserOutOfMemory
from worker.parser.confinement import network_is_off, peak_memory_bytes
from worker.parser.request import Parsed, ParseRequest, Refused

# A foreign library that runs out of memory reports whatever it likes. Above this part of the limit
# we call it what it is.
_FULL = 0.9


def parse(request: ParseRequest) -> Parsed | Refused:
    """Parse one document; never raises what the document is to blame for."""
    from worker.parser.convert import convert  # noqa: PLC0415 - loads the document libraries

    os.environ["TMPDIR"] = os.environ["HOME"] = tempfile.tempdir = str(request.scratch)
    started = time.monotonic()
    # While a document is read, SIGTERM kills on the spot: pebble's handler, which an idle child
    # leaves by in order, would wait until C code returns to Python.
    leave = signal.signal(signal.SIGTERM, signal.SIG_DFL)
    try:
        document = convert(request, started)
    except (NameError, ImportError):
        # No document does that: it is a defect of ours, and shows as one.
        raise
    except Exception as error:
        # The border to foreign parsers: on bytes that nobody vouches for they raise anything, and
        # whatever it is, the document is unreadable here and the child is fit for the next.
        refusal = _refusal(error, request)
        return Refused(code=refusal.code, message=str(refusal))
    finally:
        signal.signal(signal.SIGTERM, leave)
    return Parsed(document=document, network_off=network_is_off())


def _refusal(error: Exception, request: ParseRequest) -> CorralError:
    # Docling wraps what went wrong in errors of its own: the first cause is the one that counts.
    cause: BaseException = error
    while cause.__cause__ is not None and not isinstance(cause, CorralError):
        cause = cause.__cause__
    match cause:
        case CorralError():
            return cause
        case RecursionError():
            return DocumentTooLarge("the document is nested too deeply: flatten it")
        case MemoryError():
            return _out_of_memory(request)
        case _ if peak_memory_bytes() > request.limits.memory_bytes * _FULL:
            return _out_of_memory(request)
        case _:
            name = type(cause).__name__
            return DocumentUnreadable(f"the parser cannot read the document ({name}): export it again")


def _out_of_memory(request: ParseRequest) -> ParserOutOfMemory:
    mib = request.limits.memory_bytes // (1024 * 1024)
    return ParserOutOfMemory(f"the parser needs more than its {mib} MiB of memory: split the document")
