"""What the graph of a text embedding computes: from strings to ids, to rows of the table, to vectors of sentences."""

from __future__ import annotations

from modhub.export.text.nodes import FLOAT, INT32, INT64, STRING, NodeWriter
from modhub.export.text.options import COMBINERS, TextGraph
from modhub.export.text.writing import DTYPES

__all__ = ["Computation"]

_UNKNOWN = -1
# Of a table that is read from a text file: its key is the whole line, its value the number of that line.
_WHOLE_LINE, _LINE_NUMBER = -2, -1


class Computation:
    """The nodes of the module's state, and methods that add those of a signature.

    Attributes:
      writer: has the nodes.
      variable, initial_value, initializer, snapshot: names of the nodes that make the table of vectors a variable.
      asset, table_initializer: names of the nodes that make the vocabulary a table.
    """

    __slots__ = (
        "_options",
        "_size",
        "_table",
        "_unknown",
        "asset",
        "initial_value",
        "initializer",
        "snapshot",
        "table_initializer",
        "variable",
        "writer",
    )

    def __init__(self, options: TextGraph, variable: str) -> None:
        """Add the nodes of the state.

        Args:
          options: say what is computed.
          variable: the name of the variable.
        """
        self._options = options
        self.writer = NodeWriter()
        self._add_variable(variable)
        self._add_table()

    def strings(self, name: str) -> str:
        """Add an input, string [batch]."""
        return self.writer.add("Placeholder", name, types={"dtype": STRING}, shapes={"shape": [-1]})

    def vectors_of_words(self, words: str) -> str:
        """Return the vectors of words: from string [batch], float32 [batch, dimension]."""
        add, scope = self.writer.add, f"{words}_embedding"
        ids = self._ids(self._lowered(words, scope), scope)
        if self._options.num_oov_buckets:
            return self._rows(ids, scope)
        # Row 0 stands in for that of an unknown word and is replaced then, so that no gradient gets there.
        zero = self.writer.constant(f"{scope}/zero", INT64, 0)
        rows = self._rows(add("Maximum", f"{scope}/ids_of_rows", ids, zero, types={"T": INT64}), scope)
        zeros = add("ZerosLike", f"{scope}/zeros", rows, types={"T": FLOAT})
        return add("Select", f"{scope}/known_vectors", self._is_known(ids, scope), rows, zeros, types={"T": FLOAT})

    def vectors_of_sentences(self, sentences: str) -> str:
        """Return the vectors of sentences: from string [batch], float32 [batch, dimension]."""
        add, constant, scope = self.writer.add, self.writer.constant, f"{sentences}_embedding"
        without_punctuation = add(
            "StaticRegexReplace",
            f"{scope}/without_punctuation",
            self._lowered(sentences, scope),
            texts={"pattern": r"\pP", "rewrite": ""},
        )
        # One gap for several spaces; its outputs are places (sentence, number of the word), words, and a shape.
        places = add("StringSplit", f"{scope}/split", without_punctuation, constant(f"{scope}/space", STRING, b" "))
        words, shape = f"{places}:1", f"{places}:2"
        ids = self._ids(words, scope)
        if not self._options.num_oov_buckets:
            return self._combined_known(places, ids, shape, scope)
        nothing = self._ids(constant(f"{scope}/nothing", STRING, b""), f"{scope}/nothing")
        filled = add("SparseFillEmptyRows", f"{scope}/filled", places, ids, shape, nothing, types={"T": INT64})
        return self._combined(f"{filled}:1", self._sentence_of_word(filled, scope), scope)

    def _combined_known(self, places: str, ids: str, shape: str, scope: str) -> str:
        """Combine the words that the vocabulary has; a sentence without any gets zeros."""
        add, constant = self.writer.add, self.writer.constant
        axis = constant(f"{scope}/axis", INT32, 0)
        flat = constant(f"{scope}/flat", INT32, [-1], [1])
        where = add("Where", f"{scope}/where_known", self._is_known(ids, scope))
        known = add("Reshape", f"{scope}/known", where, flat, types={"T": INT64})

        def take(name: str, given: str, dtype: int, indices: str, index_dtype: int) -> str:
            types = {"Tparams": dtype, "Tindices": index_dtype, "Taxis": INT32}
            return add("GatherV2", f"{scope}/{name}", given, indices, axis, types=types)

        ids = take("known_ids", ids, INT64, known, INT64)
        sentence = take("known_sentences", self._sentence_of_word(places, scope), INT32, known, INT64)
        return self._combined(ids, sentence, scope, take("count", shape, INT64, axis, INT32))

    def _combined(self, ids: str, sentence_of_word: str, scope: str, count: str | None = None) -> str:
        """Combine rows by sentence; without a count, the last sentence has words."""
        add = self.writer.add
        # Each row is gathered once, and gets one gradient.
        unique = add("Unique", f"{scope}/unique", ids, types={"T": INT64})
        rows = self._rows(unique, scope)
        op, given = COMBINERS[self._options.combiner], [rows, f"{unique}:1", sentence_of_word]
        if count is None:
            return add(op, f"{scope}/combined", *given, types={"T": FLOAT})
        types = {"T": FLOAT, "Tnumsegments": INT64}
        return add(f"{op}WithNumSegments", f"{scope}/combined", *given, count, types=types)

    def _sentence_of_word(self, places: str, scope: str) -> str:
        """Return the first column of places, as the int32 that the combining ops of all versions take."""
        add, constant = self.writer.add, self.writer.constant
        first, axis = constant(f"{scope}/first", INT32, 0), constant(f"{scope}/column", INT32, 1)
        types = {"Tparams": INT64, "Tindices": INT32, "Taxis": INT32}
        column = add("GatherV2", f"{scope}/sentence_of_word", places, first, axis, types=types)
        return add("Cast", f"{scope}/segment_of_word", column, types={"SrcT": INT64, "DstT": INT32})

    def _lowered(self, strings: str, scope: str) -> str:
        if not self._options.lowercase:
            return strings
        return self.writer.add("StringLower", f"{scope}/lower", strings, texts={"encoding": "utf-8"})

    def _ids(self, words: str, scope: str) -> str:
        """Return the rows of words: lines of the vocabulary; else buckets behind it, or -1 where there are none."""
        add = self.writer.add
        types = {"Tin": STRING, "Tout": INT64}
        ids = add("LookupTableFindV2", f"{scope}/lines", self._table, words, self._unknown, types=types)
        if not self._options.num_oov_buckets:
            return ids
        hashed = {"num_buckets": self._options.num_oov_buckets}
        bucket = add("StringToHashBucketFast", f"{scope}/bucket", words, ints=hashed)
        row = add("AddV2", f"{scope}/row_of_bucket", bucket, self._size, types={"T": INT64})
        return add("Select", f"{scope}/ids", self._is_known(ids, scope), ids, row, types={"T": INT64})

    def _is_known(self, ids: str, scope: str) -> str:
        return self.writer.add("NotEqual", f"{scope}/is_known", ids, self._unknown, types={"T": INT64})

    def _rows(self, ids: str, scope: str) -> str:
        """Return rows of the table as float32."""
        dtype = DTYPES[self._options.dtype]
        types = {"dtype": dtype, "Tindices": INT64}
        rows = self.writer.add("ResourceGather", f"{scope}/rows", self.variable, ids, types=types)
        if dtype == FLOAT:
            return rows
        return self.writer.add("Cast", f"{scope}/float32", rows, types={"SrcT": dtype, "DstT": FLOAT})

    def _add_variable(self, name: str) -> None:
        add, options = self.writer.add, self._options
        dtype = DTYPES[options.dtype]
        shape = [options.words + options.num_oov_buckets, options.dimension]
        self.variable = add(
            "VarHandleOp", name, types={"dtype": dtype}, shapes={"shape": shape}, texts={"shared_name": name}
        )
        # Of use only to those who want the variable without its values.
        zero = self.writer.constant(f"{name}/zero", FLOAT, 0.0)
        if dtype != FLOAT:
            zero = add("Cast", f"{name}/zero_as_stored", zero, types={"SrcT": FLOAT, "DstT": dtype})
        dims = self.writer.constant(f"{name}/shape", INT64, shape, [2])
        self.initial_value = add("Fill", f"{name}/zeros", dims, zero, types={"T": dtype, "index_type": INT64})
        held = {"dtype": dtype}
        self.initializer = add("AssignVariableOp", f"{name}/Assign", name, self.initial_value, types=held)
        self.snapshot = add("ReadVariableOp", f"{name}/Read/ReadVariableOp", name, types=held)

    def _add_table(self) -> None:
        add, constant, options = self.writer.add, self.writer.constant, self._options
        # A reader puts the path of the asset here.
        self.asset = constant("vocabulary/path", STRING, b"SAVEDMODEL-ASSET")
        types = {"key_dtype": STRING, "value_dtype": INT64}
        self._table = add("HashTableV2", "vocabulary/table", types=types, texts={"shared_name": options.table_name})
        self.table_initializer = add(
            "InitializeTableFromTextFileV2",
            "vocabulary/initialize",
            self._table,
            self.asset,
            # With the size, a file that was cut off is an error.
            ints={"key_index": _WHOLE_LINE, "value_index": _LINE_NUMBER, "vocab_size": options.words},
        )
        self._unknown = constant("vocabulary/unknown", INT64, _UNKNOWN)
        self._size = constant("vocabulary/size", INT64, options.words)
