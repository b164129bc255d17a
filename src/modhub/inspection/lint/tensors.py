"""How rules compare the inputs and outputs of signatures, and say what they expected."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from modhub.inspection.description import SignatureDescription, TensorDescription

__all__ = ["ANY", "FIXED", "OPEN", "expect", "find", "same_interface", "shown", "shown_shape"]

# A dimension that any size is fine for, that must be left open, or that must be fixed.
ANY, OPEN, FIXED = "any", "open", "fixed"


def find(tensors: Iterable[TensorDescription], name: str) -> TensorDescription | None:
    """Return the tensor of a name; None where there is none."""
    return next((tensor for tensor in tensors if tensor.name == name), None)


def expect(tensor: TensorDescription, dtype: str, shape: Sequence[str | int] | None) -> str | None:
    """Compare a tensor with what is asked for.

    Args:
      tensor: an input or output.
      dtype: its type.
      shape: for each dimension its size, ANY, OPEN or FIXED; None where any shape will do.

    Returns:
      What is wrong, as a sentence; None where nothing is.
    """
    wanted = f"{dtype} {_wanted(shape)}" if shape is not None else dtype
    fits = tensor.kind == "dense" and tensor.dtype == dtype
    if fits and shape is not None:
        fits = tensor.shape is not None and len(tensor.shape) == len(shape)
        fits = fits and all(map(_fits, tensor.shape or (), shape))
    return None if fits else f"It is {shown(tensor)}, and should be {wanted}."


def shown(tensor: TensorDescription) -> str:
    """Return a tensor's type and shape as text: "float32 [?, 224, 224, 3]"."""
    kind = "" if tensor.kind == "dense" else f"{tensor.kind} "
    return f"{kind}{tensor.dtype} {shown_shape(tensor.shape)}"


def shown_shape(shape: tuple[int | None, ...] | None) -> str:
    """Return a shape as text, with ? for a size that is not fixed."""
    if shape is None:
        return "of unknown rank"
    return "[" + ", ".join("?" if size is None else str(size) for size in shape) + "]"


def same_interface(one: SignatureDescription, other: SignatureDescription) -> str | None:
    """Say in what two signatures differ, for callers; None where they are the same to them."""
    for kind, first, second in (("input", one.inputs, other.inputs), ("output", one.outputs, other.outputs)):
        ours, theirs = ({tensor.name: tensor for tensor in tensors} for tensors in (first, second))
        for name in sorted({*ours, *theirs}):
            here, there = ours.get(name), theirs.get(name)
            if here is None or there is None:
                return f"the {kind} {name!r} is in one of them only"
            if shown(here) != shown(there):
                return f"the {kind} {name!r} is {shown(here)} in one and {shown(there)} in the other"
    return None


def _fits(size: int | None, wanted: str | int) -> bool:
    if wanted == ANY:
        return True
    if wanted == OPEN:
        return size is None
    if wanted == FIXED:
        return size is not None
    return size == wanted


def _wanted(shape: Sequence[str | int]) -> str:
    words = {ANY: "any", OPEN: "?", FIXED: "fixed"}
    return "[" + ", ".join(words.get(size, size) if isinstance(size, str) else str(size) for size in shape) + "]"
