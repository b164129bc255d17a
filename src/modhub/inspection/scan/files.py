"""The part of a scan that looks at files: those that other readers than modhub's would load."""

from __future__ import annotations

import re
from collections.abc import Iterator

from modhub.errors import ModhubError
from modhub.format.files import ModuleFiles
from modhub.format.meta_graphs import read_meta_graphs, saved_model_names
from modhub.inspection.contents import Contents
from modhub.inspection.findings import Severity
from modhub.inspection.scan.objects import has_lambda
from modhub.inspection.scan.reach import Entry
from modhub.inspection.scan.report import ScanFinding
from modhub.inspection.scan.variant import variant_findings

__all__ = ["file_findings"]

_CHUNKED = "saved_model.cpb"
_KERAS_METADATA = "keras_metadata.pb"
_MOST_METADATA_BYTES = 2**26
_LAMBDA = b'"Lambda"'
# JSON may write each character by its number.
_ESCAPED = re.compile(rb"\\u00([0-7][0-9a-fA-F])")


def file_findings(contents: Contents) -> Iterator[ScanFinding]:
    """Yield what is to be said of the files of a module, and of the variants in a second SavedModel."""
    files = contents.files
    for name in saved_model_names(files)[1:]:
        yield _finding(
            files,
            "second-saved-model",
            Severity.WARNING,
            name,
            "is a second SavedModel: what it holds was scanned too, but readers differ in which of them they load",
        )
        try:
            for meta_graph in read_meta_graphs(files, name):
                yield from variant_findings(meta_graph)
        except ModhubError as error:
            message = f"cannot be read, so it cannot be judged: {error.message}"
            yield _finding(files, "unreadable", Severity.ERROR, name, message)
    if _CHUNKED in files.sizes:
        yield _finding(files, "unreadable", Severity.ERROR, _CHUNKED, "is in a form that modhub does not read")
    yield from _lambdas(contents)


def _lambdas(contents: Contents) -> Iterator[ScanFinding]:
    files = contents.files
    message = "has a Lambda layer, whose Python code Keras would run when it loads the model"
    if _KERAS_METADATA in files.sizes:
        metadata = files.read(_KERAS_METADATA, _MOST_METADATA_BYTES)
        if _LAMBDA in _ESCAPED.sub(lambda found: bytes([int(found.group(1), 16)]), metadata):
            yield _finding(files, "keras-lambda", Severity.WARNING, _KERAS_METADATA, message)
    if any(has_lambda(meta_graph.definition) for meta_graph in contents.meta_graphs):
        yield _finding(files, "keras-lambda", Severity.WARNING, saved_model_names(files)[0], message)


def _finding(files: ModuleFiles, rule: str, severity: Severity, name: str, message: str) -> ScanFinding:
    return ScanFinding(
        rule=rule,
        severity=severity,
        op="",
        nodes=(),
        where=f"{files.where}/{name}",
        reached_by=str(Entry.NOTHING),
        message=message,
    )
