"""Modules at the Hugging Face hub, or a hub like it (HF_ENDPOINT), through the package huggingface_hub."""

from __future__ import annotations

import importlib
import os
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote

from modhub.errors import DownloadError, InvalidArgumentError, MissingDependencyError, ModhubError
from modhub.format.digests import FileDigest
from modhub.settings.redact import masked, shown
from modhub.transports.copying import check_listing, settle, write_file
from modhub.transports.credentials import credentials_for, names_of, origin, split_userinfo
from modhub.transports.job import Fetched, Job
from modhub.transports.package_errors import package_failure

if TYPE_CHECKING:
    from modhub.settings import Settings

__all__ = ["fetch_hugging_face"]

_FORM = "hf://OWNER/REPOSITORY, then @REVISION for another than 'main', then /FOLDER where the module lies in one"
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*")
_ENDPOINT = "https://huggingface.co"
_BEARER = "Bearer "


class _Repository(NamedTuple):
    """What a URL names: "owner/name", the revision or None, and the folder, "" for the root."""

    name: str
    revision: str | None
    folder: str


def fetch_hugging_face(url: str, job: Job) -> Fetched:
    """Fetch a module from a repository of models at the Hugging Face hub, a `Transport`.

    huggingface_hub looks up the revision, so that all files are of one commit, and lists them. Names and sizes are
    checked before any is fetched, by HTTP as other modules are, and no more of it than is listed. Credentials are
    modhub's for the hub's host, or else those of huggingface_hub (HF_TOKEN, or `hf auth login`).

    Args:
      url: "hf://owner/repository", with "@revision" (a branch, a tag or a commit; a slash in it is written "%2F")
        where it is not "main", and a folder within the repository where the module does not lie at its root.
      job: what is to be filled.

    Returns:
      What was fetched; its URL names the commit.

    Raises:
      MissingDependencyError: huggingface_hub is not installed.
      DownloadError: the URL is of another form, nothing is there, or huggingface_hub fails.
      CorruptModuleError: a name is refused, or files came otherwise than they are listed.
      CacheError: it cannot be written.
      InvalidArgumentError: HF_ENDPOINT is no URL.
    """
    repository = _parsed(url)
    endpoint = _endpoint()
    try:
        hub = importlib.import_module("huggingface_hub")
    except ImportError as error:
        raise MissingDependencyError(
            f"{url!r} is read with a package that is not installed: {error}. Install it with pip install 'modhub[hf]'."
        ) from error
    try:
        settings = _with_token(endpoint, job.settings, hub)
        header = credentials_for(endpoint, settings).header or ""
        token = header.removeprefix(_BEARER) if header.startswith(_BEARER) else False
        api = hub.HfApi(endpoint=endpoint, token=token)
        commit = api.repo_info(repository.name, revision=repository.revision, timeout=job.settings.connect_timeout).sha
        final = f"hf://{repository.name}@{commit}{repository.folder and '/'}{repository.folder}"
        listing = check_listing(_listed(api, repository, commit, job), final, job)
    except ModhubError:
        raise
    except Exception as error:  # of its own, of the HTTP package of its version, and plain ones for names
        raise _failed(url, error) from error
    base = f"{endpoint}/{repository.name}/resolve/{quote(commit, safe='')}/"
    above = f"{repository.folder}/" if repository.folder else ""
    places = {name: (base + quote(above + listed), size) for name, (listed, size) in listing.items()}
    files = _fetch(places, settings, job)
    settle(job.directory, files, final)
    return Fetched(url=final, archive=None, files=files)


def _parsed(url: str) -> _Repository:
    path = re.split("[?#]", url.partition("://")[2], maxsplit=1)[0].rstrip("/")
    owner, _, rest = path.partition("/")
    with_revision, _, folder = rest.partition("/")
    name, at, revision = with_revision.partition("@")
    parts = folder.split("/") if folder else []
    if (
        not (_NAME.fullmatch(owner) and _NAME.fullmatch(name))
        or (at and not revision)
        or any(part in ("", ".", "..") for part in parts)
    ):
        raise DownloadError(f"{url!r} is no handle of a repository at a Hugging Face hub. The form is {_FORM}.", url)
    return _Repository(f"{owner}/{name}", revision.replace("%2F", "/").replace("%2f", "/") or None, folder)


def _endpoint() -> str:
    endpoint = (os.environ.get("HF_ENDPOINT") or _ENDPOINT).rstrip("/")
    try:
        scheme, host, _ = origin(endpoint)
    except ValueError:
        scheme = host = ""
    if scheme not in ("http", "https") or not host:
        raise InvalidArgumentError(f"HF_ENDPOINT is {shown(endpoint)!r}, which is no URL: give {_ENDPOINT!r}.")
    return endpoint


def _with_token(endpoint: str, settings: Settings, hub: Any) -> Settings:
    """Return the settings with huggingface_hub's token for the hub, unless they have one of their own."""
    names = names_of(endpoint)
    constants = importlib.import_module("huggingface_hub.constants")
    if constants.HF_HUB_DISABLE_IMPLICIT_TOKEN or any(host.lower() in names for host in settings.tokens):
        return settings
    token = hub.get_token()
    return replace(settings, tokens={**settings.tokens, names[0]: token}) if token else settings


def _listed(api: Any, repository: _Repository, commit: str, job: Job) -> Iterator[tuple[str, int]]:
    """Yield the name of each file, relative to the folder, and its size."""
    entries = api.list_repo_tree(
        repository.name, path_in_repo=repository.folder or None, recursive=True, revision=commit
    )
    for count, entry in enumerate(entries):
        if count >= job.limits.members:
            raise ValueError(f"more than {job.limits.members} files and directories (Limits.members)")
        size = getattr(entry, "size", None)
        if size is not None:  # directories have none
            if size < 0:
                raise ValueError(f"a file of {size} bytes")
            yield entry.path.removeprefix(f"{repository.folder}/" if repository.folder else ""), size


def _fetch(places: dict[str, tuple[str, int | None]], settings: Settings, job: Job) -> dict[str, FileDigest]:
    """Fetch files, of each of which the URL and the size are given."""
    from modhub.transports.asking import Asker
    from modhub.transports.sized_files import file_blocks

    files = {}
    job.progress.start(sum(size or 0 for _, size in places.values()), shown(job.handle))
    with Asker(settings) as asker:
        for name, (place, size) in places.items():
            bare, userinfo = split_userinfo(place)
            files[name] = write_file(job.directory, name, file_blocks(asker, bare, userinfo, size or 0, job), job)
    return files


def _failed(url: str, error: Exception) -> DownloadError:
    failed = package_failure(url, error)
    if failed.hint:  # there is no network
        return DownloadError(f"{url!r} could not be fetched: {failed.what}. {failed.hint}", url)
    kind = type(error).__name__
    text = masked(f"{kind}: {error}")
    advice = {
        "RepositoryNotFoundError": "Check the spelling. A private repository needs HF_TOKEN, or `hf auth login`.",
        "GatedRepoError": "Ask for access at its page, and set HF_TOKEN, or run `hf auth login`.",
        "RevisionNotFoundError": "Check the branch, tag or commit after the '@'.",
        "EntryNotFoundError": "Check the folder after the repository.",
        "RemoteEntryNotFoundError": "Check the folder after the repository.",
    }.get(kind, "Try again; HF_ENDPOINT names another hub, HTTPS_PROXY a proxy.")
    return DownloadError(f"{url!r} could not be fetched with huggingface_hub ({text}). {advice}", url, failed.status)
