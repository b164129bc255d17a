"""Modules made by hand, message by message, so that each is wrong in one thing only; no TensorFlow is needed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from modhub.format import BundleWriter
from modhub.format.dtypes import dtype_name
from modhub.format.layout import MODULE_DEF_BYTES
from modhub.inspection.findings import Finding
from modhub.inspection.lint import lint

_NUMBERS = {dtype_name(number): number for number in range(1, 24)}

# Of inputs or of outputs: name -> "float32 ? 8 8 3", "bool", "string *" (of unknown rank), "sparse float32 ? 3".
Tensors = Mapping[str, str]
Signatures = Mapping[str, tuple[Tensors, Tensors]]


@dataclass(frozen=True, kw_only=True)
class Variant:
    """A graph variant: its signatures are Placeholders and Identities, and other nodes come as they are given."""

    signatures: Signatures = field(default_factory=dict)
    tags: Sequence[str] = ()
    nodes: Sequence[Any] = ()
    functions: Sequence[Any] = ()
    variables: Sequence[str] = ()
    trainable: Sequence[str] = ()
    collections: Mapping[str, Sequence[str]] = field(default_factory=dict)
    image_size: tuple[int, int] | None = None
    assets: Mapping[str, str] = field(default_factory=dict)
    objects: Sequence[Any] = ()


PLAIN: Signatures = {"default": ({"x": "float32 ? 2"}, {"default": "float32 ? 2"})}


def write(
    path: Path,
    *variants: Variant,
    stored: Iterable[str] | None = None,
    files: Mapping[str, bytes] | None = None,
    is_module: bool = True,
) -> str:
    """Write a module directory.

    Args:
      path: of the directory, which is made.
      *variants: what is in it.
      stored: the variables in its checkpoint; None for all that the variants declare.
      files: name -> contents of more files.
      is_module: whether there is `tfhub_module.pb`.

    Returns:
      The path.
    """
    from modhub.format.protos import SavedModel

    saved = SavedModel()
    for variant in variants:
        _fill(saved.meta_graphs.add(), variant)
    given = {"saved_model.pb": saved.SerializeToString(), **(files or {})}
    if is_module:
        given.setdefault("tfhub_module.pb", MODULE_DEF_BYTES)
    for name, data in given.items():
        target = path / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)
    names = sorted({name for variant in variants for name in variant.variables}) if stored is None else stored
    if names:
        (path / "variables").mkdir(exist_ok=True)
        with BundleWriter(path / "variables" / "variables") as writer:
            for name in names:
                writer.add(name, 1, np.zeros([2], np.float32))
    return str(path)


def found(rule: str, path: str) -> list[Finding]:
    """Return what one rule finds in a module."""
    return [finding for finding in lint(path).findings if finding.rule == rule]


def node(name: str, op: str, *inputs: str, **attributes: Any) -> Any:
    """Return a NodeDef; attributes are strings, bools, or AttrValues."""
    from modhub.format.protos import NodeDef

    made = NodeDef(name=name, op=op, input=inputs)
    for key, value in attributes.items():
        if isinstance(value, bool):
            made.attr[key].b = value
        elif isinstance(value, str):
            made.attr[key].s = value.encode()
        else:
            made.attr[key].CopyFrom(value)
    return made


def constant(name: str, *values: str | float) -> Any:
    """Return a Const of strings or float32; of one value a scalar."""
    made = node(name, "Const")
    tensor = made.attr["value"].tensor
    tensor.dtype = made.attr["dtype"].type = 7 if isinstance(values[0], str) else 1
    if len(values) > 1:
        tensor.tensor_shape.dim.add().size = len(values)
    for value in values:
        if isinstance(value, str):
            tensor.string_val.append(value.encode())
        else:
            tensor.float_val.append(value)
    return made


def function(name: str, *nodes: Any) -> Any:
    """Return a FunctionDef without arguments that returns its last node."""
    from modhub.format.protos import FunctionDef

    made = FunctionDef(node_def=nodes)
    made.signature.name = name
    made.ret["out"] = f"{nodes[-1].name}:output:0"
    return made


def _fill(meta_graph: Any, variant: Variant) -> None:
    from modhub.format.protos import AssetFileDef, ImageModuleInfo, ModuleAttachment, VariableDef

    meta_graph.meta_info_def.tags.extend(variant.tags)
    nodes = meta_graph.graph_def.node
    nodes.extend(variant.nodes)
    known = {each.name for each in variant.nodes}
    for name, (inputs, outputs) in variant.signatures.items():
        signature = meta_graph.signature_def[name]
        safe = "".join(letter if letter.isalnum() else "_" for letter in name)
        for kind, op, tensors in (("inputs", "Placeholder", inputs), ("outputs", "Identity", outputs)):
            for key, text in tensors.items():
                # "float32 ? 2 @ node" takes a node that is given.
                text, _, own = text.partition(" @ ")
                tensor = own or f"{safe}/{kind}/{key}"
                if tensor.partition(":")[0] not in known:
                    nodes.add(name=tensor, op=op)
                    known.add(tensor)
                _describe(getattr(signature, kind)[key], tensor, text)
    meta_graph.graph_def.library.function.extend(variant.functions)
    for key, names in (("variables", variant.variables), ("trainable_variables", variant.trainable)):
        for name in names:
            item = VariableDef(variable_name=f"{name}:0").SerializeToString()
            meta_graph.collection_def[key].bytes_list.value.append(item)
    for key, items in variant.collections.items():
        meta_graph.collection_def[key].node_list.value.extend(items)
    if variant.image_size is not None:
        height, width = variant.image_size
        info = ImageModuleInfo(default_image_size={"height": height, "width": width})
        attachment = ModuleAttachment(key="image_module_info", value=info.SerializeToString())
        meta_graph.collection_def["hub_module_attachments"].bytes_list.value.append(attachment.SerializeToString())
    for tensor, name in variant.assets.items():
        meta_graph.asset_file_def.append(AssetFileDef(tensor_info={"name": tensor}, filename=name))
    meta_graph.object_graph_def.nodes.extend(variant.objects)


def _describe(info: Any, tensor: str, text: str) -> None:
    words = text.split()
    is_sparse = words[0] == "sparse"
    dtype, *sizes = words[is_sparse:]
    info.dtype = _NUMBERS[dtype]
    if is_sparse:
        info.coo_sparse.values_tensor_name = f"{tensor}:1"
        info.coo_sparse.indices_tensor_name = f"{tensor}:0"
        info.coo_sparse.dense_shape_tensor_name = f"{tensor}:2"
    else:
        info.name = tensor if ":" in tensor else f"{tensor}:0"
    if sizes == ["*"]:
        info.tensor_shape.unknown_rank = True
        return
    info.tensor_shape.SetInParent()
    for size in sizes:
        info.tensor_shape.dim.add().size = -1 if size == "?" else int(size)
