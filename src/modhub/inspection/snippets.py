"""Code to copy: how the module at hand is used, by hub.Module, hub.load and hub.KerasLayer."""

from __future__ import annotations

import keyword
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from modhub.format.files import DirectoryFiles
from modhub.format.layout import SAVED_MODEL
from modhub.inspection.contents import TF1_HUB, TF2_SAVED_MODEL
from modhub.inspection.description import Inspection, SignatureDescription, TensorDescription, VariantDescription

__all__ = ["SUPPORTED_COLLECTIONS", "snippets"]

# What hub.create_module_spec_from_saved_model takes, or drops by itself; a test compares it with the function's own.
SUPPORTED_COLLECTIONS = frozenset(
    {"variables", "trainable_variables", "model_variables", "table_initializer", "update_ops", "regularization_losses"}
    | {"asset_filepaths", "cond_context", "while_context", "saved_model_assets", "hub_module_attachments"}
    | {"global_step", "legacy_init_op", "saved_model_main_op", "saved_model_train_op"}
)

_IMPORTS = "import modhub as hub\nimport tensorflow as tf\n\n"
_KINDS = ("dense", "sparse", "ragged")
_IMAGE_RANK = 4  # [batch, height, width, channels]


def snippets(
    inspection: Inspection, tags: Iterable[str] | None = None, signature: str | None = None
) -> Mapping[str, str]:
    """Return code that applies a signature of a module, by each of the ways that there are for it.

    Args:
      inspection: of the module.
      tags: of the graph variant; None: the one without tags, {"serve"}, or else the first.
      signature: its name; None: "default", "serving_default", or else the first.

    Returns:
      Python code by "hub.Module", "hub.load" and "hub.KerasLayer", as far as they take such a module and signature:
      nothing for an archive, which has to be unpacked first; no hub.Module for a TF2 SavedModel; hub.KerasLayer for
      one dense input, apart from those that may be left out. The values are zeros, or the text "text", of the least
      size that fits.

    Raises:
      UnknownVariantError: there is no such variant.
      UnknownSignatureError: the variant lacks the signature.
    """
    variant = _usual_variant(inspection) if tags is None else inspection.variant(*tags)
    chosen = _usual_signature(variant) if signature is None else variant.signature(signature)
    has_binary = SAVED_MODEL in inspection.files
    is_usable = has_binary or inspection.format != TF1_HUB
    if not isinstance(inspection._files, DirectoryFiles) or not is_usable:
        return {}
    code = _Code(inspection=inspection, variant=variant)
    # TensorFlow loads what modhub leaves to it, the text form and TF2 SavedModels, as an object with signatures.
    is_object = inspection.format == TF2_SAVED_MODEL or not has_binary
    if chosen is None:
        return {"hub.load": f"{_IMPORTS}loaded = hub.load({code.handle})\n"} if is_object else {}
    if any(tensor.kind not in _KINDS for tensor in chosen.inputs):
        return {}
    found = {} if is_object else {"hub.Module": code.module(chosen)}
    found["hub.load"] = code.loaded_object(chosen) if is_object else code.loaded_module(chosen)
    if len(inputs := _required(chosen)) == 1 and inputs[0].kind == "dense" and chosen.outputs:
        found["hub.KerasLayer"] = code.layer(chosen, inputs[0], is_object)
    return found


def _usual_variant(inspection: Inspection) -> VariantDescription:
    by_tags = {variant.tags: variant for variant in inspection.variants}
    return by_tags.get((), by_tags.get(("serve",), inspection.variants[0]))


def _usual_signature(variant: VariantDescription) -> SignatureDescription | None:
    by_name = {signature.name: signature for signature in variant.signatures}
    first = variant.signatures[0] if variant.signatures else None
    return by_name.get("default", by_name.get("serving_default", first))


