"""Rules for text signatures: feature vectors, and what BERT's and ELMo's relatives have in common."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from modhub.inspection.findings import Severity
from modhub.inspection.lint.rules import DE_FACTO_TEXT, TEXT_PAGE, Found, Rule, rule
from modhub.inspection.lint.subject import Subject
from modhub.inspection.lint.tensors import ANY, FIXED, OPEN, expect, find, shown

__all__ = ["RULES"]

RULES: list[Rule] = []

_DEFAULT = "default"
_TOKENS, _INFO = "tokens", "tokenization_info"
_FLOATS = ("float16", "bfloat16", "float32", "float64")

_ELMO: Mapping[str, tuple[str, Sequence[str | int]]] = {
    "tokens": ("string", (ANY, ANY)),
    "sequence_len": ("int32", (ANY,)),
}
_BERT: Mapping[str, tuple[str, Sequence[str | int]]] = dict.fromkeys(
    ("input_ids", "input_mask", "segment_ids"), ("int32", (ANY, ANY))
)
_BERT_OUTPUTS: Mapping[str, tuple[str, Sequence[str | int]]] = {
    "pooled_output": ("float32", (ANY, FIXED)),
    "sequence_output": ("float32", (ANY, ANY, FIXED)),
}


@rule(
    RULES,
    "text-input",
    Severity.WARNING,
    source=TEXT_PAGE,
    fix="Take the texts as one dense placeholder, tf.string [None].",
)
def text_input(subject: Subject) -> Found:
    """A module that embeds texts does not take a batch of any number of strings, string [batch].

    Looked at are default signatures of one string input whose output "default" is a matrix of floats. Feature columns
    for texts take no other ones.
    """
    for variant in subject.variants:
        default = variant.signatures.get(_DEFAULT)
        if default is None or len(default.inputs) != 1 or default.inputs[0].dtype != "string":
            continue
        output = find(default.outputs, _DEFAULT)
        if output is None or output.dtype not in _FLOATS or output.shape is None or len(output.shape) != 2:
            continue
        given = default.inputs[0]
        # A single string can be an image, or an example of tf.Example: not a batch, and no text.
        if given.shape != () and (wrong := expect(given, "string", (OPEN,))):
            yield variant.at(_DEFAULT, f"input {given.name!r}"), wrong


@rule(
    RULES,
    "text-output",
    Severity.WARNING,
    source=TEXT_PAGE,
    fix="Return 'default' as float32 [batch, n], with n known when the graph is built (set_shape helps).",
)
def text_output(subject: Subject) -> Found:
    """A module that embeds texts does not return float32 [batch, n] with a fixed n.

    Looked at are default signatures that take string [batch] alone and return floats as "default".
    """
    for variant in subject.variants:
        default = variant.signatures.get(_DEFAULT)
        if default is None or len(default.inputs) != 1:
            continue
        output = find(default.outputs, _DEFAULT)
        if expect(default.inputs[0], "string", (OPEN,)) or output is None or output.dtype not in _FLOATS:
            continue
        # [batch, height, width, channels]: the strings are encoded images.
        if output.shape is not None and len(output.shape) > 2:
            continue
        if wrong := expect(output, "float32", (ANY, FIXED)):
            yield variant.at(_DEFAULT, "output 'default'"), wrong


@rule(
    RULES,
    "tokens-signature",
    Severity.WARNING,
    source=DE_FACTO_TEXT,
    fix="ELMo's relatives take tokens (string [batch, length]) and sequence_len (int32 [batch]); BERT's take "
    "input_ids, input_mask and segment_ids (int32 [batch, length]) and return pooled_output (float32 [batch, n]) and "
    "sequence_output (float32 [batch, length, n]).",
)
def tokens_signature(subject: Subject) -> Found:
    """A signature "tokens" is almost that of ELMo, or of BERT and ALBERT.

    Which one is meant is told by the names of its inputs; one with none of these names is left alone.
    """
    for variant in subject.variants:
        signature = variant.signatures.get(_TOKENS)
        if signature is None:
            continue
        names = {tensor.name for tensor in signature.inputs}
        is_bert = bool(names & _BERT.keys())
        if not is_bert and not names & _ELMO.keys():
            continue
        for kind, tensors, wanted in (
            ("input", signature.inputs, _BERT if is_bert else _ELMO),
            ("output", signature.outputs, _BERT_OUTPUTS if is_bert else {}),
        ):
            for name, (dtype, shape) in wanted.items():
                tensor = find(tensors, name)
                if tensor is None:
                    yield variant.at(_TOKENS), f"There is no {kind} {name!r}."
                elif wrong := expect(tensor, dtype, shape):
                    yield variant.at(_TOKENS, f"{kind} {name!r}"), wrong


@rule(
    RULES,
    "tokenization-info",
    Severity.WARNING,
    source=DE_FACTO_TEXT,
    fix="Declare the signature 'tokenization_info' without inputs, with the outputs vocab_file (the asset's path) and "
    "do_lower_case (bool).",
)
def tokenization_info(subject: Subject) -> Found:
    """A signature "tokenization_info" lacks what tokenizers ask it for: `vocab_file` and `do_lower_case`."""
    for variant in subject.variants:
        signature = variant.signatures.get(_INFO)
        if signature is None:
            continue
        for tensor in signature.inputs:
            yield variant.at(_INFO), f"It asks for the input {tensor.name!r} ({shown(tensor)}); it is called with none."
        for name, dtype in (("vocab_file", "string"), ("do_lower_case", "bool")):
            output = find(signature.outputs, name)
            if output is None:
                yield variant.at(_INFO), f"There is no output {name!r}."
            elif wrong := expect(output, dtype, ()):
                yield variant.at(_INFO, f"output {name!r}"), wrong


@rule(
    RULES,
    "tokenization-info-missing",
    Severity.NOTE,
    source=DE_FACTO_TEXT,
    fix="Add the vocabulary as an asset and a signature 'tokenization_info' that tells its path.",
)
def tokenization_info_missing(subject: Subject) -> Found:
    """A module takes ids of tokens, as BERT does, and does not say by which vocabulary texts become ids."""
    for variant in subject.variants:
        signature = variant.signatures.get(_TOKENS)
        if signature is None or _INFO in variant.signatures or "spm_path" in variant.signatures:
            continue
        if find(signature.inputs, "input_ids") is not None:
            yield variant.where, f"There is a signature {_TOKENS!r} for ids, and no {_INFO!r}."
