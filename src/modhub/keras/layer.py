"""What the layers of both Kerases share: calling, the config, and the values of the weights by name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from modhub import errors
from modhub.keras.callee import Callee
from modhub.keras.options import Options
from modhub.keras.specs import module_of, set_shapes, spec_of, with_batch

__all__ = ["check_family", "compute", "output_shapes", "stored_values", "symbolic_specs", "take_values"]


def compute(callee: Callee, options: Options, inputs: Any, training: Any) -> tuple[Any, list[tf.Tensor]]:
    """Call, and give the outputs the shapes that were promised."""
    outputs, losses = callee.call(inputs, training)
    set_shapes(outputs, options.output_shape)
    return outputs, losses


def symbolic_specs(callee: Callee, options: Options, inputs: Any) -> Any:
    """Return the TypeSpecs of the outputs for inputs of Keras; the module is not run."""
    given = tf.nest.map_structure(spec_of, inputs)
    outputs = callee.output_specs(given)
    if options.output_shape is None:
        return outputs
    batches = {
        spec.shape.as_list()[0] for spec in tf.nest.flatten(given) if isinstance(spec, tf.TypeSpec) and spec.shape.rank
    }
    return _shaped(outputs, options.output_shape, batches.pop() if len(batches) == 1 else None)


def _shaped(specs: Any, shapes: Any, batch: int | None) -> Any:
    if isinstance(shapes, dict):
        return {**specs, **{key: _shaped(specs[key], shape, batch) for key, shape in shapes.items()}}
    if isinstance(shapes, list):
        return [_shaped(spec, shape, batch) for spec, shape in zip(specs, shapes, strict=True)]
    return with_batch(tf.TensorSpec([None, *shapes], specs.dtype), batch)


def output_shapes(callee: Callee, options: Options, input_shape: Any) -> Any:
    """Return the TensorShapes of the outputs for the shapes of the inputs."""
    dtype = callee.dtype or tf.float32
    if isinstance(input_shape, Mapping):
        given: Any = {name: tf.TensorSpec(shape, dtype) for name, shape in input_shape.items()}
    else:
        given = tf.TensorSpec(input_shape, dtype)
    return tf.nest.map_structure(lambda spec: spec.shape, symbolic_specs(callee, options, given))


def check_family(inputs: Any, foreign: str, layer: Any) -> None:
    """Check that no symbolic input is of the other Keras.

    Args:
      inputs: what the layer is called on.
      foreign: the package of the other Keras.
      layer: the layer, whose repr says what to do.
    """
    for value in tf.nest.flatten(inputs):
        if type(value).__name__.endswith("KerasTensor") and module_of(value) == foreign:
            raise errors.GraphError(
                f"The layer was called on a tensor of {foreign}, which is another Keras. It is {layer!r}."
            )


def stored_values(variables: Mapping[str, tf.Variable]) -> Iterator[tuple[str, np.ndarray[Any, Any]]]:
    """Yield what goes into a store of weights: values by names that a path may have as a part."""
    for name, variable in variables.items():
        yield _key(name), tf.convert_to_tensor(variable).numpy()


def take_values(variables: Mapping[str, tf.Variable], store: Mapping[str, Any], where: str) -> None:
    """Assign the values of a store.

    Args:
      variables: by name.
      store: what `stored_values` gave.
      where: names the layer, for messages.

    Raises:
      CheckpointError: the store has other names or shapes; no variable was changed then.
    """
    wanted = {_key(name): variable for name, variable in variables.items()}
    missing, extra = sorted(wanted.keys() - set(store.keys())), sorted(set(store.keys()) - wanted.keys())
    if missing or extra:
        raise errors.CheckpointError(
            f"The saved weights are not those of {where}: missing {missing[:5]}, extra {extra[:5]}. The handle names "
            "another module than the one that was saved."
        )
    for key, variable in wanted.items():
        if not variable.shape.is_compatible_with(store[key].shape):
            raise errors.CheckpointError(
                f"The saved weight {key!r} has shape {store[key].shape}, and that of {where} has {variable.shape}."
            )
    for key, variable in wanted.items():  # one at a time, as they may be large
        variable.assign(tf.cast(np.asarray(store[key]), variable.dtype))


def _key(name: str) -> str:
    """Return a variable's name without the slashes that would make folders of it."""
    return name.replace("%", "%25").replace("/", "%2F")
