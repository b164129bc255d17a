"""Writes the variables of a module in a session to a checkpoint, by ops: their values need not pass through Python."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import tensorflow as tf

from modhub.core.state import GraphState
from modhub.core.variables import ModuleVariable

__all__ = ["save_variables"]

_KEY = "saver"
# Above this many bytes two ops write at the same time; one op alone writes no faster than one processor copies.
_WORTH_SHARING = 16 * 2**20


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Saver:
    """Ops that write a checkpoint: run `op`, feeding the prefix, and those of the parts that are merged into it."""

    op: tf.Operation
    prefix: tf.Tensor
    parts: tuple[tf.Tensor, ...]


def save_variables(state: GraphState, session: Any, prefix: Path) -> bool:
    """Write the values that the variables have in a session.

    Args:
      state: the module's state, which has variables. The ops are added to its graph at the first call.
      session: a session of that graph.
      prefix: of the checkpoint; its directory exists.

    Returns:
      Whether it was written. It is not where the graph is finalized and has no ops for it, or where the session's
      machine does not share this one's files.

    Raises:
      tf.errors.FailedPreconditionError: a variable is not initialized.
    """
    if _KEY not in state.functions:
        if state.graph.finalized:
            return False
        state.functions[_KEY] = _create(state)
    saver: _Saver = state.functions[_KEY]
    parts = {part: f"{prefix}.part{number}" for number, part in enumerate(saver.parts)}
    try:
        session.run(saver.op, {saver.prefix: str(prefix), **parts})
    except tf.errors.NotFoundError:
        return False  # the directory is on this machine, and the session's ops run on another
    return prefix.with_name(f"{prefix.name}.index").exists()


def _create(state: GraphState) -> _Saver:
    shares = _shares([described for described, _ in state.variables])
    reads = {described.name: state.read(described) for described, _ in state.variables}
    with (
        state.graph.as_default() as graph,
        tf.control_dependencies(None),
        graph.name_scope(None),
        graph.name_scope(f"{state.scope}_save"),
        tf.device("/device:CPU:0"),
    ):
        prefix = tf.compat.v1.placeholder(tf.string, [], name="prefix")
        if len(shares) == 1:
            return _Saver(op=_save(prefix, shares[0], reads), prefix=prefix, parts=())
        parts = [tf.compat.v1.placeholder(tf.string, [], name="part") for _ in shares]
        with tf.control_dependencies([_save(part, share, reads) for part, share in zip(parts, shares, strict=True)]):
            merge = tf.raw_ops.MergeV2Checkpoints(
                checkpoint_prefixes=tf.stack(parts), destination_prefix=prefix, delete_old_dirs=False
            )
        return _Saver(op=merge, prefix=prefix, parts=tuple(parts))


def _save(prefix: tf.Tensor, variables: Sequence[ModuleVariable], reads: Mapping[str, tf.Tensor]) -> tf.Operation:
    return tf.raw_ops.SaveV2(
        prefix=prefix,
        tensor_names=[described.key for described in variables],
        shape_and_slices=[described.slice_spec for described in variables],
        tensors=[reads[described.name] for described in variables],
    )


def _shares(variables: list[ModuleVariable]) -> list[list[ModuleVariable]]:
    """Divide variables into two shares of about as many bytes; or one, of few bytes or of one variable."""
    by_key: dict[str, list[ModuleVariable]] = {}
    for variable in variables:
        by_key.setdefault(variable.key, []).append(variable)  # the parts of a variable stay together
    sizes = {key: _bytes(parts[0]) for key, parts in by_key.items()}
    if len(by_key) == 1 or sum(sizes.values()) < _WORTH_SHARING:
        return [variables]
    shares: list[list[ModuleVariable]] = [[], []]
    filled = [0, 0]
    for key in sorted(sizes, key=lambda each: sizes[each], reverse=True):
        number = filled.index(min(filled))
        shares[number].extend(by_key[key])
        filled[number] += sizes[key]
    return shares


def _bytes(variable: ModuleVariable) -> int:
    shape = variable.shape.as_list() if variable.shape.is_fully_defined() else [0]
    return math.prod(shape) * (variable.dtype.size or 1)
