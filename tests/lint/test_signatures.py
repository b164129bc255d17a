from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from modhub.inspection.lint import all_rules
from tests.lint.crafted import PLAIN, Signatures, Tensors, Variant, found, write

IMAGES = {"images": "float32 ? 8 8 3"}
FEATURES = {"default": "float32 ? 5"}
MOMENTUM = {"batch_norm_momentum": "float32"}
BERT_IN = dict.fromkeys(("input_ids", "input_mask", "segment_ids"), "int32 ? ?")
BERT_OUT = {"pooled_output": "float32 ? 4", "sequence_output": "float32 ? ? 4"}
ELMO_IN = {"tokens": "string ? ?", "sequence_len": "int32 ?"}
INFO_OUT = {"vocab_file": "string", "do_lower_case": "bool"}
AUGMENT_OUT = {"default": "float32 ? ? ? 3"}
AUGMENT_IN = {"encoded_images": "string ?", "image_size": "int32 2", "augmentation": "bool"}
DECODED_IN = {"image_size": "int32 2", "augmentation": "bool"}


def vectors(inputs: Tensors | None = None, outputs: Tensors | None = None) -> Signatures:
    """An image feature vector under its name and as the default signature."""
    signature = (IMAGES if inputs is None else inputs, FEATURES if outputs is None else outputs)
    return {"image_feature_vector": signature, "default": signature}


def with_momentum(inputs: Tensors = MOMENTUM, outputs: Tensors = FEATURES) -> Signatures:
    return {**vectors(), "image_feature_vector_with_bn_hparams": ({**IMAGES, **inputs}, outputs)}


def text(given: str = "string ?", returned: str = "float32 ? 16") -> Signatures:
    return {"default": ({"text": given}, {"default": returned})}


def augmentation(inputs: Tensors = AUGMENT_IN, outputs: Tensors = AUGMENT_OUT) -> Signatures:
    return {"default": (inputs, outputs), "from_decoded_images": (DECODED_IN, AUGMENT_OUT)}


