"""Rules for image signatures that no page describes: momentum as an input, augmentation, generators."""

from __future__ import annotations

from modhub.inspection.findings import Severity
from modhub.inspection.lint.rules import DE_FACTO_IMAGES, Found, Rule, rule
from modhub.inspection.lint.signatures_image import BN_HPARAMS, MOMENTUM, TASKS
from modhub.inspection.lint.subject import Subject
from modhub.inspection.lint.tensors import ANY, expect, find, shown

__all__ = ["RULES"]

RULES: list[Rule] = []

_DEFAULT = "default"
_ENCODED, _DECODED = "encoded_images", "from_decoded_images"
_GENERATORS = ("generate", "generator")


@rule(
    RULES,
    "bn-hparams",
    Severity.WARNING,
    source=DE_FACTO_IMAGES,
    fix="Make batch_norm_momentum a scalar float32 tf.placeholder_with_default, and declare the same outputs with and "
    "without it.",
)
def bn_hparams(subject: Subject) -> Found:
    """A signature that ends with "_with_bn_hparams" is not its base signature with one more input.

    It is expected to take `batch_norm_momentum`, a scalar of float32, beside the inputs of the signature without this
    ending, and to return the same "default".
    """
    for variant in subject.variants:
        for name, signature in variant.signatures.items():
            base_name = name.removesuffix(BN_HPARAMS)
            if base_name == name or base_name not in TASKS:
                continue
            momentum = find(signature.inputs, MOMENTUM)
            if momentum is None:
                yield variant.at(name), f"There is no input {MOMENTUM!r}."
            elif wrong := expect(momentum, "float32", ()):
                yield variant.at(name, f"input {MOMENTUM!r}"), wrong
            base = variant.signatures.get(base_name)
            if base is None:
                yield variant.at(name), f"There is no signature {base_name!r} without the momentum."
                continue
            here, there = find(signature.outputs, _DEFAULT), find(base.outputs, _DEFAULT)
            if here is not None and there is not None and shown(here) != shown(there):
                yield variant.at(name), f"The output is {shown(here)}, that of {base_name!r} {shown(there)}."


@rule(
    RULES,
    "image-augmentation",
    Severity.WARNING,
    source=DE_FACTO_IMAGES,
    fix="Take encoded_images (string [batch]), image_size (integers) and augmentation (bool), return 'default' as "
    "float32 [batch, height, width, 3] with values from 0 to 1, and offer 'from_decoded_images'.",
)
def image_augmentation(subject: Subject) -> Found:
    """A module that augments images does not look like the others that do.

    Recognized by an input `encoded_images` of the default signature, or by a signature "from_decoded_images".
    """
    for variant in subject.variants:
        default, decoded = variant.signatures.get(_DEFAULT), variant.signatures.get(_DECODED)
        encoded = find(default.inputs, _ENCODED) if default is not None else None
        if encoded is None and decoded is None:
            continue
        if encoded is None:
            yield variant.where, f"There is {_DECODED!r}, and no signature 'default' with an input {_ENCODED!r}."
        elif wrong := expect(encoded, "string", (ANY,)):
            yield variant.at(_DEFAULT, f"input {_ENCODED!r}"), wrong
        if decoded is None:
            yield variant.where, f"There is no signature {_DECODED!r}, for images that are no files."
        for signature in (default, decoded):
            if signature is None or (signature is default and encoded is None):
                continue
            flag = find(signature.inputs, "augmentation")
            if flag is None:
                yield variant.at(signature.name), "There is no input 'augmentation' that switches it off."
            elif wrong := expect(flag, "bool", ()):
                yield variant.at(signature.name, "input 'augmentation'"), wrong
            if find(signature.inputs, "image_size") is None:
                yield variant.at(signature.name), "There is no input 'image_size'."
            output = find(signature.outputs, _DEFAULT)
            if output is not None and (wrong := expect(output, "float32", (ANY, ANY, ANY, 3))):
                yield variant.at(signature.name, "output 'default'"), wrong


@rule(
    RULES,
    "image-generator",
    Severity.NOTE,
    source=DE_FACTO_IMAGES,
    fix="Return images as 'default': float32 [batch, height, width, 3].",
)
def image_generator(subject: Subject) -> Found:
    """A signature "generator" or "generate" returns images in an unusual form.

    There is no specification. Most return float32 [batch, height, width, channels] with 1 or 3 channels.
    """
    for variant in subject.variants:
        for name in _GENERATORS:
            signature = variant.signatures.get(name)
            output = find(signature.outputs, _DEFAULT) if signature is not None else None
            # Text is generated, too; what has not four dimensions is taken for something else than images.
            if output is None or output.shape is None or len(output.shape) != 4:
                continue
            if output.dtype != "float32" or output.shape[3] not in (1, 3):
                yield variant.at(name, "output 'default'"), f"It is {shown(output)}."
