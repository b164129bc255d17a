"""The graph that is written node by node computes what the one does that TensorFlow builds of TF1 code."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import modhub as hub
from modhub.export.text.exporting import export_text_embeddings
from tests.export.text.module_fns import (
    MATRIX,
    SENTENCES,
    VOCABULARY,
    embedded,
    text_module,
    with_buckets,
    word_module,
)

tf = pytest.importorskip("tensorflow", reason="what the graph computes is seen where there is TensorFlow")
v1 = tf.compat.v1

WORDS = (*VOCABULARY, "", "unknown", "the cat", " the", "CAT", "naïve!", b"\xff\xfe")


def exported(folder: Path, **options: Any) -> str:
    path = folder / "module"
    export_text_embeddings((VOCABULARY, MATRIX), path, **options)
    return str(path)


def outputs(*args: Any) -> np.ndarray:
    return embedded(hub, tf, *args)


@pytest.fixture
def vocabulary(tmp_path: Path) -> Path:
    path = tmp_path / "vocabulary.txt"
    path.write_text("\n".join(VOCABULARY))
    return path


@pytest.mark.parametrize(
    ("combiner", "buckets", "lowercase"),
    [("sqrtn", 1, False), ("mean", 3, False), ("sum", 100, True), ("sqrtn", 7, True)],
)
def test_sentences_as_tf1_code_embeds_them(
    tmp_path: Path, vocabulary: Path, combiner: str, buckets: int, lowercase: bool
) -> None:
    path = exported(tmp_path, combiner=combiner, num_oov_buckets=buckets, lowercase=lowercase)
    spec = text_module(hub, tf, vocabulary, MATRIX, buckets=buckets, combiner=combiner, lowercase=lowercase)
    assert hub.load_module_spec(path).get_output_info_dict() == spec.get_output_info_dict()
    assert hub.load_module_spec(path).get_input_info_dict() == spec.get_input_info_dict()
    values = with_buckets(MATRIX, buckets)
    expected = outputs(spec, "default", SENTENCES, values)
    np.testing.assert_array_equal(outputs(path, "default", SENTENCES, values), expected)
    # as it was exported, buckets are zeros
    values[len(MATRIX) :] = 0
    expected = outputs(spec, "default", SENTENCES, values)
    np.testing.assert_array_equal(outputs(path, "default", SENTENCES), expected)
    np.testing.assert_array_equal(hub.load(path)(tf.constant(SENTENCES)).numpy(), expected)


def test_random_texts_as_tf1_code_embeds_them(tmp_path: Path, vocabulary: Path) -> None:
    choice = np.random.default_rng(1)
    pieces = [*VOCABULARY, *" " * 8, "  ", ".", ",", "?", "x", "y z", "¿", "«", "\u3000", "\n", "\u0301"]
    texts = ["".join(choice.choice(pieces, choice.integers(0, 30))) for _ in range(500)]
    path = exported(tmp_path, num_oov_buckets=5)
    spec = text_module(hub, tf, vocabulary, MATRIX, buckets=5, combiner="sqrtn")
    values = with_buckets(MATRIX, 5)
    np.testing.assert_array_equal(outputs(path, "default", texts, values), outputs(spec, "default", texts, values))


@pytest.mark.parametrize("texts", [[], [""], ["", " ", "."]], ids=["no sentences", "an empty one", "empty ones"])
@pytest.mark.parametrize("buckets", [0, 1])
def test_batches_without_words(tmp_path: Path, texts: list[str], buckets: int) -> None:
    path = exported(tmp_path, num_oov_buckets=buckets)
    np.testing.assert_array_equal(outputs(path, "default", texts), np.zeros([len(texts), 5]))
    np.testing.assert_array_equal(
        hub.load(path)(tf.constant(texts, tf.string, [len(texts)])), np.zeros([len(texts), 5])
    )


@pytest.mark.parametrize("preprocess", [True, False])
def test_words_as_tf1_code_embeds_them(tmp_path: Path, vocabulary: Path, preprocess: bool) -> None:
    path = exported(tmp_path, num_oov_buckets=3, preprocess=preprocess)
    spec = word_module(hub, tf, vocabulary, MATRIX, buckets=3)
    values = with_buckets(MATRIX, 3)
    expected = outputs(spec, "default", WORDS, values)
    assert outputs(path, "tokens", [], values).shape == (0, 5)
    np.testing.assert_array_equal(outputs(path, "tokens", WORDS, values), expected)
    if not preprocess:
        np.testing.assert_array_equal(outputs(path, "default", WORDS, values), expected)
        assert hub.load_module_spec(path).get_input_info_dict() == spec.get_input_info_dict()


def test_lower_case_reaches_words_too(tmp_path: Path) -> None:
    path = exported(tmp_path, lowercase=True)
    found = outputs(path, "tokens", ["CAT", "NAÏVE", "Cat"])
    np.testing.assert_array_equal(found, MATRIX[[1, 4, 1]])


@pytest.mark.parametrize("combiner", ["sqrtn", "mean", "sum"])
def test_without_buckets_unknown_words_are_left_out(tmp_path: Path, combiner: str) -> None:
    path = exported(tmp_path, num_oov_buckets=0, combiner=combiner)
    found = hub.load(path)(tf.constant(SENTENCES)).numpy()
    rows = dict(zip(VOCABULARY, MATRIX, strict=True))
    for sentence, vector in zip(SENTENCES[:9], found, strict=False):
        bare = "".join(each for each in sentence if each not in ".,;!'-“”")
        known = [rows[word] for word in bare.split(" ") if word in rows]
        over = {"sqrtn": len(known) ** 0.5, "mean": len(known), "sum": 1}[combiner]
        expected = np.sum(known, axis=0) / over if known else np.zeros(5)
        np.testing.assert_allclose(vector, expected, rtol=1e-5, atol=1e-6, err_msg=sentence)
    np.testing.assert_array_equal(outputs(path, "default", SENTENCES), found)
    words = outputs(path, "tokens", ["unknown", "cat", ""])
    np.testing.assert_array_equal(words, [np.zeros(5), MATRIX[1], np.zeros(5)])


@pytest.mark.parametrize("buckets", [0, 2])
def test_float16_is_a_table_of_half_the_size(tmp_path: Path, buckets: int) -> None:
    path = exported(tmp_path, dtype="float16", num_oov_buckets=buckets)
    (table,) = hub.inspect(path).variables
    assert (table.dtype, tuple(table.shape)) == ("float16", (len(MATRIX) + buckets, 5))
    rounded = MATRIX.astype(np.float16).astype(np.float32)
    np.testing.assert_array_equal(outputs(path, "tokens", VOCABULARY), rounded)
    (tmp_path / "wide").mkdir()
    wide = tmp_path / "wide" / "module"
    export_text_embeddings((VOCABULARY, rounded), wide, num_oov_buckets=buckets)
    np.testing.assert_array_equal(outputs(path, "default", SENTENCES), outputs(str(wide), "default", SENTENCES))


@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize("buckets", [0, 1])
def test_gradients_reach_the_table_in_graphs(tmp_path: Path, buckets: int, dtype: str) -> None:
    path = exported(tmp_path, num_oov_buckets=buckets, combiner="sum", dtype=dtype)
    with tf.Graph().as_default(), v1.Session() as session:
        module = hub.Module(path, trainable=True)
        assert [variable.op.name for variable in v1.trainable_variables()] == ["module/embeddings"]
        loss = tf.reduce_sum(module(["the cat the", "unknown"]))
        loss += 10 * tf.reduce_sum(module(["sat", "unknown"], signature="tokens"))
        step = v1.train.GradientDescentOptimizer(1.0).minimize(loss)
        session.run([v1.global_variables_initializer(), v1.tables_initializer()])
        before = session.run(module.variable_map["embeddings"])
        session.run(step)
        moved = before.astype(np.float32) - session.run(module.variable_map["embeddings"])
    expected = np.zeros([len(MATRIX) + buckets, 5])
    expected[:3] = [[2.0], [1.0], [10.0]]
    expected[len(MATRIX) :] = 11.0
    np.testing.assert_allclose(moved, expected, atol=1e-2 if dtype == "float16" else 1e-5)


@pytest.mark.parametrize("buckets", [0, 1])
def test_gradients_reach_the_table_under_eager_execution(tmp_path: Path, buckets: int) -> None:
    module = hub.load(exported(tmp_path, num_oov_buckets=buckets, combiner="mean"))
    (table,) = module.trainable_variables
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(module(tf.constant(["the cat", "unknown", ""])))
    gradient = tf.convert_to_tensor(tape.gradient(loss, table)).numpy()
    expected = np.zeros([len(MATRIX) + buckets, 5])
    expected[:2] = 0.5
    expected[len(MATRIX) :] = 2.0
    np.testing.assert_array_equal(gradient, expected)


def test_a_table_may_be_kept_from_training(tmp_path: Path) -> None:
    path = exported(tmp_path, trainable=False)
    assert not hub.load(path).trainable_variables
    with tf.Graph().as_default():
        hub.Module(path, trainable=True)
        assert v1.trainable_variables() == []


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"num_oov_buckets": 0, "lowercase": True},
        {"preprocess": False},
        {"dtype": "float16"},
        {"tokens_signature": False},
    ],
)
def test_lint_and_scan_find_nothing(tmp_path: Path, options: dict[str, Any]) -> None:
    path = exported(tmp_path, **options)
    report = hub.lint(path)
    assert (report.errors, report.warnings) == ((), ())
    scanned = hub.scan(path)
    assert scanned.findings == ()


def test_signatures(tmp_path: Path) -> None:
    described = {name: hub.load_module_spec(exported(tmp_path / name, **options)) for name, options in {
        "sentences": {}, "words": {"preprocess": False}, "one": {"tokens_signature": False},
        "plain words": {"preprocess": False, "tokens_signature": False},
    }.items()}  # fmt: skip
    names = {name: spec.get_signature_names() for name, spec in described.items()}
    assert names == {
        "sentences": ["default", "tokens"],
        "words": ["default", "tokens"],
        "one": ["default"],
        "plain words": ["default"],
    }
    assert [list(spec.get_input_info_dict()) for spec in described.values()] == [
        ["sentences"], ["tokens"], ["sentences"], ["tokens"]
    ]  # fmt: skip
    for spec in described.values():
        assert spec.get_tags() == [frozenset()]
        assert str(spec.get_output_info_dict()["default"].get_shape()) == "(None, 5)"


def test_modules_of_different_words_side_by_side(tmp_path: Path) -> None:
    paths = []
    for name, words in (("a", ["x", "y"]), ("b", ["y", "z", "x"])):
        paths.append(str(tmp_path / name))
        export_text_embeddings((words, np.eye(len(words), 3) + len(words)), paths[-1])
    expected = [[2.0, 3.0, 2.0], [4.0, 3.0, 3.0]]
    with tf.Graph().as_default(), v1.Session() as session:
        results = [hub.Module(path)(["y"]) for path in paths]
        session.run([v1.global_variables_initializer(), v1.tables_initializer()])
        np.testing.assert_array_equal(np.concatenate(session.run(results)), expected)
    # TensorFlow's own loader shares tables of one name in a process
    loaded = [tf.saved_model.load(path, tags=[]) for path in paths]
    found = [each.signatures["default"](tf.constant(["y"]))["default"] for each in loaded]
    np.testing.assert_array_equal(np.concatenate(found), expected)


def test_a_module_exports_again(tmp_path: Path) -> None:
    path = exported(tmp_path)
    with tf.Graph().as_default(), v1.Session() as session:
        module = hub.Module(path)
        session.run([v1.global_variables_initializer(), v1.tables_initializer()])
        module.export(str(tmp_path / "again"), session)
    changes = hub.diff(path, tmp_path / "again").changes
    assert {change.what for change in changes} <= {"node", "version"}
    np.testing.assert_array_equal(
        outputs(str(tmp_path / "again"), "default", SENTENCES), outputs(path, "default", SENTENCES)
    )


def test_a_vocabulary_that_was_cut_off_is_an_error(tmp_path: Path) -> None:
    path = exported(tmp_path)
    tokens = Path(path, "assets", "tokens.txt")
    tokens.write_bytes(tokens.read_bytes()[:20])
    with pytest.raises(tf.errors.InvalidArgumentError, match="vocab_size"):
        outputs(path, "default", ["the cat"])


def test_a_keras_layer_trains_it(tmp_path: Path) -> None:
    import keras

    layer = hub.KerasLayer(exported(tmp_path), trainable=True, dtype=tf.string, input_shape=[])
    model = keras.Sequential([keras.Input([], dtype="string"), layer, keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    before = layer.weights[0].numpy()
    model.fit(tf.constant(["the cat", "sat"]), np.array([[3.0], [-3.0]]), verbose=0)
    moved = np.abs(layer.weights[0].numpy() - before).max(axis=1) > 0
    assert np.flatnonzero(moved).tolist() == [0, 1, 2]