# (rule, signatures that it finds something in, what it says)
WRONG: list[tuple[str, Signatures, str]] = [
    ("default-signature-missing", {"other": PLAIN["default"]}, "'other'"),
    ("default-output-missing", {"default": ({}, {"y": "float32"})}, "'y'"),
    ("signatures-missing", {}, "no signature"),
    ("signature-name", {"a b": PLAIN["default"]}, "'a b'"),
    ("signature-name", {"a$b": PLAIN["default"]}, "'a$b'"),
    ("signature-names-collide", {"Tokens": PLAIN["default"], "tokens": PLAIN["default"]}, "'Tokens'"),
    ("image-input", vectors({"image": "float32 ? 8 8 3"}), "no input 'images'; it has 'image'"),
    (
        "image-input",
        vectors({"images": "uint8 ? 8 8 3"}),
        "uint8 [?, 8, 8, 3], and should be float32 [any, any, any, 3]",
    ),
    ("image-input", vectors({"images": "float32 ? 3 8 8"}), "[?, 3, 8, 8]"),
    ("image-input", vectors({"images": "float32 8 8 3"}), "[8, 8, 3]"),
    ("image-input", vectors({"images": "float32 *"}), "of unknown rank"),
    ("image-input", vectors({"images": "sparse float32 ? 8 8 3"}), "sparse"),
    ("image-batch-size", vectors({"images": "float32 1 8 8 3"}), "fixed to 1"),
    ("image-size", vectors({"images": "float32 ? ? 8 3"}), "no ImageModuleInfo"),
    ("image-extra-input", vectors({**IMAGES, "keep": "float32"}), "'keep' too (float32 [])"),
    ("image-extra-input", vectors({**IMAGES, **MOMENTUM}), "'batch_norm_momentum'"),
    ("image-output", vectors(outputs={"features": "float32 ? 5"}), "no output 'default'"),
    ("image-output", vectors(outputs={"default": "float32 ? ?"}), "[?, ?], and should be float32 [any, fixed]"),
    ("image-output", vectors(outputs={"default": "float32 ? 1 1 5"}), "[?, 1, 1, 5]"),
    ("image-output", vectors(outputs={"default": "float64 ? 5"}), "float64"),
    ("image-extra-output", vectors(outputs={**FEATURES, "Mixed_5c": "float32 ? 2"}), "'Mixed_5c'"),
    ("image-default-signature", {**vectors(), "default": (IMAGES, {"default": "float32 ? 7"})}, "float32 [?, 5]"),
    ("image-default-signature", {**vectors(), "default": ({"x": "float32"}, FEATURES)}, "'images' is in one of them"),
    ("image-task-unnamed", {"default": (IMAGES, FEATURES)}, "float32 [?, 5]"),
    ("bn-hparams", with_momentum({}), "no input 'batch_norm_momentum'"),
    ("bn-hparams", with_momentum({"batch_norm_momentum": "float32 1"}), "should be float32 []"),
    ("bn-hparams", with_momentum(outputs={"default": "float32 ? 6"}), "float32 [?, 6]"),
    ("bn-hparams", {"image_classification_with_bn_hparams": ({**IMAGES, **MOMENTUM}, FEATURES)}, "no signature"),
    ("image-augmentation", augmentation({**AUGMENT_IN, "encoded_images": "string"}), "string []"),
    ("image-augmentation", augmentation({**AUGMENT_IN, "augmentation": "float32"}), "should be bool []"),
    ("image-augmentation", augmentation({"encoded_images": "string ?", "augmentation": "bool"}), "'image_size'"),
    ("image-augmentation", augmentation(outputs={"default": "uint8 ? ? ? 3"}), "uint8"),
    ("image-augmentation", {"default": (AUGMENT_IN, AUGMENT_OUT)}, "no signature 'from_decoded_images'"),
    ("image-augmentation", {"from_decoded_images": (DECODED_IN, AUGMENT_OUT)}, "no signature 'default'"),
    ("image-generator", {"generator": ({"z": "float32 ? 9"}, {"default": "float64 ? 8 8 3"})}, "float64"),
    ("image-generator", {"generate": ({"z": "float32 ? 9"}, {"default": "float32 ? 3 8 8"})}, "[?, 3, 8, 8]"),
    ("text-input", text("string ? 1"), "string [?, 1], and should be string [?]"),
    ("text-input", text("string *"), "of unknown rank"),
    ("text-input", text("string 32"), "string [32]"),
    ("text-output", text(returned="float32 ? ?"), "float32 [?, ?]"),
    ("text-output", text(returned="float64 ? 16"), "float64"),
    ("text-output", text(returned="float32 ?"), "float32 [?]"),
    ("tokens-signature", {"tokens": ({**ELMO_IN, "sequence_len": "int64 ?"}, FEATURES)}, "int64 [?]"),
    ("tokens-signature", {"tokens": ({"tokens": "string ? ?"}, FEATURES)}, "no input 'sequence_len'"),
    ("tokens-signature", {"tokens": ({**BERT_IN, "input_ids": "int64 ? ?"}, BERT_OUT)}, "int64"),
    ("tokens-signature", {"tokens": ({"input_ids": "int32 ? ?"}, BERT_OUT)}, "no input 'input_mask'"),
    ("tokens-signature", {"tokens": (BERT_IN, {**BERT_OUT, "pooled_output": "float32 ? ?"})}, "[any, fixed]"),
    ("tokens-signature", {"tokens": (BERT_IN, {"pooled_output": "float32 ? 4"})}, "no output 'sequence_output'"),
    ("tokenization-info", {"tokenization_info": ({}, {"vocab_file": "string"})}, "no output 'do_lower_case'"),
    ("tokenization-info", {"tokenization_info": ({}, {**INFO_OUT, "vocab_file": "string ?"})}, "string [?]"),
    ("tokenization-info", {"tokenization_info": ({"x": "bool"}, INFO_OUT)}, "asks for the input 'x'"),
    ("tokenization-info-missing", {"tokens": (BERT_IN, BERT_OUT)}, "no 'tokenization_info'"),
]

