"""What of a graph behaves otherwise in training: dropout, batch norm, moving averages; found by their shape."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from modhub.format.graph import Node
from modhub.inspection.lint.constants import data_inputs, scalar
from modhub.inspection.lint.subject import Scope, Variant, node_name, reach

__all__ = [
    "Dropout",
    "MovingAverage",
    "batch_norms",
    "dropouts",
    "has_moving_statistics",
    "is_random",
    "moving_averages",
    "read_statistics",
    "uses_batch_statistics",
]

_UNIFORM = frozenset({"RandomUniform", "StatelessRandomUniform", "StatelessRandomUniformV2", "StatefulUniform"})
# Stateless ones are not among them: they are as random as their seed, which is an input.
_RANDOM = re.compile(
    r"Random(Uniform|UniformInt|StandardNormal|Gamma|Poisson|PoissonV2|Shuffle|Crop)|(Parameterized)?TruncatedNormal"
    r"|Multinomial|Stateful(Uniform|UniformInt|UniformFullInt|StandardNormal|StandardNormalV2|TruncatedNormal)"
    r"|StatefulRandomBinomial|SampleDistortedBoundingBox(V2)?|RngReadAndSkip|\w+CandidateSampler"
)
_BATCH_NORM = frozenset({"FusedBatchNorm", "FusedBatchNormV2", "FusedBatchNormV3"})
_MOVING = re.compile(r"(^|/)moving_(mean|variance)$")
_ASSIGNMENTS = frozenset({"AssignSub", "AssignSubVariableOp", "AssignAdd", "AssignAddVariableOp"})
_SCALED = frozenset({"Add", "AddV2", "Cast", "Identity", "Mul", "Sub"})
_MOST_STEPS = 4
# What a dropout is made of has few inputs and users, and a graph some hundred dropouts; one made to be slow has more.
_MOST_USERS = 32
_MOST_INPUTS = 8
_MOST_DRAWS = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Dropout:
    """A dropout.

    Attributes:
      node: the op that draws the random numbers.
      rate: of dropping, or of keeping; None where it is not a constant.
    """

    node: str
    rate: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class MovingAverage:
    """An update op that moves a variable towards a value.

    Attributes:
      node: the op that assigns.
      step: the part of the way that it goes, 1 - momentum; None where it is not a constant.
    """

    node: str
    step: float | None


def dropouts(scope: Scope) -> Iterator[Dropout]:
    """Yield the dropouts of a scope.

    TensorFlow writes them as x * cast(uniform >= rate), as select(uniform >= rate, x, 0), and before 1.13 as
    x * floor(keep + uniform).
    """
    drawn = islice((node for node in scope if node.op in _UNIFORM), _MOST_DRAWS)
    for node in drawn:
        if rate := _dropout_rate(scope, node):
            yield Dropout(node=node.name, rate=scalar(scope, rate))


def batch_norms(scope: Scope) -> Iterator[Node]:
    """Yield the fused batch norms of a scope."""
    return (node for node in scope if node.op in _BATCH_NORM)


def uses_batch_statistics(batch_norm: Node) -> bool:
    """Tell whether a fused batch norm is in training mode, which is the op's default, so it need not be stored."""
    value = batch_norm.attribute("is_training")
    return value.WhichOneof("value") is None or bool(value.b)


def has_moving_statistics(variant: Variant) -> bool:
    """Tell whether the variant has the variables of a batch norm, by the names that TensorFlow gives them."""
    return any(_MOVING.search(name) for name in variant.description.variables)


def read_statistics(variant: Variant) -> frozenset[str]:
    """Return the variables of batch norms, by the names that TensorFlow gives them, that the outputs need."""
    reached = variant.all_reached()[0].names
    return frozenset(name for name in variant.description.variables if _MOVING.search(name) and name in reached)


def is_random(node: Node) -> bool:
    """Tell whether an op draws other numbers at each call."""
    return _RANDOM.fullmatch(node.op) is not None


def moving_averages(variant: Variant) -> Iterator[MovingAverage]:
    """Yield what the update ops move: variable -= (variable - value) * step, or += (value - variable) * step."""
    for scope in reach(variant.graph, variant.description.update_ops):
        for node in scope:
            given = data_inputs(node)
            if node.op not in _ASSIGNMENTS or len(given) != 2:
                continue
            product = scope.get(given[1])
            if product is None or product.op != "Mul" or len(data_inputs(product)) != 2:
                continue
            one, other = data_inputs(product)
            for difference, step in ((one, other), (other, one)):
                if _is_difference_of(scope, difference, given[0]):
                    yield MovingAverage(node=node.name, step=scalar(scope, step))
                    break


def _is_difference_of(scope: Scope, name: str, variable: str) -> bool:
    """Tell whether a tensor is the difference of a variable's value and something else."""
    node = scope.get(name)
    if node is None or node.op != "Sub":
        return False
    return any(_reads(scope, given, node_name(variable)) for given in data_inputs(node))


def _reads(scope: Scope, name: str, variable: str) -> bool:
    for _ in range(_MOST_STEPS):
        if node_name(name) == variable:
            return True
        node = scope.get(name)
        if node is None or node.op not in ("ReadVariableOp", "Identity", "Cast") or not node.inputs:
            return False
        name = node.inputs[0]
    return False


def _dropout_rate(scope: Scope, uniform: Node) -> str | None:
    """Return the tensor that random numbers are compared with, if the result masks something; None if not."""
    waiting: list[tuple[Node, str | None, int]] = [(uniform, None, 0)]
    seen: set[str] = set()
    while waiting and len(seen) < _MOST_USERS:
        node, added, steps = waiting.pop()
        for user in _users(scope, node):
            given = data_inputs(user)
            if user.op == "GreaterEqual" and len(given) == 2 and node_name(given[0]) == node.name:
                if _masks(scope, user):
                    return given[1]
            elif user.op == "Floor" and added is not None:
                if _masks(scope, user):
                    return added
            elif user.op in _SCALED and steps < _MOST_STEPS and user.name not in seen:
                seen.add(user.name)
                others = [name for name in given if node_name(name) != node.name]
                is_sum = user.op in ("Add", "AddV2") and len(others) == 1
                waiting.append((user, others[0] if is_sum else added, steps + 1))
    return None


def _masks(scope: Scope, mask: Node) -> bool:
    """Tell whether a mask is multiplied with something, or chooses between it and something else."""
    users = _users(scope, mask)
    for user in users[:]:
        if user.op in ("Cast", "Identity") and len(users) < _MOST_USERS:
            users.extend(_users(scope, user))
    return any(user.op in ("Mul", "Select", "SelectV2") for user in users)


def _users(scope: Scope, node: Node) -> list[Node]:
    """Return what takes an output of a node; of many, as no dropout has, some."""
    return [user for user in scope.consumers.get(node.name, [])[:_MOST_USERS] if len(user.inputs) <= _MOST_INPUTS]
