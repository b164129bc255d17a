"""Signatures as they are stored, described."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from modhub.format.dtypes import dtype_name
from modhub.format.graph import Nodes
from modhub.format.meta_graphs import MetaGraph, unreadable
from modhub.format.names import node_of, tensor_name
from modhub.inspection.description import SignatureDescription, TensorDescription

__all__ = ["describe_signatures"]

# What TensorFlow adds to SavedModels for its own use.
_INTERNAL = frozenset({"__saved_model_init_op", "__saved_model_train_op"})
_RAGGED = 3  # of tensorflow's struct.proto, TypeSpecProto.TypeSpecClass
_SPARSE = 1
_WITH_DEFAULT = "PlaceholderWithDefault"
_MOST_DIMENSIONS = 254  # of a TensorFlow shape


def describe_signatures(meta_graph: MetaGraph) -> tuple[SignatureDescription, ...]:
    """Return the signatures of a variant, sorted by name.

    Raises:
      CorruptModuleError: one describes an impossible tensor.
    """
    found = []
    for name, signature in sorted(meta_graph.signatures.items()):
        if name in _INTERNAL:
            continue
        with unreadable(f"signature {name!r} of {meta_graph.where}"):
            found.append(
                SignatureDescription(
                    name=name,
                    inputs=_tensors(signature.inputs, meta_graph.graph.nodes),
                    outputs=_tensors(signature.outputs, Nodes(())),
                    method_name=signature.method_name,
                )
            )
    return tuple(found)


def _tensors(infos: Mapping[str, Any], nodes: Nodes) -> tuple[TensorDescription, ...]:
    return tuple([_describe(name, info, nodes) for name, info in sorted(infos.items())])


def _describe(name: str, info: Any, nodes: Nodes) -> TensorDescription:
    kind, dtype, shape, tensors = "dense", info.dtype, info.tensor_shape, [info.name]
    encoding = info.WhichOneof("encoding")
    if encoding == "coo_sparse":
        sparse = info.coo_sparse
        kind = "sparse"
        tensors = [sparse.indices_tensor_name, sparse.values_tensor_name, sparse.dense_shape_tensor_name]
    elif encoding == "composite_tensor":
        spec = info.composite_tensor.type_spec
        kind = _composite_kind(spec)
        tensors = [component.name for component in info.composite_tensor.components]
        if kind == "ragged":
            # A RaggedTensorSpec stores its shape and dtype first; those of the TensorInfo are not set.
            state = spec.type_state.tuple_value.values
            if len(state) >= 2:
                shape, dtype = state[0].tensor_shape_value, state[1].tensor_dtype_value
    return TensorDescription(
        name=name,
        kind=kind,
        dtype=dtype_name(dtype),
        shape=_shape(shape, name),
        tensors=tuple(map(tensor_name, tensors)),
        optional=all(_has_default(tensor, nodes) for tensor in tensors),
    )


def _has_default(tensor: str, nodes: Nodes) -> bool:
    node = nodes.by_name.get(node_of(tensor))
    return node is not None and node.op == _WITH_DEFAULT


def _composite_kind(spec: Any) -> str:
    if spec.type_spec_class == _RAGGED:
        return "ragged"
    if spec.type_spec_class == _SPARSE:
        return "sparse"
    return spec.type_spec_class_name or "composite"


def _shape(proto: Any, name: str) -> tuple[int | None, ...] | None:
    if proto.unknown_rank:
        return None
    if len(proto.dim) > _MOST_DIMENSIONS:
        raise ValueError(
            f"the tensor {name!r} has {len(proto.dim)} dimensions; at most {_MOST_DIMENSIONS} are possible"
        )
    sizes = [dim.size for dim in proto.dim]
    if any(size < -1 for size in sizes):
        raise ValueError(f"the tensor {name!r} has the impossible shape {sizes}")
    return tuple([None if size == -1 else size for size in sizes])
