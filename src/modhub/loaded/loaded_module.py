"""LoadedModule: a module under eager execution."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import tensorflow as tf

from modhub import errors
from modhub.authoring import ModuleSpec, attached_message
from modhub.core import (
    EagerState,
    ParsedTensorInfo,
    ReusableModule,
    SignaturePlan,
    SingleCall,
    VariableMaker,
    Variant,
    as_tag_set,
    call_plan,
    check_eager,
    convert_inputs,
    create_eager_state,
    is_frozen,
    make_variable,
    paused_collection,
    plan_losses,
    plan_signature,
    plan_tensors,
    set_frozen,
    show_tags,
    single_call,
    tensorflow_classes,
)
from modhub.format import verify_bundle
from modhub.loaded.arguments import as_bool, given_by_name, variants_for
from modhub.loaded.exporting import export_state
from modhub.loaded.signatures import Signatures, traced_call, traced_losses
from modhub.loaded.trainable import Patterns, check_choice, check_patterns, choice, matches

__all__ = ["LoadedModule"]


class LoadedModule(ReusableModule):
    """A module with its weights, to be called, fine-tuned and published again under eager execution.

    Made by `modhub.load`. It is a `tf.Module`: its variables are `tf.Variable`s, it can be an attribute of another
    one, and goes into a `tf.train.Checkpoint`. It works in a `tf.function`, `Dataset.map`, `tf.cond`,
    `tf.while_loop` and in the replicas of a distribution strategy under whose scope it was made.
    `tf.saved_model.save(m, path)` writes a TF2 Reusable SavedModel, which needs no modhub; with
    `signatures=m.signatures` it has all signatures, if TensorFlow takes the names of their inputs (no "$").

    Example:
      >>> import modhub as hub, tempfile, tensorflow as tf
      >>> def module_fn():
      ...     x = tf.compat.v1.placeholder(tf.float32, [None])
      ...     hub.add_signature(inputs=x, outputs=x * tf.compat.v1.get_variable("w", initializer=3.0))
      >>> with tempfile.TemporaryDirectory() as folder:
      ...     hub.create_module_spec(module_fn).export(f"{folder}/triple")
      ...     m = hub.load(f"{folder}/triple")
      >>> with tf.GradientTape() as tape:
      ...     y = m([1.0, 2.0])
      >>> y.numpy().tolist(), [float(gradient) for gradient in tape.gradient(y, m.trainable_variables)]
      ([3.0, 6.0], [3.0])
    """

    def __init__(
        self,
        spec: ModuleSpec,
        tags: Iterable[str] | None = None,
        trainable: Patterns = None,
        make: VariableMaker = make_variable,
    ) -> None:
        """Create the module's state; arguments as for `modhub.load`, which is what users call.

        Args:
          spec: a `ModuleSpec` with values.
          tags: the tags of a graph variant.
          trainable: which variables are.
          make: makes a variable of what the module says of it, its value, and options of `tf.Variable`.
        """
        super().__init__(name="loaded_module")
        self._spec = spec
        self._asked, self._trainable_choice = as_tag_set(tags), trainable
        self._inference, self._training = variants_for(spec, self._asked)
        description = spec.description
        with paused_collection(), tensorflow_classes(), tf.init_scope():
            if description.weights is not None:
                verify_bundle(description.weights)
            self._state: EagerState = create_eager_state(description, is_trainable=choice(trainable), make=make)
        # What checkpoints and SavedModels track; the state does not, on purpose.
        self._tracked_variables = {described.name: each for described, each in self._state.variables.values()}
        self._tracked_resources = list(self._state.resources)
        self._tracked_assets = list(self._state.assets.values())
        check_choice(trainable, self.variable_map, self.trainable_variables, repr(spec))

    # Functions that tf.function and Dataset.map trace are rewritten with all that they call, except where it says so.
    @tf.autograph.experimental.do_not_convert
    def __call__(
        self,
        inputs: Any = None,
        training: bool = False,
        signature: str | None = None,
        as_dict: bool | None = None,
    ) -> Any:
        """Compute a signature; only what the asked outputs need is run.

        Args:
          inputs: a dict by input name; or one value for a signature of one input; or None for one of none. Values
            are Tensors, SparseTensors, RaggedTensors, Variables, NumPy arrays or lists, of the signature's dtypes. An
            input for which the publisher gave a default (`batch_norm_momentum`, say) may be left out.
          training: whether to take the variant {"train"}, where there is one and no other tags were asked for, and to
            run the update ops (of moving averages), once.
          signature: the signature's name; None means "default".
          as_dict: whether to return all outputs as a dict, instead of the one called "default".

        Returns:
          The output "default", or a dict of all outputs by name.

        Raises:
          UnknownSignatureError, UnknownOutputError: there is no such signature, or no output "default".
          InvalidInputError: the inputs are not those of the signature.
          GraphError: the call is in a `tf.Graph` of TF1, where `modhub.Module` is used instead; or it updates
            variables outside the replicas of a distribution strategy; or it is to be compiled by XLA and cannot be.
        """
        return self._compute(inputs, training, signature, as_dict)[0]

    @tf.autograph.experimental.do_not_convert
    def call_with_losses(
        self,
        inputs: Any = None,
        training: bool = False,
        signature: str | None = None,
        as_dict: bool | None = None,
        output_key: str = "default",
    ) -> tuple[Any, list[tf.Tensor]]:
        """Compute a signature, and the regularization losses that depend on its inputs (of activity regularizers).

        Args and errors are those of a call, with

          output_key: the name of the output that is returned if not all are.

        Returns:
          What a call returns, and the losses: scalars, none where `training` is false.
        """
        return self._compute(inputs, training, signature, as_dict, output_key)

    def _compute(
        self, inputs: Any, training: bool, signature: str | None, as_dict: bool | None, output_key: str = "default"
    ) -> tuple[Any, list[tf.Tensor]]:
        training = as_bool(training)
        key = (training, signature, output_key)
        named = signature is None or isinstance(signature, str)
        if named and not as_dict and isinstance(inputs, tf.Tensor) and tf.executing_eagerly():
            known: SingleCall | None = self._single_calls.get(key)
            if known is not None and known.takes(inputs):
                return known(inputs), []
        variant = self._training if training else self._inference
        name, definition = variant.signature(signature)
        if not as_dict and output_key not in definition.outputs:
            raise errors.UnknownOutputError(
                f"There is no output named {output_key!r} in the signature {name!r}. Use as_dict=True. "
                + errors.accepted(output_key, definition.outputs, "outputs")
            )
        wanted = None if as_dict else (output_key,)

        def plan(given: frozenset[str] | None) -> SignaturePlan:
            return plan_signature(variant, name, training=training, outputs=wanted, given=given)

        outputs, losses = self._call(variant, name, plan, inputs)
        if as_dict:
            return outputs, losses
        if key not in self._single_calls and (single := single_call(self._state, plan(None))) is not None:
            self._single_calls[key] = single
        return outputs[output_key], losses

    def outputs_of(self, tensors: Sequence[str], signature: str | None = None) -> Callable[..., dict[str, tf.Tensor]]:
        """Return a function that computes tensors of the module's graph, also those that no signature names.

        Args:
          tensors: their names in the published graph, "path/to/op:0"; that of a variable stands for its value.
          signature: the signature that says what the inputs are; None means "default".

        Returns:
          A function of `inputs` and `training` (see a call), which returns the tensors by name. Gradients go through.

        Raises:
          UnknownSignatureError, UnknownOutputError: there is no such signature or tensor, or the tensor has no value
            outside of a loop, or needs other inputs.
        """
        try:
            names = (tensors,) if isinstance(tensors, str) else tuple(tensors)
        except TypeError as error:
            raise errors.InvalidArgumentError(f"{tensors!r} is no list of tensor names: ['path/to/op:0'].") from error
        self._check_tensors(names, signature)

        @tf.autograph.experimental.do_not_convert
        def outputs(inputs: Any = None, training: bool = False) -> dict[str, tf.Tensor]:
            training = as_bool(training)
            variant = self._training if training else self._inference
            name, _ = variant.signature(signature)
            found, _ = self._call(
                variant, name, lambda _: plan_tensors(variant, name, names, training=training), inputs
            )
            return found

        return outputs  # type: ignore[no-any-return] # the decorator has no types

    def _check_tensors(self, names: tuple[str, ...], signature: str | None) -> None:
        name, _ = self._inference.signature(signature)
        plan_tensors(self._inference, name, names, training=False)

    def _call(
        self, variant: Variant, name: str, plan: Callable[[frozenset[str] | None], SignaturePlan], inputs: Any
    ) -> tuple[dict[str, Any], list[tf.Tensor]]:
        if not tf.executing_eagerly():
            check_eager("A LoadedModule", "use modhub.Module(handle) there.")
        given = given_by_name(variant, name, inputs)
        if given is not None:
            inputs = given
        planned = plan(None if given is None else frozenset(given))
        with tensorflow_classes():
            return call_plan(self._state, variant, planned, convert_inputs(inputs, planned.input_infos, planned.where))

    @property
    def spec(self) -> ModuleSpec:
        """The module's definition: variants, signatures, attachments."""
        return self._spec

    @property
    def tags(self) -> frozenset[str]:
        """The tags of the graph variant that a call without `training` takes."""
        return self._inference.tags

    @property
    def signatures(self) -> Mapping[str, Any]:
        """The signatures as `tf.saved_model.load` gives them: functions of keyword tensors that return a dict.

        They are what is saved: under a distribution strategy they use the variables of the first replica.
        """
        return Signatures(self, self._inference)

    @property
    def variable_map(self) -> dict[str, Any]:
        """The variables by the name that they have in the published checkpoint; a partitioned one as a list."""
        return self._state.variable_map()

    @property
    def variables(self) -> tuple[tf.Variable, ...]:
        """The variables, parts one by one, sorted by the names of `variable_map`."""
        return tuple(_flat(self.variable_map))

    @property
    def trainable_variables(self) -> tuple[tf.Variable, ...]:
        """Those of the variables that are to be trained, in the same order."""
        return tuple(variable for variable in self.variables if variable.trainable)

    @property
    def non_trainable_variables(self) -> tuple[tf.Variable, ...]:
        """The other ones."""
        return tuple(variable for variable in self.variables if not variable.trainable)

    @property
    def regularization_losses(self) -> list[Callable[[], tf.Tensor]]:
        """The publisher's regularization losses, as functions without arguments that return a scalar."""
        return [self._loss(plan) for plan in plan_losses(self._training)]

    def _loss(self, plan: SignaturePlan) -> Callable[[], tf.Tensor]:
        @tf.autograph.experimental.do_not_convert
        def regularization_loss() -> tf.Tensor:
            check_eager("A LoadedModule's loss", "use modhub.Module(handle, trainable=True) there.")
            outputs, _ = call_plan(self._state, self._training, plan, {})
            return outputs["loss"]

        return regularization_loss  # type: ignore[no-any-return] # the decorator has no types

    def freeze(self, *patterns: str) -> None:
        """Keep variables as they are: take them out of `trainable_variables`, also those of a module around this one.

        A tf.function that was traced before still computes their gradients; what is done with them is the caller's.

        Args:
          *patterns: names of variables, as in `variable_map`, with the wildcards of `fnmatch` ("*" matches "/" too);
            without any, all variables.

        Raises:
          InvalidArgumentError: a pattern matches no variable.
        """
        self._set_trainable(patterns or ("*",), value=False)

    def unfreeze(self, *patterns: str) -> None:
        """Train variables again, of those that the publisher made trainable; arguments as for `freeze`."""
        self._set_trainable(patterns or ("*",), value=True)

    def _set_trainable(self, patterns: Iterable[str], *, value: bool) -> None:
        check_patterns(patterns, self.variable_map)
        allowed = self._state.trainable
        for identity, (described, variable) in self._state.variables.items():
            if identity in allowed and matches(described.key, patterns):
                set_frozen(variable, not value)

    def get_signature_names(self) -> list[str]:
        """Return the names of the signatures, sorted."""
        return sorted(self._inference.signatures)

    def get_input_info_dict(self, signature: str | None = None) -> dict[str, ParsedTensorInfo]:
        """Return what a signature takes, by input name; see `ModuleSpec.get_input_info_dict`."""
        return self._spec.get_input_info_dict(signature, self._inference.tags)

    def get_output_info_dict(self, signature: str | None = None) -> dict[str, ParsedTensorInfo]:
        """Return what a signature gives, by output name; see `ModuleSpec.get_output_info_dict`."""
        return self._spec.get_output_info_dict(signature, self._inference.tags)

    def get_attached_message(self, key: str, message_type: Any, required: bool = False) -> Any:
        """Return a message that the publisher attached; see `ModuleSpec.get_attached_message`."""
        return attached_message(self._spec.description, key, message_type, self._inference.tags, required)

    def export(self, path: str | os.PathLike[str]) -> None:
        """Publish the module in the TF1 Hub format with the values that its variables have now.

        Args:
          path: the new directory; it must not exist, its parents are made.

        Raises:
          GraphError: the call is in a graph or a function.
          ExportExistsError: the path exists; it is left as it was.
          ExportError: a file could not be written. Nothing is left behind after any of these.
        """
        if not tf.executing_eagerly():
            raise errors.GraphError("LoadedModule.export works under eager execution: call it outside of functions.")
        export_state(self._spec, self._state, os.fspath(path))

    @property
    def _single_calls(self) -> dict[Any, SingleCall]:
        found: dict[Any, SingleCall] = self._state.memo.setdefault("single calls", {})
        return found

    @property
    def functions(self) -> dict[str, Any]:
        """What was traced for `signatures`."""
        found: dict[str, Any] = self._state.memo.setdefault("signatures", {})
        return found

    def saved_attributes(self) -> dict[str, Any]:
        """Return what a SavedModel of this has: the Reusable SavedModel interface."""
        found: dict[str, Any] = {
            "variables": list(self.variables),
            "trainable_variables": list(self.trainable_variables),
            "regularization_losses": traced_losses(self.regularization_losses),
        }
        if "default" in self._inference.signatures:
            found["__call__"] = traced_call(self, self._inference)
        return found

    def __deepcopy__(self, memo: dict[int, Any]) -> LoadedModule:
        """Return another module with the same values."""
        copied = LoadedModule(self._spec, self._asked, self._trainable_choice)
        for identity, (_, variable) in copied._state.variables.items():
            _, own = self._state.variables[identity]
            variable.assign(tf.convert_to_tensor(own))
            set_frozen(variable, is_frozen(own))
        memo[id(self)] = copied
        return copied

    def __reduce_ex__(self, protocol: Any) -> Any:
        """Refuse to be pickled."""
        raise errors.InvalidArgumentError(
            f"{self!r} cannot be pickled: publish it with export(path), and pass the path to modhub.load there."
        )

    def __repr__(self) -> str:
        source = self._spec.description.directory or "a module_fn"
        return f"<hub.LoadedModule from {source}, tags {show_tags(self.tags)}, {len(self.variables)} variables>"


def _flat(variable_map: Mapping[str, Any]) -> Iterator[tf.Variable]:
    for _, value in sorted(variable_map.items()):
        yield from value if isinstance(value, list) else [value]
