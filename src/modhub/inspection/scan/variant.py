"""The part of a scan that looks at one variant: every node of its graph and functions, and its assets."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import PurePosixPath

from modhub.format import MAX_CONSTANT_BYTES
from modhub.format.graph import Budget, Function, Graph, Node, Nodes
from modhub.format.meta_graphs import MetaGraph, unreadable
from modhub.format.names import node_of
from modhub.inspection.findings import Severity
from modhub.inspection.scan.constants import check_stored_once, hidden_graphs, is_bomb, search_budget
from modhub.inspection.scan.ops import OpClass, op_classes
from modhub.inspection.scan.paths import Origin, Paths, Source
from modhub.inspection.scan.reach import Entry, reach_of
from modhub.inspection.scan.report import ScanFinding

__all__ = ["DANGEROUS", "variant_findings"]

_WHAT = {
    OpClass.RUNS_CODE: "runs code that is not in the graph",
    OpClass.HIDDEN_GRAPH: "runs a graph or program that it is given as data",
    OpClass.WRITES_FILES: "writes files",
    OpClass.NETWORK: "talks to other processes or machines",
    OpClass.READS_FILES: "reads files",
    OpClass.DENIAL_OF_SERVICE: "ends or blocks the process",
}
# The gravest first: an op of several classes is told by one.
DANGEROUS = tuple(_WHAT)
_MOST_HIDDEN_DEPTH = 3
_MOST_TEXTS = 3
_MOST_TEXT = 200


def variant_findings(meta_graph: MetaGraph) -> list[ScanFinding]:
    """Return what is to be said of a variant, one finding a node.

    Raises:
      CorruptModuleError: it is malformed, or stored as no writer does and readers may read differently.
    """
    with unreadable(meta_graph.where):
        _check_names(meta_graph.graph)
        return [*_assets(meta_graph), *_Variant(meta_graph).findings()]


def _check_names(graph: Graph) -> None:
    """Refuse names that stand for two things: which one is meant is up to the reader."""
    for name in graph.functions:
        if op_classes(name) is not None:
            raise ValueError(f"a function has the name of the op {name!r}")
    for function, nodes in _bodies(graph):
        arguments = [each.name for each in function.definition.signature.input_arg] if function else []
        if len(nodes.by_name.keys() | set(arguments)) != len(nodes) + len(arguments):
            raise ValueError(f"two nodes of {repr(function.name) if function else 'the graph'} have the same name")


def _assets(meta_graph: MetaGraph) -> Iterator[ScanFinding]:
    # All that are listed: objects of TF2 name theirs by its place, so that two of one tensor are two.
    listed = [(each.tensor_info.name, each.filename) for each in meta_graph.definition.asset_file_def]
    pairs = [(node_of(tensor), filename) for tensor, filename in (*meta_graph.assets().items(), *listed)]
    for node, filename in dict.fromkeys(pairs):
        path = PurePosixPath(filename.replace("\\", "/"))
        if not path.parts or path.is_absolute() or ".." in path.parts or ":" in path.parts[0]:
            yield ScanFinding(
                rule="asset-outside",
                severity=Severity.ERROR,
                op="",
                nodes=(node,),
                where=meta_graph.where,
                reached_by=str(Entry.INITIALIZER),
                message=f"names the asset {_short(filename)!r}, which is no file in assets/",
            )


class _Variant:
    """The scan of one variant."""

    def __init__(self, meta_graph: MetaGraph) -> None:
        self._where = meta_graph.where
        self._graph = meta_graph.graph
        self._reach = reach_of(meta_graph)
        self._paths = Paths(meta_graph)
        self._search = search_budget()

    def findings(self) -> Iterator[ScanFinding]:
        for function, nodes in _bodies(self._graph):
            for node in nodes:
                yield from self._node(node, function)

    def _node(self, node: Node, function: Function | None) -> Iterator[ScanFinding]:
        check_stored_once(node)
        reached = self._reach.of(function.name if function else None, node.name)
        if node.op == "Const":
            yield from self._constant(node, function, reached)
            return
        classes = op_classes(node.op)
        if classes is None:
            if node.op not in self._graph.functions:
                message = "is no op of stock TensorFlow: what it does is the business of the package that brings it"
                yield self._finding("unknown-op", Severity.WARNING, node, function, reached, message)
            return
        for each in DANGEROUS:
            if each in classes:
                yield from self._dangerous(node, function, reached, each, classes)
                return

    def _dangerous(
        self, node: Node, function: Function | None, reached: Entry, what: OpClass, classes: frozenset[OpClass]
    ) -> Iterator[ScanFinding]:
        scope = function.name if function else None
        if self._paths.touch_nothing(scope, node):
            return
        saver = OpClass.SAVER in classes
        if saver and reached in _run_by_saver(classes) and self._paths.follow_saver(scope, node):
            return
        sources = self._paths.sources(scope, node)
        origins = frozenset().union(*(source.origins for source in sources))
        severity, message = Severity.ERROR, _WHAT[what] + _shown(sources)
        if what is OpClass.READS_FILES and origins:
            if origins == {Origin.ASSET}:
                return
            if origins <= {Origin.ASSET, Origin.CALLER}:
                severity, message = Severity.NOTE, f"{message} whose path the caller passes"
            elif Origin.COMPUTED in origins:
                message += " of a computed path"
            # What BERT's exports, and others that started from a checkpoint, are left with.
            if saver and reached is Entry.VARIABLE and severity is Severity.ERROR:
                severity = Severity.WARNING
        if reached is Entry.NOTHING and severity is Severity.ERROR:
            severity = Severity.NOTE if saver else Severity.WARNING
        yield self._finding(str(what), severity, node, function, reached, message)

    def _constant(self, node: Node, function: Function | None, reached: Entry) -> Iterator[ScanFinding]:
        if any(map(is_bomb, node.tensors())):
            message = f"takes more than {MAX_CONSTANT_BYTES} bytes of memory, and next to none in the file"
            yield self._finding("constant-bomb", Severity.ERROR, node, function, reached, message)
        for graph in hidden_graphs(node, self._search):
            if graph is None:
                message = "holds a serialized graph that is too large to be read"
            else:
                inside = sorted(_told_ops(graph, self._search))
                message = "holds a serialized graph" + (f" with {', '.join(inside)}" if inside else " of pure ops")
            grave = (graph is None or inside) and reached is not Entry.NOTHING
            severity = Severity.ERROR if grave else Severity.WARNING
            yield self._finding(str(OpClass.HIDDEN_GRAPH), severity, node, function, reached, message)

    def _finding(
        self, rule: str, severity: Severity, node: Node, function: Function | None, reached: Entry, message: str
    ) -> ScanFinding:
        return ScanFinding(
            rule=rule,
            severity=severity,
            op=node.op,
            nodes=(f"{function.name}/{node.name}" if function else node.name,),
            where=self._where,
            reached_by=str(reached),
            message=message,
        )


def _run_by_saver(classes: frozenset[OpClass]) -> frozenset[Entry]:
    """Return what runs the ops of a saver and is harmless: restoring is a part of loading, and must not write."""
    return frozenset({Entry.SAVER}) if OpClass.WRITES_FILES in classes else frozenset({Entry.SAVER, Entry.RESTORE})


def _shown(sources: Iterable[Source]) -> str:
    texts = sorted({_short(text) for source in sources for text in source.texts if text})
    more = f" and {len(texts) - _MOST_TEXTS} more" if len(texts) > _MOST_TEXTS else ""
    return f": {', '.join(map(repr, texts[:_MOST_TEXTS]))}{more}" if texts else ""


def _short(text: str) -> str:
    return text if len(text) <= _MOST_TEXT else f"{text[:_MOST_TEXT]}..."


def _bodies(graph: Graph) -> Iterator[tuple[Function | None, Nodes]]:
    yield None, graph.nodes
    for function in graph.functions.values():
        yield function, function.nodes


def _told_ops(graph: Graph, search: Budget, depth: int = 0) -> set[str]:
    """Return the ops of a hidden graph that do more than compute, or are not known; also of graphs hidden in it."""
    found: set[str] = set()
    for _, nodes in _bodies(graph):
        for node in nodes:
            classes = op_classes(node.op) or frozenset()
            if not classes.isdisjoint(DANGEROUS):
                found.add(node.op)
            if node.op == "Const" and depth < _MOST_HIDDEN_DEPTH:
                for hidden in hidden_graphs(node, search):
                    found |= {"a graph that is too large"} if hidden is None else _told_ops(hidden, search, depth + 1)
    return found
