"""Which addresses a tenant may name for its callbacks."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Self
from urllib.parse import urlsplit

from schemas.errors import Misconfigured, Permanent

_PORTS = {"http": 80, "https": 443}


class AddressNotAllowed(Permanent):
    """The operator does not let this tenant call that address. Remedy: use an address of its list, or have it added."""

    code = "address_not_allowed"


class _Pattern(NamedTuple):
    scheme: str
    host: str
    port: int
    path: str

    @classmethod
    def parse(cls, text: str) -> Self:
        parts = urlsplit(text)
        if parts.scheme not in _PORTS or not parts.hostname or parts.username is not None or parts.query:
            raise Misconfigured(f"CORRAL_CALLBACK_ALLOW: {text!r} is no beginning of an http or https address")
        return cls(parts.scheme, parts.hostname, parts.port or _PORTS[parts.scheme], parts.path)

    def allows(self, address: "_Pattern") -> bool:
        wild = self.host.startswith("*.") and address.host.endswith(self.host[1:])
        if (address.scheme, address.port) != (self.scheme, self.port) or not (wild or address.host == self.host):
            return False
        # Whole steps of the path: /hooks allows /hooks/1, and not /hooks-of-others.
        return self.path in {"", "/", address.path} or address.path.startswith(self.path.rstrip("/") + "/")


@dataclass(frozen=True)
class AllowList:
    """What the setting says; a tenant that is not in it may name any address."""

    patterns: Mapping[str, Sequence[_Pattern]]

    @classmethod
    def of(cls, setting: Mapping[str, Sequence[str]]) -> Self:
        """Read the setting.

        Raises:
            Misconfigured: one of the entries is no beginning of an address.
        """
        return cls({tenant: [_Pattern.parse(text) for text in texts] for tenant, texts in setting.items()})

    def check(self, tenant: str, url: str) -> None:
        """Return when the tenant may name the address.

        Raises:
            AddressNotAllowed: it may not.
        """
        patterns = self.patterns.get(tenant)
        if patterns is None:
            return
        address = _Pattern.parse(url.partition("?")[0])
        if not any(pattern.allows(address) for pattern in patterns):
            raise AddressNotAllowed(f"{address.scheme}://{address.host} is not among the addresses of this tenant")
