"""Rewrites a graph's old-style (ref) variables and tables as resources.

A ref tensor points into its variable, and ops pass it on: `Assign` returns the ref it was given, `RefSwitch` and
`RefEnter` carry it into control flow. So first every tensor that aliases a variable is found, with the assignments
that come before it; then each op that writes through a ref becomes its resource form on the variable's handle, and
each op that reads one gets a `ReadVariableOp` that waits for those assignments.
"""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from tensorflow.core.framework import node_def_pb2, types_pb2

from modhub.format.names import node_of, split_input

__all__ = ["Rewrite", "rewrite_refs"]

_VARIABLES = {"Variable", "VariableV2"}
# Ops that write through the ref of their first input and return it: (the resource form, {its attr: the old attr}).
_TYPE = {"dtype": "T"}
_INDEXED = {"dtype": "T", "Tindices": "Tindices"}
_ND = {"T": "T", "Tindices": "Tindices", "use_locking": "use_locking"}
_SLICE = {
    name: name
    for name in ("T", "Index", "begin_mask", "end_mask", "ellipsis_mask", "new_axis_mask", "shrink_axis_mask")
}
_WRITES: dict[str, tuple[str, dict[str, str]]] = {
    "Assign": ("AssignVariableOp", _TYPE),
    "AssignAdd": ("AssignAddVariableOp", _TYPE),
    "AssignSub": ("AssignSubVariableOp", _TYPE),
    "StridedSliceAssign": ("ResourceStridedSliceAssign", _SLICE),
    **{f"Scatter{kind}": (f"ResourceScatter{kind}", _INDEXED) for kind in
       ("Update", "Add", "Sub", "Mul", "Div", "Min", "Max")},
    **{f"ScatterNd{kind}": (f"ResourceScatterNd{kind}", _ND) for kind in ("Update", "Add", "Sub", "Min", "Max")},
}  # fmt: skip
# Ops that hand a ref on.
_PASSES = {
    "RefIdentity": "Identity",
    "RefEnter": "Enter",
    "RefExit": "Exit",
    "RefNextIteration": "NextIteration",
    "RefSwitch": "Switch",
    "RefMerge": "Merge",
}
# Ops at the door of a control-flow context: what they read is read outside it.
_ENTRANCES = {"Switch", "Enter"}
# Tables of TensorFlow before 1.3 hold a ref to a string; their V2 forms take the same attributes.
_TABLES = {
    op: op + "V2"
    for op in (
        "HashTable", "MutableHashTable", "MutableHashTableOfTensors", "MutableDenseHashTable", "LookupTableFind",
        "LookupTableInsert", "LookupTableSize", "LookupTableExport", "LookupTableImport", "InitializeTable",
        "InitializeTableFromTextFile",
    )
}  # fmt: skip


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Rewrite:
    """A graph without refs.

    Attributes:
      nodes: the nodes by name.
      reads: node name of an added read -> the node that it was added for (whose control-flow context it shares).
      values: name of a fetched tensor that was a ref -> the tensor that now holds its value.
    """

    nodes: dict[str, Any]
    reads: dict[str, str]
    values: dict[str, str]


@dataclasses.dataclass(frozen=True, slots=True)
class _Alias:
    """What a ref tensor stands for: a handle, and the writes that come before a read through it."""

    handle: str
    after: tuple[str, ...]
    dtype: int


def rewrite_refs(nodes: Mapping[str, Any], fetched: Iterable[str]) -> Rewrite | None:
    """Rewrite the refs of a graph.

    Args:
      nodes: NodeDefs by name; they are not changed.
      fetched: names of tensors that are wanted as values from outside (signature outputs, losses).

    Returns:
      The rewritten graph, or None where there is nothing to rewrite.
    """
    ops = {node.op for node in nodes.values()}
    if not ops & (_VARIABLES | _TABLES.keys()):
        return None
    aliases = _find_aliases(nodes)
    rewriter = _Rewriter(nodes, aliases)
    for node in nodes.values():
        rewriter.rewrite(node)
    values = {name: rewriter.value_of(name) for name in fetched if split_input(name) in aliases}
    return Rewrite(nodes=rewriter.nodes, reads=rewriter.reads, values=values)


