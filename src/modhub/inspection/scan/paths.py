"""Where the paths that an op uses come from: an asset, a constant, a caller, a computation, or the saver."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from modhub.format.graph import Node
from modhub.format.meta_graphs import MetaGraph
from modhub.format.names import node_of
from modhub.inspection.scan.constants import constant_text
from modhub.inspection.scan.objects import bound_inputs, functions_that_loading_calls, has_default_text
from modhub.inspection.scan.ops import FileArgument, file_arguments
from modhub.inspection.scan.reach import INTERFACE, named_functions, saver_definitions, variables_of_collections

__all__ = ["Origin", "Paths", "Source"]


class Origin(enum.StrEnum):
    """Where a path comes from."""

    ASSET = "an asset of the module"
    CALLER = "what the caller passes"
    CONSTANT = "a constant"
    COMPUTED = "a computation"


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """What an argument that names a file or server can be.

    Attributes:
      origins: all that it can come from.
      texts: what it can be, of each origin; None for one whose text the module does not hold.
    """

    origins: frozenset[Origin]
    texts: frozenset[str | None]


# The name of a function, or None in the graph; and a tensor there, as an input of a node says it.
_Place = tuple[str | None, str]

# Ops that hand on values as they are: which of their inputs.
_FIRST = slice(0, 1)
_HANDED_ON: Mapping[str, slice] = {
    **dict.fromkeys(("Identity", "StopGradient", "PreventGradient", "Reshape", "ExpandDims", "Squeeze"), _FIRST),
    **dict.fromkeys(("PlaceholderWithDefault", "Enter", "Exit", "NextIteration", "Switch"), _FIRST),
    **dict.fromkeys(("Merge", "Pack"), slice(None)),
    **dict.fromkeys(("Select", "SelectV2"), slice(1, 3)),
}
_FED = frozenset({"Placeholder", "PlaceholderV2"})
# What loaders feed the path of an asset to.
_OF_ASSETS = _FED | {"Const"}
# Ops that call a function: the input that is its first argument.
_CALLS = {"PartitionedCall": 0, "StatefulPartitionedCall": 0, "If": 1, "StatelessIf": 1, "Case": 1, "StatelessCase": 1}
_VARIABLE = "VarHandleOp"
# They make handles of any variables.
_OTHER_HANDLES = frozenset({"_VarHandlesOp", "_XlaAotOnlyVarHandleOp"})
_READERS = frozenset({"ReadVariableOp", "VarIsInitializedOp"})
_LOOPS = frozenset({"While", "StatelessWhile"})

# How far an argument is followed, and all together; beyond it is a computation.
_MOST_STEPS = 2_000
_MOST_STEPS_IN_ALL = 1_000_000


class Paths:
    """Follows the paths of a variant through its graph, and through calls of its functions."""

    def __init__(self, meta_graph: MetaGraph) -> None:
        self._graph = meta_graph.graph
        self._definition = meta_graph.definition
        # Where there is a list, TensorFlow does without the collection: the others keep the path that is stored.
        listed = [each.tensor_info.name for each in self._definition.asset_file_def]
        self._assets = frozenset(map(node_of, listed or meta_graph.assets()))
        self._saver_files = frozenset(node_of(each.filename_tensor_name) for each in saver_definitions(meta_graph))
        self._with_default = frozenset(
            node_of(signature.inputs[key].name)
            for signature in meta_graph.signatures.values()
            for key in signature.defaults
            if key in signature.inputs
        )
        self._left = _MOST_STEPS_IN_ALL

    def sources(self, function: str | None, node: Node) -> list[Source]:
        """Return what the arguments of a node that name files or servers can be.

        Args:
          function: the function that the node is in; None in the graph.
          node: the node.
        """
        return [self._source(function, node, argument) for argument in file_arguments(node.op)]

    def touch_nothing(self, function: str | None, node: Node) -> bool:
        """Tell whether all of these arguments have values with which the op leaves files and servers alone."""
        arguments = file_arguments(node.op)
        return bool(arguments) and all(
            bool(each.harmless) and self._source(function, node, each).texts <= each.harmless for each in arguments
        )

    def follow_saver(self, function: str | None, node: Node) -> bool:
        """Tell whether all of these arguments are the path that a saver is told, or lie beside it."""
        inputs = _data_inputs(node)
        indices = [argument.index for argument in file_arguments(node.op)]
        return all(
            index is not None and index < len(inputs) and self._beside_saver((function, inputs[index]))
            for index in indices
        )

    def _source(self, function: str | None, node: Node, argument: FileArgument) -> Source:
        if argument.index is None:
            return _attribute(node, argument)
        inputs = _data_inputs(node)
        if argument.index >= len(inputs):
            return _made({(Origin.COMPUTED, None)})
        return _made(set(self._leaves((function, inputs[argument.index]))))

    def _leaves(self, place: _Place) -> Iterator[tuple[Origin, str | None]]:
        """Yield all that a tensor can be."""
        seen = {place}
        waiting = [place]
        while waiting:
            self._left -= 1
            if len(seen) > _MOST_STEPS or self._left < 0:
                yield Origin.COMPUTED, None
                return
            following = self._step(*waiting.pop())
            if isinstance(following, tuple):
                yield following
            else:
                self._left -= len(following)
                new = [each for each in dict.fromkeys(following) if each not in seen]
                seen.update(new)
                waiting += new

    def _step(self, function: str | None, tensor: str) -> tuple[Origin, str | None] | list[_Place]:
        """Return what a tensor is, or the tensors that it can be."""
        name = _name(tensor)
        if name in self._arguments(function):
            argument = (function or "", self._arguments(function)[name])
            if argument not in self._known_arguments:
                self._known_arguments[argument] = self._passed(*argument)
            return self._known_arguments[argument]
        node = self._node(function, name)
        if node is None or (function is None and name in self._with_default):
            return Origin.COMPUTED, None
        if function is None and name in self._assets and node.op in _OF_ASSETS:
            return Origin.ASSET, None
        if node.op == "Const":
            return Origin.CONSTANT, constant_text(node)
        if node.op == "ReadVariableOp" and function is None:
            return self._assigned(node)
        if node.op in _FED:
            return (Origin.CALLER if function is None else Origin.COMPUTED), None
        inputs = _data_inputs(node)
        if node.op == "IdentityN":
            index = _output(tensor)
            return [(function, inputs[index])] if index < len(inputs) else (Origin.COMPUTED, None)
        handed_on = inputs[_HANDED_ON[node.op]] if node.op in _HANDED_ON else []
        return [(function, each) for each in handed_on] or (Origin.COMPUTED, None)

    def _assigned(self, read: Node) -> tuple[Origin, str | None] | list[_Place]:
        """Return what a variable of the graph is: TF2's SavedModels keep the paths of their assets in some."""
        handle = self._node(None, _name(read.inputs[0])) if read.inputs else None
        values = self._variables.get(_variable(handle)) if handle is not None and handle.op == _VARIABLE else None
        return [(None, value) for value in values] if values else (Origin.COMPUTED, None)

    def _passed(self, function: str, index: int) -> tuple[Origin, str | None] | list[_Place]:
        """Return what an argument of a function is, from all its callers."""
        if function in self._called_unseen:
            return Origin.COMPUTED, None
        bound = bound_inputs(self._definition, function)
        found: list[_Place] = []
        of_object: tuple[Origin, str | None] | None = None
        if bound is not None:
            first = len(self._graph.functions[function].definition.signature.input_arg) - len(bound)
            if index < first:
                # Loading calls some on what the checkpoint holds.
                fed = not self._has_default_text and function not in self._called_by_loading
                of_object = (Origin.CALLER if fed else Origin.COMPUTED), None
            else:
                each = bound[index - first]
                # An object with a registered name is made by the class of that name, whatever kind it has.
                is_asset = each is not None and each.WhichOneof("kind") == "asset" and not each.registered_name
                of_object = (Origin.ASSET if is_asset else Origin.COMPUTED), None
        callers = self._callers.get(function, ())
        if len(callers) > _MOST_STEPS:
            return Origin.COMPUTED, None
        for caller, node in callers:
            inputs = _data_inputs(node)
            first_argument = 0 if node.op == function or node.op in _LOOPS else _CALLS.get(node.op)
            if first_argument is None or index + first_argument >= len(inputs) or not _calls_itself(node, function):
                return Origin.COMPUTED, None
            found.append((caller, inputs[index + first_argument]))
            if node.op in _LOOPS:
                found += self._next_rounds(node, index)
        if not found:
            return of_object or (Origin.COMPUTED, None)
        if of_object and of_object[0] is Origin.COMPUTED:
            return of_object
        return found  # what the callers in the graph pass is as grave as what a caller outside does, or graver

    def _next_rounds(self, loop: Node, index: int) -> Iterator[_Place]:
        """Yield what a loop's body returns for an argument of the next round."""
        body = loop.attribute("body").func.name
        function = self._graph.functions.get(body)
        results = function.definition.signature.output_arg if function else ()
        if function and index < len(results):
            yield body, function.definition.ret[results[index].name]
        else:
            yield None, ""  # no node: a computation

    def _beside_saver(self, place: _Place) -> bool:
        """Tell whether a path is the one that a saver is told, or starts with it."""
        seen = {place}
        waiting = [place]
        found = False
        while waiting:
            self._left -= 1
            if len(seen) > _MOST_STEPS or self._left < 0:
                return False
            function, tensor = waiting.pop()
            name = _name(tensor)
            if function is None and name in self._saver_files:
                found = True
                continue
            node = None if name in self._arguments(function) else self._node(function, name)
            if node is not None and node.op in ("StringJoin", "ShardedFilename"):
                first, *rest = _data_inputs(node) or [""]
                tails = rest if node.op == "StringJoin" else []
                if not all(self._stays_below((function, each)) for each in tails) or not _joins_harmlessly(node):
                    return False
                following: object = [(function, first)]
            else:
                following = self._step(function, tensor)
            if not isinstance(following, list):
                return False
            self._left -= len(following)
            new = [each for each in dict.fromkeys(following) if each not in seen]
            seen.update(new)
            waiting += new
        return found

    def _stays_below(self, place: _Place) -> bool:
        """Tell whether what is put behind a path leads nowhere else."""
        return all(text is not None and _has_no_way_up(text) for _, text in self._leaves(place))

    def _node(self, function: str | None, name: str) -> Node | None:
        nodes = self._graph.nodes if function is None else self._graph.functions[function].nodes
        return nodes.by_name.get(name)

    def _arguments(self, function: str | None) -> Mapping[str, int]:
        """Return the arguments of a function, and their places."""
        if function is None:
            return {}
        if function not in self._argument_places:
            listed = self._graph.functions[function].definition.signature.input_arg
            self._argument_places[function] = {each.name: index for index, each in enumerate(listed)}
        return self._argument_places[function]

    @cached_property
    def _known_arguments(self) -> dict[tuple[str, int], tuple[Origin, str | None] | list[_Place]]:
        return {}

    @cached_property
    def _argument_places(self) -> dict[str, dict[str, int]]:
        return {}

    @cached_property
    def _variables(self) -> Mapping[str, list[str] | None]:
        """What the graph assigns to each of its variables; None if something else may change it."""
        bodies = (self._graph.nodes, *(function.nodes for function in self._graph.functions.values()))
        if any(node.op in _OTHER_HANDLES for nodes in bodies for node in nodes):
            return {}
        found: dict[str, list[str] | None] = {}
        handles = {node.name: _variable(node) for node in self._graph.nodes if node.op == _VARIABLE}
        for node in self._graph.nodes:
            inputs = _data_inputs(node)
            for index, name in enumerate(map(_name, inputs)):
                if name not in handles or (index == 0 and node.op in _READERS):
                    continue
                values = found.setdefault(handles[name], [])
                if node.op != "AssignVariableOp" or index != 0 or len(inputs) < 2 or values is None:
                    found[handles[name]] = None
                else:
                    values.append(inputs[1])
        for function in self._graph.functions.values():
            found.update({_variable(node): None for node in function.nodes if node.op == _VARIABLE})
        # Those in collections are restored, to what the checkpoint says.
        restored = variables_of_collections(self._definition, self._graph)
        found.update({handles[name]: None for name in restored if name in handles})
        return found

    @cached_property
    def _called_unseen(self) -> frozenset[str]:
        """The functions that are called without being named: as gradients, or in the place of others."""
        functions = self._graph.functions.values()
        alike = {function.name for function in functions if INTERFACE in function.definition.attr}
        return frozenset(alike.union(self._graph.gradients.values()))

    @cached_property
    def _called_by_loading(self) -> frozenset[str]:
        return frozenset(functions_that_loading_calls(self._definition))

    @cached_property
    def _has_default_text(self) -> bool:
        return has_default_text(self._definition)

    @cached_property
    def _callers(self) -> Mapping[str, list[tuple[str | None, Node]]]:
        """The nodes that name each function, and the function that they are in."""
        found: dict[str, list[tuple[str | None, Node]]] = {}
        bodies: list[tuple[str | None, Iterable[Node]]] = [(None, self._graph.nodes)]
        bodies += [(function.name, function.nodes) for function in self._graph.functions.values()]
        for caller, nodes in bodies:
            for node in nodes:
                for name in named_functions(node) | {node.op}:
                    if name in self._graph.functions:
                        found.setdefault(name, []).append((caller, node))
        return found


