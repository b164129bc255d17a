"""What a KerasLayer was asked for, beside what every layer of Keras takes: checked, and turned into a config."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from modhub import errors
from modhub.core import as_tag_set
from modhub.handles import find_directory
from modhub.loaded import LoadedModule, load

__all__ = [
    "AbsentHandle",
    "NoConfigError",
    "Options",
    "as_found",
    "check_bool",
    "check_keyword_only",
    "load_options_from_config",
]

_LOAD_OPTIONS = (
    "allow_partial_checkpoint",
    "experimental_io_device",
    "experimental_skip_checkpoint",
    "experimental_variable_policy",
    "experimental_load_function_aliases",
)


class NoConfigError(errors.InvalidArgumentError, NotImplementedError):
    """A layer that cannot be rebuilt; Keras catches NotImplementedError."""


class AbsentHandle(str):
    """A handle in a config that names nothing any more."""

    __slots__ = ()


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The arguments of a KerasLayer.

    Attributes:
      handle: a path, or the object to call.
      arguments: inputs that are passed at each call.
      tags: of the variant.
      signature: its name; None is the default of what is called.
      as_dict: whether all outputs are returned.
      output_key: the one output that is.
      output_shape: the shapes of the outputs, without the batch dimension.
      load_options: of `tf.saved_model.load`.
      trust: whether to load what a scan refuses; not in the config, since a file cannot vouch for itself.
    """

    handle: Any
    arguments: Mapping[str, Any]
    tags: tuple[str, ...]
    signature: str | None
    as_dict: bool
    output_key: str | None
    output_shape: Any
    load_options: Any
    trust: bool | None = None

    @classmethod
    def checked(
        cls,
        handle: Any,
        *,
        arguments: Any,
        tags: Any,
        signature: Any,
        as_dict: Any,
        output_key: Any,
        output_shape: Any,
        load_options: Any,
        trust: bool | None = None,
    ) -> Options:
        """Return the options of these arguments.

        Raises:
          InvalidArgumentError: one is of the wrong kind, or contradicts another.
        """
        if not isinstance(arguments, Mapping | None) or not all(isinstance(key, str) for key in arguments or ()):
            raise errors.InvalidArgumentError(f"arguments={arguments!r} is not a dict of values by input name.")
        for name, value in (("signature", signature), ("output_key", output_key)):
            if value is not None and not isinstance(value, str):
                raise errors.InvalidArgumentError(f"{name}={value!r} is not a string.")
        if as_dict and output_key is not None:
            raise errors.InvalidArgumentError(
                f"output_key={output_key!r} asks for one output and signature_outputs_as_dict=True for all: when using "
                "a signature, either output_key or signature_outputs_as_dict=True should be set."
            )
        if not isinstance(handle, str | os.PathLike) and (tags is not None or load_options is not None):
            raise errors.InvalidArgumentError(
                f"tags and load_options say how a handle is loaded, and {handle!r} is an object already."
            )
        return cls(
            handle=os.fspath(handle) if isinstance(handle, os.PathLike) else handle,
            arguments=dict(arguments or {}),
            tags=tuple(sorted(as_tag_set(tags))),
            signature=signature,
            as_dict=bool(as_dict),
            output_key=output_key,
            output_shape=_as_shapes(output_shape),
            load_options=load_options_from_config(load_options) if isinstance(load_options, Mapping) else load_options,
            trust=trust,
        )

    def loaded(self) -> Any:
        """Return the object of the handle."""
        if isinstance(self.handle, str):
            return load(self.handle, self.tags or None, self.load_options, trust=self.trust)
        return self.handle

    def config(self) -> dict[str, Any]:
        """Return what makes these options again; what was left out stays out.

        Raises:
          NoConfigError: the handle is an object that has no path.
        """
        found = {
            "handle": self._path(),
            "arguments": dict(self.arguments),
            "tags": list(self.tags),
            "signature": self.signature,
            "signature_outputs_as_dict": self.as_dict,
            "output_key": self.output_key,
            "output_shape": self.output_shape,
            "load_options": None if self.load_options is None else _as_config(self.load_options),
        }
        if isinstance(self.handle, LoadedModule) and self.handle.tags:
            found["tags"] = sorted(self.handle.tags)
        return {key: value for key, value in found.items() if value or value == ()}

    def _path(self) -> str:
        if isinstance(self.handle, str):
            return str(self.handle)
        directory = self.handle.spec.description.directory if isinstance(self.handle, LoadedModule) else None
        if directory is None:
            raise NoConfigError(
                f"Can only generate a valid config for a KerasLayer that was made of a path, and this one was made of "
                f"{self.handle!r}: pass the path of a module or SavedModel to save the model, or save its weights only."
            )
        return str(directory)


def as_found(handle: str) -> str:
    """Return a handle, as an `AbsentHandle` if it names nothing any more, or nothing that can be fetched."""
    try:
        find_directory(handle)
    except (errors.HandleNotFoundError, errors.DownloadError):
        return AbsentHandle(handle)
    return handle


def check_bool(trainable: Any) -> None:
    """Check that `trainable` is a bool: a layer trains all or nothing."""
    if not isinstance(trainable, bool):
        raise errors.InvalidArgumentError(
            f"trainable={trainable!r} is neither True nor False. To train some of the variables pass "
            "modhub.load(handle, trainable=patterns) as the handle."
        )


def check_keyword_only(sentinel: Any) -> None:
    """Check that no more than three arguments were passed by position."""
    if sentinel is not None:
        raise errors.InvalidArgumentError(
            f"KerasLayer takes handle, trainable and arguments by position, and {sentinel!r} came after them: "
            "pass it by keyword."
        )


def load_options_from_config(config: Mapping[str, Any]) -> tf.saved_model.LoadOptions:
    """Return the LoadOptions that `Options.config` described."""
    unknown = sorted(set(config) - set(_LOAD_OPTIONS))
    if unknown:
        raise errors.InvalidArgumentError(
            f"load_options={dict(config)!r}: " + errors.accepted(unknown[0], _LOAD_OPTIONS, "options")
        )
    return tf.saved_model.LoadOptions(**config)


def _as_config(options: tf.saved_model.LoadOptions) -> dict[str, Any]:
    found = {name: getattr(options, name, None) for name in _LOAD_OPTIONS}
    policy = found["experimental_variable_policy"]
    found["experimental_variable_policy"] = getattr(policy, "value", policy)
    return {name: value for name, value in found.items() if value is not None and value is not False}


def _as_shapes(shapes: Any) -> Any:
    """Return shapes as tuples of ints and None, in the dicts that they came in."""
    if shapes is None:
        return None
    if isinstance(shapes, Mapping):
        return {key: _as_shapes(value) for key, value in shapes.items()}
    try:
        return tuple(tf.TensorShape(shapes).as_list())
    except (TypeError, ValueError) as error:
        if isinstance(shapes, list | tuple):
            return [_as_shapes(each) for each in shapes]
        raise errors.InvalidArgumentError(
            f"output_shape={shapes!r} is neither a shape without the batch dimension, nor a dict or list of shapes."
        ) from error
