"""Whether a module is loaded, by what a scan says of it and where it comes from."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable
from pathlib import Path

from modhub.errors import InvalidArgumentError, ModuleFormatError, UnsafeModuleWarning, UntrustedModuleError
from modhub.handles import is_url
from modhub.inspection.scan.ops import OpClass, op_classes
from modhub.inspection.scan.scanning import scan

__all__ = ["check_trust"]

_VARIABLE = "MODHUB_TRUST"
_ALL = frozenset({"1", "true", "yes", "all"})
_HARMLESS = frozenset({OpClass.PURE, OpClass.STATE})
_MOST_SHOWN = 3


def check_trust(
    handle: str | os.PathLike[str], directory: Path, trust: bool | None, ops: Iterable[str] | None = None
) -> None:
    """Scan a module that is about to be loaded, and refuse it or warn of it.

    Args:
      handle: what the user named.
      directory: where it lies.
      trust: True to load it whatever it holds; False to refuse what a scan refuses; None to refuse it from a URL, and
        to warn of it from a local path. The environment variable MODHUB_TRUST ("1" for all modules, or prefixes of
        handles with commas between them) turns None into True.
      ops: all ops in its graphs and functions, if they are at hand: nothing more is read if they only compute.

    Raises:
      UntrustedModuleError: it is refused; the message says for what, and how to load it all the same.
      InvalidArgumentError: `trust` is none of True, False and None.
    """
    if trust is not None and not isinstance(trust, bool):
        raise InvalidArgumentError(f"trust={trust!r} is none of True, False and None.")
    if trust or (trust is None and _is_trusted(os.fspath(handle))):
        return
    if ops is not None and all((op_classes(op) or {None}) <= _HARMLESS for op in ops):
        return
    try:
        found = [f"{finding.message} ({finding.op or finding.rule})" for finding in scan(directory).refused]
    except ModuleFormatError as error:
        found = [f"it cannot be scanned: {error.message}"]
    if not found:
        return
    shown = "; ".join(found[:_MOST_SHOWN]) + (f"; and {len(found) - _MOST_SHOWN} more" if found[_MOST_SHOWN:] else "")
    what = f"{os.fspath(handle)!r} can do more than compute: {shown}."
    if trust is None and not is_url(handle):
        warnings.warn(
            f"{what} Load it only if you trust its source; trust=True, or {_VARIABLE} in the environment, says that "
            "you do.",
            UnsafeModuleWarning,
            stacklevel=2,
        )
        return
    raise UntrustedModuleError(
        f"{what} It was not loaded. If you trust its source, pass trust=True or set {_VARIABLE}; "
        f"`modhub scan` lists all that was found."
    )


def _is_trusted(handle: str) -> bool:
    trusted = [each.strip() for each in os.environ.get(_VARIABLE, "").split(",")]
    return any(each.lower() in _ALL or (each and _starts_with(handle, each)) for each in trusted)


def _starts_with(handle: str, prefix: str) -> bool:
    """Tell whether a handle starts with a prefix, which of a URL has to end after the host, or later."""
    if not handle.startswith(prefix):
        return False
    host = handle.partition("://")[2].partition("/")[0]
    return not is_url(handle) or len(prefix) >= handle.index("://") + 3 + len(host)
