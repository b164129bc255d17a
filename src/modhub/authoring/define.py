"""Makes a spec from a module_fn: one graph for each variant, checked and described."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import tensorflow as tf

from modhub import errors
from modhub.authoring.checks import (
    as_collection_keys,
    check_assets,
    check_collections,
    check_colocations,
    check_signatures,
)
from modhub.authoring.declarations import Declarations, collect_declarations
from modhub.authoring.spec import ModuleSpec
from modhub.core import ModuleDescription, Variant, as_tag_set, set_attachments, show_tags

__all__ = ["create_module_spec"]


def create_module_spec(
    module_fn: Callable[..., Any],
    tags_and_args: Sequence[tuple[Iterable[str], Mapping[str, Any]]] | None = None,
    drop_collections: Iterable[str] | None = None,
) -> ModuleSpec:
    """Create a spec from a function that builds the module's graph.

    The function is called once for each variant, in a new `tf.Graph` of its own. It declares what the module offers
    with `add_signature` and `attach_message`. Variables are resource variables unless it asks otherwise.

    Args:
      module_fn: builds the graph; called with a variant's keyword arguments.
      tags_and_args: the variants, as pairs of a set of tags and a dict of arguments. By default one without tags.
        By convention inference has no tags, and {"train"} marks a graph for training where that differs.
      drop_collections: names of graph collections that the module does without (LOSSES, GLOBAL_STEP, ...).

    Returns:
      A `ModuleSpec`; it holds the graphs and no values.

    Raises:
      ModuleDefinitionError: a variant has no signature, two have the same tags, a collection is not supported, or the
        graph ties state to other ops; see the functions that declare for the rest.
      InvalidArgumentError: tags are not a set of strings.

    Example:
      >>> import modhub as hub, tensorflow as tf
      >>> def module_fn(training):
      ...     x = tf.compat.v1.placeholder(tf.float32, [None, 3])
      ...     w = tf.compat.v1.get_variable("w", [3, 2])
      ...     y = tf.matmul(x, w)
      ...     hub.add_signature(inputs=x, outputs=tf.nn.dropout(y, rate=0.5) if training else y)
      >>> spec = hub.create_module_spec(module_fn, [(set(), dict(training=False)), ({"train"}, dict(training=True))])
      >>> [sorted(tags) for tags in spec.get_tags()]
      [[], ['train']]
    """
    if not callable(module_fn):
        raise errors.InvalidArgumentError(f"module_fn={module_fn!r} is no function that builds a graph.")
    dropped = as_collection_keys(drop_collections)
    wanted = _variants(tags_and_args or None)
    seen: set[frozenset[str]] = set()
    for tags, _ in wanted:
        if tags in seen:
            raise errors.ModuleDefinitionError(f"Tags {show_tags(tags)} used repeatedly in tags_and_args.")
        seen.add(tags)
    variants = tuple(_define(module_fn, tags, args, dropped) for tags, args in wanted)
    return ModuleSpec(ModuleDescription(variants=variants))


def _variants(tags_and_args: Any) -> list[tuple[frozenset[str], dict[str, Any]]]:
    pairs = [((), {})] if tags_and_args is None else tags_and_args
    try:
        return [(as_tag_set(tags), dict(args or {})) for tags, args in pairs]
    except (TypeError, ValueError) as error:
        if isinstance(error, errors.ModhubError):
            raise
        raise errors.InvalidArgumentError(
            f"tags_and_args={tags_and_args!r} is no sequence of pairs: a set of tags, and a dict of arguments."
        ) from error


def _define(
    module_fn: Callable[..., Any], tags: frozenset[str], args: Mapping[str, Any], dropped: Sequence[str]
) -> Variant:
    graph = tf.Graph()
    with graph.as_default(), collect_declarations(graph) as declarations:
        # Resource variables, so that reads are ordered and gradients sparse where they can be.
        with tf.compat.v1.variable_scope("", use_resource=True):
            _run(module_fn, args)
        for key in dropped:
            graph.clear_collection(key)
        check_signatures(declarations.signatures, tags)
        check_collections(key for key in graph.get_all_collection_keys() if graph.get_collection_ref(key))
        check_assets(graph)
        meta_graph = tf.compat.v1.train.export_meta_graph(graph=graph, strip_default_attrs=True)
    check_colocations(meta_graph.graph_def, tags)
    _forget_debug_names(meta_graph.graph_def)
    _describe(meta_graph, tags, declarations)
    return Variant(tags=tags, meta_graph=meta_graph)


def _run(module_fn: Callable[..., Any], args: Mapping[str, Any]) -> None:
    try:
        module_fn(**args)
    except AttributeError as error:
        if "Keras 3" not in str(error):
            raise
        raise errors.ModuleDefinitionError(
            f"The module_fn uses tf.layers: {error} Keras 3 dropped it; it works with Keras 2: pip install tf_keras, "
            "and set TF_USE_LEGACY_KERAS=1 in the environment before TensorFlow is imported."
        ) from error


def _forget_debug_names(graph_def: Any) -> None:
    """Remove what newer TensorFlows note of variables and TensorFlow 1.15 refuses to load; it changes no result."""
    for nodes in [graph_def.node, *(function.node_def for function in graph_def.library.function)]:
        for node in nodes:
            if node.op == "VarHandleOp":
                node.attr.pop("debug_name", None)


def _describe(meta_graph: Any, tags: frozenset[str], declarations: Declarations) -> None:
    meta_graph.meta_info_def.tags.extend(sorted(tags))
    for name, signature in declarations.signatures.items():
        meta_graph.signature_def[name].CopyFrom(signature)
    set_attachments(meta_graph, declarations.messages)
