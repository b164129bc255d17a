"""Whether Keras may have a module compiled by XLA, as `fit` does where all layers allow it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

__all__ = ["can_compile"]

# Ops that XLA compiles whatever they are given. It is no error if one is missing here: the model is then not compiled.
_STATE = """Assign AssignAdd AssignAddVariableOp AssignSub AssignSubVariableOp AssignVariableOp IsVariableInitialized
ReadVariableOp VarHandleOp VarIsInitializedOp Variable VariableV2"""
_PLUMBING = """Cast ConcatV2 Const ExpandDims Fill GatherV2 Identity NoOp OnesLike Pack Pad Placeholder
PlaceholderWithDefault Reshape Shape Slice Split Squeeze StopGradient StridedSlice Tile Transpose ZerosLike"""
_MATHS = """Abs Add AddN AddV2 AvgPool BatchMatMul BatchMatMulV2 BiasAdd Conv2D DepthwiseConv2dNative Div Elu Equal Exp
FusedBatchNorm FusedBatchNormV2 FusedBatchNormV3 Greater GreaterEqual L2Loss LeakyRelu Less LessEqual Log Log1p
LogSoftmax LogicalAnd LogicalNot LogicalOr MatMul Max MaxPool Maximum Mean Min Minimum Mul Neg NotEqual Pow Prod
RandomStandardNormal RandomUniform RealDiv Reciprocal Relu Relu6 Rsqrt Select SelectV2 Selu Sigmoid Sign Softmax
Softplus Softsign Sqrt Square SquaredDifference Sub Sum Tanh TruncatedNormal"""
_COMPILED = frozenset(f"{_STATE} {_PLUMBING} {_MATHS}".split())


def can_compile(graph_defs: Iterable[Any]) -> bool:
    """Tell whether XLA surely knows all ops of some graphs."""
    return all(
        node.op in _COMPILED
        for graph_def in graph_defs
        for nodes in (graph_def.node, *(function.node_def for function in graph_def.library.function))
        for node in nodes
    )