def _required(signature: SignatureDescription) -> list[TensorDescription]:
    return [tensor for tensor in signature.inputs if not tensor.optional]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Code:
    """The code for a variant of a module."""

    inspection: Inspection
    variant: VariantDescription

    @property
    def handle(self) -> str:
        return _text(self.inspection.handle)

    def module(self, signature: SignatureDescription) -> str:
        """Return a v1 graph that is fed through placeholders."""
        spec = self.handle
        if self.inspection.format != TF1_HUB:
            foreign = sorted(set(self.variant.collections) - SUPPORTED_COLLECTIONS)
            dropped = f", drop_collections=[{', '.join(map(_text, foreign))}]" if foreign else ""
            spec = f"hub.create_module_spec_from_saved_model({spec}{dropped})"
        tags = f", tags={_set(self.variant.tags)}" if self.variant.tags else ""
        inputs = signature.inputs  # `hub.Module` wants all of them
        placeholders = _dict({tensor.name: _placeholder(tensor) for tensor in inputs}, 4)
        # A value is computed in the graph, and then fed, so that sparse and ragged ones are fed alike.
        values = [f"inputs[{_text(tensor.name)}]: session.run({self._value(tensor)})" for tensor in inputs]
        feed = f", feed_dict={_braces(values, 4)}" if values else ""
        return (
            f"{_IMPORTS}with tf.Graph().as_default(), tf.compat.v1.Session() as session:\n"
            f"    module = hub.Module({spec}{tags})\n"
            f"    inputs = {placeholders}\n"
            f"    outputs = module(inputs{_named(signature)}, as_dict=True)\n"
            "    session.run([tf.compat.v1.global_variables_initializer(), tf.compat.v1.tables_initializer()])\n"
            f"    results = session.run(outputs{feed})\n"
        )

    def loaded_module(self, signature: SignatureDescription) -> str:
        """Return an eager call of a module."""
        values = _dict({tensor.name: self._value(tensor) for tensor in _required(signature)}, 0)
        return (
            f"{_IMPORTS}module = hub.load({self.handle}{self._tags()})\n"
            f"inputs = {values}\n"
            f"outputs = module(inputs{_named(signature)}, as_dict=True)\n"
        )

    def loaded_object(self, signature: SignatureDescription) -> str:
        """Return an eager call of a function of what TensorFlow loads."""
        values = {tensor.name: self._value(tensor) for tensor in signature.inputs}
        if all(name.isidentifier() and not keyword.iskeyword(name) for name in values):
            arguments = ", ".join(f"{name}={value}" for name, value in values.items())
        else:
            arguments = "**" + _dict(values, 0)
        return (
            f"{_IMPORTS}loaded = hub.load({self.handle}{self._tags()})\n"
            f"outputs = loaded.signatures[{_text(signature.name)}]({arguments})\n"
        )

    def layer(self, signature: SignatureDescription, tensor: TensorDescription, is_object: bool) -> str:
        """Return a model of Keras; where the size of a batch is fixed, or its shape unknown, a call of a layer."""
        # Of an object the layer calls the object itself, unless it is told a signature.
        name = f", signature={_text(signature.name)}" if is_object or signature.name != "default" else ""
        outputs = [output.name for output in signature.outputs]
        key = "" if "default" in outputs and not is_object else f", output_key={_text(_usual(outputs))}"
        layer = f"{_IMPORTS}layer = hub.KerasLayer({self.handle}{self._tags()}{name}{key})\n"
        given = "x" if len(signature.inputs) == 1 else f"{{{_text(tensor.name)}: x}}"
        if not tensor.shape or tensor.shape[0] is not None:
            return f"{layer}x = {self._value(tensor)}\noutputs = layer({given})\n"
        return (
            f"{layer}x = tf.keras.Input({list(tensor.shape[1:])}, dtype={_text(tensor.dtype)})\n"
            f"model = tf.keras.Model(x, layer({given}))\n"
            f"outputs = model({self._value(tensor)})\n"
        )

    def _tags(self) -> str:
        """Return the argument `tags`, where `hub.load` would take another variant without it."""
        is_usual = self.variant.tags == _usual_variant(self.inspection).tags
        is_found = self.variant.tags in ((), ("serve",)) if self.inspection.format != TF1_HUB else not self.variant.tags
        return "" if is_usual and is_found else f", tags={_set(self.variant.tags)}"

    def _value(self, tensor: TensorDescription) -> str:
        """Return a value that fits an input."""
        shape = [1] if tensor.shape is None else [1 if size is None else size for size in tensor.shape]
        if tensor.shape is not None and len(shape) == _IMAGE_RANK and tensor.shape[1:3] == (None, None):
            shape[1:3] = self._image_size()
        value = f"tf.zeros({shape}, tf.{tensor.dtype})"
        if tensor.dtype == "string":
            value = f'tf.fill({shape}, "text")'
        if tensor.kind == "sparse":
            return f"tf.sparse.from_dense({value})"
        if tensor.kind == "ragged":
            return f"tf.RaggedTensor.from_tensor({value}, ragged_rank={len(tensor.tensors) - 1})"
        return value

    def _image_size(self) -> list[int]:
        for attachment in self.variant.attachments:
            if attachment.key == "image_module_info":
                size = attachment.value["default_image_size"]
                return [size["height"], size["width"]]
        return [1, 1]


def _named(signature: SignatureDescription) -> str:
    return "" if signature.name == "default" else f", signature={_text(signature.name)}"


def _usual(outputs: list[str]) -> str:
    return "default" if "default" in outputs else outputs[0]


def _placeholder(tensor: TensorDescription) -> str:
    dtype = f"tf.{tensor.dtype}"
    shape = "" if tensor.shape is None else f", {list(tensor.shape)}"
    if tensor.kind == "sparse":
        return f"tf.compat.v1.sparse_placeholder({dtype}{shape})"
    if tensor.kind == "ragged":
        # The flat values, and the row splits of each ragged dimension.
        rank = len(tensor.tensors) - 1
        inner = "" if tensor.shape is None else f", {list(tensor.shape[rank + 1 :])}"
        return f"tf.compat.v1.ragged.placeholder({dtype}, {rank}{inner})"
    return f"tf.compat.v1.placeholder({dtype}{shape})"


def _dict(items: Mapping[str, str], indent: int) -> str:
    return _braces([f"{_text(key)}: {value}" for key, value in items.items()], indent)


def _braces(items: list[str], indent: int) -> str:
    """Return a dict display: on one line if it has one item, else on a line each."""
    if len(items) < 2:
        return "{" + "".join(items) + "}"
    space = " " * indent
    return "{\n" + "".join([f"{space}    {item},\n" for item in items]) + space + "}"


def _set(tags: Iterable[str]) -> str:
    return "{" + ", ".join(map(_text, tags)) + "}" if tags else "set()"


def _text(text: str) -> str:
    """Return a string literal, in which no character acts on a terminal."""
    plain = text.isascii() and text.isprintable() and not set(text) & {'"', "\\"}
    return f'"{text}"' if plain else ascii(text)
