"""Which settings there are, which environment variables set them, and what they accept."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from modhub import errors
from modhub.settings.hosts import parse_mirrors, parse_tokens
from modhub.settings.parsing import (
    choice,
    count,
    parse_flag,
    parse_lock_path,
    parse_path,
    parse_path_text,
    seconds,
    size,
)
from modhub.settings.redact import masked

__all__ = ["FIELDS", "Field", "field_named", "parsed"]

_SHOWN_CHARACTERS = 100
_MOST_RETRIES = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """A setting.

    Attributes:
      name: its name in `Settings`, in the configuration file and for `configure`.
      parse: checks a value or a text; raises a ValueError that says what is accepted.
      variables: environment variables; the first that is set counts.
      parse_variable: the parser for these, where they say it in another way than the setting.
      empty: whether a variable that is set to nothing counts as set.
      path: whether it is a path, which has no spaces to be removed, and in the file is taken from the file's place.
      secret: whether messages leave the value out.
    """

    name: str
    parse: Callable[[object], object]
    variables: tuple[str, ...]
    parse_variable: Callable[[str], object] | None = None
    empty: bool = False
    path: bool = False
    secret: bool = False


FIELDS = (
    Field(name="cache_dir", variables=("TFHUB_CACHE_DIR",), parse=parse_path, path=True),
    Field(name="offline", variables=("MODHUB_OFFLINE",), parse=parse_flag, empty=True),
    Field(
        name="load_format",
        variables=("TFHUB_MODEL_LOAD_FORMAT",),
        parse=choice("AUTO", "COMPRESSED", "UNCOMPRESSED"),
    ),
    # tensorflow_hub shows its progress for any text, also for "0".
    Field(
        name="progress",
        variables=("TFHUB_DOWNLOAD_PROGRESS",),
        parse=parse_flag,
        parse_variable=lambda text: True,
    ),
    # As tensorflow_hub reads it: what is not "true" does not turn the check off.
    Field(
        name="verify_tls",
        variables=("TFHUB_DISABLE_CERT_VALIDATION",),
        parse=parse_flag,
        parse_variable=lambda text: text.lower() != "true",
    ),
    Field(
        name="ca_bundle",
        # After our own the variables of requests, curl and OpenSSL, in the order of requests.
        variables=("MODHUB_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"),
        parse=parse_path_text,
        path=True,
    ),
    Field(name="connect_timeout", variables=("MODHUB_CONNECT_TIMEOUT",), parse=seconds(zero=False)),
    Field(name="read_timeout", variables=("MODHUB_READ_TIMEOUT",), parse=seconds(zero=False)),
    Field(name="min_speed", variables=("MODHUB_MIN_SPEED",), parse=size(0)),
    Field(name="retries", variables=("MODHUB_RETRIES",), parse=count(_MOST_RETRIES)),
    Field(name="retry_max_wait", variables=("MODHUB_RETRY_MAX_WAIT",), parse=seconds(zero=True)),
    Field(name="max_download_bytes", variables=("MODHUB_MAX_DOWNLOAD",), parse=size(1)),
    Field(name="tokens", variables=("MODHUB_TOKENS",), parse=parse_tokens, secret=True),
    Field(name="mirrors", variables=("MODHUB_MIRRORS",), parse=parse_mirrors),
    Field(name="lock_file", variables=("MODHUB_LOCK",), parse=parse_lock_path, empty=True, path=True),
    Field(name="require_lock", variables=("MODHUB_REQUIRE_LOCK",), parse=parse_flag, empty=True),
)

_BY_NAME = {field.name: field for field in FIELDS}


def field_named(name: str, origin: str) -> Field:
    """Return the setting of a name.

    Args:
      name: what a user wrote.
      origin: where it was written, for messages.

    Raises:
      InvalidArgumentError: there is no such setting.
    """
    if name not in _BY_NAME:
        known = errors.accepted(name, _BY_NAME, "settings")
        raise errors.InvalidArgumentError(f"{origin} has a setting {name!r}, which modhub does not know. {known}")
    return _BY_NAME[name]


def parsed(field: Field, value: object, origin: str, *, variable: bool = False) -> object:
    """Return the checked value of a setting.

    Args:
      field: the setting.
      value: what a user wrote.
      origin: where it was written, with "{}" in the place of the value.
      variable: whether it is the text of an environment variable.

    Raises:
      InvalidArgumentError: it is not accepted; the message says where it was written and what is accepted.
    """
    try:
        if variable and field.parse_variable is not None:
            return field.parse_variable(str(value))
        return field.parse(value)
    except ValueError as error:
        raise errors.InvalidArgumentError(
            f"{origin.replace('{}', _shown(field, value), 1)} is not accepted: {error}."
        ) from None


def _shown(field: Field, value: object) -> str:
    if field.secret:
        return "..."
    text = masked(repr(value))
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}..."
