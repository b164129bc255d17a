"""What a layer needs to know of a module's signature to be put into a model: a value that goes into a file."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from modhub import errors
from modhub.keras.specs import with_batch

__all__ = ["Signature"]

_KINDS = {"dense": tf.TensorSpec, "sparse": tf.SparseTensorSpec, "ragged": tf.RaggedTensorSpec}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """A signature as a layer uses it.

    Attributes:
      where: names it, for messages.
      inputs: TypeSpecs by name.
      outputs: TypeSpecs by name.
      arguments: the inputs that the layer itself passes.
      output_key: the output that the layer returns; None for all.
    """

    where: str
    inputs: Mapping[str, Any]
    outputs: Mapping[str, Any]
    arguments: frozenset[str]
    output_key: str | None

    def free_inputs(self) -> list[str]:
        """Return the names of the inputs that callers pass."""
        return sorted(set(self.inputs) - self.arguments)

    def dtype(self) -> tf.DType | None:
        """Return the dtype of the single input, if there is one."""
        free = self.free_inputs()
        return self.inputs[free[0]].dtype if len(free) == 1 else None

    def by_name(self, inputs: Any) -> dict[str, Any]:
        """Return inputs by name.

        Raises:
          InvalidInputError: a single one was passed, and there are several.
        """
        if inputs is None or isinstance(inputs, Mapping):
            return dict(inputs or {})
        free = self.free_inputs()
        if len(free) != 1:
            raise errors.InvalidInputError(
                f"Signature expects multiple inputs. Use a dict. For {self.where}, beside the arguments: {free}."
            )
        return {free[0]: inputs}

    def output_specs(self, inputs: Any) -> Any:
        """Return the outputs' TypeSpecs, with the batch size of the inputs where the signature leaves it open."""
        single = not isinstance(inputs, Mapping) and len(self.free_inputs()) != 1
        sizes = {
            spec.shape.as_list()[0]
            for name, spec in ({} if single else self.by_name(inputs)).items()
            if spec is not None and name in self.inputs and spec.shape.rank and _has_open_batch(self.inputs[name])
        }
        batch = sizes.pop() if len(sizes) == 1 else None
        found = {name: with_batch(spec, batch) for name, spec in self.outputs.items()}
        return found if self.output_key is None else found[self.output_key]

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON can hold it."""
        return {
            "where": self.where,
            "inputs": {name: _spec_as_json(spec) for name, spec in self.inputs.items()},
            "outputs": {name: _spec_as_json(spec) for name, spec in self.outputs.items()},
            "arguments": sorted(self.arguments),
            "output_key": self.output_key,
        }

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> Signature:
        """Return what `as_json` described."""
        return cls(
            where=found["where"],
            inputs={name: _spec_from_json(spec) for name, spec in found["inputs"].items()},
            outputs={name: _spec_from_json(spec) for name, spec in found["outputs"].items()},
            arguments=frozenset(found["arguments"]),
            output_key=found["output_key"],
        )


def _has_open_batch(spec: Any) -> bool:
    return bool(spec.shape.rank) and spec.shape.as_list()[0] is None


def _spec_as_json(spec: Any) -> dict[str, Any]:
    found = {
        "kind": next(kind for kind, each in _KINDS.items() if isinstance(spec, each)),
        "shape": None if spec.shape.rank is None else spec.shape.as_list(),
        "dtype": spec.dtype.name,
    }
    if isinstance(spec, tf.RaggedTensorSpec):
        found |= {"ragged_rank": spec.ragged_rank, "row_splits_dtype": spec.row_splits_dtype.name}
    return found


def _spec_from_json(found: Mapping[str, Any]) -> Any:
    shape, dtype = tf.TensorShape(found["shape"]), tf.as_dtype(found["dtype"])
    if found["kind"] == "ragged":
        return tf.RaggedTensorSpec(shape, dtype, found["ragged_rank"], tf.as_dtype(found["row_splits_dtype"]))
    return _KINDS[found["kind"]](shape, dtype)
