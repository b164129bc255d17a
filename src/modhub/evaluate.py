"""A module as a function on values."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import tensorflow as tf

from modhub.authoring import ModuleSpec
from modhub.core import ParsedTensorInfo, convert_inputs, parse, to_components
from modhub.module import Module, check_sentinel

__all__ = ["eval_function_for_module"]


@contextlib.contextmanager
def eval_function_for_module(
    spec: ModuleSpec | str | os.PathLike[str], tags: Iterable[str] | None = None
) -> Iterator[Callable[..., Any]]:
    """Give a module as a Python function on values, for the length of a `with`.

    Args:
      spec: a `ModuleSpec`, or the path of a published module.
      tags: the tags of the graph variant; None means the empty set.

    Yields:
      A function `f(inputs=None, signature=None, as_dict=None)`, which takes and returns NumPy arrays (and
      SparseTensorValues, RaggedTensorValues), with the arguments and errors of `Module.__call__`.

    Example:
      >>> import modhub as hub, tensorflow as tf
      >>> def module_fn():
      ...     x = tf.compat.v1.placeholder(tf.float32, [None])
      ...     hub.add_signature(inputs=x, outputs=x + 1)
      >>> with hub.eval_function_for_module(hub.create_module_spec(module_fn)) as f:
      ...     f([1.0, 2.0]).tolist()
      [2.0, 3.0]
    """
    graph = tf.Graph()
    with graph.as_default():
        module = Module(spec, tags=tags)
        placeholders, outputs = {}, {}
        for name in module.get_signature_names():
            placeholders[name] = {key: _placeholder(info) for key, info in module.get_input_info_dict(name).items()}
            outputs[name] = module(placeholders[name], signature=name, as_dict=True)
        initializers = [tf.compat.v1.global_variables_initializer(), tf.compat.v1.tables_initializer()]
    # Not `with session:`, which would make its graph the default one for the caller.
    session = tf.compat.v1.Session(graph=graph)
    try:
        session.run(initializers)

        def call(
            inputs: Any = None, _sentinel: None = None, signature: str | None = None, as_dict: bool | None = None
        ) -> Any:
            check_sentinel(_sentinel)
            name, definition = module.select_signature(signature, as_dict)
            values = _values_of(inputs, definition.inputs, f"the signature {name!r}")
            feeds = {
                tensor: part
                for key, placeholder in placeholders[name].items()
                for tensor, part in zip(to_components(placeholder), values[key], strict=True)
            }
            wanted = outputs[name] if as_dict else outputs[name]["default"]
            return session.run(wanted, feed_dict=feeds)

        yield call
    finally:
        session.close()


def _placeholder(info: ParsedTensorInfo) -> Any:
    return tf.nest.map_structure(
        lambda spec: tf.compat.v1.placeholder(spec.dtype, spec.shape), info.type_spec, expand_composites=True
    )


def _values_of(inputs: Any, infos: Mapping[str, Any], where: str) -> dict[str, list[Any]]:
    """Return the arrays to feed for each input, checked as a call of the module checks them."""
    parsed = {key: parse(info) for key, info in infos.items()}
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        components = {key: to_components(value) for key, value in convert_inputs(inputs, parsed, where).items()}
        found: dict[str, list[Any]] = session.run(components) if components else {}
        return found
