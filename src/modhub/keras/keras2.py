"""KerasLayer for Keras 2, which is called tf_keras today."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import tensorflow as tf
import tf_keras

from modhub import errors
from modhub.core import is_frozen
from modhub.keras.callee import Callee, make_callee
from modhub.keras.layer import check_family, compute, output_shapes, stored_values, take_values
from modhub.keras.options import Options, check_bool, check_keyword_only
from modhub.keras.trained import check_trainable, check_unfrozen, freeze, frozen, own, watch

__all__ = ["KerasLayer"]


@tf_keras.saving.register_keras_serializable(package="modhub", name="KerasLayer")
class KerasLayer(tf_keras.layers.Layer):
    """A module or SavedModel as a layer of tf_keras; all that is said of the layer for Keras 3 holds for it.

    `**kwargs` are those of every layer of tf_keras, `input_shape` among them.
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
        check_keyword_only(_sentinel)
        check_bool(trainable)
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
        if trainable:
            check_trainable(callee)
        super().__init__(trainable=bool(trainable), autocast=False, **kwargs)
        self._options = options
        self._callee = callee
        self._target = callee.target
        self._owned = isinstance(options.handle, str)
        for name, variable in callee.variables.items():
            self.add_weight(
                name=name,
                shape=variable.shape,
                dtype=variable.dtype,
                trainable=name in callee.trainable,
                experimental_autocast=False,
                getter=lambda *_, adopted=variable, **__: adopted,
            )
        if self._owned:
            own(callee)
        self._set_watched()
        if callee.losses:
            self._losses_of_module = _losses_of(callee)
            self._losses_of_module.users.add(self)
        self.built = True

    @property
    def resolved_object(self) -> Any:
        """What the handle was loaded as: a `LoadedModule`, or what `tf.saved_model.load` returned."""
        return self._target

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the layer, as every layer of Keras is called."""
        check_family((args, kwargs), "keras", self)
        if args:
            args = (self._callee.prepare(args[0]), *args[1:])
        elif "inputs" in kwargs:
            kwargs["inputs"] = self._callee.prepare(kwargs["inputs"])
        return super().__call__(*args, **kwargs)

    @tf.autograph.experimental.do_not_convert
    def call(self, inputs: Any = None, training: Any = None) -> Any:
        """Compute the outputs; `training` counts only where the layer is trainable."""
        if isinstance(training, tf.Tensor):  # the learning phase of Keras, where a model is only put together
            training = tf.get_static_value(training)
        self._set_watched()
        training = bool(training) and self.trainable
        if training:
            check_unfrozen(self._callee)
        outputs, losses = compute(self._callee, self._options, inputs, training)
        for loss in losses:
            self.add_loss(loss)
        return outputs

    def _set_watched(self) -> None:
        """Have tapes watch the weights, or not; models set `trainable` past the layer, so it is looked up."""
        if self._owned:
            watch(self._callee, self.trainable)

    @property
    def trainable_weights(self) -> list[tf.Variable]:
        """The module's variables that are trained: none while the layer is not trainable, and none that is frozen."""
        self._set_watched()
        return [weight for weight in super().trainable_weights if not is_frozen(weight)]

    @property
    def non_trainable_weights(self) -> list[tf.Variable]:
        """The other ones."""
        self._set_watched()
        stopped = [weight for weight in super().trainable_weights if is_frozen(weight)]
        return self._dedup_weights([*stopped, *super().non_trainable_weights])  # type: ignore[no-any-return]

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Return the shapes of the outputs for those of the inputs."""
        return output_shapes(self._callee, self._options, input_shape)

    def get_config(self) -> dict[str, Any]:
        """Return what makes the layer again; the handle has to be a path."""
        names = frozen(self._callee)
        return {**super().get_config(), **self._options.config(), **({"frozen_weights": names} if names else {})}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> KerasLayer:
        """Make the layer again."""
        config = dict(config)
        if "arguments" in config:
            config["arguments"] = tf_keras.saving.deserialize_keras_object(config["arguments"])
        names = config.pop("frozen_weights", [])
        layer = cls(**config)
        freeze(layer._callee, names)
        return layer

    @property
    def _tracking_metadata(self) -> str:
        # Asked for by `model.save(directory)` alone, of whose files tf_keras cannot make the layer again.
        raise errors.ExportError(
            "A model with a modhub.KerasLayer is not saved in the old SavedModel format of tf_keras: save it as a "
            "file, model.save('model.keras'), or for serving with tf.saved_model.save(model, directory)."
        )

    def save_own_variables(self, store: Any) -> None:
        """Save the values of the module's variables by their names."""
        for key, value in stored_values(self._callee.variables):
            store[key] = value

    def load_own_variables(self, store: Any) -> None:
        """Load what `save_own_variables` saved."""
        take_values(self._callee.variables, store, repr(self))

    def __repr__(self) -> str:
        return (
            f"<modhub.KerasLayer for tf_keras (Keras 2), name={self.name}, handle={self._options.handle!r}; models of "
            "Keras 3 take it where TF_USE_LEGACY_KERAS was not set before TensorFlow was imported>"
        )


class _Losses(tf_keras.layers.Layer):
    """The regularization losses of a module: one layer for all that share the module."""

    def __init__(self, callee: Callee) -> None:
        super().__init__(name="regularization_losses")
        self.users: weakref.WeakSet[KerasLayer] = weakref.WeakSet()
        for loss in callee.losses:
            self.add_loss(self._while_trainable(loss))

    def _while_trainable(self, loss: Callable[[], tf.Tensor]) -> Callable[[], tf.Tensor | None]:
        return lambda: loss() if any(layer.trainable for layer in self.users) else None


_all_losses: weakref.WeakValueDictionary[int, _Losses] = weakref.WeakValueDictionary()


def _losses_of(callee: Callee) -> _Losses:
    found = _all_losses.get(id(callee.target))  # which the losses keep alive
    if found is None:
        found = _all_losses[id(callee.target)] = _Losses(callee)
    return found
