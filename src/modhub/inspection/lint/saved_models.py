"""Rules for SavedModels that are no modules, and what is said of the rules that were not run on them."""

from __future__ import annotations

from collections.abc import Mapping

from modhub.errors import CorruptModuleError
from modhub.format.layout import MODULE_DEF
from modhub.inspection.contents import TF1_SAVED_MODEL
from modhub.inspection.findings import Severity
from modhub.inspection.lint.rules import EXPORTING_PAGE, REUSABLE_PAGE, TF2, Found, Rule, rule
from modhub.inspection.lint.subject import Subject

__all__ = ["RULES"]

RULES: list[Rule] = []

_CALL = "__call__"
_LISTS = ("variables", "trainable_variables")


@rule(
    RULES,
    "module-marker-missing",
    Severity.NOTE,
    source=EXPORTING_PAGE,
    fix="Make a module of it: hub.create_module_spec_from_saved_model(path), and export that.",
    formats=frozenset({TF1_SAVED_MODEL}),
)
def module_marker_missing(subject: Subject) -> Found:
    """There is no `tfhub_module.pb`: it is a SavedModel of TF1, and no module.

    Rules for fine-tuning, variants, collections and default signatures are for modules, and were not run.
    """
    yield MODULE_DEF, "It is missing; only the rules for signatures of tasks, graphs and files were run."


@rule(
    RULES,
    "tf2-saved-model",
    Severity.NOTE,
    source=REUSABLE_PAGE,
    fix="Nothing to do; the rules for TF1 Hub modules do not apply.",
    formats=TF2,
)
def tf2_saved_model(subject: Subject) -> Found:
    """It is a TF2 SavedModel.

    The rules for signatures, fine-tuning and variants are for TF1 Hub modules, and were not run.
    """
    yield "module", "A TF2 SavedModel: only the rules for graphs, files and reusable SavedModels were run."


@rule(
    RULES,
    "reusable-call",
    Severity.NOTE,
    source=REUSABLE_PAGE,
    fix="Save an object whose __call__ is a tf.function that was traced, by a call or an input_signature.",
    formats=TF2,
)
def reusable_call(subject: Subject) -> Found:
    """The root object cannot be called, so `hub.KerasLayer` needs a signature, and cannot train the model."""
    for variant in subject.variants:
        nodes = variant.meta_graph.definition.object_graph_def.nodes
        if not nodes:
            continue
        call = _children(nodes, 0).get(_CALL)
        if call is None:
            yield "root object", "It has no __call__."
        elif nodes[call].WhichOneof("kind") == "function" and not nodes[call].function.concrete_functions:
            yield "root object", "Its __call__ was never traced."


@rule(
    RULES,
    "reusable-variables",
    Severity.WARNING,
    source=REUSABLE_PAGE,
    fix="Set obj.variables and obj.trainable_variables, lists of tf.Variable, before it is saved.",
    formats=TF2,
)
def reusable_variables(subject: Subject) -> Found:
    """The root object can be called, has variables somewhere, and does not list them.

    Callers who fine-tune train `trainable_variables` of the root object; without it they train nothing.
    """
    for variant in subject.variants:
        nodes = variant.meta_graph.definition.object_graph_def.nodes
        if not nodes or not any(node.WhichOneof("kind") == "variable" and node.variable.trainable for node in nodes):
            continue
        children = _children(nodes, 0)
        missing = [name for name in _LISTS if name not in children]
        if _CALL in children and missing:
            yield "root object", f"It has no {' and no '.join(missing)}, and there are trainable variables."


@rule(
    RULES,
    "reusable-losses",
    Severity.NOTE,
    source=REUSABLE_PAGE,
    fix="Set obj.regularization_losses, a list of tf.functions without arguments (empty if there are none).",
    formats=TF2,
)
def reusable_losses(subject: Subject) -> Found:
    """The root object can be called and has no list `regularization_losses`, which callers add when they fine-tune."""
    for variant in subject.variants:
        nodes = variant.meta_graph.definition.object_graph_def.nodes
        if not nodes:
            continue
        children = _children(nodes, 0)
        if _CALL in children and "trainable_variables" in children and "regularization_losses" not in children:
            yield "root object", "It has no regularization_losses."


def _children(nodes: object, index: int) -> Mapping[str, int]:
    """Return the children of a saved object by name."""
    found = {child.local_name: child.node_id for child in nodes[index].children}  # type: ignore[index]  # of messages
    for name, child in found.items():
        if not 0 <= child < len(nodes):  # type: ignore[arg-type]
            raise CorruptModuleError(f"The object {name!r} of the SavedModel is not in its object graph.")
    return found
