"""Rules for the common image signatures: feature vectors and classification."""

from __future__ import annotations

from collections.abc import Iterator

from modhub.inspection.description import SignatureDescription, TensorDescription
from modhub.inspection.findings import Severity
from modhub.inspection.lint.rules import IMAGES_PAGE, Found, Rule, rule
from modhub.inspection.lint.subject import Subject, Variant
from modhub.inspection.lint.tensors import ANY, FIXED, OPEN, expect, find, same_interface, shown, shown_shape

__all__ = ["BN_HPARAMS", "MOMENTUM", "RULES", "image_signatures"]

RULES: list[Rule] = []

TASKS = ("image_classification", "image_feature_vector")
BN_HPARAMS = "_with_bn_hparams"
MOMENTUM = "batch_norm_momentum"

_IMAGES, _DEFAULT = "images", "default"
_INFO = "image_module_info"


def image_signatures(variant: Variant) -> Iterator[SignatureDescription]:
    """Yield the signatures whose names promise a common image signature."""
    for name, signature in variant.signatures.items():
        if name.removesuffix(BN_HPARAMS) in TASKS:
            yield signature


@rule(
    RULES,
    "image-input",
    Severity.ERROR,
    source=IMAGES_PAGE,
    fix="Take the images as one dense placeholder, tf.float32 [None, height, width, 3], under the name 'images', with "
    "values from 0 to 1.",
)
def image_input(subject: Subject) -> Found:
    """An image signature has no input `images` of float32 [batch, height, width, 3].

    Programs that take any module for a task, and `hub.get_expected_image_size`, rely on the name, type and rank.
    """
    for variant in subject.variants:
        for signature in image_signatures(variant):
            images = find(signature.inputs, _IMAGES)
            if images is None:
                names = ", ".join(repr(tensor.name) for tensor in signature.inputs) or "none"
                yield variant.at(signature.name), f"There is no input 'images'; it has {names}."
            elif wrong := expect(images, "float32", (ANY, ANY, ANY, 3)):
                yield variant.at(signature.name, "input 'images'"), wrong


@rule(
    RULES,
    "image-batch-size",
    Severity.WARNING,
    source=IMAGES_PAGE,
    fix="Leave the batch size open: shape=[None, height, width, 3].",
)
def image_batch_size(subject: Subject) -> Found:
    """An image signature takes batches of one size only. The page leaves the batch size to the caller."""
    for variant in subject.variants:
        for signature in image_signatures(variant):
            shape = _images_shape(signature)
            if shape is not None and shape[0] is not None:
                yield (
                    variant.at(signature.name, "input 'images'"),
                    f"The batch size is fixed to {shape[0]} in {shown_shape(shape)}.",
                )


@rule(
    RULES,
    "image-size",
    Severity.ERROR,
    source=IMAGES_PAGE,
    fix="Fix height and width in the placeholder's shape, or attach an ImageModuleInfo with both: "
    "hub.attach_image_module_info(...) in the module_fn.",
)
def image_size(subject: Subject) -> Found:
    """The size of images is neither in the shape of the input `images` nor in an attached ImageModuleInfo.

    `hub.get_expected_image_size` fails then, and callers do not know to what size to scale their images.
    """
    for variant in subject.variants:
        for signature in image_signatures(variant):
            shape = _images_shape(signature)
            if shape is not None and None in shape[1:3] and not all(_attached_size(variant) or (0,)):
                told = "an ImageModuleInfo without height or width" if _attached_size(variant) else "no ImageModuleInfo"
                yield (
                    variant.at(signature.name, "input 'images'"),
                    f"The shape {shown_shape(shape)} leaves the size open, and there is {told}.",
                )


@rule(
    RULES,
    "image-size-contradiction",
    Severity.WARNING,
    source=IMAGES_PAGE,
    fix="Make the ImageModuleInfo and the shape of the placeholder say the same size.",
)
def image_size_contradiction(subject: Subject) -> Found:
    """The attached ImageModuleInfo says another size than the input takes; callers who trust it get an error."""
    for variant in subject.variants:
        size = _attached_size(variant)
        for signature in image_signatures(variant):
            shape = _images_shape(signature)
            if shape is None or size is None or not all(size):
                continue
            if any(fixed is not None and fixed != told for fixed, told in zip(shape[1:3], size, strict=True)):
                yield (
                    variant.at(signature.name, "input 'images'"),
                    f"The ImageModuleInfo says {size[0]} x {size[1]} (height x width), the shape {shown_shape(shape)}.",
                )


