"""Pages of models at Kaggle, as tfhub.dev redirects to them, and the URLs of their archives."""

from __future__ import annotations

import pytest

from modhub.errors import DownloadError
from modhub.transports.kaggle_pages import download_url

ARCHIVE = "https://www.kaggle.com/api/v1/models/google/nnlm/tensorFlow1/en-dim128/1/download"


@pytest.mark.parametrize(
    "url",
    [
        "https://www.kaggle.com/models/google/nnlm/frameworks/TensorFlow1/variations/en-dim128/versions/1",
        "https://www.kaggle.com/models/google/nnlm/frameworks/tensorFlow1/variations/en-dim128/versions/1/",
        "https://kaggle.com/models/google/nnlm/TensorFlow1/en-dim128/1",
        "https://WWW.Kaggle.com/models/google/nnlm/tensorflow1/en-dim128/1",
        "http://www.kaggle.com/models/google/nnlm/TENSORFLOW1/variations/en-dim128/versions/1",
        "https://www.kaggle.com/models/google/nnlm/TensorFlow1/en-dim128/1?tfhub-redirect=true",
        "https://www.kaggle.com/models/google/nnlm/TensorFlow1/en-dim128/1?tf-hub-format=compressed&tfhub-redirect=true#x",
        "https://www.kaggle.com/models/google/nnlm/TensorFlow1/en%2Ddim128/1",
    ],
)
def test_a_page_has_an_archive(url: str) -> None:
    assert download_url(url) == ARCHIVE


@pytest.mark.parametrize("name", ["frameworks", "variations", "versions"])
def test_a_model_may_be_called_like_a_label(name: str) -> None:
    url = f"https://www.kaggle.com/models/{name}/{name}/frameworks/keras/variations/v/versions/2"
    assert download_url(url) == f"https://www.kaggle.com/api/v1/models/{name}/{name}/keras/v/2/download"


def test_a_framework_that_is_not_known_is_kept() -> None:
    url = "https://www.kaggle.com/models/a/b/NewOne/v/3"
    assert download_url(url) == "https://www.kaggle.com/api/v1/models/a/b/NewOne/v/3/download"


def test_the_api_may_be_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAGGLE_API_ENDPOINT", "http://127.0.0.1:1234/")
    url = "https://www.kaggle.com/models/a/b/keras/v/3"
    assert download_url(url) == "http://127.0.0.1:1234/api/v1/models/a/b/keras/v/3/download"


@pytest.mark.parametrize(
    "url",
    [
        "https://tfhub.dev/google/nnlm-en-dim128/1",
        "https://www.kaggle.com.example.com/models/a/b/keras/v/3",
        "https://example.com/https://www.kaggle.com/models/a/b/keras/v/3",
        "https://me@example.com/models/a/b/keras/v/3",
        "ftp://www.kaggle.com/models/a/b/keras/v/3",
        "https://www.kaggle.com/datasets/a/b",
        "https://www.kaggle.com/",
        ARCHIVE,
        "https://[::1/models",
        "",
    ],
)
def test_other_urls_are_no_pages(url: str) -> None:
    assert download_url(url) is None


def test_a_page_without_a_version_is_told_with_two_ways_on() -> None:
    url = "https://www.kaggle.com/models/google/nnlm/TensorFlow1/en-dim128?tfhub-redirect=true"
    with pytest.raises(DownloadError) as caught:
        download_url(url)
    message = str(caught.value)
    assert "'https://www.kaggle.com/models/google/nnlm/TensorFlow1/en-dim128/1'" in message
    assert "'kaggle://google/nnlm/tensorFlow1/en-dim128'" in message
    assert caught.value.url == url


@pytest.mark.parametrize("slash", ["", "/"])
def test_the_list_of_all_models_means_that_tfhub_dev_has_it_no_more(slash: str) -> None:
    with pytest.raises(DownloadError, match=r"tfhub\.dev sends there who asks for a module that it has no more"):
        download_url(f"https://www.kaggle.com/models{slash}?tfhub-redirect=true")


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/google",
        "/google/nnlm",
        "/google/nnlm/keras",
        "/a/b/keras/v/latest",
        "/a/b/keras/v/²",
        "/a/b/keras/v/1/x/y",
    ],
)
def test_a_page_that_shows_no_single_module_is_told(path: str) -> None:
    with pytest.raises(DownloadError, match=r"OWNER/MODEL/FRAMEWORK/VARIATION/VERSION|cannot be a name"):
        download_url(f"https://www.kaggle.com/models{path}")


@pytest.mark.parametrize("part", ["..", "a%2Fb", "%00", "a b", "-x", "%2e%2e"])
def test_a_part_that_is_no_name_is_refused(part: str) -> None:
    with pytest.raises(DownloadError, match="cannot be a name at Kaggle"):
        download_url(f"https://www.kaggle.com/models/google/{part}/keras/v/1")
