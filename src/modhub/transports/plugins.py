"""Transports that other distributions bring: entry points of the group "modhub.transports", named by their scheme."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, cast

from modhub.errors import InvalidArgumentError
from modhub.transports.job import Transport

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

__all__ = ["GROUP", "plugin_schemes", "plugin_transport"]

GROUP = "modhub.transports"

_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*")


def plugin_schemes() -> list[str]:
    """Return the schemes that installed plug-ins are named by, sorted; none of them is imported."""
    return sorted({point.name.lower() for point in _entry_points()})


def plugin_transport(scheme: str) -> Transport | None:
    """Return the transport that a plug-in has for a scheme.

    Args:
      scheme: in lower case; none that modhub itself has.

    Returns:
      What the entry point names; None where no plug-in has the scheme.

    Raises:
      InvalidArgumentError: two distributions have the scheme; or the plug-in cannot be imported,
        or is no function. The message names the distribution.

    Example:
      >>> plugin_transport("no-such-scheme") is None
      True
    """
    points = [point for point in _entry_points() if point.name.lower() == scheme]
    if not points:
        return None
    _check_free(scheme, points)
    return _load(points[0])


def _entry_points() -> list[EntryPoint]:
    from importlib.metadata import entry_points

    # A distribution that is found twice on the path, as an editable install may be, is one.
    found = {(point.name, point.value, _distribution(point)): point for point in entry_points(group=GROUP)}
    return [found[key] for key in sorted(found)]


def _check_free(scheme: str, points: list[EntryPoint]) -> None:
    named = " and ".join(f"{_distribution(point)} ({point.value})" for point in points)
    if not _SCHEME.fullmatch(scheme):
        raise InvalidArgumentError(
            f"The plug-in {named} is for {scheme!r}, which is no scheme of a URL: a letter, then letters, digits and "
            "'+', '.', '-'."
        )
    if len(points) > 1:
        raise InvalidArgumentError(f"There are two plug-ins for the scheme {scheme!r}: {named}. Uninstall all but one.")


def _load(point: EntryPoint) -> Transport:
    named = f"The plug-in {_distribution(point)} for the scheme {point.name!r} cannot be used:"
    advice = "Update it, uninstall it, or tell its authors."
    try:
        transport = point.load()
    except Exception as error:  # a plug-in may raise anything when it is imported
        reason = f"{type(error).__name__}: {error}"
        raise InvalidArgumentError(f"{named} {point.value!r} is not imported ({reason}). {advice}") from error
    if not callable(transport):
        raise InvalidArgumentError(
            f"{named} {point.value!r} is {transport!r:.100}, and a transport is a function of a URL and a Job "
            f"(modhub.transports.Transport). {advice}"
        )
    return cast(Transport, transport)


def _distribution(point: EntryPoint) -> str:
    """Return the name and version of the distribution that brings an entry point."""
    distribution = point.dist
    if distribution is None:
        return "of an unknown distribution"
    return f"{distribution.name or 'of an unnamed distribution'} {distribution.version or ''}".strip()
