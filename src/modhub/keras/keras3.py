"""KerasLayer for Keras 3."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

import keras
import tensorflow as tf

from modhub import errors
from modhub.keras._keras import is_loading_unsafely
from modhub.keras.callee import Callee, make_callee
from modhub.keras.carried import AbsentCallee, HollowCallee, describe, restore, write
from modhub.keras.layer import check_family, compute, output_shapes, stored_values, symbolic_specs, take_values
from modhub.keras.module_callee import ModuleCallee
from modhub.keras.options import Options, as_found, check_bool, check_keyword_only
from modhub.keras.trained import check_trainable, check_unfrozen, freeze, frozen, own, watch
from modhub.keras.weight import Weight, share_losses, weight_of

__all__ = ["KerasLayer"]


@keras.saving.register_keras_serializable(package="modhub", name="KerasLayer")
class KerasLayer(keras.Layer):
    """A module or SavedModel as a layer of Keras: fed, fine-tuned and saved as part of a model.

    The layer's weights are the module's variables. In a model of Keras 3 they are trained if `trainable` says so, which
    can be set later too; those that the publisher did not make trainable (moving statistics) never are. A layer that
    is trainable and called with `training=True`, as `fit` does, takes the module's variant {"train"} if there is one,
    and its update ops run; a frozen layer always computes as in inference. The publisher's regularization losses are in
    `model.losses` while the layer is trainable.

    Inputs may be dense, sparse or ragged, one or a dict by name; strings have to be tensors (in `fit`, a
    `tf.data.Dataset`). Floats are cast to the floats that the module takes, whatever the dtype policy says.

    `model.save("model.keras")` keeps the arguments, the values of the weights, and of a module its graphs and assets.
    The file is loaded without `custom_objects` once `modhub.KerasLayer` was named (`import modhub` alone imports no
    Keras). If the handle is gone then, the module is taken from the file, with `load_model(path, safe_mode=False)`,
    since a graph can write files. A TF2 SavedModel has to be where it was.

    With TF_USE_LEGACY_KERAS=1, where `tf.keras` is tf_keras, `modhub.KerasLayer` is a layer of that.

    Args:
      handle: the path of a module, of a TF1 SavedModel or of a TF2 SavedModel; or what `modhub.load` returned for one;
        or any callable.
      trainable: whether to fine-tune the variables.
      arguments: inputs to pass at each call, by name; for a TF2 SavedModel keyword arguments of what is called.
      tags: of the graph variant to use; see `modhub.load`.
      signature: the signature to call; of a module "default" if left out. A TF2 SavedModel is called itself then.
      signature_outputs_as_dict: whether the layer returns all outputs, by name.
      output_key: the name of the one output that it returns; of a module "default" if left out.
      output_shape: the shape of the output without the batch dimension, or shapes in a dict or list, where the
        module does not say it.
      load_options: for a TF2 SavedModel, `tf.saved_model.LoadOptions`.
      trust: of a handle, whether to load what a scan refuses: see `modhub.load`. It is not saved with the layer.
      **kwargs: `name` and `dtype`, as for every layer. `input_shape` is left unused: the module knows its inputs.

    Raises:
      InvalidArgumentError: an argument is of the wrong kind, contradicts another or does not fit the module; or there
        is nothing to train.
      HandleNotFoundError: the handle names nothing; see `modhub.load` for other errors of loading.
      UnknownSignatureError, UnknownOutputError: there is no such signature or output.
      GraphError: Keras does not run on TensorFlow, or the call is in a `tf.Graph` of TF1.

    Example:
      >>> import keras, modhub as hub, numpy as np, tempfile, tensorflow as tf
      >>> def module_fn():
      ...     x = tf.compat.v1.placeholder(tf.float32, [None, 1])
      ...     hub.add_signature(inputs=x, outputs=x * tf.compat.v1.get_variable("w", initializer=3.0))
      >>> with tempfile.TemporaryDirectory() as folder:
      ...     hub.create_module_spec(module_fn).export(f"{folder}/triple")
      ...     layer = hub.KerasLayer(f"{folder}/triple", trainable=True)
      >>> model = keras.Sequential([layer])
      >>> model.compile(keras.optimizers.SGD(0.5), "mse")
      >>> history = model.fit(np.ones([8, 1]), np.ones([8, 1]), verbose=0)
      >>> round(float(layer.weights[0].numpy()), 1), layer.count_params()
      (1.0, 1)
    """

    def __init__(
        self,
        handle: Any,
        trainable: bool = False,
        arguments: Mapping[str, Any] | None = None,
        _sentinel: None = None,
        tags: Iterable[str] | None = None,
        signature: str | None = None,
        signature_outputs_as_dict: bool | None = None,
        output_key: str | None = None,
        output_shape: Any = None,
        load_options: Any = None,
        trust: bool | None = None,
        **kwargs: Any,
    ) -> None:
        _check_backend()
        check_keyword_only(_sentinel)
        check_bool(trainable)
        kwargs.pop("input_shape", None)
        options = Options.checked(
            handle,
            arguments=arguments,
            tags=tags,
            signature=signature,
            as_dict=signature_outputs_as_dict,
            output_key=output_key,
            output_shape=output_shape,
            load_options=load_options,
            trust=trust,
        )
        callee = make_callee(options)
        if trainable and not isinstance(callee, AbsentCallee):
            check_trainable(callee)
        super().__init__(
            trainable=trainable, autocast=False, **{**kwargs, "dtype": _policy(kwargs.get("dtype"), callee.dtype)}
        )
        self._options = options
        self._owned = isinstance(options.handle, str)
        self._frozen: list[str] = []
        self._views = _Views([], [])
        self._set_callee(callee)
        if not isinstance(callee, AbsentCallee):
            self._add_weights()

    def _set_callee(self, callee: Callee) -> None:
        self._callee = callee
        self._target = callee.target
        self.supports_jit = callee.can_compile

    def _add_weights(self) -> None:
        if self._owned:
            own(self._callee)
        allowed = self._callee.trainable
        # The order does not depend on what is frozen, which a copy of the layer may learn later.
        found = sorted(self._callee.variables.items(), key=lambda named: named[0] not in allowed)
        named = [(name, variable) for name, variable in found if variable.shape.is_fully_defined()]
        with keras.name_scope(self.name):
            self._views = _Views(
                when_trainable=[weight_of(variable, name, trainable=name in allowed) for name, variable in named],
                otherwise=[weight_of(variable, name, trainable=False) for name, variable in named],
            )
        self._module_weights = list(self._views.when_trainable)  # which Keras tracks
        share_losses(self._callee.losses, self._views.when_trainable)
        self._freeze(self._frozen)
        self.built = True

    def _freeze(self, names: list[str]) -> None:
        self._frozen = names
        freeze(self._callee, names)
        self._set_watched()

    def _set_watched(self) -> None:
        if self._owned:
            watch(self._callee, self.trainable)

    @property
    def trainable(self) -> bool:
        """Whether the weights are trained, those that are not frozen."""
        return bool(self._trainable)

    @trainable.setter
    def trainable(self, value: bool) -> None:
        self._trainable = bool(value)  # an assignment that changes nothing does not come here
        self._set_watched()

    @property
    def weights(self) -> list[Any]:
        """The module's variables as weights of Keras."""
        return list(self._views.when_trainable if self.trainable else self._views.otherwise)

    @property
    def variables(self) -> list[Any]:
        """The same as `weights`."""
        return self.weights

    @property
    def resolved_object(self) -> Any:
        """What the handle was loaded as: a `LoadedModule`, or what `tf.saved_model.load` returned."""
        return self._target

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the layer, as every layer of Keras is called."""
        check_family((args, kwargs), "tf_keras", self)
        if args:
            args = (self._callee.prepare(args[0]), *args[1:])
        elif "inputs" in kwargs:
            kwargs["inputs"] = self._callee.prepare(kwargs["inputs"])
        return super().__call__(*args, **kwargs)

    @tf.autograph.experimental.do_not_convert
    def call(self, inputs: Any = None, training: bool | None = None) -> Any:
        """Compute the outputs; `training` counts only where the layer is trainable."""
        training = bool(training) and self.trainable
        if training:
            check_unfrozen(self._callee)
        outputs, losses = compute(self._callee, self._options, inputs, training)
        for loss in losses:
            self.add_loss(loss)
        return outputs

    def compute_output_spec(self, inputs: Any = None, training: bool | None = None) -> Any:
        """Return KerasTensors like the outputs; the module is not run."""
        return tf.nest.map_structure(_symbolic, symbolic_specs(self._callee, self._options, inputs))

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Return the shapes of the outputs for those of the inputs."""
        return tf.nest.map_structure(_as_tuple, output_shapes(self._callee, self._options, input_shape))

    def get_config(self) -> dict[str, Any]:
        """Return what makes the layer again; the handle has to be a path."""
        known = not isinstance(self._callee, AbsentCallee)
        names = frozen(self._callee) if known else self._frozen
        return {**super().get_config(), **self._options.config(), **({"frozen_weights": names} if names else {})}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> KerasLayer:
        """Make the layer again."""
        config = dict(config)
        if "arguments" in config:
            config["arguments"] = keras.saving.deserialize_keras_object(config["arguments"])
        if isinstance(config.get("handle"), str):
            config["handle"] = as_found(config["handle"])
        names = config.pop("frozen_weights", [])
        layer: KerasLayer = super().from_config(config)
        layer._freeze(names)
        return layer

    def get_build_config(self) -> dict[str, Any]:
        """Return what a file has to say of the module for the case that its handle will be gone."""
        return {"module": describe(self._callee)} if isinstance(self._callee, ModuleCallee) else {}

    def build_from_config(self, config: dict[str, Any]) -> None:
        """Make the weights of a layer whose handle is gone; the file that is being loaded has the rest."""
        if not isinstance(self._callee, AbsentCallee):
            return
        if "module" not in config or not is_loading_unsafely():
            raise errors.HandleNotFoundError(
                f"{self._options.handle!r} does not exist. "
                + (
                    "The file holds the module itself, and its graph may do whatever TensorFlow can, write files too: "
                    "load with safe_mode=False if you trust the file, or put the module back there."
                    if "module" in config
                    else "The layer needs it, and the file does not hold it."
                )
            )
        self._set_callee(HollowCallee(config["module"]))
        self._add_weights()

    def save_assets(self, path: str) -> None:
        """Save the module's graphs and assets; a TF2 SavedModel stays where it is."""
        if isinstance(self._callee, ModuleCallee):
            write(self._callee, path)

    def load_assets(self, path: str | None) -> None:
        """Load what `save_assets` saved, if the handle is gone."""
        if isinstance(self._callee, HollowCallee):
            frozen_before = frozen(self._callee)
            self._set_callee(restore(self._callee, path, self._options))
            own(self._callee)
            share_losses(self._callee.losses, self._views.when_trainable)
            self._freeze(frozen_before)

    def save_own_variables(self, store: Any) -> None:
        """Save the values of the module's variables by their names."""
        for key, value in stored_values(self._callee.variables):
            store[key] = value

    def load_own_variables(self, store: Any) -> None:
        """Load what `save_own_variables` saved."""
        take_values(self._callee.variables, store, repr(self))

    def __repr__(self) -> str:
        return (
            f"<modhub.KerasLayer for Keras 3, name={self.name}, handle={self._options.handle!r}; models of tf_keras "
            "take it where TF_USE_LEGACY_KERAS=1 was set before TensorFlow was imported>"
        )