def _attribute(node: Node, argument: FileArgument) -> Source:
    """Return what an attribute is. One that is not stored has its default, which is harmless where any value is."""
    attributes = node.attributes
    kind = attributes[argument.name].WhichOneof("value") if argument.name in attributes else None
    if kind is None:
        return _made({(Origin.CONSTANT, min(argument.harmless, default=""))})
    if kind not in ("s", "list"):  # in a function's body, "placeholder": the caller's attribute
        return _made({(Origin.COMPUTED, None)})
    attribute = attributes[argument.name]
    texts = [attribute.s] if kind == "s" else attribute.list.s
    return _made({(Origin.CONSTANT, text.decode(errors="backslashreplace")) for text in texts or [b""]})


def _has_no_way_up(text: str) -> bool:
    """Tell whether a part of a path has no "..", nor half of one that the next part completes."""
    return ".." not in text and not text.endswith(".")


def _joins_harmlessly(node: Node) -> bool:
    """Tell whether what a StringJoin puts between parts of a path leads nowhere else."""
    separator = node.attribute("separator")
    return separator.WhichOneof("value") in ("s", None) and _has_no_way_up(separator.s.decode(errors="replace"))


def _made(leaves: set[tuple[Origin, str | None]]) -> Source:
    leaves = leaves or {(Origin.COMPUTED, None)}
    return Source(origins=frozenset(origin for origin, _ in leaves), texts=frozenset(text for _, text in leaves))


def _variable(handle: Node) -> str:
    """Return what is the same for all handles of one variable."""
    return handle.attribute("shared_name").s.decode(errors="backslashreplace") or handle.name


def _calls_itself(node: Node, function: str) -> bool:
    """Tell whether a node calls a function on its inputs, and does not just pass it on to one that it calls."""
    if node.op == function:
        return not named_functions(node)
    funcs = [attribute.func for attribute in node.attributes.values() if attribute.WhichOneof("value") == "func"]
    listed = [each for attribute in node.attributes.values() for each in attribute.list.func]
    return not any(each.attr for each in (*funcs, *listed))


def _data_inputs(node: Node) -> list[str]:
    return [name for name in node.inputs if not name.startswith("^")]


def _name(tensor: str) -> str:
    return tensor.partition(":")[0]


def _output(tensor: str) -> int:
    """Return the number of an output: "a" is 0, "a:1" is 1, and in the body of a function "a:output:1" is 1."""
    last = tensor.rpartition(":")[2]
    return int(last) if ":" in tensor and last.isascii() and last.isdigit() and len(last) < 10 else 0
