"""The choice of the variables that are trained, by patterns of names."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any

from modhub import errors

__all__ = ["Patterns", "check_choice", "check_patterns", "choice", "matches"]

# None: what the publisher made trainable; True the same, where there is something; False: nothing; or name patterns.
Patterns = bool | str | Sequence[str] | None


def choice(trainable: Patterns) -> Callable[[str], bool]:
    """Return a function that tells for the name of a variable whether it is chosen."""
    if trainable is None or isinstance(trainable, bool):
        return lambda _: trainable is not False
    patterns = _as_patterns(trainable)
    return lambda key: matches(key, patterns)


def matches(key: str, patterns: Iterable[str]) -> bool:
    """Tell whether a name matches a pattern."""
    return any(fnmatch.fnmatchcase(key, pattern) for pattern in patterns)


def check_choice(trainable: Patterns, known: Collection[str], chosen: Collection[Any], where: str) -> None:
    """Check that a choice is one of something.

    Args:
      trainable: the choice.
      known: the names of all variables.
      chosen: the variables that were chosen.
      where: names the module, for messages.

    Raises:
      InvalidArgumentError: a pattern matches nothing, or nothing is chosen where something was asked for.
    """
    if trainable is None or trainable is False:
        return
    if trainable is not True:
        check_patterns(_as_patterns(trainable), known)
    if chosen:
        return
    if trainable is True:
        raise errors.InvalidArgumentError(
            f"trainable=True was asked for, and {where} has no trainable variables: its publisher made none. Leave the "
            "argument out to use the module as it is."
        )
    raise errors.InvalidArgumentError(
        f"trainable={trainable!r} matches only variables that the publisher of {where} did not make trainable."
    )


def check_patterns(patterns: Iterable[str], known: Collection[str]) -> None:
    """Check that each pattern matches a name.

    Raises:
      InvalidArgumentError: one matches none, or is no string.
    """
    for pattern in _as_patterns(patterns):
        if not any(matches(key, [pattern]) for key in known):
            raise errors.InvalidArgumentError(
                f"The pattern {pattern!r} matches the name of no variable. "
                + errors.accepted(pattern, known, "variables")
            )


def _as_patterns(patterns: Any) -> tuple[str, ...]:
    try:
        found = (patterns,) if isinstance(patterns, str) else tuple(patterns)
    except TypeError:
        found = (patterns,)
    if not all(isinstance(pattern, str) for pattern in found):
        raise errors.InvalidArgumentError(
            f"{patterns!r} is neither True, False, nor a pattern or a list of patterns of variable names."
        )
    return found
