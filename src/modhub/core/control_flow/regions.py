"""A graph as nested regions: itself, the conditions and bodies of its loops, and the branches of its conditionals."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from modhub.core.control_flow.membership import Scope

__all__ = ["Conditional", "Construct", "Item", "Loop", "Region", "Stage", "Variable"]

# What a region is made of: a node's name, or the loop or conditional of a scope.
Item = str | Scope


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """Nodes that are imported together, and the loops and conditionals that come after them.

    Attributes:
      graph_def: the nodes.
      consumed: names of the tensors that they need from elsewhere.
      awaited: name of a node that they wait for and that is not among them -> the item which it is in.
      constructs: in order.
    """

    graph_def: Any
    consumed: tuple[str, ...]
    awaited: Mapping[str, Item]
    constructs: tuple[Construct, ...]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Region:
    """A graph, the body or condition of a loop, or a branch.

    Attributes:
      stages: what it computes.
      results: what it returns: names of tensors, or numbers.
      effects: what must have run before it returns, besides.
    """

    stages: tuple[Stage, ...]
    results: tuple[str | int, ...]
    effects: tuple[Item, ...]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Conditional:
    """A conditional.

    Attributes:
      item: what it is called.
      pred: name of the tensor that chooses.
      branches: the one for False, and the one for True.
      outputs: names of the tensors that the branches' results become.
      awaited: what must have run before.
    """

    item: Scope
    pred: str
    branches: tuple[Region, Region]
    outputs: tuple[str, ...]
    awaited: tuple[Item, ...]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Variable:
    """A variable of a loop, by the names of the tensors that hold it.

    Attributes:
      before: when the loop is entered.
      inside: when a turn begins.
      next: when a turn ends.
      after: when the loop is left; None if nothing needs it there.
    """

    before: str
    inside: str
    next: str
    after: str | None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Loop:
    """A loop.

    Attributes:
      item: what it is called.
      variables: what changes in it.
      condition: returns whether there is another turn.
      body: returns the variables' next values.
      parallel_iterations: how many turns may run at a time.
      counter: where one of the variables counts turns: from which tensor, or number, and below which.
      awaited: what must have run before.
    """

    item: Scope
    variables: tuple[Variable, ...]
    condition: Region
    body: Region
    parallel_iterations: int
    counter: tuple[str | int, str | int] | None
    awaited: tuple[Item, ...]


Construct = Conditional | Loop
