"""The callbacks in the API's description (OpenAPI 3.1, ``webhooks``): what a receiver is sent, and may answer."""

from typing import Any, get_args

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from schemas.callback_event import CallbackEvent, InterimEvent
from schemas.envelope import InterimType, OutcomeType

_REFERENCE = "#/components/schemas/{model}"
_HEADERS = {
    "webhook-id": "The same on every try of one event: keep those you have seen.",
    "webhook-timestamp": "Of this try, in seconds since 1970; refuse what is older than five minutes.",
    "webhook-signature": "Standard Webhooks 1.0.0, over id, timestamp and body.",
}
_ANSWERS = {
    "2XX": "It was received. Answer within 15 s; do what takes longer afterwards.",
    "410": "Send nothing more of this job.",
    "default": "It is tried again, no sooner than `Retry-After` says.",
}


def describe(document: dict[str, Any]) -> None:
    """Add every event to a description of the API."""
    _, defined = models_json_schema(
        [(CallbackEvent, "serialization"), (InterimEvent, "serialization")], ref_template=_REFERENCE
    )
    schemas: dict[str, Any] = document["components"]["schemas"]
    for name, schema in defined["$defs"].items():
        schemas.setdefault(name, schema)
    document["webhooks"] = {
        name: {"post": _operation(name, model)}
        for names, model in ((OutcomeType, CallbackEvent), (InterimType, InterimEvent))
        for name in get_args(names)
    }


def _operation(event: str, model: type[BaseModel]) -> dict[str, Any]:
    return {
        "operationId": f"receive_{event.replace('.', '_')}",
        "summary": (model.__doc__ or "").partition(".")[0],
        "parameters": [
            {"name": name, "in": "header", "required": True, "description": what, "schema": {"type": "string"}}
            for name, what in _HEADERS.items()
        ],
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": {"$ref": _REFERENCE.format(model=model.__name__)}}},
        },
        "responses": {status: {"description": what} for status, what in _ANSWERS.items()},
    }