# (rule, signatures that are nearly wrong)
RIGHT: list[tuple[str, Signatures]] = [
    ("default-signature-missing", {"other": PLAIN["default"], **PLAIN}),
    ("default-output-missing", {**PLAIN, "other": ({}, {"y": "float32"})}),
    ("signatures-missing", PLAIN),
    ("signature-name", {"a.B_1/c-d:e>f": PLAIN["default"]}),
    ("signature-names-collide", {"token": PLAIN["default"], "tokens": PLAIN["default"]}),
    ("image-input", {"image_embedding": ({"image": "uint8 ?"}, FEATURES)}),
    ("image-input", vectors({"images": "float32 ? ? ? 3"})),
    ("image-batch-size", vectors()),
    ("image-size", vectors()),
    ("image-extra-input", with_momentum()),
    ("image-output", vectors(outputs={**FEATURES, "Net/block": "float32 ? ? ? 7"})),
    ("image-output", {"default": (IMAGES, {"default": "float32 ? ?"})}),
    ("image-extra-output", vectors(outputs={**FEATURES, "InceptionV3/Mixed_5c": "float32 ? 2"})),
    ("image-default-signature", {**vectors(), "image_classification": (IMAGES, {"default": "float32 ? 7"})}),
    ("image-task-unnamed", vectors()),
    ("image-task-unnamed", {"default": (IMAGES, {"default": "float32 ? 8 8 3"})}),
    ("image-task-unnamed", {"default": ({**IMAGES, "style": "float32 ? 3"}, FEATURES)}),
    ("bn-hparams", with_momentum()),
    ("bn-hparams", {"other_with_bn_hparams": ({}, FEATURES)}),
    ("image-augmentation", augmentation()),
    ("image-augmentation", {"default": ({"images": "float32 ? 8 8 3"}, AUGMENT_OUT)}),
    ("image-generator", {"generator": ({"z": "float32 ? 9"}, {"default": "float32 ? 8 8 1"})}),
    ("image-generator", {"generate": ({"prompt": "string ?"}, {"default": "string ?"})}),
    ("text-input", text()),
    ("text-input", text("string")),
    ("text-input", text("string ? 1", "int64 ? 16")),
    ("text-input", {"default": ({"a": "string ? 1", "b": "string ?"}, {"default": "float32 ? 16"})}),
    ("text-output", text()),
    ("text-output", text(returned="int64 ? ?")),
    ("text-output", text(returned="float32 ? ? ? 3")),
    ("tokens-signature", {"tokens": (ELMO_IN, FEATURES)}),
    ("tokens-signature", {"tokens": (BERT_IN, BERT_OUT)}),
    ("tokens-signature", {"tokens": ({"words": "string"}, {"default": "int64 ?"})}),
    ("tokenization-info", {"tokenization_info": ({}, INFO_OUT)}),
    ("tokenization-info-missing", {"tokens": (BERT_IN, BERT_OUT), "tokenization_info": ({}, INFO_OUT)}),
    ("tokenization-info-missing", {"tokens": (ELMO_IN, FEATURES)}),
]


def ids(cases: list[Any]) -> list[str]:
    return [f"{case[0]}-{number}" for number, case in enumerate(cases)]


@pytest.mark.parametrize(("rule", "signatures", "says"), WRONG, ids=ids(WRONG))
def test_it_is_found(rule: str, signatures: Signatures, says: str, tmp_path: Path) -> None:
    findings = found(rule, write(tmp_path / "module", Variant(signatures=signatures)))
    assert findings
    assert any(says in finding.message for finding in findings), findings
    assert all(finding.where.startswith("variant {}") for finding in findings)
    assert {finding.severity for finding in findings} == {all_rules()[rule].severity}


@pytest.mark.parametrize(("rule", "signatures"), RIGHT, ids=ids(RIGHT))
def test_a_near_miss_is_not_found(rule: str, signatures: Signatures, tmp_path: Path) -> None:
    assert found(rule, write(tmp_path / "module", Variant(signatures=signatures))) == []


@pytest.mark.parametrize(
    ("rule", "size", "shape", "is_found"),
    [
        ("image-size", (8, 9), "float32 ? ? ? 3", False),
        ("image-size", (8, 0), "float32 ? ? ? 3", True),
        ("image-size", (0, 0), "float32 ? 8 9 3", False),
        ("image-size-contradiction", (8, 9), "float32 ? 8 9 3", False),
        ("image-size-contradiction", (8, 9), "float32 ? ? 9 3", False),
        ("image-size-contradiction", (9, 8), "float32 ? 8 9 3", True),
        ("image-size-contradiction", (0, 9), "float32 ? 8 8 3", False),
    ],
)
def test_the_attached_size_counts(rule: str, size: tuple[int, int], shape: str, is_found: bool, tmp_path: Path) -> None:
    module = write(tmp_path / "module", Variant(signatures=vectors({"images": shape}), image_size=size))
    assert bool(found(rule, module)) is is_found


def test_an_honest_image_module_has_no_findings(tmp_path: Path) -> None:
    from modhub.inspection.lint import lint

    assert lint(write(tmp_path / "module", Variant(signatures=with_momentum()))).findings == ()


def test_findings_name_the_place(tmp_path: Path) -> None:
    variant = Variant(signatures=vectors({"images": "uint8 ? 8 8 3"}), tags=["train"])
    places = [finding.where for finding in found("image-input", write(tmp_path / "module", variant))]
    assert places == ["variant {'train'}, signature 'image_feature_vector', input 'images'"]


def test_every_rule_for_signatures_is_tried() -> None:
    topics = re.compile(r"signatures(_\w+)?")
    known = {rule.id for rule in all_rules().values() if topics.fullmatch(rule.topic)}
    assert known - {"image-size-contradiction"} == {case[0] for case in WRONG}
    assert {case[0] for case in WRONG} == {case[0] for case in RIGHT}
