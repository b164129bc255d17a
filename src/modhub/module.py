"""hub.Module: a module in a v1 graph."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import tensorflow as tf

from modhub import errors
from modhub.authoring import ModuleSpec, Value, attached_message, load_module_spec, publish, write_values
from modhub.core import (
    GraphState,
    ParsedTensorInfo,
    apply_plan,
    cause_in_graph,
    check_graph,
    convert_inputs,
    create_state,
    paused_collection,
    plan_signature,
    save_variables,
    show_tags,
    state_graph,
    tensorflow_classes,
    unique_scope,
)
from modhub.format import verify_bundle

__all__ = ["Module", "check_sentinel"]


class Module:
    """Part of a model, with its weights, in a `tf.Graph`.

    The constructor creates the module's state (variables, tables) in the graph; a call applies one of its
    signatures, any number of times, on the same weights.

    Example:
      >>> import modhub as hub, tensorflow as tf
      >>> def module_fn():
      ...     x = tf.compat.v1.placeholder(tf.float32, [None])
      ...     hub.add_signature(inputs=x, outputs=x * tf.compat.v1.get_variable("w", initializer=3.0))
      >>> with tf.Graph().as_default(), tf.compat.v1.Session() as session:
      ...     m = hub.Module(hub.create_module_spec(module_fn))
      ...     y = m([1.0, 2.0])
      ...     session.run(tf.compat.v1.global_variables_initializer())
      ...     session.run(y).tolist()
      [3.0, 6.0]
    """

    @tf.autograph.experimental.do_not_convert
    def __init__(
        self,
        spec: ModuleSpec | str | os.PathLike[str],
        trainable: bool = False,
        name: str = "module",
        tags: Iterable[str] | None = None,
        *,
        trust: bool | None = None,
    ) -> None:
        """Create the module's state in the default graph.

        Variables are called "<variable scope>/<name>/...", under the first name that is free. Their initializers
        read the published values from disk, or are those of the module_fn for a spec that was never published. They
        are added to GLOBAL_VARIABLES and, where the publisher had them there, MODEL_VARIABLES; table initializers to
        TABLE_INITIALIZERS; assets to ASSET_FILEPATHS. Control dependencies around the constructor do not reach them.

        Args:
          spec: a `ModuleSpec`, or the path of a published module.
          trainable: whether the module's trainable variables are added to TRAINABLE_VARIABLES, its regularization
            losses to REGULARIZATION_LOSSES, and at each call its update ops to UPDATE_OPS.
          name: the name below which its variables lie.
          tags: the tags of the graph variant to use; None means the empty set. {"train"} is usual for fine-tuning.
          trust: of a path or URL, whether to load what a scan refuses: see `load_module_spec`.

        Raises:
          GraphError: eager execution is on, or a `tf.function` is being traced outside any graph.
          UnknownVariantError: the module has no variant with these tags.
          CorruptModuleError: a file of the module is altered; see `load_module_spec` for the other errors of a path.
          InvalidArgumentError: an argument is of the wrong kind.
        """
        with paused_collection(), tensorflow_classes(), state_graph() as graph:
            self._spec = spec if isinstance(spec, ModuleSpec) else load_module_spec(spec, trust=trust)
            self._trainable = bool(trainable)
            description = self._spec.description
            self._variant = description.variant(tags)
            if description.weights is not None:
                verify_bundle(description.weights)
            with unique_scope(graph, name) as scope:
                self._name = scope
                self._state: GraphState = create_state(description, self._variant, scope, trainable=self._trainable)

    # Functions that tf.function and Dataset.map trace are rewritten with all that they call, except where it says so.
    @tf.autograph.experimental.do_not_convert
    def __call__(
        self,
        inputs: Any = None,
        _sentinel: None = None,
        signature: str | None = None,
        as_dict: bool | None = None,
    ) -> Any:
        """Apply a signature; only the ops that it needs are added to the graph.

        Args:
          inputs: a dict by input name; or one value for a signature of one input; or None for one of none. Values
            are Tensors, SparseTensors, RaggedTensors, Variables, NumPy arrays or lists, of the signature's dtypes.
          _sentinel: not to be used; the arguments after it are given by name.
          signature: the signature's name; None means "default".
          as_dict: whether to return all outputs as a dict, instead of the one called "default".

        Returns:
          The output "default", or a dict of all outputs by name.

        Raises:
          GraphError: the default graph is neither the module's nor inside it.
          UnknownSignatureError, UnknownOutputError: there is no such signature, or no output "default".
          InvalidInputError: the inputs are not those of the signature.
        """
        check_sentinel(_sentinel)
        check_graph(self._state)
        name, _ = self.select_signature(signature, as_dict)
        with paused_collection(), tensorflow_classes():
            plan = plan_signature(self._variant, name, training=self._trainable)
            values = convert_inputs(inputs, plan.input_infos, plan.where)
            applied = apply_plan(plan, self._state, values, f"{self._name.rpartition('/')[2]}_apply_{name}")
        keys = tf.compat.v1.GraphKeys
        for key, items in ((keys.UPDATE_OPS, applied.updates), (keys.REGULARIZATION_LOSSES, applied.losses)):
            for item in items:
                tf.compat.v1.add_to_collection(key, item)
        return applied.outputs if as_dict else applied.outputs["default"]

    def get_signature_names(self) -> list[str]:
        """Return the names of the signatures, sorted."""
        return sorted(self._variant.signatures)

    def get_input_info_dict(self, signature: str | None = None) -> dict[str, ParsedTensorInfo]:
        """Return what a signature takes, by input name; see `ModuleSpec.get_input_info_dict`."""
        return self._spec.get_input_info_dict(signature, self._variant.tags)

    def get_output_info_dict(self, signature: str | None = None) -> dict[str, ParsedTensorInfo]:
        """Return what a signature gives, by output name; see `ModuleSpec.get_output_info_dict`."""
        return self._spec.get_output_info_dict(signature, self._variant.tags)

    def get_attached_message(self, key: str, message_type: Any, required: bool = False) -> Any:
        """Return a message that the publisher attached; see `ModuleSpec.get_attached_message`."""
        return attached_message(self._spec.description, key, message_type, self._variant.tags, required)

    @property
    def variable_map(self) -> dict[str, Any]:
        """The variables by the name that they have in the published checkpoint, whatever scope they are in here.

        A partitioned variable is the list of its parts. Fit for `tf.compat.v1.train.init_from_checkpoint`.
        """
        return self._state.variable_map()

    @property
    def variables(self) -> list[tf.Variable]:
        """The variables, parts one by one, sorted by the names of `variable_map`."""
        found: list[tf.Variable] = []
        for _, value in sorted(self.variable_map.items()):
            found.extend(value if isinstance(value, list) else [value])
        return found

    @property
    def trainable(self) -> bool:
        """Whether the module was created for training."""
        return self._trainable

    def export(self, path: str | os.PathLike[str], session: tf.compat.v1.Session) -> None:
        """Publish the module with the values that its variables have in a session.

        What is written is the definition of the module, with all its variants, assets and attached messages; not
        what was added to the graph since. The first export adds the ops that save; a finalized graph does without,
        at the price of a copy of the values.

        Args:
          path: the new directory; it must not exist, its parents are made.
          session: a session of the module's graph.

        Raises:
          GraphError: the session, or the default graph, is of another graph.
          ExportExistsError: the path exists; it is left as it was.
          UninitializedError: a variable is not initialized.
          ExportError: a file could not be written. Nothing is left behind after any of these.
        """
        self._check_session(session)
        with paused_collection(), tensorflow_classes():
            publish(self._spec.description, self._variant, os.fspath(path), lambda prefix: self._save(session, prefix))

    def __repr__(self) -> str:
        return f"<hub.Module {self._name!r}, tags {show_tags(self._variant.tags)}, trainable={self._trainable}>"

    def select_signature(self, signature: str | None, as_dict: bool | None) -> tuple[str, Any]:
        """Return a signature's name and definition; it must have an output "default" unless all are wanted."""
        name, definition = self._variant.signature(signature)
        if not as_dict and "default" not in definition.outputs:
            raise errors.UnknownOutputError(
                f"There is no output named 'default' in the signature {name!r}. Use as_dict=True. "
                + errors.accepted("default", definition.outputs, "outputs")
            )
        return name, definition

    def _check_session(self, session: Any) -> None:
        graph = self._state.graph
        if tf.compat.v1.get_default_graph() is not graph:
            raise errors.GraphError(
                "default graph differs from the graph where the module was instantiated: "
                "export within the same `with graph.as_default():`."
            )
        if getattr(session, "graph", None) is not graph:
            raise errors.GraphError(
                "session graph differs from the graph where the module was instantiated: pass a session of that graph."
            )

    def _save(self, session: Any, prefix: Path) -> None:
        try:
            if not save_variables(self._state, session, prefix):
                write_values(prefix, self._values(session))
        except tf.errors.FailedPreconditionError as error:
            names = [variable.op.name for _, variable in self._state.variables]
            culprit = max((name for name in names if name in error.message), key=len, default="one of them")
            raise errors.UninitializedError(
                f"The module cannot be exported: of its variables {culprit} is not initialized in this session. "
                "Run tf.compat.v1.global_variables_initializer() first."
            ) from error
        except tf.errors.OpError as error:
            raise errors.ExportError(
                f"The session cannot write the module's variables: {cause_in_graph(error)}."
            ) from error
        except RuntimeError as error:  # of a session that is closed, which nothing public tells beforehand
            if isinstance(error, errors.ModhubError):
                raise
            raise errors.GraphError(f"The module cannot be exported from this session: {error}") from error

    def _values(self, session: Any) -> Iterator[Value]:
        pairs = self._state.variables
        # One run: a value is of one moment for all variables.
        arrays = session.run([variable for _, variable in pairs])
        for (described, _), array in zip(pairs, arrays, strict=True):
            full_shape = () if described.extent is None else tuple(described.shape.as_list())
            yield Value(
                key=described.key, dtype=described.dtype, array=array, full_shape=full_shape, extent=described.extent
            )


def check_sentinel(value: Any) -> None:
    """Check that nothing was passed where an argument that must be given by name would be."""
    if value is not None:
        raise errors.InvalidArgumentError(
            f"A module takes its inputs as one argument; {value!r} was given as a second one. "
            "Pass signature= and as_dict= by name."
        )
