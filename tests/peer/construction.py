"""What a construction is: a module to exchange, and the calls that are compared."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

__all__ = ["Call", "Construction", "Ragged", "Sparse", "control_flow_v1"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sparse:
    """A sparse input, by its three parts."""

    indices: Any
    values: Any
    dense_shape: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Ragged:
    """A ragged input, by its rows."""

    rows: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One application of a module: a signature of a variant, and what goes into it."""

    signature: str = "default"
    tags: tuple[str, ...] = ()
    inputs: Mapping[str, Any] = field(default_factory=dict)
    differentiate: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Construction:
    """A module to exchange.

    `build(hub, tf, folder)` returns its spec, and may write what it needs to the folder. `attachments` has the
    keys of its messages, each with a function of `(hub, tf)` that returns the type. `loops_of_v1` says that it is made
    of v1 control flow, in which the peer must differentiate it.
    """

    build: Callable[[Any, Any, Path], Any]
    calls: tuple[Call, ...]
    attachments: Mapping[str, Callable[[Any, Any], Any]] = field(default_factory=dict)
    loops_of_v1: bool = False


@contextlib.contextmanager
def control_flow_v1(tf: Any) -> Iterator[None]:
    """Build loops and conditionals as TF1 did: Enter, Exit, Switch, Merge, and TensorArrayV3."""
    tf.compat.v1.disable_control_flow_v2()
    try:
        yield
    finally:
        tf.compat.v1.enable_control_flow_v2()
