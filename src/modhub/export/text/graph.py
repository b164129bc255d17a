"""The `saved_model.pb` of a module that embeds texts by a table of vectors, written without TensorFlow.

It computes what the TF1 style module_fn would that everyone starts from:

    sentences -> without punctuation -> split at spaces -> ids -> rows of the table -> combined, one for each sentence

A word's id is its line in the vocabulary; words that are not there share the rows behind it, the buckets, by a hash of
their bytes. A sentence without words counts as the one word "", so that it has a vector, too. Without buckets unknown
words are left out, and a sentence without any known word gets zeros.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from modhub.export.text.computation import Computation
from modhub.export.text.nodes import FLOAT, STRING, set_shape
from modhub.export.text.options import TextGraph
from modhub.export.text.writing import EMBEDDINGS, TOKENS
from modhub.format.protos import AssetFileDef, SavedModel, VariableDef

__all__ = ["saved_model"]

_ASSET_MESSAGE = "type.googleapis.com/tensorflow.AssetFileDef"


def saved_model(options: TextGraph) -> bytes:
    """Return the `saved_model.pb` of a text embedding.

    It has one variant, without tags; one to train with would not differ. Its checkpoint has to hold the variable
    "embeddings" [words + buckets, dimension], its asset `assets/tokens.txt` a word a line.

    Args:
      options: say what it computes; they were checked.

    Example:
      >>> message = SavedModel.FromString(saved_model(TextGraph(words=3, dimension=2)))
      >>> sorted(message.meta_graphs[0].signature_def)
      ['default', 'tokens']
    """
    message = SavedModel(saved_model_schema_version=1)
    meta_graph: Any = message.meta_graphs.add()
    meta_graph.meta_info_def.stripped_default_attrs = True
    computation = Computation(options, EMBEDDINGS)
    if options.preprocess:
        sentences = computation.strings("sentences")
        vectors = computation.vectors_of_sentences(sentences)
        _sign(meta_graph, "default", {"sentences": sentences}, vectors, options.dimension)
    if options.tokens_signature or not options.preprocess:
        tokens = computation.strings("tokens")
        vectors = computation.vectors_of_words(tokens)
        if not options.preprocess:
            _sign(meta_graph, "default", {"tokens": tokens}, vectors, options.dimension)
        if options.tokens_signature:
            # Not called "tokens": in a signature of that name this would be ELMo's padded matrix.
            _sign(meta_graph, "tokens", {"words": tokens}, vectors, options.dimension)
    meta_graph.graph_def.CopyFrom(computation.writer.graph_def)
    _collect(meta_graph, computation, options.trainable)
    return bytes(message.SerializeToString(deterministic=True))


def _sign(meta_graph: Any, name: str, inputs: Mapping[str, str], output: str, dimension: int) -> None:
    signature = meta_graph.signature_def[name]
    for key, tensor in inputs.items():
        info = signature.inputs[key]
        info.name, info.dtype = f"{tensor}:0", STRING
        set_shape(info.tensor_shape, [-1])
    info = signature.outputs["default"]
    info.name, info.dtype = f"{output}:0", FLOAT
    set_shape(info.tensor_shape, [-1, dimension])


def _collect(meta_graph: Any, computation: Computation, trainable: bool) -> None:
    """Write the collections that make a variable, a table and an asset of nodes."""
    variable = VariableDef(
        variable_name=f"{computation.variable}:0",
        initial_value_name=f"{computation.initial_value}:0",
        initializer_name=computation.initializer,
        snapshot_name=f"{computation.snapshot}:0",
        is_resource=True,
        trainable=trainable,
    ).SerializeToString(deterministic=True)
    asset = AssetFileDef(filename=TOKENS)
    asset.tensor_info.name = f"{computation.asset}:0"
    collections = meta_graph.collection_def
    for key in ("variables", "trainable_variables") if trainable else ("variables",):
        collections[key].bytes_list.value.append(variable)
    collections["table_initializer"].node_list.value.append(computation.table_initializer)
    collections["asset_filepaths"].node_list.value.append(f"{computation.asset}:0")
    collections["saved_model_assets"].any_list.value.add(
        type_url=_ASSET_MESSAGE, value=asset.SerializeToString(deterministic=True)
    )
