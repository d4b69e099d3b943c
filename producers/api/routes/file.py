"""``/v1/files``: uploads in, artifacts out. Bytes stream both ways and are never looked at."""

import asyncio
import re
from collections.abc import AsyncIterator
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Request, Response
from fastapi.responses import FileResponse

from producers.api.edge import announced_bytes
from producers.api.file_label import DEFAULT_TYPE, media_type
from producers.api.multipart import first_file
from producers.api.refusal import BodyIncomplete, RangeNotSatisfiable
from producers.api.tenant import Tenant
from producers.file_store import DiskFiles, FileTooLarge
from producers.settings import ApiSettings
from schemas.artifact import Artifact, FileRef, file_name

PATH = "/v1/files"
router = APIRouter(tags=["files"])

_FORM = "multipart/form-data"
_BINARY = {"type": "string", "format": "binary"}
_BODY: dict[str, Any] = {
    "required": True,
    "content": {
        _FORM: {"schema": {"type": "object", "required": ["file"], "properties": {"file": _BINARY}}},
        DEFAULT_TYPE: {"schema": _BINARY},
    },
}
_REFUSALS: dict[int | str, dict[str, Any]] = {
    401: {"description": "No token, or an unknown one."},
    404: {"description": "No such file for this tenant."},
    413: {"description": "The file is above the limit of one upload."},
    416: {"description": "The file has no such bytes."},
}
_RANGE = re.compile(r"bytes=(?P<first>[0-9]{0,18})-(?P<last>[0-9]{0,18})")
_HEADERS = {
    # An uploaded page that somebody opens all the same can neither run a script nor load anything.
    "Content-Security-Policy": "default-src 'none'; sandbox",
    "Cache-Control": "private, immutable, max-age=31536000",
}


@router.post(
    PATH,
    status_code=HTTPStatus.CREATED,
    responses={
        **{status: _REFUSALS[status] for status in (401, 413)},
        200: {"model": Artifact, "description": "These bytes were here before."},
    },
    openapi_extra={"requestBody": _BODY},
)
async def upload(
    request: Request,
    response: Response,
    tenant: Tenant,
    name: Annotated[str, Query(max_length=255, description="The file's name, when the body is the file.")] = "",
) -> Artifact:
    """Store a file: the first one of a form, or the body itself. The same bytes are stored once."""
    files: DiskFiles = request.app.state.files
    settings: ApiSettings = request.app.state.settings
    type_ = request.headers.get("content-type", DEFAULT_TYPE)
    if type_.lower().startswith(_FORM):
        part = await first_file(type_, request.stream())
        name, type_, chunks = part.name, part.media_type, part.chunks
    else:
        limit_bytes, announced = settings.api_upload_limit_bytes, announced_bytes(request.scope)
        if announced > limit_bytes:
            raise FileTooLarge.above(limit_bytes)
        chunks = _whole(request.stream(), announced)
    artifact, new = await files.receive(
        tenant,
        chunks,
        media_type=media_type(type_),
        name=file_name(name),
        limit_bytes=settings.api_upload_limit_bytes,
    )
    response.status_code = HTTPStatus.CREATED if new else HTTPStatus.OK
    response.headers["Location"] = f"{PATH}/{artifact.ref}"
    return artifact


@router.get(
    PATH + "/{ref}",
    response_class=FileResponse,
    responses={
        **{status: _REFUSALS[status] for status in (401, 404, 416)},
        206: {"description": "The range that was asked for.", "content": {DEFAULT_TYPE: {"schema": _BINARY}}},
        304: {"description": "As in `If-None-Match`: these bytes never change."},
    },
)
async def download(
    ref: FileRef,
    request: Request,
    tenant: Tenant,
    if_none_match: Annotated[str, Header()] = "",
) -> Response:
    """Give a file's bytes, whole or by ``Range``; always as an attachment, never to be run."""
    files: DiskFiles = request.app.state.files
    artifact = await asyncio.to_thread(files.describe, tenant, ref)
    headers = {**_HEADERS, "ETag": f'"{ref}"'}
    if if_none_match.strip() == "*" or f'"{ref}"' in if_none_match:
        return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
    _demand_range(request, artifact.size_bytes)
    return FileResponse(
        files.path(tenant, ref), media_type=artifact.media_type, filename=artifact.name, headers=headers
    )


async def _whole(chunks: AsyncIterator[bytes], announced: int) -> AsyncIterator[bytes]:
    received = 0
    async for chunk in chunks:
        received += len(chunk)
        yield chunk
    if received < announced:
        raise BodyIncomplete(f"the body has {received:,} of the {announced:,} bytes it announced; send it again")


def _demand_range(request: Request, size_bytes: int) -> None:
    if not (text := request.headers.get("range", "")):
        return
    found = _RANGE.fullmatch(text)
    if found is None or text == "bytes=-" or _backwards(found["first"], found["last"]):
        # What is no single range may be ignored (RFC 9110, 14.2), and then the whole file comes.
        request.scope["headers"] = [pair for pair in request.scope["headers"] if pair[0] != b"range"]
        return
    # Without a first byte it is the last so many.
    past_the_end = int(found["first"]) >= size_bytes if found["first"] else int(found["last"]) == 0 or not size_bytes
    if past_the_end:
        headers = {"Content-Range": f"bytes */{size_bytes}"}
        raise RangeNotSatisfiable(f"the file has {size_bytes:,} bytes", headers=headers)


def _backwards(first: str, last: str) -> bool:
    return first != "" != last and int(last) < int(first)