def _find_aliases(nodes: Mapping[str, Any]) -> dict[tuple[str, int], _Alias]:
    consumers: dict[tuple[str, int], list[tuple[Any, int]]] = defaultdict(list)
    for node in nodes.values():
        for index, name in enumerate(node.input):
            if not name.startswith("^"):
                consumers[split_input(name)].append((node, index))
    aliases: dict[tuple[str, int], _Alias] = {}
    pending: list[tuple[tuple[str, int], _Alias]] = [
        ((node.name, 0), _Alias(f"{node.name}:0", (), node.attr["dtype"].type))
        for node in nodes.values()
        if node.op in _VARIABLES
    ]
    while pending:
        tensor, alias = pending.pop()
        if tensor in aliases:  # a loop's RefMerge comes round again
            continue
        aliases[tensor] = alias
        for node, index in consumers[tensor]:
            if node.op in _WRITES and index == 0:
                pending.append(((node.name, 0), dataclasses.replace(alias, after=(*alias.after, node.name))))
            elif node.op in _PASSES and (index == 0 or node.op == "RefMerge"):
                for output in range(2 if node.op == "RefSwitch" else 1):
                    # The op itself waits for the writes, so what comes after it need not.
                    pending.append(((node.name, output), _Alias(f"{node.name}:{output}", (), alias.dtype)))
    return aliases


class _Rewriter:
    """Rewrites node by node; a small class because the reads that it adds are shared bookkeeping."""

    def __init__(self, nodes: Mapping[str, Any], aliases: Mapping[tuple[str, int], _Alias]) -> None:
        self._originals = nodes
        self._aliases = aliases
        self.nodes: dict[str, Any] = {}
        self.reads: dict[str, str] = {}

    def rewrite(self, node: Any) -> None:
        aliased = {
            index: self._aliases[split_input(name)]
            for index, name in enumerate(node.input)
            if not name.startswith("^") and split_input(name) in self._aliases
        }
        if node.op in _VARIABLES:
            self._replace(node, "VarHandleOp", dict.fromkeys(("dtype", "shape", "container", "shared_name")), aliased)
        elif node.op in _TABLES:
            self.nodes[node.name] = _renamed(node, _TABLES[node.op])
        elif not aliased:
            self.nodes[node.name] = node
        elif node.op in _WRITES and 0 in aliased:
            op, attrs = _WRITES[node.op]
            self._replace(node, op, attrs, {0: aliased.pop(0)}, read=aliased)
        elif node.op in _PASSES:
            new = self._replace(node, _PASSES[node.op], None, aliased)
            new.attr["T"].type = types_pb2.DT_RESOURCE
        elif node.op == "IsVariableInitialized":
            self._replace(node, "VarIsInitializedOp", {}, aliased)
        elif node.op == "CountUpTo":
            self._replace(node, "ResourceCountUpTo", {"limit": "limit", "T": "T"}, aliased)
        elif node.op == "Identity":
            self._replace(node, "ReadVariableOp", _TYPE, aliased)
        else:
            self._replace(node, node.op, None, {}, read=aliased)

    def value_of(self, tensor: str) -> str:
        """Add a read of what a ref tensor points to, and return the tensor that holds it."""
        alias = self._aliases[split_input(tensor)]
        return self._add_read(node_of(tensor), alias, controls=())

    def _replace(
        self,
        node: Any,
        op: str,
        attrs: Mapping[str, str | None] | None,
        handles: Mapping[int, _Alias],
        read: Mapping[int, _Alias] | None = None,
    ) -> Any:
        """Put a copy of `node` in its place: another op, some attributes renamed, refs replaced by handles or reads."""
        new = node_def_pb2.NodeDef(name=node.name, op=op, device=node.device)
        controls = [name for name in node.input if name.startswith("^")]
        for index, name in enumerate(node.input):
            if index in handles:
                new.input.append(handles[index].handle)
            elif read and index in read:
                new.input.append(self._add_read(node.name, read[index], controls))
            elif not name.startswith("^"):
                new.input.append(name)
        after = {f"^{name}" for alias in handles.values() for name in alias.after}
        new.input.extend(controls + sorted(after.difference(controls)))
        kept = node.attr if attrs is None else {key: old or key for key, old in attrs.items()}
        for key in kept:
            old = key if attrs is None else kept[key]
            if old in node.attr:
                new.attr[key].CopyFrom(node.attr[old])
        if attrs is not None and "_class" in node.attr:
            new.attr["_class"].CopyFrom(node.attr["_class"])
        self.nodes[node.name] = new
        return new

    def _add_read(self, consumer: str, alias: _Alias, controls: Iterable[str]) -> str:
        name = f"{consumer}/ReadVariableOp"
        while name in self._originals or name in self.nodes:
            name += "_"
        new = node_def_pb2.NodeDef(name=name, op="ReadVariableOp", input=[alias.handle])
        new.input.extend([*controls, *(f"^{write}" for write in alias.after if f"^{write}" not in controls)])
        new.attr["dtype"].type = alias.dtype
        self.nodes[name] = new
        if consumer in self._originals and self._originals[consumer].op not in _ENTRANCES:
            self.reads[name] = consumer
        return f"{name}:0"


def _renamed(node: Any, op: str) -> Any:
    new = node_def_pb2.NodeDef()
    new.CopyFrom(node)
    new.op = op
    return new
