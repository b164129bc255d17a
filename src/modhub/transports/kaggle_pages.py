"""Pages of models at Kaggle, to which tfhub.dev redirects its handles, and where their archives are."""

from __future__ import annotations

import os
import re
from urllib.parse import quote, unquote, urlsplit

from modhub.errors import DownloadError
from modhub.settings.redact import shown

__all__ = ["api_base", "download_url"]

_HOSTS = ("kaggle.com", "www.kaggle.com")
_PART = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
# As kagglehub's documentation writes them; pages write the first letter large, users any of them small. Others are
# passed on as they came.
_FRAMEWORKS = {
    name.lower(): name
    for name in ("tensorFlow1", "tensorFlow2", "tfLite", "tfJs", "pyTorch", "jax", "flax", "keras", "onnx", "other")
}


def api_base() -> str:
    """Return where Kaggle's API is: KAGGLE_API_ENDPOINT, or "https://www.kaggle.com"; without a slash at the end."""
    return (os.environ.get("KAGGLE_API_ENDPOINT") or "https://www.kaggle.com").rstrip("/")


def download_url(url: str) -> str | None:
    """Return the URL of the archive of the model that a page of Kaggle shows.

    Pages are "https://www.kaggle.com/models/OWNER/MODEL/[frameworks/]FRAMEWORK/[variations/]VARIATION/[versions/]N";
    what comes after "?" or "#" is ignored.

    Args:
      url: any URL.

    Returns:
      The URL of Kaggle's API; None where the URL is no page of Kaggle's models.

    Raises:
      DownloadError: the page shows no model, or no single version of one. The message says what to ask for instead.

    Example:
      >>> download_url("https://www.kaggle.com/models/google/nnlm/frameworks/TensorFlow1/variations/en-dim128/versions/1")
      'https://www.kaggle.com/api/v1/models/google/nnlm/tensorFlow1/en-dim128/1/download'
      >>> download_url("https://example.com/models/google") is None
      True
    """
    try:
        split = urlsplit(url)
        host = split.hostname
    except ValueError:  # brackets that do not close
        return None
    parts = [unquote(part) for part in split.path.split("/") if part]
    if split.scheme.lower() not in ("http", "https") or host not in _HOSTS or parts[:1] != ["models"]:
        return None
    return _download_url(_without_labels(parts[1:]), url, "tfhub-redirect=true" in split.query.split("&"))


def _download_url(parts: list[str], url: str, is_redirect: bool) -> str:
    shown_url = shown(url)
    if not parts and is_redirect:
        raise DownloadError(
            f"{shown_url!r} is the list of Kaggle's models: tfhub.dev sends there who asks for a module that it has "
            "no more. Search https://www.kaggle.com/models for it, and use its kaggle:// handle, or name a mirror that "
            "has the module (MODHUB_MIRRORS).",
            shown_url,
        )
    for part in parts:
        if not _PART.fullmatch(part):
            raise DownloadError(f"{shown_url!r} is no page of a model: {part!r} cannot be a name at Kaggle.", shown_url)
    if len(parts) == 4:
        raise DownloadError(
            f"{shown_url!r} does not say which version of the model is meant. Add one, as in "
            f"'{shown_url.partition('?')[0].rstrip('/')}/1', or ask for the newest with 'kaggle://{_handle(parts)}', "
            "which needs pip install 'modhub[kaggle]'.",
            shown_url,
        )
    if len(parts) != 5 or not (parts[4].isascii() and parts[4].isdecimal()):
        raise DownloadError(
            f"{shown_url!r} is a page of Kaggle that shows no single module. One that does is "
            "https://www.kaggle.com/models/OWNER/MODEL/FRAMEWORK/VARIATION/VERSION, with a number as version.",
            shown_url,
        )
    return f"{api_base()}/api/v1/models/{quote(_handle(parts))}/download"


def _handle(parts: list[str]) -> str:
    owner, model, framework, *rest = parts
    return "/".join([owner, model, _FRAMEWORKS.get(framework.lower(), framework), *rest])


def _without_labels(parts: list[str]) -> list[str]:
    """Leave out the words "frameworks", "variations" and "versions" where they stand before what they announce."""
    kept: list[str] = []
    for part in parts:
        announced = {2: "frameworks", 3: "variations", 4: "versions"}.get(len(kept))
        if part.lower() != announced:
            kept.append(part)
    return kept
