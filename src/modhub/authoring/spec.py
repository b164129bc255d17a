"""ModuleSpec: what a module is, apart from any graph that it is used in."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from modhub import errors
from modhub.authoring.initial_values import write_initial_values
from modhub.authoring.publish import checkpoint_values, publish, published_variant, write_values
from modhub.core import ModuleDescription, ParsedTensorInfo, blame_module, parse, show_tags, tensorflow_classes
from modhub.format import verify_bundle

__all__ = ["ModuleSpec", "attached_message"]


class ModuleSpec:
    """A module's definition: graph variants with signatures, and where its trained values are, if anywhere.

    Made by `create_module_spec`, `load_module_spec` and `create_module_spec_from_saved_model`; used by `Module`.
    """

    def __init__(self, description: ModuleDescription) -> None:
        self._description = description

    @property
    def description(self) -> ModuleDescription:
        """The description that the engine works on."""
        return self._description

    def __repr__(self) -> str:
        source = self._description.directory or "a module_fn"
        return f"<hub.ModuleSpec from {source}, tags {', '.join(map(show_tags, self.get_tags()))}>"

    def get_tags(self) -> list[frozenset[str]]:
        """Return the tag sets of the graph variants, in the order in which they were defined."""
        return [variant.tags for variant in self._description]

    def get_signature_names(self, tags: Iterable[str] | None = None) -> list[str]:
        """Return the names of a variant's signatures, sorted.

        Args:
          tags: the variant's tags; None means the empty set.

        Raises:
          UnknownVariantError: there is no variant with these tags.
        """
        return sorted(self._description.variant(tags).signatures)

    def get_input_info_dict(
        self, signature: str | None = None, tags: Iterable[str] | None = None
    ) -> dict[str, ParsedTensorInfo]:
        """Return what a signature takes.

        Args:
          signature: its name; None means "default".
          tags: the variant's tags; None means the empty set.

        Returns:
          By input name: dtype, static shape and kind of the tensor.

        Raises:
          UnknownVariantError, UnknownSignatureError: there is no such variant or signature.
        """
        _, definition = self._description.variant(tags).signature(signature)
        return {name: parse(info) for name, info in sorted(definition.inputs.items())}

    def get_output_info_dict(
        self, signature: str | None = None, tags: Iterable[str] | None = None
    ) -> dict[str, ParsedTensorInfo]:
        """Return what a signature gives; arguments, result and errors as for `get_input_info_dict`."""
        _, definition = self._description.variant(tags).signature(signature)
        return {name: parse(info) for name, info in sorted(definition.outputs.items())}

    def get_attached_message(
        self, key: str, message_type: Any, tags: Iterable[str] | None = None, required: bool = False
    ) -> Any:
        """Return a message that the publisher attached to a variant.

        Args:
          key: its name.
          message_type: its protocol buffer class.
          tags: the variant's tags; None means the empty set.
          required: whether its absence is an error.

        Returns:
          A new message of that class; None where there is none under that key.

        Raises:
          MissingAttachmentError: it is required and absent.
          CorruptModuleError: it is no message of that class.
          UnknownVariantError: there is no variant with these tags.
        """
        return attached_message(self._description, key, message_type, tags, required)

    def export(
        self,
        path: str | os.PathLike[str],
        _sentinel: None = None,
        checkpoint_path: str | os.PathLike[str] | None = None,
        name_transform_fn: Callable[[str], str] | None = None,
    ) -> None:
        """Publish the module without a session of the caller's, in eager mode as in graphs.

        The values are those of a checkpoint. Where none is given, a module that was read from disk keeps the values
        that it was published with, and any other gets those that its variables' initializers give.

        Args:
          path: the new directory; it must not exist, its parents are made.
          _sentinel: not to be used; the arguments after it are given by name.
          checkpoint_path: a checkpoint that `tf.train.load_checkpoint` reads, or a directory with a latest one.
          name_transform_fn: gives the name in the checkpoint of a variable of the module; by default the same name.

        Raises:
          ExportExistsError: the path exists; it is left as it was.
          CheckpointError: the checkpoint lacks a variable, or has it in another shape.
          ExportError: it could not be written, an initializer failed, or one variant has variables that the others
            lack.
          CorruptModuleError: the published values are damaged.
          InvalidArgumentError: there is a name_transform_fn, and no checkpoint whose names it could transform.

        Example:
          >>> import modhub as hub, os, tempfile, tensorflow as tf
          >>> def module_fn():
          ...     hub.add_signature(outputs=tf.compat.v1.get_variable("v", initializer=[0.5, 0.25]))
          >>> spec = hub.create_module_spec(module_fn)
          >>> with tempfile.TemporaryDirectory() as folder:
          ...     untrained, trained = os.path.join(folder, "untrained"), os.path.join(folder, "trained")
          ...     spec.export(untrained)
          ...     with tf.Graph().as_default(), tf.compat.v1.Session() as session:
          ...         v = tf.compat.v1.get_variable("model/v", initializer=[1.0, 2.0])
          ...         session.run(v.initializer)
          ...         checkpoint = tf.compat.v1.train.Saver().save(session, os.path.join(folder, "model"))
          ...     spec.export(trained, checkpoint_path=checkpoint, name_transform_fn=lambda name: "model/" + name)
          ...     for path in (untrained, trained):
          ...         with hub.eval_function_for_module(path) as f:
          ...             f().tolist()
          [0.5, 0.25]
          [1.0, 2.0]
        """
        if _sentinel is not None:
            raise errors.InvalidArgumentError("Pass checkpoint_path and name_transform_fn to export() by name.")
        if checkpoint_path is None and name_transform_fn is not None:
            raise errors.InvalidArgumentError(
                "name_transform_fn gives names in a checkpoint, and there is none: pass checkpoint_path too."
            )
        rename = name_transform_fn or (lambda name: name)
        variant = published_variant(self._description)
        with tensorflow_classes():
            checkpoint = self._published_values() if checkpoint_path is None else os.fspath(checkpoint_path)

            def write(prefix: Path) -> None:
                if checkpoint is None:
                    write_initial_values(self._description, variant, prefix)
                else:
                    write_values(prefix, checkpoint_values(variant, checkpoint, rename))

            publish(self._description, variant, os.fspath(path), write)

    def _published_values(self) -> str | None:
        """Return the prefix of the verified checkpoint that the module was read with, if it was read with one."""
        weights = self._description.weights
        if weights is None:
            return None
        verify_bundle(weights)
        return str(weights.prefix)


def attached_message(
    description: ModuleDescription, key: str, message_type: Any, tags: Iterable[str] | None, required: bool
) -> Any:
    """Return the message attached to a variant; see `ModuleSpec.get_attached_message`."""
    variant = description.variant(tags)
    with blame_module(f"the attached messages of {variant.where}"):
        messages = variant.attachments()
    if key in messages:
        try:
            return message_type.FromString(messages[key])
        except Exception as error:  # protobuf's DecodeError, or whatever a class of the caller's raises
            raise errors.CorruptModuleError(
                f"The attached message {key!r} is no {getattr(message_type, '__name__', message_type)}."
            ) from error
    if required:
        raise errors.MissingAttachmentError(
            f"No attached message for key {key!r} in graph version {show_tags(variant.tags)} of Hub Module. "
            + errors.accepted(key, messages, "keys")
        )
    return None
