"""What holds now: `configure` before the environment, that before the configuration file, and that before defaults."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypedDict, Unpack

from modhub import errors
from modhub.settings.config_file import CONFIG_VARIABLE, read_config_file
from modhub.settings.fields import FIELDS, Field, field_named, parsed
from modhub.settings.places import user_cache_place
from modhub.settings.values import Settings

__all__ = ["Changes", "configure", "current"]

_LOCK_FILE = "modhub.lock"

# Replaced, never changed, so that a reader sees all of a call of `configure` or nothing of it.
_configured: Mapping[str, object] = {}
_changing = threading.Lock()


class Changes(TypedDict, total=False):
    """What `configure` takes."""

    cache_dir: str | os.PathLike[str] | None
    offline: bool | str | None
    load_format: str | None
    progress: bool | str | None
    verify_tls: bool | str | None
    ca_bundle: str | os.PathLike[str] | None
    connect_timeout: float | str | None
    read_timeout: float | str | None
    min_speed: int | str | None
    retries: int | str | None
    retry_max_wait: float | str | None
    max_download_bytes: int | str | None
    tokens: Mapping[str, str] | str | None
    mirrors: Mapping[str, str | Sequence[str]] | Sequence[tuple[str, Sequence[str]]] | str | None
    lock_file: str | os.PathLike[str] | None
    require_lock: bool | str | None


def configure(**changes: Unpack[Changes]) -> None:
    """Change settings of this process; they go before the environment and the configuration file.

    A setting is replaced as a whole: new `tokens` or `mirrors` are not added to those that are there. When something
    is not accepted, nothing is changed.

    Args:
      **changes: the attributes of `Settings`. None takes back what an earlier call has set. Sizes may be texts such as
        "10GB", durations texts such as "90s". `tokens` is a mapping from "host" or "host:port" to a token, `mirrors`
        one from a prefix of handles to a target or several, and an empty `lock_file` turns the lock file off.

    Raises:
      InvalidArgumentError: there is no such setting, or it does not accept the value.

    Example:
      >>> configure(retries=2, max_download_bytes="10GB", mirrors={"https://tfhub.dev/": "/mnt/models/"})
      >>> settings = current()
      >>> settings.retries, settings.max_download_bytes, settings.mirrors
      (2, 10000000000, (('https://tfhub.dev/', ('/mnt/models/',)),))
      >>> configure(retries=None, max_download_bytes=None, mirrors=None)
    """
    global _configured
    given: dict[str, object] = dict(changes)
    fields = {name: field_named(name, "configure(...)") for name in given}
    checked = {
        name: parsed(fields[name], value, f"configure({name}={{}})")
        for name, value in given.items()
        if value is not None
    }
    with _changing:
        kept = {name: value for name, value in _configured.items() if name not in given}
        _configured = {**kept, **checked}


def current() -> Settings:
    """Return the settings that hold now.

    Each is what `configure` has set; else what an environment variable says; else what the configuration file says
    (MODHUB_CONFIG, or `config.toml` in the user's configuration directory, in TOML with the same names); else the
    default. The environment is looked at in every call, and the file is read again when it has changed.

    Raises:
      InvalidArgumentError: a variable or the file holds what is not accepted; the message says which, and what is.

    Example:
      >>> settings = current()
      >>> settings.cache_dir.is_absolute()
      True
    """
    configured = _configured
    file = read_config_file(os.environ.get(CONFIG_VARIABLE))
    values: dict[str, Any] = {}
    for field in FIELDS:
        name = field.name
        if name in configured:
            values[name] = configured[name]
        elif (variable := _set_variable(field)) is not None:
            values[name] = parsed(field, variable[1], f"{variable[0]}={{}}", variable=True)
        elif name in file:
            values[name] = file[name]
    if "cache_dir" not in values:
        values["cache_dir"] = _usual_cache_dir()
    if "lock_file" not in values:
        values["lock_file"] = _lock_file_here()
    return Settings(**values)


def _set_variable(field: Field) -> tuple[str, str] | None:
    """Return the first of a setting's environment variables that is set, and its text."""
    for name in field.variables:
        text = os.environ.get(name)
        if text is not None and (field.empty or text.strip()):
            return name, text if field.path else text.strip()
    return None


def _usual_cache_dir() -> Path:
    place = user_cache_place()
    if place is None:
        raise errors.InvalidArgumentError(
            "The home directory of this user is not known, so there is no usual place for the cache: set "
            "TFHUB_CACHE_DIR, or HOME."
        )
    return Path(place)


def _lock_file_here() -> Path | None:
    """Return the lock file of the working directory, if it has one."""
    if not os.path.exists(_LOCK_FILE):
        return None
    return Path(_LOCK_FILE).absolute()
