"""show: an error that ended a script, as Python shows it, without the frames that ran the script."""

from __future__ import annotations

import importlib
import os
import sys
from types import TracebackType

from modhub import errors
from modhub.compat.tf1.python2 import advise

__all__ = ["show"]

_MACHINERY = os.path.dirname(os.path.abspath(__file__))
_IMPORTLIB = os.path.dirname(importlib.__file__)


def show(error: BaseException) -> None:
    """Show an error by `sys.excepthook`, which the script may have set.

    With MODHUB_TRACEBACK=1 no frame is left out.
    """
    if os.environ.get("MODHUB_TRACEBACK", "") in ("", "0"):
        _trim(error)
    advise(error)
    sys.excepthook(type(error), error, error.__traceback__)


def _trim(error: BaseException) -> None:
    """Take the machinery's frames out of the traceback of an error, and of those that it came from."""
    left, seen = [error], set()
    while left:
        one = left.pop()
        if id(one) not in seen:
            seen.add(id(one))
            one.__traceback__ = _without_machinery(one.__traceback__, isinstance(one, errors.ModhubError))
            left += [origin for origin in (one.__cause__, one.__context__) if origin is not None]


def _without_machinery(traceback: TracebackType | None, own: bool) -> TracebackType | None:
    """Return a traceback without the frames of what runs scripts.

    Args:
      traceback: what is to be shown.
      own: whether it is of an error of modhub: then contrib's frames go too, and those of imports that these started.
        Else they stay, as those of any library.
    """
    kept, dropped = [], False
    while traceback is not None:
        file = traceback.tb_frame.f_code.co_filename
        folder = os.path.dirname(file)
        if own:
            by_import = dropped and (folder == _IMPORTLIB or file.startswith("<frozen importlib"))
            dropped = folder.startswith(_MACHINERY) or by_import
        else:
            dropped = folder == _MACHINERY
        if not dropped:
            kept.append(traceback)
        traceback = traceback.tb_next
    following = None
    for one in reversed(kept):
        following = TracebackType(following, one.tb_frame, one.tb_lasti, one.tb_lineno)
    return following
