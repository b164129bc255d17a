"""Plans the import of a graph with v1 control flow as nested regions, each in the order in which to import it."""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

from tensorflow.core.framework import graph_pb2, node_def_pb2

from modhub.core import _tensorflow
from modhub.core.control_flow.loop_bounds import constant, counted_variable
from modhub.core.control_flow.membership import Members, NotFunctionalError, Role, Scope, inputs_of, is_control
from modhub.core.control_flow.regions import Conditional, Construct, Item, Loop, Region, Stage, Variable
from modhub.format.names import node_of, split_input, tensor_name

__all__ = ["plan_regions"]

# Of the nodes that turn a loop, those that have something brought to them.
_BRINGING = {"Enter", "NextIteration", "LoopCond"}

_Items = dict[Item, dict[Item, None]]


def plan_regions(
    nodes: Mapping[str, Any], members: Members, fed: Collection[str], fetched: Sequence[str], targets: Iterable[str]
) -> tuple[Region, dict[str, Item]]:
    """Plan the import of nodes.

    Args:
      nodes: NodeDefs by name.
      members: where they are.
      fed: names of tensors that come from outside.
      fetched: names of the tensors that are wanted.
      targets: names of the nodes that are to run.

    Returns:
      The outermost region, which returns what is fetched; and the item of it in which each target is.

    Raises:
      NotFunctionalError: the nodes are not built as `tf.cond` and `tf.while_loop` build them.
    """
    planner = _Planner(nodes, members, frozenset(fed), fetched)
    return planner.graph(fetched), {target: planner.item(target, None) for target in targets}


