"""The configuration file: TOML, with the names of the settings as keys."""

from __future__ import annotations

import os
from collections.abc import Mapping
from types import MappingProxyType

from modhub import errors
from modhub.settings.fields import field_named, parsed
from modhub.settings.parsing import parse_path_text
from modhub.settings.places import user_config_place
from modhub.settings.rereading import read_again

__all__ = ["CONFIG_VARIABLE", "read_config_file"]

CONFIG_VARIABLE = "MODHUB_CONFIG"

_MOST_BYTES = 2**20
_NONE: Mapping[str, object] = MappingProxyType({})


def read_config_file(variable: str | None) -> Mapping[str, object]:
    """Return the settings of the configuration file, checked.

    Args:
      variable: what the variable MODHUB_CONFIG says: the path of the file; "" for no file; None, where it is not set,
        for `config.toml` in the user's configuration directory, which need not exist.

    Returns:
      Values by the names of settings. Relative paths were taken from the file's directory.

    Raises:
      InvalidArgumentError: the file cannot be read, is not TOML, or has a setting that is unknown or not accepted.
    """
    if variable is None:
        place = user_config_place()
        path = "" if place is None else os.path.join(place, "config.toml")
        # Nobody has said that there is a file, or that its directory can be read.
        if not os.path.exists(path):
            return _NONE
    elif variable.strip() in ("", os.devnull):
        return _NONE
    else:
        try:
            path = parse_path_text(variable)
        except ValueError as error:
            raise errors.InvalidArgumentError(f"{CONFIG_VARIABLE}={variable!r} is not accepted: {error}.") from None
    try:
        return read_again(path, _parse, _MOST_BYTES)
    except OSError as error:
        named = "" if variable is None else f"{CONFIG_VARIABLE}={variable!r}: "
        raise errors.InvalidArgumentError(
            f"{named}the configuration file {path!r} cannot be read: {error.strerror}. Set {CONFIG_VARIABLE} to "
            "another file, or to an empty text to go without."
        ) from error


def _parse(path: str, data: bytes) -> Mapping[str, object]:
    import tomllib

    try:
        table = tomllib.loads(data.decode("utf-8-sig"))  # editors of Windows begin files with a mark
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise errors.InvalidArgumentError(
            f"The configuration file {path!r} is not UTF-8 in line {line}: save it as UTF-8."
        ) from error
    except RecursionError as error:
        raise errors.InvalidArgumentError(f"The configuration file {path!r} is nested too deeply.") from error
    except ValueError as error:  # with the line, for what is not TOML; or a number of thousands of digits
        raise errors.InvalidArgumentError(f"The configuration file {path!r} is not TOML: {error}.") from error
    values: dict[str, object] = {}
    for name, value in table.items():
        field = field_named(name, f"The configuration file {path!r}")
        if field.path and isinstance(value, str):
            value = _from_place(path, value)
        values[name] = parsed(field, value, f"{name} = {{}} in the configuration file {path!r}")
    return MappingProxyType(values)


def _from_place(path: str, value: str) -> str:
    """Return a relative path as one from the directory of the file; leave all else as it is."""
    if not value.strip() or value.startswith("~") or "://" in value:
        return value
    return os.path.join(os.path.dirname(path), value)