@rule(
    RULES,
    "image-extra-input",
    Severity.WARNING,
    source=IMAGES_PAGE,
    fix="Move the input to a signature of another name, and keep this one with 'images' alone.",
)
def image_extra_input(subject: Subject) -> Found:
    """An image signature asks for more than `images`.

    Who knows only the common signature cannot call it. `batch_norm_momentum` belongs into the signatures that end
    with "_with_bn_hparams".
    """
    for variant in subject.variants:
        for signature in image_signatures(variant):
            known = {_IMAGES, MOMENTUM} if signature.name.endswith(BN_HPARAMS) else {_IMAGES}
            for tensor in signature.inputs:
                if tensor.name not in known:
                    yield variant.at(signature.name), f"It asks for the input {tensor.name!r} too ({shown(tensor)})."


@rule(
    RULES,
    "image-output",
    Severity.ERROR,
    source=IMAGES_PAGE,
    fix="Return features or logits as 'default': float32 [batch, n], with n known when the graph is built (flatten, "
    "pool, or set_shape).",
)
def image_output(subject: Subject) -> Found:
    """An image signature has no output "default" of float32 [batch, n] with a fixed n.

    Callers put a dense layer on the features, or take the largest logit; both need n.
    """
    for variant in subject.variants:
        for signature in image_signatures(variant):
            output = find(signature.outputs, _DEFAULT)
            if output is None:
                yield variant.at(signature.name), "There is no output 'default'."
            elif wrong := expect(output, "float32", (ANY, FIXED)):
                yield variant.at(signature.name, "output 'default'"), wrong


@rule(
    RULES,
    "image-extra-output",
    Severity.NOTE,
    source=IMAGES_PAGE,
    fix="Put the name of the architecture before that of the layer: 'InceptionV3/Mixed_5c'.",
)
def image_extra_output(subject: Subject) -> Found:
    """An extra output of an image signature is not named `<architecture>/<layer>`.

    The page recommends it, so that layers of different architectures are not taken for each other.
    """
    for variant in subject.variants:
        for signature in image_signatures(variant):
            for output in signature.outputs:
                if output.name != _DEFAULT and "/" not in output.name:
                    yield variant.at(signature.name), f"The output {output.name!r} has no architecture in its name."


@rule(
    RULES,
    "image-default-signature",
    Severity.WARNING,
    source=IMAGES_PAGE,
    fix="Declare the main task twice with the same inputs and outputs: under its name, and without a name.",
)
def image_default_signature(subject: Subject) -> Found:
    """The default signature of an image module is not that of its main task.

    The page asks for the main task under both names: its own and "default".
    """
    for variant in subject.variants:
        default = variant.signatures.get(_DEFAULT)
        tasks = [name for name in TASKS if name in variant.signatures]
        if default is None or not tasks:
            continue
        differences = {name: same_interface(variant.signatures[name], default) for name in tasks}
        if all(differences.values()):
            said = "; ".join(f"from {name!r}: {difference}" for name, difference in differences.items())
            yield variant.at(_DEFAULT), f"It differs {said}."


@rule(
    RULES,
    "image-task-unnamed",
    Severity.NOTE,
    source=IMAGES_PAGE,
    fix="Declare the signature a second time as 'image_feature_vector' or 'image_classification', if that is what it "
    "computes.",
)
def image_task_unnamed(subject: Subject) -> Found:
    """The default signature looks like a common image signature, and there is none under the name of a task.

    It takes one input `images` of float32 [batch, height, width, 3] and returns float32 [batch, n]. By the name of the
    task callers can tell features from logits.
    """
    for variant in subject.variants:
        default = variant.signatures.get(_DEFAULT)
        if default is None or any(True for _ in image_signatures(variant)):
            continue
        output = find(default.outputs, _DEFAULT)
        if [tensor.name for tensor in default.inputs] != [_IMAGES] or output is None:
            continue
        looks = [expect(default.inputs[0], "float32", (OPEN, ANY, ANY, 3)), expect(output, "float32", (OPEN, FIXED))]
        if not any(looks):
            yield variant.at(_DEFAULT), f"It maps images to {shown(output)}, and no name tells the task."


def _images_shape(signature: SignatureDescription) -> tuple[int | None, ...] | None:
    """Return the shape of the images; None where the input is missing or of another rank."""
    images: TensorDescription | None = find(signature.inputs, _IMAGES)
    return images.shape if images is not None and images.shape is not None and len(images.shape) == 4 else None


def _attached_size(variant: Variant) -> tuple[int, int] | None:
    """Return (height, width) of the ImageModuleInfo; None where none is attached."""
    for attachment in variant.description.attachments:
        if attachment.key == _INFO and attachment.value is not None:
            size = attachment.value["default_image_size"]
            return size["height"], size["width"]
    return None
