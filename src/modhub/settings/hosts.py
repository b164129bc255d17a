"""From what a user wrote to tokens by host, and to mirrors by prefix.

Both are tables: a mapping in Python or TOML, or in an environment variable "KEY=VALUE KEY=VALUE", separated by white
space. Messages show neither a token nor what could be one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from modhub.settings.values import Tokens

__all__ = ["parse_mirrors", "parse_tokens"]

# A name or an IPv4 address, or an IPv6 address in brackets, and a port.
_HOST = re.compile(r"(?:[a-z0-9_](?:[a-z0-9_.-]*[a-z0-9_])?\.?|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?")
# What a header takes. White space in it could be a second header.
_TOKEN = re.compile(r"[\x21-\x7e]+")
_BLANK = re.compile(r"[\x00-\x20\x7f]")


def parse_tokens(value: object) -> Tokens:
    """Return the tokens of a table from hosts to tokens.

    Example:
      >>> parse_tokens("Models.example.com=abc localhost:8080=def")["localhost:8080"]
      'def'
    """
    tokens: dict[str, str] = {}
    for number, (host, token) in enumerate(_pairs(value, "HOST=TOKEN"), start=1):
        if isinstance(token, Mapping):  # TOML reads a.b.c = "..." as tables in tables
            raise ValueError(f'the host of entry {number} is not in quotes: write "models.example.com" = "..."')
        name = host.strip().lower()
        if not _HOST.fullmatch(name):
            raise ValueError(
                f"the host of entry {number} is none: give a name, with a port where it is not the usual one, and "
                'without "https://" or a path ("models.example.com", "localhost:8080")'
            )
        if not isinstance(token, str) or not _TOKEN.fullmatch(token.strip()):
            raise ValueError(f"the token of entry {number} is none: give printable ASCII characters without spaces")
        if tokens.setdefault(name, token.strip()) != token.strip():
            raise ValueError(f"entry {number} gives a host a second token: give each host one")
    return Tokens(tokens)


def parse_mirrors(value: object) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Return prefixes and their targets, each in the order of the table from prefixes to a target or several.

    Example:
      >>> parse_mirrors("https://tfhub.dev/=https://mirror.example.com/ https://tfhub.dev/=/mnt/models/{}")
      (('https://tfhub.dev/', ('https://mirror.example.com/', '/mnt/models/{}')),)
    """
    mirrors: dict[str, dict[str, None]] = {}
    for number, (prefix, targets) in enumerate(_pairs(value, "PREFIX=TARGET"), start=1):
        several = [targets] if isinstance(targets, str) else targets
        if not isinstance(several, list | tuple) or not several:
            raise ValueError(f"entry {number} has no target: give one, or several in a list")
        if not prefix.strip() or _BLANK.search(prefix.strip()):
            raise ValueError(f'the prefix of entry {number} is none: give how handles begin, as "https://tfhub.dev/"')
        for target in several:
            if not isinstance(target, str) or not target.strip() or target.count("{}") > 1 or "\0" in target:
                raise ValueError(
                    f"a target of entry {number} is none: give a text that takes the place of the prefix, or one with "
                    '"{}" once, where the rest of the handle goes'
                )
            mirrors.setdefault(prefix.strip(), {})[target.strip()] = None
    return tuple((prefix, tuple(targets)) for prefix, targets in mirrors.items())


def _pairs(value: object, form: str) -> Iterable[tuple[str, object]]:
    """Return the entries of a table; keys may repeat."""
    if isinstance(value, str):
        entries = [entry.partition("=") for entry in value.split()]
        for number, (_, equals, _) in enumerate(entries, start=1):
            if not equals:
                raise ValueError(f'entry {number} has no "=": give "{form} {form}"')
        return [(key, text) for key, _, text in entries]
    items = value.items() if isinstance(value, Mapping) else value
    if not isinstance(items, Iterable) or isinstance(items, bytes):
        raise ValueError(f'give a table, or a text "{form} {form}"')
    # Also pairs, so that `Settings.mirrors` can be given back.
    pairs = list(items)
    for number, pair in enumerate(pairs, start=1):
        if not isinstance(pair, tuple | list) or len(pair) != 2 or not isinstance(pair[0], str):
            raise ValueError(f"entry {number} is no pair of texts: give a table")
    return [(pair[0], pair[1]) for pair in pairs]
