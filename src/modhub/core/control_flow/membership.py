"""Which v1 control-flow context each node of a graph is in, and what it does there.

The executor knows a loop by its frame and a branch by the tensors that are dead; here the contexts' definitions say
where a tensor enters a loop or a branch, and everything else is where its inputs are.
"""

from __future__ import annotations

import dataclasses
import enum
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from modhub.core.contexts import Context
from modhub.format.names import node_of, tensor_name

__all__ = ["Members", "NotFunctionalError", "Role", "Scope", "find_members", "inputs_of", "is_control"]


# How gradients of v1 loops remember; TensorFlow takes them for constants where it differentiates.
_OF_GRADIENTS = {"StackV2", "StackPushV2", "StackPopV2"}


class NotFunctionalError(Exception):
    """Control flow that is not built as TensorFlow's own `tf.cond` and `tf.while_loop` build it."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Scope:
    """A loop, or one branch of a conditional.

    Attributes:
      kind: "cond" or "while".
      definition: its CondContextDef or WhileContextDef.
      parent: the scope around it; None is the graph itself.
    """

    kind: str
    definition: Any
    parent: Scope | None


class Role(enum.Enum):
    """What a node does."""

    PLAIN = enum.auto()
    PIVOT_SWITCH = enum.auto()  # splits a predicate in two, so that ops without inputs know whether they run
    ALIAS = enum.auto()  # brings a tensor into a loop or a branch
    LOOP = enum.auto()  # turns a loop: Enter, Merge, Switch, LoopCond, NextIteration
    EXIT = enum.auto()
    MERGE = enum.auto()  # joins two branches


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Members:
    """Where nodes are.

    Attributes:
      scopes: name of a node -> the innermost scope that it is in.
      roles: name of a node -> what it does there.
      pivots: name of a node that says whether a branch runs -> the branch.
    """

    scopes: dict[str, Scope | None]
    roles: dict[str, Role]
    pivots: Mapping[str, Scope]


def is_control(given: str) -> bool:
    """Tell whether an input of a node is a control edge."""
    return given.startswith("^")


def inputs_of(node: Any) -> list[str]:
    """Return the tensors that a node consumes."""
    return [tensor_name(given) for given in node.input if not is_control(given)]


def find_members(nodes: Mapping[str, Any], contexts: Iterable[Context], fed: Iterable[str]) -> Members:
    """Find out where nodes are.

    Args:
      nodes: NodeDefs by name.
      contexts: the outermost contexts, as ("cond" | "while", definition).
      fed: names of tensors that come from outside.

    Raises:
      NotFunctionalError: the nodes and the contexts do not go together as they do in what `tf.cond` and
        `tf.while_loop` build.
    """
    return _Finder(nodes, contexts, frozenset(fed)).find()


class _Finder:
    def __init__(self, nodes: Mapping[str, Any], contexts: Iterable[Context], fed: frozenset[str]) -> None:
        self._nodes = nodes
        self._fed = fed
        self._scopes: dict[str, Scope | None] = {}
        self._roles: dict[str, Role] = {}
        self._entrances: dict[str, Scope] = {}
        self._loop_enters: dict[str, Scope] = {}
        self._pivots: dict[str, Scope] = {}
        for scope in _scopes(contexts, None):
            definition = scope.definition
            for outer, inner in definition.values_def.external_values.items():
                if outer != inner:
                    self._entrances[node_of(inner)] = scope
            if scope.kind == "cond":
                self._pivots[node_of(definition.pivot_name)] = scope
            else:
                self._loop_enters.update((node_of(name), scope) for name in definition.loop_enter_names)

    def find(self) -> Members:
        """Return where the nodes are."""
        for node in self._nodes.values():
            if node.op in _OF_GRADIENTS:
                raise NotFunctionalError(f"{node.name} ({node.op}) belongs to a gradient that the module takes itself")
        for name in self._ordered():
            node = self._nodes[name]
            self._roles[name] = self._role(node)
            self._scopes[name] = self._scope(node)
        return Members(scopes=self._scopes, roles=self._roles, pivots=self._pivots)

    def _ordered(self) -> Iterator[str]:
        """Yield the nodes after their inputs; what goes back to the start of a loop does not count as one."""
        consumers: dict[str, list[str]] = defaultdict(list)
        missing: dict[str, int] = {}
        for name, node in self._nodes.items():
            sources = {source for source in self._sources(node) if self._nodes[source].op != "NextIteration"}
            missing[name] = len(sources)
            for source in sources:
                consumers[source].append(name)
        ready = [name for name, count in missing.items() if not count]
        for name in ready:
            yield name
            for consumer in consumers[name]:
                missing[consumer] -= 1
                if not missing[consumer]:
                    ready.append(consumer)
        if len(ready) != len(self._nodes):
            raise NotFunctionalError("nodes need each other outside of a loop")

    def _sources(self, node: Any) -> Iterator[str]:
        for given in node.input:
            if is_control(given) or tensor_name(given) not in self._fed:
                source = node_of(given)
                if source not in self._nodes:
                    raise NotFunctionalError(f"{node.name} needs {source}, which is not there")
                yield source

    def _role(self, node: Any) -> Role:
        name, op = node.name, node.op
        if op == "Switch":
            if name in self._entrances:
                return Role.ALIAS
            if self._op(node.input[1]) == "LoopCond":
                return Role.LOOP
            if tensor_name(node.input[0]) == tensor_name(node.input[1]):
                return Role.PIVOT_SWITCH
            raise NotFunctionalError(f"the Switch {name} belongs to no conditional")
        if op == "Enter":
            if name in self._loop_enters:
                return Role.LOOP
            if name in self._entrances and node.attr["is_constant"].b:
                return Role.ALIAS
            raise NotFunctionalError(f"{name} enters no loop that is known")
        if op == "Merge":
            loop = any(self._op(given) in ("Enter", "NextIteration") for given in node.input)
            return Role.LOOP if loop else Role.MERGE
        if op == "Exit":
            return Role.EXIT
        if op in ("NextIteration", "LoopCond"):
            return Role.LOOP
        if op.startswith("Ref") and op[3:] in ("Switch", "Enter", "Merge", "Exit", "NextIteration"):
            raise NotFunctionalError(f"{name} passes a reference through control flow")
        return Role.ALIAS if name in self._pivots else Role.PLAIN

    def _op(self, given: str) -> str:
        return "" if tensor_name(given) in self._fed else str(self._nodes[node_of(given)].op)

    def _scope(self, node: Any) -> Scope | None:
        for known in (self._loop_enters, self._entrances, self._pivots):
            if node.name in known:
                return known[node.name]
        found = self._deepest(node)
        role = self._roles[node.name]
        if role is Role.EXIT:
            if found is None or found.kind != "while":
                raise NotFunctionalError(f"{node.name} leaves no loop")
            return found.parent
        return found

    def _deepest(self, node: Any) -> Scope | None:
        if self._roles[node.name] is Role.MERGE:
            return self._around(node)
        deepest: Scope | None = None
        for source in self._sources(node):
            scope = self._scopes.get(source)  # none yet for the end of a loop, which is where its start is
            if _is_inside(scope, deepest):
                deepest = scope
            elif not _is_inside(deepest, scope):
                raise NotFunctionalError(f"{node.name} needs nodes of two branches or loops")
        return deepest

    def _around(self, node: Any) -> Scope | None:
        given = inputs_of(node)
        branches = [self._scopes.get(node_of(name)) for name in given if name not in self._fed]
        kinds = {branch.kind if branch else "" for branch in branches}
        parents = {branch.parent if branch else None for branch in branches}
        if len(given) != 2 or len(branches) != 2 or kinds != {"cond"} or len(parents) != 1:
            raise NotFunctionalError(f"{node.name} does not join the two branches of a conditional")
        return parents.pop()


def _scopes(contexts: Iterable[Context], parent: Scope | None) -> Iterator[Scope]:
    for kind, definition in contexts:
        scope = Scope(kind=kind, definition=definition, parent=parent)
        yield scope
        fields = [(nested, nested.WhichOneof("ctxt")) for nested in definition.nested_contexts]
        yield from _scopes([(field.removesuffix("_ctxt"), getattr(nested, field)) for nested, field in fields], scope)


def _is_inside(scope: Scope | None, other: Scope | None) -> bool:
    while scope is not other:
        if scope is None:
            return False
        scope = scope.parent
    return True
