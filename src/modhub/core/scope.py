"""Where a module's state goes: which graph, and under which name."""

from __future__ import annotations

import contextlib
import gc
import re
from collections.abc import Iterator

import tensorflow as tf

from modhub import errors
from modhub.core import _tensorflow

__all__ = ["new_name_scope", "paused_collection", "state_graph", "unique_scope"]

_SCOPE_NAME = re.compile(r"[A-Za-z0-9.][A-Za-z0-9_.\\/>-]*")


@contextlib.contextmanager
def paused_collection() -> Iterator[None]:
    """Put garbage collection off for the length of the body, which makes many objects and drops few.

    With TensorFlow imported a pass takes 0.12 s, more than it takes to create a module of 267 variables.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


@contextlib.contextmanager
def state_graph() -> Iterator[tf.Graph]:
    """Make the graph that state belongs in the default: the outermost one, outside functions and control flow.

    Variables must outlive a branch of tf.cond or one element of Dataset.map; so they are created in the graph around
    them. In a `tf.compat.v1.wrap_function` under eager execution it is the function's own graph, as v1 code expects.

    Raises:
      GraphError: there is no graph.
    """
    if tf.executing_eagerly():
        raise errors.GraphError(
            "hub.Module needs a graph, and eager execution is enabled: exporting/importing meta graphs is not "
            "supported when eager execution is enabled. Use modhub.load(handle), or `with tf.Graph().as_default():`, "
            "or tf.compat.v1.wrap_function."
        )
    graph = tf.compat.v1.get_default_graph()
    with tf.init_scope():
        outermost = None if tf.executing_eagerly() else tf.compat.v1.get_default_graph()
    if outermost is None and _tensorflow.runs_stateful_ops_by_itself(graph):
        raise errors.GraphError(
            "hub.Module was called in a tf.function under eager execution, where its variables would not outlive the "
            "trace. Call modhub.load(handle) outside the function, or use hub.Module in a tf.Graph or in "
            "tf.compat.v1.wrap_function."
        )
    if (outermost or graph).finalized:
        raise errors.GraphError("The graph is finalized, so no hub.Module can be made in it: make it before.")
    # Entering a graph again keeps its variable scope; control dependencies and control flow are left for a while.
    with (outermost or graph).as_default() as target, tf.control_dependencies(None):
        yield target


@contextlib.contextmanager
def unique_scope(graph: tf.Graph, name: str) -> Iterator[str]:
    """Open a new variable scope below the current one, whose name is free as a name scope too.

    Args:
      graph: the default graph.
      name: its name; "_1", "_2", ... is added where it is taken.

    Yields:
      The full name of the scope, "outer/module_1".

    Raises:
      InvalidArgumentError: `name` is no legal scope name.
    """
    if not isinstance(name, str) or not _SCOPE_NAME.fullmatch(name) or name.endswith("/"):
        raise errors.InvalidArgumentError(
            f"name={name!r} is not a legal scope name: use letters, digits and '_.-/>', a letter or digit first."
        )
    while True:
        # Each turn uses up one name of the variable scope, so the loop ends at the first that no op has.
        with tf.compat.v1.variable_scope(None, default_name=name, auxiliary_name_scope=False) as scope:
            with graph.name_scope(None):
                free = graph.unique_name(scope.name, mark_as_used=False) == scope.name
                free = free and not _has_ops_below(graph, scope.name)
                if free:
                    graph.unique_name(scope.name)  # marks it as used, also for a module without any op
            if free:
                yield scope.name
                return


def new_name_scope(graph: tf.Graph, name: str) -> str:
    """Return a new name scope below the current one: "outer/name_1", which no op is in yet.

    `Graph.name_scope` knows the scopes that it opened itself, and not those of ops that were imported; an import into
    such a scope would rename what is there already.
    """
    while True:
        scope: str = graph.unique_name(name)
        if not _has_ops_below(graph, scope):
            return scope


def _has_ops_below(graph: tf.Graph, scope: str) -> bool:
    prefix = f"{scope}/"
    return any(op.name.startswith(prefix) for op in graph.get_operations())
