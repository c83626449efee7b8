"""Whether a request names us, and comes from a page of ours.

Owns: the rules for Host, Origin and Sec-Fetch-Site. Never: reads a request (api.guard) or knows a token.

A page of a stranger can make a browser send requests to any address, and by DNS rebinding under a name that the page
owns. The browser then says that name in Host, and the page in Origin. So a name must be one that we were given, while
an address is always right: nobody can point an address somewhere else.
"""

import ipaddress
from collections.abc import Collection

from reconciler.addresses import parse_host_port

_LOCAL_NAMES = frozenset({"localhost"})

# What a browser says of a request that a page of ours, or nobody's page, has made.
_OWN_SITES = frozenset({"same-origin", "none"})


def is_loopback(host: str) -> bool:
    """Tell whether only this machine can reach what listens at `host`."""
    address = _address(host)
    return host.lower() in _LOCAL_NAMES if address is None else address.is_loopback


def names_us(host: str, *, allowed: Collection[str], loopback: bool) -> bool:
    """Tell whether the header Host may be meant for us; `loopback` = we listen for this machine only."""
    name = _name_of(host)
    if name is None:
        return False
    address = _address(name)
    if address is not None:
        return address.is_loopback or not loopback
    return name.lower() in _LOCAL_NAMES or name.lower() in allowed


def is_own_page(origin: str | None, site: str | None, host: str) -> bool:
    """Tell whether no page, or one of ours, made the request: by Origin and Sec-Fetch-Site, where they are said."""
    if site is not None and site not in _OWN_SITES:
        return False
    return origin is None or origin.lower() in (f"http://{host.lower()}", f"https://{host.lower()}")


def _name_of(host: str) -> str | None:
    """The name in `name:port`, or in a name alone; None for what is neither."""
    bare = host.startswith("[") and host.endswith("]")
    try:
        return parse_host_port(host if ":" in host and not bare else f"{host}:80").host
    except ValueError:
        return None


def _address(name: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(name)
    except ValueError:
        return None
