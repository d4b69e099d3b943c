"""``/v1/files``: uploads in, artifacts out. Bytes stream both ways and are never looked at."""

from collections.abc import AsyncIterator
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import FileResponse

from producers.file_store import DiskFiles
from producers.multipart import first_file
from producers.problem import Problem
from producers.settings import ApiSettings
from producers.tenant import Tenant
from schemas.artifact import Artifact, FileRef

router = APIRouter(tags=["files"])

_DEFAULT_TYPE = "application/octet-stream"


@router.post(
    "/v1/files",
    status_code=HTTPStatus.CREATED,
    responses={200: {"description": "These bytes were here before."}, 413: {"model": Problem}},
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {
                "multipart/form-data": {
                    "schema": {
                        "type": "object",
                        "required": ["file"],
                        "properties": {"file": {"type": "string", "format": "binary"}},
                    }
                },
                _DEFAULT_TYPE: {"schema": {"type": "string", "format": "binary"}},
            },
        }
    },
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
    media_type = request.headers.get("content-type", _DEFAULT_TYPE)
    chunks: AsyncIterator[bytes] = request.stream()
    if media_type.startswith("multipart/form-data"):
        part = await first_file(media_type, chunks)
        name, media_type, chunks = part.name, part.media_type, part.chunks
    artifact, new = await files.receive(
        tenant,
        chunks,
        media_type=media_type,
        name=name or "file",
        limit_bytes=settings.api_upload_limit_bytes,
    )
    response.status_code = HTTPStatus.CREATED if new else HTTPStatus.OK
    response.headers["Location"] = f"/v1/files/{artifact.ref}"
    return artifact


@router.get("/v1/files/{ref}", response_class=FileResponse, responses={404: {"model": Problem}})
async def download(ref: FileRef, request: Request, tenant: Tenant) -> FileResponse:
    """Give a file's bytes, whole or by ``Range``; always as an attachment, never to be run."""
    files: DiskFiles = request.app.state.files
    artifact = files.describe(tenant, ref)
    return FileResponse(
        files.path(tenant, ref),
        media_type=artifact.media_type,
        filename=artifact.name,
        headers={"ETag": f'"{ref}"', "Cache-Control": "private, immutable, max-age=31536000"},
    )
