"""ModuleSpec: what a module is, apart from any graph that it is used in."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import Any

from modhub import errors
from modhub.authoring.publish import checkpoint_values, publish, published_variant, write_values
from modhub.core import ModuleDescription, ParsedTensorInfo, blame_module, parse, show_tags, tensorflow_classes

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
        """Publish the module with values from a checkpoint, without a session.

        Args:
          path: the new directory; it must not exist, its parents are made.
          _sentinel: not to be used; the arguments after it are given by name.
          checkpoint_path: a checkpoint that `tf.train.load_checkpoint` reads, or a directory with a latest one.
          name_transform_fn: gives the name in the checkpoint of a variable of the module; by default the same name.

        Raises:
          ExportExistsError: the path exists; it is left as it was.
          CheckpointError: no checkpoint is given, or it lacks a variable, or has it in another shape.
          ExportError: it could not be written, or one variant has variables that the others lack.

        Example:
          >>> import modhub as hub, os, tempfile, tensorflow as tf
          >>> def module_fn():
          ...     hub.add_signature(outputs=tf.compat.v1.get_variable("v", [2]))
          >>> with tempfile.TemporaryDirectory() as folder, tf.Graph().as_default(), tf.compat.v1.Session() as session:
          ...     v = tf.compat.v1.get_variable("model/v", initializer=[1.0, 2.0])
          ...     session.run(v.initializer)
          ...     checkpoint = tf.compat.v1.train.Saver().save(session, os.path.join(folder, "model"))
          ...     spec = hub.create_module_spec(module_fn)
          ...     module = os.path.join(folder, "module")
          ...     spec.export(module, checkpoint_path=checkpoint, name_transform_fn=lambda name: "model/" + name)
          ...     sorted(os.listdir(module))
          ['saved_model.pb', 'tfhub_module.pb', 'variables']
        """
        if _sentinel is not None:
            raise errors.InvalidArgumentError("Pass checkpoint_path and name_transform_fn to export() by name.")
        if checkpoint_path is None:
            raise errors.CheckpointError(
                "Missing mandatory `checkpoint_path` parameter: a ModuleSpec has no values of its own. "
                "To publish the values of a session use hub.Module(spec).export(path, session)."
            )
        variant = published_variant(self._description)
        with tensorflow_classes():
            values = checkpoint_values(variant, os.fspath(checkpoint_path), name_transform_fn or (lambda name: name))
            publish(self._description, variant, os.fspath(path), lambda prefix: write_values(prefix, values))


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