@dataclasses.dataclass(frozen=True, slots=True)
class _Views:
    """The weights while a layer is trainable, and while it is not; an object, since Keras looks into lists."""

    when_trainable: list[Weight]
    otherwise: list[Weight]


def _check_backend() -> None:
    backend = keras.backend.backend()
    if backend != "tensorflow":
        raise errors.GraphError(
            f"Keras runs on {backend!r} here, and a module is a graph of TensorFlow: set the environment variable "
            "KERAS_BACKEND=tensorflow before Keras is imported."
        )


def _policy(asked: Any, wanted: tf.DType | None) -> Any:
    """Return the dtype policy, by which a Sequential model makes its Input: strings and integers are no floats."""
    if isinstance(asked, tf.DType):
        return asked.name
    if asked is None and wanted is not None and not wanted.is_floating:
        return wanted.name
    return asked


def _as_tuple(shape: tf.TensorShape) -> tuple[int | None, ...] | None:
    return None if shape.rank is None else tuple(shape.as_list())


def _symbolic(spec: Any) -> Any:
    if spec.shape.rank is None:
        raise errors.InvalidArgumentError(
            "Keras needs to know how many dimensions an output has, and the module does not say: pass output_shape=, "
            "the shape without the batch dimension, or a dict of shapes by output name."
        )
    ragged = isinstance(spec, tf.RaggedTensorSpec)
    options = (
        {"ragged": True, "ragged_rank": spec.ragged_rank, "row_splits_dtype": spec.row_splits_dtype.name}
        if ragged
        else {}
    )
    return keras.KerasTensor(
        _as_tuple(spec.shape), spec.dtype.name, sparse=isinstance(spec, tf.SparseTensorSpec), **options
    )
