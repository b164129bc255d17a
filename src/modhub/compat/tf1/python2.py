"""advise: tells of an error that it comes of Python 2, which many scripts of 2018 were written for."""

from __future__ import annotations

import re

__all__ = ["advise"]

_GONE = {
    "basestring": "str",
    "execfile": "exec(open(...).read())",
    "long": "int",
    "raw_input": "input",
    "reduce": "functools.reduce",
    "reload": "importlib.reload",
    "unichr": "chr",
    "unicode": "str",
    "xrange": "range",
}
_GONE_METHODS = {"has_key": "in", "iteritems": "items", "iterkeys": "keys", "itervalues": "values"}
_GONE_MODULES = {
    "ConfigParser": "configparser",
    "Queue": "queue",
    "StringIO": "io",
    "__builtin__": "builtins",
    "cPickle": "pickle",
    "cStringIO": "io",
    "urllib2": "urllib.request",
    "urlparse": "urllib.parse",
}
# What Python 3 says of `print x`, `exec "x"`, `except A, e:`, `0777`; and `raise A, "x"`, `x <> y`, `ur"x"`, "`x`",
# where it says "invalid syntax".
_SAID = re.compile(r"call to '(print|exec)'|multiple exception types must be parenthesized|leading zeros in decimal")
_WRITTEN = re.compile(r"^\s*raise\s+[\w.]+\s*,|<>|\b[uU][rR]['\"]|`")


def advise(error: BaseException) -> None:
    """Add a note to an error, if it is one that a script for Python 2 makes under Python 3."""
    if isinstance(error, SyntaxError):
        if _SAID.search(str(error.msg)) or (error.text and _WRITTEN.search(error.text)):
            _note(error, "the file is to be converted, by 2to3 (part of Python until 3.12) for example.")
    elif isinstance(error, NameError) and error.name in _GONE:
        _note(error, f"{error.name} is {_GONE[error.name]} now.")
    elif isinstance(error, AttributeError) and error.name in _GONE_METHODS and isinstance(error.obj, dict):
        _note(error, f".{error.name}() is {_GONE_METHODS[error.name]} now.")
    elif isinstance(error, ModuleNotFoundError) and error.name in _GONE_MODULES:
        _note(error, f"the module {error.name} is {_GONE_MODULES[error.name]} now.")


def _note(error: BaseException, what_to_do: str) -> None:
    error.add_note(f"modhub: this was written for Python 2: {what_to_do}")
