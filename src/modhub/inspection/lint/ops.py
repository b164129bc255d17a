"""Rules for ops and collections that other programs cannot load."""

from __future__ import annotations

from modhub.inspection.findings import Severity
from modhub.inspection.lint.rules import ANY_FORMAT, EXPORTING_PAGE, MODULES, TENSORFLOW, Found, Rule, rule
from modhub.inspection.lint.subject import Subject, Variant
from modhub.inspection.scan.ops import op_classes

__all__ = ["COLLECTIONS", "RULES"]

RULES: list[Rule] = []

_PYTHON = ("EagerPyFunc", "PyFunc", "PyFuncStateless")
# What goes with a module; the same list as that of modhub.authoring.checks, which imports TensorFlow.
COLLECTIONS = frozenset(
    {
        "asset_filepaths", "cond_context", "hub_module_attachments", "model_variables", "regularization_losses",
        "saved_model_assets", "table_initializer", "trainable_variables", "update_ops", "variables", "while_context",
    }
)  # fmt: skip


@rule(
    RULES,
    "python-op",
    Severity.ERROR,
    source=TENSORFLOW + ": py_function keeps its function in the process that made the graph",
    fix="Write what it does with TensorFlow's ops, or leave it to the caller.",
    formats=ANY_FORMAT,
)
def python_op(subject: Subject) -> Found:
    """A graph calls a Python function (py_func, py_function, numpy_function).

    Only its number is in the graph, so that another process finds no function, or another one.
    """
    for variant in subject.variants:
        for function, op, name in _nodes_of(variant, set(_PYTHON)):
            yield _place(variant, function, name), f"The op {op!r} calls a function of Python."


@rule(
    RULES,
    "unknown-op",
    Severity.WARNING,
    source=TENSORFLOW + ": an op is known by the library that registers it",
    fix="Say in the documentation which package has to be imported first, or use ops of TensorFlow.",
    formats=ANY_FORMAT,
)
def unknown_op(subject: Subject) -> Found:
    """A graph has ops that stock TensorFlow does not have; it loads only where the package with them is imported."""
    for variant in subject.variants:
        description = variant.description
        counts = {op: description.ops.get(op, 0) + description.function_ops.get(op, 0)
                  for op in sorted({*description.ops, *description.function_ops})}  # fmt: skip
        for op, count in counts.items():
            if op not in variant.graph.functions and op_classes(op) is None:
                times = "node" if count == 1 else "nodes"
                yield variant.where, f"The op {op!r} ({count} {times}) is none of TensorFlow's."


@rule(
    RULES,
    "unsupported-collection",
    Severity.ERROR,
    source=EXPORTING_PAGE,
    fix="Leave the collection out: hub.create_module_spec(..., drop_collections=[...]).",
    formats=MODULES,
)
def unsupported_collection(subject: Subject) -> Found:
    """A variant has a collection that does not go with a module; tensorflow_hub refuses to load it."""
    for variant in subject.variants:
        for name, count in variant.description.collections.items():
            if name not in COLLECTIONS and count:
                yield variant.where, f"The collection {name!r} has {count} items; modules have none such."


def _nodes_of(variant: Variant, ops: set[str]) -> list[tuple[str, str, str]]:
    """Return (function, op, name) of the nodes that have one of some ops."""
    if not ops & (variant.description.ops.keys() | variant.description.function_ops.keys()):
        return []
    return [(where, node.op, node.name) for where, nodes in variant.bodies() for node in nodes if node.op in ops]


def _place(variant: Variant, function: str, node: str) -> str:
    inside = f", function {function!r}" if function else ""
    return f"{variant.where}{inside}, node {node!r}"
