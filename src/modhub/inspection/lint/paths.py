"""Rules for paths of the publisher's machine that stand in a graph."""

from __future__ import annotations

import re
from collections.abc import Iterator

from modhub.format.graph import Node
from modhub.inspection.findings import Severity
from modhub.inspection.lint.constants import strings
from modhub.inspection.lint.rules import ANY_FORMAT, EXPORTING_PAGE, Found, Rule, rule
from modhub.inspection.lint.subject import Scope, Subject
from modhub.inspection.scan.ops import file_arguments

__all__ = ["RULES", "is_absolute_path"]

RULES: list[Rule] = []

# Longer lists of strings are vocabularies and labels ("/m/01g317" is one), not paths.
_MOST_STRINGS = 16
_MOST_PATH = 4096
_SCHEMES = re.compile(r"(file|gs|s3|hdfs|viewfs|cns|ram|abfss?|wasbs?)://?\S+", re.IGNORECASE)
_WINDOWS = re.compile(r"[A-Za-z]:[\\/][^\\/:*?\"<>|\s][^:*?\"<>|\r\n]*|\\\\[^\\/\s]+\\[^\\/\s][^\r\n]*")
_POSIX = re.compile(r"/[\w.@~+,=-]+(/[\w.@~+,=: -]+)+/?")
_ROOTS = frozenset(
    {
        "Users", "Volumes", "app", "bigstore", "build", "cns", "content", "data", "dev", "etc", "export", "gpfs",
        "home", "kaggle", "lib", "lustre", "media", "mnt", "nfs", "opt", "placer", "private", "proc", "root", "run",
        "scratch", "shared", "srv", "storage", "tmp", "usr", "var", "work", "workspace",
    }
)  # fmt: skip
# The name that TensorFlow gives a table that it fills from a file: hash_table_<path>_<sizes and columns>.
_TABLE_NAME = re.compile(r"hash_table_(.+?)(_-?\d+){2,3}")
_TABLES = frozenset({"HashTable", "HashTableV2"})


def is_absolute_path(text: str) -> bool:
    r"""Tell whether a text is surely meant as the path of a file on some machine or in a store.

    Of POSIX paths those count that start at a usual folder, or have three parts: "/m/01g317" is a label.

    Example:
      >>> [is_absolute_path(text) for text in ("/tmp/vocab.txt", "C:\\data", "gs://b/v", "/m/01g317", "a/b/c")]
      [True, True, True, False, False]
    """
    if len(text) > _MOST_PATH:
        return False
    if _SCHEMES.fullmatch(text) or _WINDOWS.fullmatch(text):
        return True
    if not _POSIX.fullmatch(text):
        return False
    parts = text.strip("/").split("/")
    return len(parts) > 2 or parts[0] in _ROOTS


@rule(
    RULES,
    "absolute-path",
    Severity.WARNING,
    source=EXPORTING_PAGE,
    fix="Make the file an asset: add the constant with its path to the collection ASSET_FILEPATHS (tables made by "
    "tf.lookup.TextFileInitializer do that), so that it is published with the module.",
    formats=ANY_FORMAT,
)
def absolute_path(subject: Subject) -> Found:
    """A graph holds the absolute path of a file: a string constant, or an attribute of an op that opens files.

    On another machine the file is not there.
    """
    for variant in subject.variants:
        assets = {name.partition(":")[0] for name in variant.meta_graph.assets()}
        for function, nodes in variant.bodies():
            for node in nodes:
                if not function and node.name in assets:
                    continue
                for text in _texts(node):
                    if is_absolute_path(text):
                        yield Scope(function, nodes, ()).place(variant, node.name), f"It holds the path {text!r}."


@rule(
    RULES,
    "path-leak",
    Severity.NOTE,
    source="what published modules tell of the machines that they were made on",
    fix="Export the module with modhub, which erases such paths, or from a folder whose name may be known.",
    formats=ANY_FORMAT,
)
def path_leak(subject: Subject) -> Found:
    """A path of the publisher's machine is left in the graph, where readers replace it.

    The constants of assets get the path of the asset, and tables are known by other means. But anyone can read there
    how folders and users are called.
    """
    for variant in subject.variants:
        assets = {name.partition(":")[0] for name in variant.meta_graph.assets()}
        for node in variant.graph.nodes:
            if node.op == "Const" and node.name in assets:
                texts = list(_texts(node))
            elif node.op in _TABLES:
                name = node.attribute("shared_name").s.decode(errors="replace")
                found = _TABLE_NAME.fullmatch(name) if len(name) <= _MOST_PATH else None
                texts = [found[1]] if found else []
            else:
                continue
            for text in texts:
                if is_absolute_path(text):
                    yield Scope("", variant.graph.nodes, ()).place(variant, node.name), f"It tells the path {text!r}."


def _texts(node: Node) -> Iterator[str]:
    """Yield the strings of a node that may be paths: those of a small constant, and attributes that name files."""
    if node.op == "Const":
        found = strings(node)
        if len(found) <= _MOST_STRINGS:
            for each in found:
                yield each.decode(errors="replace")
        return
    for argument in file_arguments(node.op):
        if argument.index is None:
            value = node.attribute(argument.name)
            for each in (value.s, *value.list.s):
                yield each.decode(errors="replace")
