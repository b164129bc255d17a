"""Rewrites `TensorArrayV3` and its relatives as tensor lists, which loops and conditionals of control flow v2 carry.

A TensorArray is a handle, which is state, and a "flow", a number that stands for what was written so far. A list is
a value: it takes the place of the flow, and the handle goes.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any

import tensorflow as tf
from tensorflow.core.framework import node_def_pb2, types_pb2

from modhub.core.control_flow.loop_bounds import constant
from modhub.core.control_flow.membership import Members, NotFunctionalError, Role, inputs_of, is_control
from modhub.format.names import node_of

__all__ = ["holds_arrays", "rewrite_arrays"]

_PASSING = {"Identity", "Enter", "Merge", "Switch", "Exit", "NextIteration"}
# The op -> where its flow comes in.
_FLOW_INPUT = {
    "TensorArrayReadV3": 2,
    "TensorArrayWriteV3": 3,
    "TensorArrayGatherV3": 2,
    "TensorArrayScatterV3": 3,
    "TensorArrayConcatV3": 1,
    "TensorArraySplitV3": 3,
    "TensorArraySizeV3": 1,
}
_WRITING = {"TensorArrayWriteV3", "TensorArrayScatterV3", "TensorArraySplitV3"}
_READING = {"TensorArrayReadV3", "TensorArrayGatherV3", "TensorArrayConcatV3"}
_CARRYING = {"Identity", "Enter", "Switch"}
_KNOWN = {*_FLOW_INPUT, "TensorArrayV3", "TensorArrayCloseV3"}


def holds_arrays(nodes: Collection[Any]) -> bool:
    """Tell whether there is a TensorArray among NodeDefs."""
    return any(node.op.startswith("TensorArray") for node in nodes)


def rewrite_arrays(nodes: dict[str, Any], members: Members, fetched: Collection[str]) -> None:
    """Rewrite nodes in place.

    Args:
      nodes: NodeDefs by name, which are replaced and not changed.
      members: where the nodes are; new nodes are added.
      fetched: names of the tensors that are wanted.

    Raises:
      NotFunctionalError: an array is used in a way that a list cannot be.
    """
    if holds_arrays(nodes.values()):
        made = _Rewriter(dict(nodes), members, fetched).rewritten()
        for node in made:
            nodes[node.name] = node


class _Rewriter:
    def __init__(self, nodes: dict[str, Any], members: Members, fetched: Collection[str]) -> None:
        self._nodes = nodes
        self._members = members
        self._consumers: dict[str, list[Any]] = defaultdict(list)
        for node in nodes.values():
            for given in inputs_of(node):
                self._consumers[given].append(node)
        unknown = sorted({node.op for node in nodes.values() if node.op.startswith("TensorArray")} - _KNOWN)
        if unknown:
            raise NotFunctionalError(f"there are ops of the kinds {unknown} in it")
        self._flows = self._find_flows()
        if not self._flows.isdisjoint(fetched):
            raise NotFunctionalError("a TensorArray leaves it")

    def rewritten(self) -> Iterator[Any]:
        """Yield the nodes that take the place of others, or are new."""
        for node in self._nodes.values():
            if node.op in _KNOWN:
                yield from self._list_op(node)
            elif node.op in _PASSING and not self._flows.isdisjoint(inputs_of(node)):
                new = node_def_pb2.NodeDef()
                new.CopyFrom(node)
                new.attr["T"].type = types_pb2.DT_VARIANT
                new.input[:] = [given if is_control(given) else self._renamed(given) for given in node.input]
                yield new

    def _find_flows(self) -> set[str]:
        pending = [f"{node.name}:1" for node in self._nodes.values() if node.op == "TensorArrayV3"]
        pending += [f"{node.name}:0" for node in self._nodes.values() if node.op in _WRITING]
        flows: set[str] = set()
        while pending:
            flow = pending.pop()
            if flow in flows:
                continue
            flows.add(flow)
            for consumer in self._consumers[flow]:
                if consumer.op in _PASSING:
                    pending += [f"{consumer.name}:{index}" for index in range(2 if consumer.op == "Switch" else 1)]
                elif consumer.op not in _FLOW_INPUT or inputs_of(consumer)[_FLOW_INPUT[consumer.op]] != flow:
                    raise NotFunctionalError(f"{consumer.name} ({consumer.op}) uses what orders a TensorArray's ops")
        for node in self._nodes.values():
            self._check(node, flows)
        return flows

    def _check(self, node: Any, flows: set[str]) -> None:
        given = inputs_of(node)
        if node.op in _FLOW_INPUT and given[_FLOW_INPUT[node.op]] not in flows:
            raise NotFunctionalError(f"{node.name} ({node.op}) uses a TensorArray from elsewhere")
        if node.op in _WRITING and not self._consumers[f"{node.name}:0"]:
            raise NotFunctionalError(f"nothing says what comes after {node.name} ({node.op})")
        if node.op == "Merge" and not flows.isdisjoint(given) and not flows.issuperset(given):
            raise NotFunctionalError(f"{node.name} merges a TensorArray with something else")

    def _array(self, handle: str) -> Any:
        """Return the node that made the array of a handle."""
        node = self._nodes.get(node_of(handle))
        while node is not None and node.op in _CARRYING:
            node = self._nodes.get(node_of(inputs_of(node)[0]))
        if node is None or node.op != "TensorArrayV3":
            raise NotFunctionalError(f"{handle} is not known to be a TensorArray")
        return node

    def _list(self, flow: str) -> Any:
        """Return the node that a list comes from, by way of those that only pass it on."""
        node = self._nodes[node_of(flow)]
        while node.op in _CARRYING:
            node = self._nodes[node_of(inputs_of(node)[0])]
        return node

    def _renamed(self, given: str) -> str:
        """Return the name of a tensor: an array's flow is its output 1, a list is the only output."""
        source = node_of(given)
        return source if source in self._nodes and self._nodes[source].op == "TensorArrayV3" else given

    def _list_op(self, node: Any) -> Iterator[Any]:
        controls = [given for given in node.input if is_control(given)]
        given = [self._renamed(name) for name in inputs_of(node)]
        array = None if node.op in ("TensorArrayV3", "TensorArrayCloseV3") else self._array(given[0])
        make: Callable[..., tuple[Any, Sequence[Any]]] = getattr(self, f"_{node.op.removeprefix('TensorArray')}")
        new, extras = make(node, array, *given)
        new.name = node.name
        new.input.extend(controls)
        for extra in extras:
            self._members.scopes[extra.name] = self._members.scopes[node.name]
            self._members.roles[extra.name] = Role.PLAIN
            yield extra
        yield new

    def _constant(self, node: Any, what: str, value: Any, dtype: tf.DType = tf.int32) -> Any:
        new = node_def_pb2.NodeDef(name=f"{node.name}/{what}", op="Const")
        while new.name in self._nodes:
            new.name += "_"
        new.attr["dtype"].type = dtype.as_datatype_enum
        shape = [len(value)] if isinstance(value, list) else []
        new.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(value, dtype, shape))
        return new

    def _shape(self, node: Any, *shapes: tf.TensorShape) -> Any:
        """Return a constant for the shape of an element, of what several shapes say of it."""
        shape = tf.TensorShape(None)
        for each in shapes:
            shape = shape.merge_with(each)
        return self._constant(
            node, "element_shape", -1 if shape.rank is None else [-1 if d is None else d for d in shape.as_list()]
        )

    def _V3(self, node: Any, _: Any, size: str) -> tuple[Any, list[Any]]:
        shape = self._shape(node, _said(node, "element_shape"))
        new = _op("TensorListReserve", [shape.name, size], element_dtype=node.attr["dtype"], shape_type=tf.int32)
        return new, [shape]

    def _ReadV3(self, node: Any, array: Any, _: str, index: str, flow: str) -> tuple[Any, list[Any]]:
        shape = self._shape(node, _said(array, "element_shape"))
        return _op("TensorListGetItem", [flow, index, shape.name], element_dtype=array.attr["dtype"]), [shape]

    def _WriteV3(self, node: Any, array: Any, _: str, index: str, value: str, flow: str) -> tuple[Any, list[Any]]:
        new = _op("TensorListSetItem", [flow, index, value], element_dtype=array.attr["dtype"])
        new.attr["resize_if_index_out_of_bounds"].b = array.attr["dynamic_size"].b
        return new, []

    def _GatherV3(self, node: Any, array: Any, _: str, indices: str, flow: str) -> tuple[Any, list[Any]]:
        shape = self._shape(node, _said(array, "element_shape"), _said(node, "element_shape"))
        dtype = array.attr["dtype"]
        if self._is_size(self._limit_of_range(indices), array, inputs_of(node)[2]):
            new = _op("TensorListStack", [flow, shape.name], element_dtype=dtype)
            new.attr["num_elements"].i = -1
        else:
            new = _op("TensorListGather", [flow, indices, shape.name], element_dtype=dtype)
        return new, [shape]

    def _ScatterV3(self, node: Any, array: Any, _: str, indices: str, value: str, flow: str) -> tuple[Any, list[Any]]:
        dtype = array.attr["dtype"]
        if self._is_unstack(node, indices):
            # Gradients, and XLA, know this op better.
            shape = self._shape(node, _said(array, "element_shape"))
            return _op("TensorListFromTensor", [value, shape.name], element_dtype=dtype, shape_type=tf.int32), [shape]
        return _op("TensorListScatterIntoExistingList", [flow, value, indices], element_dtype=dtype), []

    def _ConcatV3(self, node: Any, array: Any, _: str, flow: str) -> tuple[Any, list[Any]]:
        rows = tf.TensorShape([None]).concatenate(_said(node, "element_shape_except0"))
        shape = self._shape(node, rows, _said(array, "element_shape"))
        lengths = self._constant(node, "leading_dims", [], tf.int64)
        new = _op("TensorListConcatV2", [flow, shape.name, lengths.name], element_dtype=array.attr["dtype"])
        new.attr["shape_type"].type = types_pb2.DT_INT32
        return new, [shape, lengths]

    def _SplitV3(self, node: Any, array: Any, _: str, value: str, lengths: str, flow: str) -> tuple[Any, list[Any]]:
        if self._list(flow).op != "TensorArrayV3":
            raise NotFunctionalError(f"{node.name} writes to a TensorArray that was written to")
        shape = self._shape(node, _said(array, "element_shape"))
        dtype = array.attr["dtype"]
        new = _op("TensorListSplit", [value, shape.name, lengths], element_dtype=dtype, shape_type=tf.int32)
        return new, [shape]

    def _SizeV3(self, node: Any, array: Any, _: str, flow: str) -> tuple[Any, list[Any]]:
        return _op("TensorListLength", [flow]), []

    def _CloseV3(self, node: Any, *_: Any) -> tuple[Any, list[Any]]:
        return _op("NoOp", []), []

    def _limit_of_range(self, indices: str) -> str | None:
        """Return the tensor that counts, if `indices` are all numbers below it."""
        node = self._nodes.get(node_of(indices))
        if node is None or node.op != "Range":
            return None
        start, limit, step = inputs_of(node)
        counts = self._number(start) == 0 and self._number(step) == 1
        return limit if counts else None

    def _number(self, tensor: str) -> int | None:
        return constant(self._nodes.get(node_of(tensor)))

    def _is_size(self, tensor: str | None, array: Any, flow: str) -> bool:
        """Tell whether a tensor is how many elements an array has, by the time of a flow."""
        node = None if tensor is None else self._nodes.get(node_of(tensor))
        if tensor is None or node is None:
            return False
        if node.op == "TensorArraySizeV3":
            return bool(inputs_of(node)[1] == flow)
        size = inputs_of(array)[0]
        same = tensor == size or (self._number(tensor) is not None and self._number(tensor) == self._number(size))
        return same and not array.attr["dynamic_size"].b

    def _is_unstack(self, node: Any, indices: str) -> bool:
        """Tell whether a Scatter writes all that its array ever holds."""
        if self._limit_of_range(indices) is None or self._list(inputs_of(node)[3]).op != "TensorArrayV3":
            return False
        pending = [f"{node.name}:0"]
        while pending:
            for consumer in self._consumers[pending.pop()]:
                if consumer.op in _CARRYING:
                    pending += [f"{consumer.name}:0", f"{consumer.name}:1"]
                elif consumer.op not in _READING:
                    return False
        return True


def _said(node: Any, attribute: str) -> tf.TensorShape:
    """Return what a node says of a shape; where it says nothing, the attribute's default is that it is unknown."""
    return tf.TensorShape(node.attr[attribute].shape if attribute in node.attr else None)


def _op(op: str, inputs: list[str], **types: Any) -> Any:
    new = node_def_pb2.NodeDef(op=op, input=inputs)
    for name, dtype in types.items():
        new.attr[name].type = dtype.as_datatype_enum if isinstance(dtype, tf.DType) else dtype.type
    return new
