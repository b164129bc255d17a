"""One request by HTTP: its redirects, its credentials, its proxy, and the bytes of its answer as they come."""

from __future__ import annotations

import logging
import os
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING
from urllib.parse import quote, urljoin, urlsplit

from modhub._version import __version__
from modhub.errors import InvalidArgumentError
from modhub.settings.redact import shown
from modhub.transports.credentials import Credentials, credentials_for, origin
from modhub.transports.failures import Failed, body_failure, exception_failure
from modhub.transports.kaggle_pages import download_url

if TYPE_CHECKING:
    import requests

    from modhub.settings import Settings

__all__ = ["Answer", "Asker"]

_LOG = logging.getLogger("modhub")
_MOST_REDIRECTS = 10
_BLOCK = 2**18
_MOST_LOCATION = 8192
_SHOWN = 200
# What a URL may consist of, "%" among it: what is written there stays as it is.
_URL_CHARACTERS = "!#$%&'()*+,-./:;=?@[]_~"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The answer to a request.

    Attributes:
      url: that answered, after all redirects.
      status: of HTTP.
      headers: of the answer, found in any case.
      response: whose body has not been read.
      credentials: that were sent, or not.
      at_kaggle: whether a page of Kaggle's led there; an answer is then an archive, whatever else was asked for.
    """

    url: str
    status: int
    headers: Mapping[str, str]
    response: requests.Response
    credentials: Credentials
    at_kaggle: bool

    @property
    def length(self) -> int | None:
        """How many bytes the body has, as the server says; None where it does not."""
        length = self.response.raw.length_remaining
        return length if isinstance(length, int) else None


class Asker:
    """Makes requests, one after the other, as the settings say. To be closed by `with`."""

    def __init__(self, settings: Settings) -> None:
        """Start a session.

        Raises:
          InvalidArgumentError: the file of certificates that the settings name is not there.
        """
        import requests

        from modhub.transports.patience import PatientAdapter

        if settings.verify_tls and settings.ca_bundle is not None and not os.path.exists(settings.ca_bundle):
            raise InvalidArgumentError(
                f"The file of certificates {settings.ca_bundle!r} does not exist. It is named by ca_bundle in the "
                "configuration, or by MODHUB_CA_BUNDLE, REQUESTS_CA_BUNDLE, CURL_CA_BUNDLE or SSL_CERT_FILE."
            )
        self._settings = settings
        self._session = requests.Session()
        # The environment is asked for proxies only: it is we who say which credentials go where.
        self._session.trust_env = False
        for scheme in ("http://", "https://"):
            self._session.mount(scheme, PatientAdapter(settings.read_timeout))
        self.proxy: str | None = None

    def __enter__(self) -> Asker:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._session.close()

    @contextmanager
    def get(
        self, url: str, headers: Mapping[str, str], userinfo: str | None, *, takes_303: bool = False
    ) -> Iterator[Answer]:
        """Ask, and follow redirects.

        Args:
          url: without userinfo and fragment.
          headers: for every request on the way.
          userinfo: of the handle; it is sent until a redirect leads to another origin.
          takes_303: whether an answer of status 303 is what is asked for, and so not followed.

        Yields:
          The first answer that is no redirect; its connection is closed at the end.

        Raises:
          Failed: there is none, or it is not one to follow.
          DownloadError: a page of Kaggle's that shows no module was met.
        """
        answer = self._follow(url, headers, userinfo, takes_303)
        try:
            yield answer
        finally:
            answer.response.close()

    def blocks(self, answer: Answer) -> Iterator[bytes]:
        """Yield the body as it comes, not unpacked.

        Raises:
          Failed: the connection broke, stalled, or is too slow.
        """
        settings = self._settings
        begin, count = time.monotonic(), 0
        while True:
            try:
                block = answer.response.raw.read1(_BLOCK, decode_content=False)
            except Exception as error:
                raise body_failure(answer.url, error, settings) from None
            if not block:
                return
            yield block
            count += len(block)
            passed = time.monotonic() - begin
            if passed >= settings.read_timeout:
                if count < settings.min_speed * passed:
                    brief = f"{count} bytes came in {passed:.1f} s"
                    what = f"{shown(answer.url)!r} sent {count} bytes in {passed:.1f} s"
                    hint = f"Less than {settings.min_speed} bytes a second count as a stall (MODHUB_MIN_SPEED)."
                    raise Failed(what, answer.url, is_passing=True, hint=hint, brief=brief)
                begin, count = time.monotonic(), 0

    def _follow(self, url: str, headers: Mapping[str, str], userinfo: str | None, takes_303: bool) -> Answer:
        at_kaggle, seen = False, set()
        self._session.cookies.clear()
        for _ in range(_MOST_REDIRECTS + 1):
            page, url = url, download_url(url) or url
            if url != page:
                at_kaggle, userinfo = True, None
            if url in seen:
                raise Failed(f"{shown(url)!r} redirects in a circle", url)
            seen.add(url)
            credentials = credentials_for(url, self._settings, userinfo)
            response = self._send(url, headers, credentials)
            try:
                location = self._location(response, url)
                if location is None or (takes_303 and response.status_code == 303):
                    return Answer(
                        url=url,
                        status=response.status_code,
                        headers=response.headers,
                        response=response,
                        credentials=credentials,
                        at_kaggle=at_kaggle,
                    )
            except BaseException:
                response.close()
                raise
            response.close()
            target = _target(url, location)
            if origin(target) != origin(url):
                userinfo = None
                self._session.cookies.clear()  # they know hosts, but not ports
            _LOG.info("%s redirects to %s", shown(url), shown(target))
            url = target
        raise Failed(f"{shown(url)!r} is the end of more than {_MOST_REDIRECTS} redirects", url)

    def _location(self, response: requests.Response, url: str) -> str | None:
        try:
            return self._session.get_redirect_target(response)
        except UnicodeDecodeError:
            location = repr(shown(response.headers["location"])[:_SHOWN])
        raise Failed(f"{shown(url)!r} redirects to {location}, which is no URL", url)

    def _send(self, url: str, headers: Mapping[str, str], credentials: Credentials) -> requests.Response:
        import requests
        import urllib3

        settings = self._settings
        fields = {"User-Agent": f"modhub/{__version__}", "Accept": "*/*", "Accept-Encoding": "identity", **headers}
        verify = (settings.ca_bundle or True) if settings.verify_tls else False
        try:
            proxies = requests.utils.get_environ_proxies(url)
            self.proxy = requests.utils.select_proxy(url, proxies)
            # By http they are for this machine alone, and a proxy is another, or may be.
            if credentials.header is not None and not (self.proxy and url.lower().startswith("http:")):
                fields["Authorization"] = credentials.header
            with warnings.catch_warnings() if not verify else _nothing():
                if not verify:
                    _LOG.warning("The certificate of %s is not checked, as the settings ask for", shown(url))
                    warnings.simplefilter("ignore", urllib3.exceptions.InsecureRequestWarning)
                # The session's own send would read the body of a redirect, however long, before it returns.
                prepared = self._prepared(url, fields)
                response = self._session.get_adapter(url).send(
                    prepared,
                    stream=True,
                    timeout=(settings.connect_timeout, settings.read_timeout),
                    verify=verify,
                    proxies=proxies,
                )
            self._session.cookies.update(response.cookies)
            return response
        except (requests.exceptions.RequestException, urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            failure = exception_failure(url, error, settings)
        raise failure

    def _prepared(self, url: str, fields: Mapping[str, str]) -> requests.PreparedRequest:
        import requests

        prepared = self._session.prepare_request(requests.Request("GET", url, headers=dict(fields)))
        # requests spells path and query its own way, which may break the signature in a URL.
        start = urlsplit(prepared.url or "")
        parts = urlsplit(quote(url, safe=_URL_CHARACTERS))
        prepared.url = f"{start.scheme}://{start.netloc}{parts.path or '/'}{'?' + parts.query if parts.query else ''}"
        return prepared


@contextmanager
def _nothing() -> Iterator[None]:
    yield


def _target(url: str, location: str) -> str:
    """Return where a redirect leads, if it may.

    Raises:
      Failed: it may not.
    """
    named = f"{shown(url)!r} redirects to {shown(location)[:_SHOWN]!r}"
    if len(location) > _MOST_LOCATION:
        raise Failed(f"{named}..., a URL of {len(location)} characters; at most {_MOST_LOCATION} are followed", url)
    try:
        target = urljoin(url, location).partition("#")[0]
        scheme, host, _ = origin(target)
        with_userinfo = urlsplit(target)
        target = with_userinfo._replace(netloc=with_userinfo.netloc.rpartition("@")[2]).geturl()
    except ValueError:
        raise Failed(f"{named}, which is no URL", url) from None
    named = f"{shown(url)!r} redirects to {shown(target)[:_SHOWN]!r}"
    if scheme not in ("http", "https") or not host:
        raise Failed(f"{named}; only http and https are followed", url)
    if scheme == "http" and urlsplit(url).scheme.lower() == "https":
        hint = (
            "Anyone on the way could change what comes by http. Is there another address, or a mirror (MODHUB_MIRRORS)?"
        )
        raise Failed(f"{named}, from https to http, which is not followed", url, hint=hint)
    return target
