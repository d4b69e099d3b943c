"""``corral endpoint``: receivers of callbacks that a tenant registers."""

from typing import Any, TypeVar

import click
from pydantic import BaseModel, ValidationError

from corral.commands.connection import call, explained, of_the_api
from producers.endpoint_client import Receivers
from schemas.endpoint import EndpointChange, EndpointRequest, EndpointStatus
from schemas.envelope import describe

Model = TypeVar("Model", bound=BaseModel)


@click.group()
def endpoint() -> None:
    """Register receivers of callbacks, and look after them."""


@endpoint.command()
@click.argument("url")
@click.option("--event", "events", multiple=True, metavar="TYPE", help="Only these; all without it. May be repeated.")
@click.option("--description", default="", help="For people.")
@click.option("--public-key", is_flag=True, help="Sign by ed25519: its receiver needs no secret.")
@of_the_api
@explained
def add(
    url: str, events: tuple[str, ...], description: str, *, public_key: bool, api_url: str, token: str | None
) -> None:
    """Register URL. What it prints verifies its callbacks; a secret is shown this once."""
    given = {"url": url, "description": description, "signature": "ed25519" if public_key else "hmac-sha256"}
    request = _checked(EndpointRequest, given | ({"events": events} if events else {}))
    new = call(api_url, token, lambda corral: Receivers(corral).add(request))
    click.echo(f"{new.id}  {new.secret or new.public_key}")


@endpoint.command("list")
@of_the_api
@explained
def list_(api_url: str, token: str | None) -> None:
    """Print every endpoint: its id, its address, and whether it is disabled."""
    for found in call(api_url, token, lambda corral: Receivers(corral).endpoints()):
        click.echo(_line(found))


@endpoint.command()
@click.argument("endpoint_id")
@of_the_api
@explained
def show(endpoint_id: str, api_url: str, token: str | None) -> None:
    """Print an endpoint and how it goes, as JSON."""
    click.echo(call(api_url, token, lambda corral: Receivers(corral).endpoint(endpoint_id)).model_dump_json(indent=2))


@endpoint.command()
@click.argument("endpoint_id")
@click.option("--url", help="Where its callbacks go from now on.")
@click.option("--event", "events", multiple=True, metavar="TYPE", help="Only these from now on. May be repeated.")
@click.option("--description", help="For people.")
@click.option("--concurrency", type=int, help="How many callbacks it gets at once.")
@click.option("--rate", "rate_per_s", type=float, help="How many callbacks it gets a second; 0 for no limit.")
@of_the_api
@explained
def change(endpoint_id: str, api_url: str, token: str | None, **wanted: Any) -> None:  # noqa: ANN401 - the options
    """Change what the options name, and print the endpoint; the rest stays."""
    given = {name: value for name, value in wanted.items() if value not in {None, ()}}
    if not given:
        raise click.UsageError("name what is to change: see --help")
    if given.get("rate_per_s") == 0:
        given["rate_per_s"] = None
    change = _checked(EndpointChange, given)
    click.echo(_line(call(api_url, token, lambda corral: Receivers(corral).change(endpoint_id, change))))


@endpoint.command()
@click.argument("endpoint_id")
@click.option("--overlap", "overlap_s", default=24 * 3600.0, show_default=True, help="Seconds that both secrets sign.")
@of_the_api
@explained
def rotate(endpoint_id: str, overlap_s: float, api_url: str, token: str | None) -> None:
    """Give an endpoint a new secret, and print it, this once."""
    new = call(api_url, token, lambda corral: Receivers(corral).rotate(endpoint_id, overlap_s))
    click.echo(new.secret or new.public_key)


@endpoint.command()
@click.argument("endpoint_id")
@of_the_api
@explained
def disable(endpoint_id: str, api_url: str, token: str | None) -> None:
    """Have nothing sent to an endpoint; its callbacks wait."""
    call(api_url, token, lambda corral: Receivers(corral).disable(endpoint_id))


@endpoint.command()
@click.argument("endpoint_id")
@of_the_api
@explained
def enable(endpoint_id: str, api_url: str, token: str | None) -> None:
    """Have an endpoint, or a disabled origin, sent its callbacks again, the oldest first."""
    call(api_url, token, lambda corral: Receivers(corral).enable(endpoint_id))


@endpoint.command()
@click.argument("endpoint_id")
@of_the_api
@explained
def ping(endpoint_id: str, api_url: str, token: str | None) -> None:
    """Send an event to an endpoint, and print the id of the callback."""
    click.echo(call(api_url, token, lambda corral: Receivers(corral).ping(endpoint_id)))


@endpoint.command()
@click.argument("endpoint_id")
@of_the_api
@explained
def remove(endpoint_id: str, api_url: str, token: str | None) -> None:
    """Delete an endpoint; callbacks that wait for it fail."""
    call(api_url, token, lambda corral: Receivers(corral).remove(endpoint_id))


@endpoint.command()
@of_the_api
@explained
def reseal(api_url: str, token: str | None) -> None:
    """Encrypt every tenant's secrets under the first of CORRAL_SEALING_KEYS, as the operator."""
    click.echo(f"{call(api_url, token, lambda corral: Receivers(corral).reseal())} secrets are sealed anew")


def _checked(model: type[Model], given: dict[str, object]) -> Model:
    try:
        return model.model_validate(given)
    except ValidationError as error:
        raise click.UsageError(describe(error)) from error


def _line(found: EndpointStatus) -> str:
    state = f"DISABLED ({found.disabled.reason})" if found.disabled else "enabled"
    return f"{found.id}  {state}  {found.url}  {','.join(found.events)}"
