"""The API's own description, corrected where the framework describes errors that it never sends; with callbacks."""

from typing import Any

from fastapi import FastAPI

from producers.api import webhook
from producers.api.problem import MEDIA_TYPE, Problem

_FIRST_ERROR = 400
_FRAMEWORKS_OWN = ("HTTPValidationError", "ValidationError")
_CONTENT = {MEDIA_TYPE: {"schema": {"$ref": f"#/components/schemas/{Problem.__name__}"}}}


def install(app: FastAPI) -> None:
    """Have every error described as what it is: a problem."""
    describe = app.openapi

    def described() -> dict[str, Any]:
        # The framework keeps what it has made, so what is corrected stays corrected.
        if app.openapi_schema is None:
            _correct(describe())
        return describe()

    app.openapi = described  # type: ignore[method-assign]  # the framework's documented way


def _correct(document: dict[str, Any]) -> None:
    operations = [operation for path in document["paths"].values() for operation in path.values()]
    for operation in operations:
        for status, response in operation["responses"].items():
            if int(status) >= _FIRST_ERROR:
                response["content"] = _CONTENT
                response["description"] = response["description"].replace(
                    "Validation Error", "It does not fit its schema."
                )
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    for name in _FRAMEWORKS_OWN:
        schemas.pop(name, None)
    schemas[Problem.__name__] = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
    schemas.update(schemas[Problem.__name__].pop("$defs", {}))
    webhook.describe(document)
