"""Rules for the files of a module: assets, and what does not belong there."""

from __future__ import annotations

import re

from modhub.format.layout import ASSETS, BUNDLE, MODULE_DEF, SAVED_MODEL
from modhub.format.meta_graphs import SAVED_MODEL_TEXT
from modhub.format.names import show_tags
from modhub.inspection.contents import TF1_HUB
from modhub.inspection.findings import Severity
from modhub.inspection.lint.rules import ANY_FORMAT, EXPORTING_PAGE, TENSORFLOW, Found, Rule, rule
from modhub.inspection.lint.subject import Subject

__all__ = ["RULES"]

RULES: list[Rule] = []

_FILES = (MODULE_DEF, SAVED_MODEL, SAVED_MODEL_TEXT)
_BUNDLE_FILE = re.compile(rf"{BUNDLE}\.(index|data-\d{{5}}-of-\d{{5}})")
_SAVED_MODEL_FILE = re.compile(r"assets\.extra/.+|keras_metadata\.pb|fingerprint\.pb|saved_model\.cpb")
_ABOUT = re.compile(r"(readme|license|licence|notice|copying|authors|changelog)(\.(md|txt|rst))?", re.IGNORECASE)

# Name of a file or folder -> what leaves it there.
_CLUTTER = (
    (re.compile(r"\.DS_Store|\._.*|__MACOSX|Thumbs\.db|desktop\.ini|\.directory", re.IGNORECASE), "a file browser"),
    (re.compile(r".*~|\..*\.sw[a-p]|#.*#|\.#.*|.*\.(bak|orig|rej)|\.ipynb_checkpoints|\.idea|\.vscode"), "an editor"),
    (re.compile(r".*\.(partial|part|tmp|temp|crdownload|lock|download)|.*\.tempstate.*"), "a download or copy"),
    (re.compile(r"\.git|\.gitignore|\.gitattributes|\.svn|\.hg|__pycache__|.*\.py[co]"), "a tool for code"),
    (re.compile(r"checkpoint|.*\.ckpt(-\d+)?(\..*)?|.*\.meta|graph\.pbtxt|events\.out\.tfevents\..*"), "training"),
    (re.compile(r".*\.(index|data-\d{5}-of-\d{5})"), "training (a checkpoint)"),
)


@rule(
    RULES,
    "asset-missing",
    Severity.ERROR,
    source=EXPORTING_PAGE,
    fix="Export the module again where the file is, or put it below 'assets/' under this name.",
    formats=ANY_FORMAT,
)
def asset_missing(subject: Subject) -> Found:
    """A variant names an asset whose file is not below `assets/`; tables that need it cannot be filled."""
    for asset in subject.inspection.assets:
        if asset.bytes is None:
            users = ", ".join(map(show_tags, asset.used_by))
            yield f"{ASSETS}/{asset.name}", f"The file is missing; it is named by the variants {users}."


@rule(
    RULES,
    "asset-unused",
    Severity.WARNING,
    source=EXPORTING_PAGE,
    fix="Delete the file, or add the constant with its path to the collection ASSET_FILEPATHS.",
    formats=ANY_FORMAT,
)
def asset_unused(subject: Subject) -> Found:
    """A file below `assets/` is named by no variant, so no graph reads it, and an export of the module loses it."""
    for asset in subject.inspection.assets:
        if asset.bytes is not None and not asset.used_by and _origin(asset.name) is None:
            yield f"{ASSETS}/{asset.name}", f"No variant names this file of {asset.bytes} bytes."


@rule(
    RULES,
    "stray-file",
    Severity.WARNING,
    source=EXPORTING_PAGE,
    fix="Delete the file before the module is published.",
    formats=ANY_FORMAT,
)
def stray_file(subject: Subject) -> Found:
    """A file was left behind by another program: checkpoints, `.DS_Store`, backups of editors, partial downloads."""
    for name in _strangers(subject):
        origin = _origin(name)
        if origin is not None:
            yield name, f"It looks like a file of {origin}."


@rule(
    RULES,
    "unknown-file",
    Severity.NOTE,
    source=EXPORTING_PAGE,
    fix="If graphs need the file, make it an asset. If not, say in the documentation what it is for, or delete it.",
    formats=ANY_FORMAT,
)
def unknown_file(subject: Subject) -> Found:
    """A file is none of those that modules are made of. Loaders do not look at it, and an export loses it."""
    for name in _strangers(subject):
        # Unused files below assets/ are found by asset-unused.
        if _origin(name) is None and not name.startswith(f"{ASSETS}/"):
            yield name, f"A file of {subject.inspection.files[name]} bytes that no loader reads."


@rule(
    RULES,
    "two-graph-files",
    Severity.WARNING,
    source=TENSORFLOW + ": saved_model.pb is read first, and saved_model.pbtxt only where there is no such file",
    fix="Delete the one that is out of date.",
    formats=ANY_FORMAT,
)
def two_graph_files(subject: Subject) -> Found:
    """There are saved_model.pb and saved_model.pbtxt, which may differ; TensorFlow reads the first."""
    if SAVED_MODEL in subject.inspection.files and SAVED_MODEL_TEXT in subject.inspection.files:
        yield SAVED_MODEL_TEXT, f"It is there beside {SAVED_MODEL!r}, and TensorFlow does not read it."


def _strangers(subject: Subject) -> list[str]:
    used = {f"{ASSETS}/{asset.name}" for asset in subject.inspection.assets if asset.used_by}
    is_module = subject.contents.format == TF1_HUB
    return [
        name
        for name in subject.inspection.files
        if name not in used
        and name not in _FILES
        and not _BUNDLE_FILE.fullmatch(name)
        and not _ABOUT.fullmatch(name)
        and (is_module or not _SAVED_MODEL_FILE.fullmatch(name))
    ]


def _origin(name: str) -> str | None:
    """Return what left a file there, by the names on its path; None where they say nothing."""
    parts = name.split("/")
    return next((origin for pattern, origin in _CLUTTER if any(map(pattern.fullmatch, parts))), None)
