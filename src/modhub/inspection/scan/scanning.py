"""`hub.scan`: what a module could do beside computing, read from its graphs without running any of it."""

from __future__ import annotations

import os

from modhub.inspection.contents import Contents, open_module
from modhub.inspection.findings import Severity
from modhub.inspection.scan.files import file_findings
from modhub.inspection.scan.findings import gathered
from modhub.inspection.scan.report import ScanFinding, ScanReport
from modhub.inspection.scan.variant import DANGEROUS, variant_findings

__all__ = ["DANGEROUS", "scan", "scan_contents"]

_ORDER = {severity: rank for rank, severity in enumerate(Severity)}


def scan(handle: str | os.PathLike[str]) -> ScanReport:
    """Read all that a module could run, and report what does more than compute. Nothing is run, nor is TensorFlow.

    Every op of every graph variant and function is looked up in a table of TensorFlow's ops, also in graphs that are
    serialized in constants. How grave a finding is depends on what runs the op: loading, initializing tables, a
    signature, a collection, or nothing.

    A scan is no sandbox: see docs/scan.md for what it cannot tell.

    Args:
      handle: a directory, or a tar archive, which is read without unpacking it to disk.

    Returns:
      The findings, the gravest first; `refused` has those for which a module from a URL is not loaded.

    Raises:
      HandleNotFoundError, NotAModuleError, CorruptModuleError, UnsupportedFormatError: as `hub.inspect`.

    Example:
      >>> scan("no/such/module")
      Traceback (most recent call last):
      modhub.errors.HandleNotFoundError: 'no/such/module' does not exist. ...
    """
    return scan_contents(open_module(handle))


def scan_contents(contents: Contents) -> ScanReport:
    """Scan a module that was opened.

    Raises:
      CorruptModuleError: a part of it is malformed, or stored as no writer does.
    """
    found = list(file_findings(contents))
    for meta_graph in contents.meta_graphs:
        found += variant_findings(meta_graph)
    graphs = [meta_graph.graph for meta_graph in contents.meta_graphs]
    bodies = [graph.nodes for graph in graphs]
    bodies += [function.nodes for graph in graphs for function in graph.functions.values()]
    return ScanReport(
        handle=contents.handle,
        findings=tuple(sorted(gathered(found), key=_rank)),
        variants=len(graphs),
        functions=sum(len(graph.functions) for graph in graphs),
        ops=sum(map(len, bodies)),
        kinds=len({node.op for nodes in bodies for node in nodes}),
    )


def _rank(finding: ScanFinding) -> tuple[int, str, str, str, str]:
    return _ORDER[finding.severity], finding.rule, finding.where, finding.op, finding.message
