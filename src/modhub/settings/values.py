"""The settings as one value, with the defaults, and shown without secrets."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path

from modhub.settings.redact import masked

__all__ = ["Settings", "Tokens"]

_HIDDEN = "***"


class Tokens(Mapping[str, str]):
    """Tokens by host, as "host" or "host:port" in lower case. It shows the hosts only.

    Example:
      >>> Tokens({"models.example.com": "secret"})
      Tokens({'models.example.com': '***'})
    """

    __slots__ = ("_by_host",)

    def __init__(self, by_host: Mapping[str, str] | None = None) -> None:
        self._by_host = dict(by_host or {})

    def __getitem__(self, host: str) -> str:
        return self._by_host[host]

    def __iter__(self) -> Iterator[str]:
        return iter(self._by_host)

    def __len__(self) -> int:
        return len(self._by_host)

    def __repr__(self) -> str:
        return f"Tokens({dict.fromkeys(self._by_host, _HIDDEN)})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What modhub goes by when it looks for a module, downloads it and keeps it.

    Attributes:
      cache_dir: where downloaded modules are kept; absolute.
      offline: whether nothing may be fetched, so that only the cache and local paths serve.
      load_format: which answer a server of the hosting protocol is asked for: "AUTO", "COMPRESSED", "UNCOMPRESSED".
      progress: whether downloads say how far they are; None: where stderr is a terminal.
      verify_tls: whether the certificate of an https server is checked.
      ca_bundle: path of the certificates to check with; None: those that requests comes with.
      connect_timeout: so many seconds a connection may take to come about.
      read_timeout: so many seconds a connection may be silent.
      min_speed: bytes per second, taken over `read_timeout`; what is slower counts as stalled. 0: any speed will do.
      retries: how many further attempts follow a failed one. Those that made progress do not count.
      retry_max_wait: so many seconds are waited before an attempt at most. A server that asks for more fails.
      max_download_bytes: no archive may be larger, packed.
      tokens: bearer tokens by host ("host" or "host:port", in lower case).
      mirrors: pairs of a prefix of handles and what to try in its place, in order (`modhub.handles.mirrors`).
      lock_file: the file of pinned digests; None: there is none.
      require_lock: whether a module must be in the lock file to be fetched.
    """

    cache_dir: Path
    offline: bool = False
    load_format: str = "AUTO"
    progress: bool | None = None
    verify_tls: bool = True
    ca_bundle: str | None = None
    connect_timeout: float = 10.0
    read_timeout: float = 60.0
    min_speed: int = 1024
    retries: int = 5
    retry_max_wait: float = 60.0
    max_download_bytes: int = 64 * 2**30
    tokens: Mapping[str, str] = field(default_factory=Tokens)
    mirrors: tuple[tuple[str, tuple[str, ...]], ...] = ()
    lock_file: Path | None = None
    require_lock: bool = False

    def __repr__(self) -> str:
        values = {item.name: getattr(self, item.name) for item in fields(self)}
        values["tokens"] = Tokens(self.tokens)  # a plain mapping would show its values
        return masked(f"Settings({', '.join(f'{name}={value!r}' for name, value in values.items())})")
