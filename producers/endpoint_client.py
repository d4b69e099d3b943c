"""What a tenant does over the API about who hears of its jobs: endpoints, and callbacks that were sent to them."""

from typing import Any
from urllib.parse import quote

from producers.client import Corral
from schemas.callback_attempt import CallbackFilter, CallbackPage, CallbackRecord
from schemas.endpoint import EndpointChange, EndpointRequest, EndpointSecret, EndpointStatus, NewEndpoint


class Receivers:
    """Endpoints and callbacks of one tenant. Its methods raise as those of ``Corral`` do."""

    def __init__(self, corral: Corral) -> None:
        """Speak over a connection that the caller opens and closes."""
        self._corral = corral

    async def add(self, request: EndpointRequest) -> NewEndpoint:
        """Register an endpoint; its secret is in this answer and in no other."""
        body = request.model_dump(mode="json", exclude_unset=True)
        return NewEndpoint.model_validate(await self._corral.request("POST", "/v1/endpoints", json=body))

    async def endpoints(self) -> list[EndpointStatus]:
        """Give every endpoint, the oldest first."""
        answer = await self._corral.request("GET", "/v1/endpoints")
        return [EndpointStatus.model_validate(one) for one in answer["endpoints"]]

    async def endpoint(self, endpoint_id: str) -> EndpointStatus:
        """Give one endpoint, with how it goes."""
        return EndpointStatus.model_validate(await self._corral.request("GET", _endpoint(endpoint_id)))

    async def change(self, endpoint_id: str, change: EndpointChange) -> EndpointStatus:
        """Change what is set in ``change``, and give the endpoint as it is then."""
        body = change.model_dump(mode="json", exclude_unset=True)
        return EndpointStatus.model_validate(await self._corral.request("PATCH", _endpoint(endpoint_id), json=body))

    async def remove(self, endpoint_id: str) -> None:
        """Delete an endpoint."""
        await self._corral.request("DELETE", _endpoint(endpoint_id))

    async def rotate(self, endpoint_id: str, overlap_s: float) -> EndpointSecret:
        """Give an endpoint a new secret; the former one signs as well for ``overlap_s``."""
        where = f"{_endpoint(endpoint_id)}/secret/rotate"
        return EndpointSecret.model_validate(await self._corral.request("POST", where, json={"overlap_s": overlap_s}))

    async def disable(self, endpoint_id: str) -> None:
        """Have nothing sent to an endpoint."""
        await self._corral.request("POST", f"{_endpoint(endpoint_id)}/disable")

    async def enable(self, endpoint_id: str) -> None:
        """Have an endpoint, or a disabled origin, sent its callbacks again."""
        await self._corral.request("POST", f"{_endpoint(endpoint_id)}/enable")

    async def ping(self, endpoint_id: str) -> str:
        """Send an event to an endpoint, and give the id of the callback."""
        return str((await self._corral.request("POST", f"{_endpoint(endpoint_id)}/ping"))["callback"])

    async def reseal(self) -> int:
        """Encrypt every tenant's secrets under the newest key, as the operator; tell how many were not."""
        return int((await self._corral.request("POST", "/v1/endpoints/reseal"))["resealed"])

    async def callbacks(self, wanted: CallbackFilter) -> CallbackPage:
        """Give callbacks, the one that was updated last first."""
        params = wanted.model_dump(mode="json", exclude_none=True)
        return CallbackPage.model_validate(await self._corral.request("GET", "/v1/callbacks", params=params))

    async def callback(self, callback_id: str) -> CallbackRecord:
        """Give one callback with its attempts."""
        return CallbackRecord.model_validate(await self._corral.request("GET", _callback(callback_id)))

    async def replay(self, callback_id: str) -> str:
        """Have a callback sent again, and give the id of the job that does it."""
        return str((await self._corral.request("POST", f"{_callback(callback_id)}/replay"))["job_id"])

    async def replay_all(self, wanted: CallbackFilter, *, dry_run: bool) -> dict[str, Any]:
        """Have a page of callbacks sent again, or only be told which they are."""
        body = {"filter": wanted.model_dump(mode="json", exclude_none=True), "dry_run": dry_run}
        answer: dict[str, Any] = await self._corral.request("POST", "/v1/callbacks/replay", json=body)
        return answer


def _endpoint(endpoint_id: str) -> str:
    return f"/v1/endpoints/{quote(endpoint_id, safe='')}"


def _callback(callback_id: str) -> str:
    return f"/v1/callbacks/{quote(callback_id, safe='')}"
