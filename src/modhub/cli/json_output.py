"""`--json`: values of modhub as JSON on stdout."""

from __future__ import annotations

import base64
import dataclasses
import enum
import json
import math
import os
import sys
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any

from modhub.cli.text import CONTROLS

__all__ = ["as_json", "as_plain", "print_json"]


def print_json(value: Any) -> None:
    """Print a value as one JSON document; in UTF-8, or in ASCII where stdout is not UTF-8."""
    in_ascii = not (sys.stdout.encoding or "").lower().replace("-", "").startswith("utf")
    sys.stdout.write(as_json(value, indent=2, in_ascii=in_ascii) + "\n")


def as_json(value: Any, *, indent: int | None = None, in_ascii: bool = False) -> str:
    r"""Return a value as JSON in which no character acts on a terminal.

    Example:
      >>> print(as_json({"name": "na\u00efve \x1b \udc80", "tags": frozenset({"b", "a"})}))
      {"name": "naïve \u001b \udc80", "tags": ["a", "b"]}
    """
    text = json.dumps(as_plain(value), ensure_ascii=in_ascii, indent=indent, allow_nan=False)
    # What JSON leaves as it is stands only in strings, but for line ends; there it can be written as \uXXXX.
    return CONTROLS.sub(lambda found: found.group() if found.group() == "\n" else _escaped(found.group()), text)


def as_plain(value: Any) -> Any:
    r"""Return what JSON has for a value.

    Dataclasses and mappings become objects in their own order; sets sorted lists; paths strings; bytes a string where
    they are UTF-8, else {"b64": ...}; enums their values; numbers that JSON lacks "NaN", "Infinity", "-Infinity".

    Args:
      value: made of those, and of strings, numbers, bools, None, lists, tuples, NumPy arrays and scalars.

    Raises:
      TypeError: it holds something else.

    Example:
      >>> as_plain({"size": (1, float("inf")), "content": [b"text", b"\xff"]})
      {'size': [1, 'Infinity'], 'content': ['text', {'b64': '/w=='}]}
    """
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, enum.Enum):
        return as_plain(value.value)
    if isinstance(value, str):
        return str(value)
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else _not_finite(value)
    if isinstance(value, complex):
        return [as_plain(value.real), as_plain(value.imag)]
    if isinstance(value, bytes):
        return _bytes(value)
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: as_plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {_key(key): as_plain(each) for key, each in value.items()}
    if isinstance(value, AbstractSet):
        return sorted((as_plain(each) for each in value), key=lambda plain: json.dumps(plain, sort_keys=True))
    if isinstance(value, Sequence):
        return [as_plain(each) for each in value]
    if hasattr(value, "tolist"):  # NumPy's, which is not imported for this
        return as_plain(value.tolist())
    raise TypeError(f"{type(value).__name__} has no form in JSON: {value!r}")


def _bytes(value: bytes) -> Any:
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return {"b64": base64.b64encode(value).decode("ascii")}


def _not_finite(value: float) -> str:
    if math.isnan(value):
        return "NaN"
    return "Infinity" if value > 0 else "-Infinity"


def _key(key: Any) -> str:
    """Return the name of an entry; a set of tags or a tuple becomes "a,b"."""
    if isinstance(key, AbstractSet):
        return ",".join(sorted(map(str, key)))
    if isinstance(key, tuple):
        return ",".join(map(str, key))
    plain = as_plain(key)
    return plain if isinstance(plain, str) else json.dumps(plain)


def _escaped(character: str) -> str:
    code = ord(character)
    if code < 0x10000:
        return f"\\u{code:04x}"
    code -= 0x10000
    return f"\\u{0xD800 + (code >> 10):04x}\\u{0xDC00 + (code & 0x3FF):04x}"