class _Planner:
    def __init__(self, nodes: Mapping[str, Any], members: Members, fed: frozenset[str], fetched: Iterable[str]) -> None:
        self._nodes = nodes
        self._scopes = members.scopes
        self._roles = members.roles
        self._pivots = members.pivots
        self._fed = fed
        self._read = set(map(tensor_name, fetched)) | {given for node in nodes.values() for given in inputs_of(node)}
        self._aliases = self._find_aliases()
        self._exits = self._find_exits()
        self._merges, self._branches = self._find_conditionals()
        self._dependencies: dict[Scope | None, _Items] = defaultdict(dict)
        self._awaited: dict[Scope, dict[Item, None]] = defaultdict(dict)
        self._turning: dict[Scope, list[Any]] = defaultdict(list)
        for node in nodes.values():
            if self._roles[node.name] is Role.LOOP:
                self._turning[self._known(node.name)].append(node)
            self._depend(node)

    def graph(self, fetched: Sequence[str]) -> Region:
        """Return the outermost region."""
        results = [self._resolved(name) for name in fetched]
        region = self._region(None, self._dependencies[None], results)
        return dataclasses.replace(region, effects=())

    def item(self, name: str, scope: Scope | None) -> Item:
        """Return what a node is in, as seen from a scope around it."""
        found = self._item(name, scope)
        if found is None:
            raise NotFunctionalError(f"{name} only passes a tensor on")
        return found

    def _known(self, name: str) -> Scope:
        scope = self._scopes[name]
        if scope is None:
            raise NotFunctionalError(f"{name} is in no loop")
        return scope

    def _find_aliases(self) -> dict[str, str]:
        """Return which tensors are others, brought into a loop or a branch."""
        aliases = {}
        for node in self._nodes.values():
            role = self._roles[node.name]
            if role is Role.ALIAS or role is Role.PIVOT_SWITCH:
                for index in range(2 if node.op == "Switch" else 1):
                    aliases[f"{node.name}:{index}"] = inputs_of(node)[0]
            elif role is Role.LOOP and node.op == "Switch":
                aliases[f"{node.name}:1"] = inputs_of(node)[0]
        return aliases

    def _find_exits(self) -> dict[str, str]:
        """Return, by the node that begins a turn, the tensor that holds its variable after the loop."""
        exits: dict[str, str] = {}
        for node in self._nodes.values():
            if node.op == "Exit":
                switch = self._nodes[node_of(node.input[0])]
                if switch.op != "Switch" or tensor_name(node.input[0]) != f"{switch.name}:0":
                    raise NotFunctionalError(f"{node.name} does not leave a loop at the end of a turn")
                exits.setdefault(node_of(switch.input[0]), f"{node.name}:0")
        return exits

    def _find_conditionals(self) -> tuple[dict[Scope, list[Any]], dict[Scope, tuple[Scope | None, Scope | None]]]:
        """Return the nodes that join the branches of each conditional; and, of each branch, the conditional's two."""
        merges: dict[Scope, list[Any]] = defaultdict(list)
        branches: dict[Scope, tuple[Scope | None, Scope | None]] = {}
        for node in self._nodes.values():
            if self._roles[node.name] is not Role.MERGE:
                continue
            first, second = (self._known(node_of(given)) for given in inputs_of(node))
            pair = (first, second) if second.definition.branch else (second, first)
            preds = {each.definition.pred_name for each in pair}
            if pair[0].definition.branch == pair[1].definition.branch or len(preds) != 1:
                raise NotFunctionalError(f"{node.name} does not join the two branches of a conditional")
            if any(branches.setdefault(each, pair) != pair for each in pair):
                raise NotFunctionalError(f"{node.name} joins branches of different conditionals")
            merges[pair[1]].append(node)
        for scope in dict.fromkeys(self._scopes.values()):
            while scope is not None:
                if scope.kind == "cond":
                    branches.setdefault(scope, (None, scope) if scope.definition.branch else (scope, None))
                scope = scope.parent
        return merges, branches

    def _resolved(self, tensor: str) -> str:
        """Return the tensor that a tensor is, wherever it was brought: one that is computed, or a loop's variable."""
        tensor = tensor_name(tensor)
        while tensor not in self._fed and tensor in self._aliases:
            tensor = self._aliases[tensor]
        name, index = split_input(tensor)
        if tensor in self._fed:
            return tensor
        if name not in self._nodes:
            raise NotFunctionalError(f"{tensor} is not there")
        if self._roles[name] is Role.LOOP and (self._nodes[name].op != "Merge" or index):
            raise NotFunctionalError(f"{tensor} is used outside of what turns its loop")
        return tensor

    def _pred(self, scope: Scope) -> str:
        """Return the tensor that chooses a branch."""
        name = tensor_name(scope.definition.pred_name)
        if name not in self._fed and node_of(name) not in self._nodes:
            # Branches that nothing is brought into have it from the Switch that tells whether they run.
            pivot = self._nodes.get(node_of(scope.definition.pivot_name))
            name = name if pivot is None else inputs_of(self._nodes[node_of(pivot.input[0])])[1]
        return self._resolved(name)

    def _site(self, scope: Scope) -> Scope:
        """Return the scope that stands for a loop or conditional."""
        if scope.kind == "while":
            return scope
        pair = self._branches[scope]
        return pair[1] or pair[0] or scope

    def _own(self, name: str) -> Item | None:
        """Return what a node is in the scope that it is in; None if it only passes tensors on."""
        role = self._roles[name]
        if role is Role.PLAIN:
            return name
        if role is Role.MERGE or role is Role.EXIT:
            return self._site(self._known(node_of(self._nodes[name].input[0])))
        return None

    def _item(self, name: str, scope: Scope | None) -> Item | None:
        """Return the item of a scope that a node is in; None if it is none, or outside of the scope."""
        inner = self._scopes[name]
        if inner is scope:
            return self._own(name)
        while inner is not None and inner.parent is not scope:
            inner = inner.parent
        return None if inner is None else self._site(inner)

    def _places(self, node: Any) -> Iterator[tuple[Scope | None, Item]]:
        """Yield, from the innermost scope outwards, the items that a node is in."""
        scope = self._scopes[node.name]
        own = self._own(node.name)
        if own is not None:
            yield scope, own
        if self._roles[node.name] is Role.PIVOT_SWITCH:
            for name, branch in self._pivots.items():
                if name in self._nodes and node_of(self._nodes[name].input[0]) == node.name:
                    yield scope, self._site(branch)
        while scope is not None:
            yield scope.parent, self._site(scope)
            scope = scope.parent

    def _depend(self, node: Any) -> None:
        """Note what a node, and all that it is in, depends on."""
        data = [] if self._roles[node.name] is Role.PIVOT_SWITCH else inputs_of(node)
        if self._roles[node.name] in (Role.LOOP, Role.EXIT) and node.op not in _BRINGING:
            data = []
        sources = [(self._source(given), False) for given in data]
        sources += [(self._awaited_node(given), True) for given in node.input if is_control(given)]
        scope = self._scopes[node.name]
        if scope is not None and scope.kind == "cond":
            sources.append((self._source(self._pred(scope)), False))
        for region, item in self._places(node):
            dependencies = self._dependencies[region].setdefault(item, {})
            for source, waits in sources:
                needed = None if source is None else self._item(source, region)
                if needed is not None and needed is not item:
                    dependencies[needed] = None
                    if waits and isinstance(item, Scope):
                        self._awaited[item][needed] = None

    def _source(self, tensor: str) -> str | None:
        """Return the node that computes a tensor; None if it is fed or the variable of a loop."""
        resolved = self._resolved(tensor)
        name = node_of(resolved)
        return None if resolved in self._fed or self._roles[name] is Role.LOOP else name

    def _awaited_node(self, control: str) -> str | None:
        """Return the node that a control edge waits for; None if that is always there first."""
        name = node_of(control)
        role = self._roles[name]
        if role is Role.LOOP or role is Role.PIVOT_SWITCH or name in self._pivots:
            return None
        return self._source(f"{name}:0") if role is Role.ALIAS else name

    def _region(self, scope: Scope | None, items: _Items, results: Sequence[str | int]) -> Region:
        """Plan a region of a scope."""
        levels = _levels(items)
        nodes: dict[int, list[str]] = defaultdict(list)
        constructs: dict[int, list[Scope]] = defaultdict(list)
        for item, level in levels.items():
            if isinstance(item, Scope):
                constructs[level].append(item)
            else:
                nodes[level].append(item)
        used: set[Item] = {needed for needs in items.values() for needed in needs}
        computed = [node_of(name) for name in results if isinstance(name, str) and name not in self._fed]
        used.update(found for name in computed if (found := self._item(name, scope)) is not None)
        return Region(
            stages=tuple(
                self._stage(scope, nodes[level], constructs[level])
                for level in sorted(nodes.keys() | constructs.keys())
            ),
            results=tuple(results),
            effects=tuple(item for item in items if item not in used),
        )

    def _stage(self, scope: Scope | None, names: list[str], constructs: list[Scope]) -> Stage:
        together = frozenset(names)
        graph_def = graph_pb2.GraphDef()
        consumed: dict[str, None] = {}
        awaited: dict[str, Item] = {}
        for name in names:
            node = node_def_pb2.NodeDef()
            node.CopyFrom(self._nodes[name])
            node.attr.pop("_class", None)  # names nodes that may be elsewhere
            data = [self._resolved(given) for given in inputs_of(node)]
            consumed.update((given, None) for given in data if given in self._fed or node_of(given) not in together)
            controls: dict[str, None] = {}
            for given in self._nodes[name].input:
                source = self._awaited_node(given) if is_control(given) else None
                item = None if source is None else self._item(source, scope)
                if source is not None and item is not None:
                    controls[f"^{source}"] = None
                    if source not in together:
                        awaited[source] = item
            node.input[:] = [*data, *controls]
            graph_def.node.append(node)
        return Stage(
            graph_def=graph_def,
            consumed=tuple(consumed),
            awaited=awaited,
            constructs=tuple(self._construct(scope) for scope in constructs),
        )

    def _construct(self, scope: Scope) -> Construct:
        return self._loop(scope) if scope.kind == "while" else self._conditional(scope)

    def _conditional(self, site: Scope) -> Conditional:
        pair = self._branches[site]
        merges = self._merges[site]
        false, true = (self._branch(scope, merges) for scope in pair)
        return Conditional(
            item=site,
            pred=self._pred(site),
            branches=(false, true),
            outputs=tuple(output for merge in merges for output in self._outputs(merge)),
            awaited=tuple(self._awaited[site]),
        )

    def _branch(self, scope: Scope | None, merges: list[Any]) -> Region:
        if scope is None:
            return Region(stages=(), results=(), effects=())
        results: list[str | int] = []
        for merge in merges:
            for index, given in enumerate(inputs_of(merge)):
                if self._scopes[node_of(given)] is scope:
                    results.append(self._resolved(given))
                    results += [index] * (len(self._outputs(merge)) - 1)
        return self._region(scope, self._dependencies[scope], results)

    def _outputs(self, merge: Any) -> list[str]:
        """Return the outputs of a Merge: its value, and the number of the branch where that is wanted."""
        return [f"{merge.name}:{index}" for index in (0, 1) if index == 0 or f"{merge.name}:1" in self._read]

    def _loop(self, scope: Scope) -> Loop:
        nodes = {node.name: node for node in self._turning[scope]}
        variables = tuple(self._variable(node, nodes) for node in nodes.values() if node.op == "Merge")
        conditions = [node for node in nodes.values() if node.op == "LoopCond"]
        if len(conditions) != 1 or not variables:
            raise NotFunctionalError(f"the loop {scope.definition.context_name} has {len(conditions)} conditions")
        condition = self._resolved(inputs_of(conditions[0])[0])
        items = self._dependencies[scope]
        before = _closure(items, self._computing(scope, [condition]))
        turns = [variable.next for variable in variables]
        # What no variable needs runs in each turn too.
        body = _closure(items, [*self._computing(scope, turns), *(item for item in items if item not in before)])
        for item in before:
            if item in body and (isinstance(item, Scope) or _tensorflow.is_stateful(self._nodes[item].op)):
                raise NotFunctionalError(f"the condition and the body of {scope.definition.context_name} share an op")
        return Loop(
            item=scope,
            variables=variables,
            condition=self._region(scope, before, [condition]),
            body=self._region(scope, body, turns),
            parallel_iterations=scope.definition.parallel_iterations or 10,
            counter=self._counter(scope, condition, variables),
            awaited=tuple(self._awaited[scope]),
        )

    def _computing(self, scope: Scope, results: Iterable[str]) -> list[Item]:
        """Return the items of a scope that compute results."""
        sources = [self._source(name) for name in results]
        return [found for name in sources if name is not None and (found := self._item(name, scope)) is not None]

    def _variable(self, merge: Any, nodes: Mapping[str, Any]) -> Variable:
        sources = {nodes[name].op: nodes[name] for given in merge.input if (name := node_of(given)) in nodes}
        if sources.keys() != {"Enter", "NextIteration"}:
            raise NotFunctionalError(f"{merge.name} does not begin a turn of a loop")
        return Variable(
            before=self._resolved(inputs_of(sources["Enter"])[0]),
            inside=f"{merge.name}:0",
            next=self._resolved(inputs_of(sources["NextIteration"])[0]),
            after=self._exits.get(merge.name),
        )

    def _counter(
        self, scope: Scope, condition: str, variables: Sequence[Variable]
    ) -> tuple[str | int, str | int] | None:
        found = counted_variable(self._nodes, self._resolved, condition, variables)
        if found is None:
            return None
        variable, limit = found
        number = constant(self._nodes.get(node_of(limit)))
        inside = limit not in self._fed and (
            self._item(node_of(limit), scope) is not None or self._scopes[node_of(limit)] is scope
        )
        if number is None and inside:  # it may change from turn to turn
            return None
        return variable.before, limit if number is None else number


def _closure(items: _Items, roots: Iterable[Item]) -> _Items:
    """Return the items that some of them need, in the order that they have."""
    found: set[Item] = set()
    pending = list(roots)
    while pending:
        item = pending.pop()
        if item not in found:
            found.add(item)
            pending.extend(items[item])
    return {item: needs for item, needs in items.items() if item in found}


def _levels(items: _Items) -> dict[Item, int]:
    """Return the stage that each item belongs to, in an order in which none comes before what it needs."""
    missing = {item: len(needs) for item, needs in items.items()}
    consumers: dict[Item, list[Item]] = defaultdict(list)
    for item, needs in items.items():
        for needed in needs:
            consumers[needed].append(item)
    levels = {item: 0 for item, count in missing.items() if not count}
    ready = list(levels)
    for item in ready:
        for consumer in consumers[item]:
            levels[consumer] = max(levels.get(consumer, 0), levels[item] + isinstance(item, Scope))
            missing[consumer] -= 1
            if not missing[consumer]:
                ready.append(consumer)
    if len(ready) != len(items):
        raise NotFunctionalError("a loop or conditional needs what needs it")
    return {item: levels[item] for item in ready}
