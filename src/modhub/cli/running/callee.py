"""One signature of a module or SavedModel as a function of values by input name."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

import tensorflow as tf

from modhub import errors
from modhub.authoring import get_expected_image_size
from modhub.core import from_components, inputs_with_default, parse, tensor_names
from modhub.loaded import LoadedModule, load

__all__ = ["Callee", "find_signature"]

_SERVING = tf.saved_model.DEFAULT_SERVING_SIGNATURE_DEF_KEY


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Callee:
    """A signature that can be computed.

    Attributes:
      signature: its name.
      where: what messages call it.
      inputs: what it takes: tf.TypeSpecs by name; None for a kind of tensor that this TensorFlow does not know.
      optional: names of inputs that have a default.
      run: computes the chosen outputs: tensors by name.
      image_size: returns height and width of images for an input, None if the module does not say.
    """

    signature: str
    where: str
    inputs: Mapping[str, tf.TypeSpec | None]
    optional: frozenset[str]
    run: Callable[[Mapping[str, Any]], dict[str, Any]]
    image_size: Callable[[str], tuple[int, int] | None]


def find_signature(
    path: str,
    tags: Collection[str],
    signature: str | None,
    outputs: Collection[str] | None,
    *,
    trust: bool | None = None,
) -> Callee:
    """Load a module and take one of its signatures.

    Args:
      path: a handle: of a module, a TF1 SavedModel or a TF2 SavedModel.
      tags: the variant's tags.
      signature: the signature's name; None: "default", or "serving_default", or the only one.
      outputs: names of the outputs to compute; None for all.
      trust: whether to load what a scan refuses, as for `modhub.load`.

    Raises:
      UnknownSignatureError, UnknownOutputError: there is no such signature or output.
      CorruptModuleError: TensorFlow cannot load the SavedModel.
      ModhubError: see `modhub.load`.
    """
    try:
        module = load(path, tags=tags, trust=trust)
    except errors.ModhubError:
        raise
    except (tf.errors.OpError, ValueError, TypeError, KeyError, AttributeError, RuntimeError, OSError) as error:
        raise errors.CorruptModuleError(f"TensorFlow cannot load {path!r} with tags {sorted(tags)}: {error}") from error
    find = _of_module if isinstance(module, LoadedModule) else _of_saved_model
    name = _choose(signature, list(module.signatures), path)
    return find(module, name, f"the signature {name!r} of {path!r}", outputs)


def _choose(signature: str | None, known: list[str], path: str) -> str:
    if not known:
        raise errors.UnknownSignatureError(f"{path!r} has no signatures, so there is nothing to compute.")
    if signature is None:
        for name in ("default", _SERVING):
            if name in known:
                return name
        if len(known) == 1:
            return known[0]
        raise errors.UnknownSignatureError(
            f"{path!r} has several signatures, and none is called 'default': choose with --signature. "
            + errors.accepted("", known, "signatures")
        )
    if signature not in known:
        raise errors.UnknownSignatureError(
            f"Signature {signature!r} is missing from {path!r}. {errors.accepted(signature, known, 'signatures')}"
        )
    return signature


def _of_module(module: LoadedModule, name: str, where: str, outputs: Collection[str] | None) -> Callee:
    variant = module.spec.description.variant(module.tags)
    infos = variant.signatures[name].outputs
    _check_outputs(outputs, infos, where)

    def run_all(inputs: Mapping[str, Any]) -> dict[str, Any]:
        found: dict[str, Any] = module(inputs, signature=name, as_dict=True)
        return found

    def run_one(inputs: Mapping[str, Any]) -> dict[str, Any]:
        (wanted,) = outputs or ()
        value, _ = module.call_with_losses(inputs, signature=name, output_key=wanted)
        return {wanted: value}

    def run_some(inputs: Mapping[str, Any]) -> dict[str, Any]:
        parts = {key: tensor_names(infos[key]) for key in outputs or ()}
        tensors = list(dict.fromkeys(part for names in parts.values() for part in names))
        found = module.outputs_of(tensors, signature=name)(inputs)
        return {
            key: from_components(parse(infos[key]), [found[part] for part in names], promise_shape=False)
            for key, names in parts.items()
        }

    def image_size(key: str) -> tuple[int, int] | None:
        try:
            height, width = get_expected_image_size(module, name, key)
        except errors.ModhubError:
            return None
        return height, width

    count = None if outputs is None else len(outputs)
    return Callee(
        signature=name,
        where=where,
        inputs={key: parsed.type_spec for key, parsed in module.get_input_info_dict(name).items()},
        # `outputs_of` takes all inputs.
        optional=frozenset() if count is not None and count > 1 else inputs_with_default(variant, name),
        run=run_all if count is None else run_one if count == 1 else run_some,
        image_size=image_size,
    )


def _of_saved_model(module: Any, name: str, where: str, outputs: Collection[str] | None) -> Callee:
    function = module.signatures[name]
    _check_outputs(outputs, function.structured_outputs, where)

    # Traced, so that TensorFlow inlines the signature and drops what nobody asked for, but for ops that have effects.
    def some(**inputs: Any) -> dict[str, Any]:
        found = function(**inputs)
        return {key: found[key] for key in outputs or found}

    def run(inputs: Mapping[str, Any]) -> dict[str, Any]:
        tensors = {key: tf.convert_to_tensor(value) for key, value in inputs.items()}
        found: dict[str, Any] = (function if outputs is None else tf.function(some, autograph=False))(**tensors)
        return found

    def image_size(key: str) -> tuple[int, int] | None:
        shape = inputs[key].shape
        height, width = shape.as_list()[1:3] if shape.rank == 4 else (None, None)
        return (height, width) if height and width else None

    inputs = function.structured_input_signature[1]
    return Callee(signature=name, where=where, inputs=inputs, optional=frozenset(), run=run, image_size=image_size)


def _check_outputs(outputs: Collection[str] | None, known: Iterable[str], where: str) -> None:
    for name in outputs or ():
        if name not in known:
            raise errors.UnknownOutputError(
                f"There is no output {name!r} in {where}. " + errors.accepted(name, known, "outputs")
            )
