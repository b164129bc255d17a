"""What a module_fn declares besides its graph: signatures and attached messages."""

from __future__ import annotations

import contextlib
import contextvars
import dataclasses
import re
from collections.abc import Iterator, Mapping
from typing import Any

import tensorflow as tf
from tensorflow.core.protobuf import meta_graph_pb2

from modhub import errors
from modhub.core import describe_tensor, to_components

__all__ = ["Declarations", "add_signature", "attach_message", "collect_declarations"]

_SIGNATURE_NAME = re.compile(r"[A-Za-z0-9_.][A-Za-z0-9_./:>-]*")
_MESSAGE_KEY = re.compile(r"[a-zA-Z][a-zA-Z0-9_]*")
_SUPPORTED = (tf.Tensor, tf.SparseTensor, tf.RaggedTensor)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Declarations:
    """What was declared while one variant was defined: SignatureDefs and serialized messages, by name."""

    graph: tf.Graph
    signatures: dict[str, Any] = dataclasses.field(default_factory=dict)
    messages: dict[str, bytes] = dataclasses.field(default_factory=dict)


_under_way: contextvars.ContextVar[Declarations | None] = contextvars.ContextVar("modhub_declarations", default=None)


@contextlib.contextmanager
def collect_declarations(graph: tf.Graph) -> Iterator[Declarations]:
    """Collect what is declared in the body for the module that `graph` is defining."""
    declarations = Declarations(graph=graph)
    token = _under_way.set(declarations)
    try:
        yield declarations
    finally:
        _under_way.reset(token)


def add_signature(name: str | None = None, inputs: Any = None, outputs: Any = None) -> None:
    """Declare a signature of the module that the surrounding module_fn defines.

    Args:
      name: the signature's name; None means "default". Letters, digits and "_.-/:>" are allowed, much as in
        TensorFlow's name scopes, because an application is named "<module>_apply_<signature>".
      inputs: a dict from names to Tensors, SparseTensors or RaggedTensors of the module's graph, usually
        placeholders; or a single one, called "default"; or None.
      outputs: the same for what the signature returns. Variables stand for their values.

    Raises:
      DefinitionScopeError: no module_fn is running, or the call is inside a function of its graph.
      ModuleDefinitionError: the name is illegal or taken; an input or output is of an unsupported type, from another
        graph, or fed twice; an input is constrained by tf.colocate_with to another op.

    Example:
      >>> import modhub as hub, tensorflow as tf
      >>> def module_fn():
      ...     x = tf.compat.v1.placeholder(tf.float32, [None, 2])
      ...     hub.add_signature(inputs=x, outputs=dict(default=x * 2, half=x / 2))
      >>> hub.create_module_spec(module_fn).get_output_info_dict()["half"].get_shape()
      TensorShape([None, 2])
    """
    declarations = _current("add_signature")
    name = name or "default"
    if not isinstance(name, str) or not _SIGNATURE_NAME.fullmatch(name):
        raise errors.ModuleDefinitionError(
            f"The signature name {name!r} is illegal: it becomes part of op names, so use letters, digits and '_.-/:>'."
        )
    if name in declarations.signatures:
        raise errors.ModuleDefinitionError(
            f"The signature {name!r} is declared twice in one module_fn. Declared: {sorted(declarations.signatures)}."
        )
    signature = meta_graph_pb2.SignatureDef()
    fed: dict[str, str] = {}
    for key, value in _as_dict(inputs).items():
        where = f"input {key!r} of the signature {name!r}"
        tensors = _check(key, value, where, declarations.graph)
        for tensor in to_components(tensors):
            _check_input(tensor, where)
            if tensor.name in fed:
                raise errors.ModuleDefinitionError(f"The {where} is the same tensor as input {fed[tensor.name]!r}.")
            fed[tensor.name] = key
        signature.inputs[key].CopyFrom(describe_tensor(tensors))
    for key, value in _as_dict(outputs).items():
        where = f"output {key!r} of the signature {name!r}"
        tensors = _check(key, value, where, declarations.graph)
        signature.outputs[key].CopyFrom(describe_tensor(tensors))
    declarations.signatures[name] = signature


def attach_message(key: str, message: Any) -> None:
    """Attach a protocol buffer message to the variant of the module that the surrounding module_fn defines.

    Args:
      key: its name: a letter, then letters, digits and underscores. A second message under one key replaces the first.
      message: the message; stored serialized, so that only a reader needs its class.

    Raises:
      DefinitionScopeError: no module_fn is running.
      ModuleDefinitionError: the key is malformed, or the message is none.

    Example:
      >>> import modhub as hub, tensorflow as tf
      >>> def module_fn():
      ...     hub.attach_message("size", hub.ImageModuleInfo(default_image_size=dict(height=8, width=8)))
      ...     hub.add_signature(outputs=tf.constant(1.0))
      >>> hub.create_module_spec(module_fn).get_attached_message("size", hub.ImageModuleInfo).default_image_size.width
      8
    """
    declarations = _current("attach_message")
    if not isinstance(key, str) or not _MESSAGE_KEY.fullmatch(key):
        raise errors.ModuleDefinitionError(
            f"hub.attach_message() called with malformed key {key!r}: use a letter, then letters, digits and '_'."
        )
    if not hasattr(message, "SerializeToString"):
        raise errors.ModuleDefinitionError(
            f"hub.attach_message() takes a protocol buffer message for {key!r}, not {type(message).__name__}."
        )
    declarations.messages[key] = message.SerializeToString()


def _current(function: str) -> Declarations:
    declarations = _under_way.get()
    if declarations is None or declarations.graph is not tf.compat.v1.get_default_graph():
        inside = " It was called inside another graph or function." if declarations is not None else ""
        raise errors.DefinitionScopeError(
            f"hub.{function}() declares part of a module and must be called directly in a module_fn that is passed to "
            f"hub.create_module_spec(module_fn).{inside}"
        )
    return declarations


def _as_dict(value: Any) -> Mapping[str, Any]:
    if value is None:
        return {}
    return value if isinstance(value, Mapping) else {"default": value}


def _check(key: Any, value: Any, where: str, graph: tf.Graph) -> Any:
    if not isinstance(key, str) or not key:
        raise errors.ModuleDefinitionError(f"The {where} is named by {key!r}, and not by a string.")
    if isinstance(value, tf.Variable):
        value = tf.convert_to_tensor(value)
    if not isinstance(value, _SUPPORTED):
        raise errors.ModuleDefinitionError(
            f"The {where} is a {type(value).__name__}, but should have one of the types Tensor, SparseTensor, "
            "RaggedTensor: make a list or a number a tensor with tf.convert_to_tensor."
        )
    for tensor in to_components(value):
        if hasattr(tensor, "numpy") or tensor.graph is not graph:
            raise errors.ModuleDefinitionError(
                f"The {where} is not a tensor of the graph that the module_fn builds: {tensor}."
            )
    return value


def _check_input(tensor: tf.Tensor, where: str) -> None:
    groups = set(tensor.op.colocation_groups())
    if groups - {b"loc:@" + tensor.op.name.encode()}:
        raise errors.ModuleDefinitionError(
            f"The tensor {tensor.name} used as {where} must not be subject to a tf.colocate_with(y) constraint: it is "
            "replaced when the module is applied. (The reverse, y colocated with the input, is allowed.)"
        )
