from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

import modhub as hub
from tests.cli.command_lines import Done, environment, in_a_process, refusal
from tests.constructions import lookup, normalizing_spec, publish, v1
from tests.goldens.golden_files import LOOSER, PUBLISHED, RANDOM, VARIANTS, compare, golden, outputs_of

Command = Callable[..., Any]


@pytest.mark.parametrize(("name", "variant"), VARIANTS)
def test_genuine_modules(shared_modules: Path, files: Path, command: Command, name: str, variant: str) -> None:
    folder = shared_modules / "genuine" / name
    arrays = golden(folder / "golden.npz")
    tags = [] if variant == "-" else ["--tags", variant]
    for signature in {key.split("/")[2] for key in arrays if key.startswith(f"out/{variant}/")}:
        done = command(
            *("run-signature", folder / "module", *tags, "--signature", signature, "-o", "found.npz", "--force"),
            *("--inputs-from", f"{folder}/golden.npz:in/{signature}/"),
        )
        expected = outputs_of(arrays, f"out/{variant}/{signature}/")
        assert (done.status, done.out, done.err) == (0, "", f"Wrote {', '.join(sorted(expected))} to found.npz.\n")
        found = golden(Path("found.npz"))
        for output, value in expected.items():
            compare(found[output], value, f"{signature}/{output}", *LOOSER.get((name, variant), ()))


@pytest.mark.parametrize(("name", "signature"), [(name, one) for name, all_ in PUBLISHED.items() for one in all_])
def test_published_modules(shared_modules: Path, files: Path, command: Command, name: str, signature: str) -> None:
    path = shared_modules / "published" / name
    given = ["--inputs-from", f"{path}.golden.npz:in/{signature}/"]
    done = command("run-signature", path, "--signature", signature, *given, "-o", "found.npz")
    assert done.status == 0, done.err
    found = golden(Path("found.npz"))
    expected = outputs_of(golden(path.with_name(f"{name}.golden.npz")), f"out/{signature}/")
    assert set(found) == set(expected) | set(RANDOM.get(name, []))
    for output, value in expected.items():
        compare(found[output], value, output)


def test_the_only_signature_is_the_default(shared_modules: Path, command: Command) -> None:
    path = shared_modules / "published" / "reconstruction_decoder"
    assert list(PUBLISHED["reconstruction_decoder"]) == ["reconstructions"]
    done = command("run-signature", path, "--input", "[[0,0,0,0,0,0,0,0,0,0]]")
    assert done.status == 0, done.err
    assert done.out.startswith("images: float32 [1, 64, 64, 3]\n[[[[")


def test_half_plus_two(shared_modules: Path, command: Command) -> None:
    path = shared_modules / "published" / "half_plus_two_v1"
    assert command("run-signature", path, "--input", "[1, 2, 10]").out == "default: float32 [3]\n[2.5, 3. , 7. ]\n"


def test_a_saved_model_of_tf1(shared_modules: Path, command: Command) -> None:
    path = shared_modules / "published" / "saved_model_half_plus_two_cpu" / "00000123"
    expected = "y: float32 [3, 1]\n[[2.5],\n [3. ],\n [7. ]]\n"
    assert command("run-signature", path, "--input", "x=[[1], [2], [10]]").out == expected
    assert command("run-signature", path, "--tags", "serve", "--input", "x=[[1], [2], [10]]").out == expected


@pytest.fixture(scope="module")
def saved_model(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A SavedModel of TF2 with two signatures, one of which has an output that fails if it is computed."""

    class Model(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([None], tf.float32)])
        def double(self, x: Any) -> dict[str, Any]:
            with tf.control_dependencies([tf.debugging.Assert(tf.constant(False), ["computed"])]):
                return {"y": 2 * x, "z": x}

        @tf.function(input_signature=[tf.TensorSpec([None], tf.string), tf.TensorSpec([None], tf.float32)])
        def serve(self, text: Any, weight: Any) -> dict[str, Any]:
            size = tf.cast(tf.strings.length(text), tf.float32) * weight
            return {"size": size, "bad": tf.strings.to_number(text)}

    model, path = Model(), str(tmp_path_factory.mktemp("saved_model") / "model")
    tf.saved_model.save(model, path, signatures={"serving_default": model.serve, "double": model.double})
    return path


def test_a_saved_model_of_tf2(saved_model: str, command: Command) -> None:
    done = command("run-signature", saved_model, "--input", "text=cat", "--input", "weight=[2]", "--outputs", "size")
    assert (done.status, done.out) == (0, "size: float32 [1]\n[6.]\n")


def test_the_errors_of_a_saved_model_of_tf2(saved_model: str, command: Command) -> None:
    for words, says in [
        (["--input", "text=cat", "--input", "weight=[2]"], "cannot be computed on these inputs: "),
        (["--input", "text=cat"], "takes inputs that are not given: 'weight': float32 [?]."),
        (["--input", "[1]"], "names no input: write NAME=VALUE. Known inputs of the signature 'serving_default'"),
        (["--signature", "dubble"], "Known signatures: 'double', 'serving_default'. Did you mean 'double'?"),
        (["--outputs", ""], "--outputs names no output"),
        (["--outputs", "sizee"], "There is no output 'sizee' in the signature 'serving_default'"),
        (["--tags", "train"], "TensorFlow cannot load"),
    ]:
        done = command("run-signature", saved_model, *words)
        assert says in refusal(done)


def test_a_saved_model_without_signatures_is_refused(tmp_path: Path, command: Command) -> None:
    path = str(tmp_path / "module")
    tf.saved_model.save(tf.Module(), path)
    for words in ([], ["--signature", "default"]):
        says = refusal(command("run-signature", path, "--input", "1", *words))
        assert says == f"modhub: {path!r} has no signatures, so there is nothing to compute."


def test_tables_are_initialized(tmp_path: Path, command: Command) -> None:
    vocabulary = tmp_path / "words.txt"
    vocabulary.write_text("a\nb\n")
    path = publish(lookup(vocabulary), tmp_path / "module")
    vocabulary.unlink()
    assert command("run-signature", path, "--input", '["b", "?", "a"]').out == "default: int64 [3]\n[ 1, -1,  0]\n"


def test_variants(tmp_path: Path, command: Command) -> None:
    path = publish(normalizing_spec(), tmp_path / "module")
    given = ["--input", "[[1, 2], [3, 4]]"]
    assert command("run-signature", path, *given).out == "default: float32 [2, 2]\n[[1., 4.],\n [3., 8.]]\n"
    assert (
        command("run-signature", path, *given, "--tags", "train").out
        == "default: float32 [2, 2]\n[[-1., -2.],\n [ 1.,  2.]]\n"
    )
    done = command("run-signature", path, *given, "--tags", "tran,gpu")
    assert done.status == 2
    assert "No such graph variant: tags={'gpu', 'tran'}. Known tag sets: {'train'}, {}." in done.err


def test_an_input_with_a_default_may_be_left_out(echo: str, command: Command) -> None:
    for words, expected in [([], "[2., 4.]"), (["--input", "scale=3"], "[3., 6.]")]:
        done = command("run-signature", echo, "-s", "several", "--input", "x=[1, 2]", *words, "--outputs", "default")
        assert done.out == f"default: float32 [2]\n{expected}\n"
    assert command("run-signature", echo, "-s", "several", "--input", "[1]", "--outputs", "sum").out.endswith("\n1.0\n")


@pytest.mark.parametrize(
    "options", [["--outputs", "sum,default,sparse"], ["--outputs", "sum", "--outputs", "default,sparse"]]
)
def test_only_the_outputs_that_are_asked_for_are_computed(echo: str, command: Command, options: list[str]) -> None:
    given = ["--input", "x=[1, 0]", "--input", "scale=3"]
    done = command("run-signature", echo, "-s", "several", *given, *options)
    assert done.out.splitlines() == [
        "sum: float32 []",
        "1.0",
        "",
        "default: float32 [2]",
        "[3., 0.]",
        "",
        "sparse: sparse float32 [2]",
        "indices = [[0]]",
        "values = [1.]",
    ]
    done = command("run-signature", echo, "-s", "several", *given)
    assert done.status == 2
    assert "cannot be computed on these inputs" in done.err
    assert "this output was computed" in done.err


def test_a_signature_without_inputs(echo: str, command: Command) -> None:
    assert command("run-signature", echo, "-s", "constant").out == "default: float32 [1]\n[1.]\n"
    assert "There is no input 'x'" in command("run-signature", echo, "-s", "constant", "--input", "x=1").err


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["-s", "eco_int", "--input", "1"], "Did you mean 'echo_int'?"),
        (["--input", "1"], "has several signatures, and none is called 'default': choose with --signature."),
        (
            ["-s", "several", "--input", "x=[1]", "--outputs", "sums"],
            "There is no output 'sums' in the signature 'several'",
        ),
        (["-s", "row", "--input", "[5]"], "the signature 'row' of "),
        (["-s", "pair", "--input", "[5]"], "names no input: write NAME=VALUE."),
        (["-s", "pair", "--input", "a=[5]"], "takes inputs that are not given: 'b': float32 [?]."),
    ],
)
def test_what_does_not_exist_or_fails_is_said_in_one_line(
    echo: str, command: Command, words: list[str], says: str
) -> None:
    done = command("run-signature", echo, *words)
    assert says in refusal(done)


def test_a_directory_that_is_no_module(tmp_path: Path, echo: str, command: Command) -> None:
    for path in (tmp_path, tmp_path / "missing", Path(__file__)):
        done = command("run-signature", path, "--input", "1")
        assert str(path) in refusal(done)
    shutil.copytree(echo, tmp_path / "copy")
    graph = tmp_path / "copy" / "saved_model.pb"
    graph.write_bytes(graph.read_bytes()[:-100])
    done = command("run-signature", tmp_path / "copy", "--input", "1")
    assert "saved_model.pb" in refusal(done)


@pytest.mark.parametrize("size", [1, 2, 3, 5, 7])
def test_batches(echo: str, files: Path, command: Command, size: int) -> None:
    x = np.arange(10, dtype=np.float32).reshape(5, 2)
    np.save("x.npy", x)
    options = ["--batch-size", str(size), "-o", "found.npz", "--force"]
    assert command("run-signature", echo, "-s", "echo_float", "--input", "@x.npy", *options).status == 0
    np.testing.assert_array_equal(golden(Path("found.npz"))["default"], x)

    sparse = {"indices": [[0, 1], [3, 0], [4, 2]], "values": [1.0, 2.0, 3.0], "dense_shape": [5, 3]}
    Path("x.json").write_text(json.dumps(sparse))
    done = command("run-signature", echo, "-s", "echo_sparse", "--input", "@x.json", *options[:2], "--json")
    assert json.loads(done.out)["outputs"]["default"] == {"dtype": "float32", **sparse}

    ragged = [[1, 2], [], [3], [4], [5, 6]]
    done = command("run-signature", echo, "-s", "echo_ragged", "--input", json.dumps(ragged), *options[:2], "--json")
    assert json.loads(done.out)["outputs"]["default"] == {"dtype": "int64", "shape": [5, None], "values": ragged}


def test_batches_pass_scalars_on_and_run_once_for_no_rows(echo: str, command: Command) -> None:
    words = ["-s", "several", "--input", "scale=3", "--batch-size", "2", "--outputs", "default"]
    assert command("run-signature", echo, *words, "--input", "x=[1, 2, 3]").out.endswith("\n[3., 6., 9.]\n")
    assert command("run-signature", echo, *words, "--input", "x=[]").out == "default: float32 [0]\n[]\n"


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--input", "a=[1, 2]", "--input", "b=[1, 2]"], "The output 'count' of the signature 'pair'"),
        (["--input", "a=[1, 2]", "--input", "b=[1]"], "here they have {'a': 2, 'b': 1}"),
    ],
)
def test_what_cannot_be_split_or_joined_is_refused(echo: str, command: Command, words: list[str], says: str) -> None:
    done = command("run-signature", echo, "-s", "pair", "--batch-size", "1", *words)
    assert says in refusal(done)


def test_names_of_a_hostile_module_do_not_act_on_the_terminal(tmp_path: Path, command: Command) -> None:
    def module_fn() -> None:
        x = v1.placeholder(tf.string, [None])
        hub.add_signature(inputs={"x": x}, outputs={"\x1b[31mred": tf.strings.join([x, "\x1b]0;title\x07"])})

    path = publish(module_fn, tmp_path / "module")
    done = command("run-signature", path, "--input", "a")
    assert done.out == "\\x1b[31mred: string [1]\n['a\\x1b]0;title\\x07']\n"
    done = command("run-signature", path, "--input", "a", "--json")
    assert "\x1b" not in done.out
    assert json.loads(done.out)["outputs"]["\x1b[31mred"]["values"] == ["a\x1b]0;title\x07"]
    assert "\x1b" not in command("run-signature", path, "--input", "a", "--outputs", "red").err


def test_a_process_says_nothing_but_the_outputs(echo: str) -> None:
    words = ["run-signature", echo, "-s", "echo_words", "--input", "-"]
    done = in_a_process(*words, given='"naïve"\n'.encode(), LC_ALL="C")
    assert done == Done(status=0, out="default: string [1]\n['naïve']\n", err="")


def test_a_reader_that_leaves_early_is_no_error(echo: str, files: Path) -> None:
    np.save("x.npy", np.zeros([100000, 2], np.float32))
    read, write = os.pipe()
    words = ["run-signature", echo, "-s", "echo_float", "--input", "@x.npy", "--json"]
    process = subprocess.Popen(
        [sys.executable, "-m", "modhub", *words], stdout=write, stderr=subprocess.PIPE, env=environment()
    )
    os.close(write)
    assert os.read(read, 10) == b'{\n  "signa'  # head -c 10
    os.close(read)
    _, err = process.communicate()
    assert (process.returncode, err) == (141, b"")


def test_without_tensorflow_one_line_says_what_to_install(echo: str) -> None:
    done = in_a_process("run-signature", echo, "--input", "x=[1]", hidden=("tensorflow", "keras"))
    assert (done.status, done.out) == (2, "")
    assert done.err == (
        "modhub: this command needs TensorFlow, which is not installed: pip install 'modhub[tf]' "
        "(or 'modhub[cpu]', which is smaller and leaves out the GPU)\n"
    )


def test_files_are_looked_at_before_tensorflow_is_imported(echo: str) -> None:
    done = in_a_process("run-signature", echo, "--input", "x=@missing.npy", hidden=("tensorflow", "keras"))
    assert done.status == 2
    assert "'missing.npy'" in done.err


@pytest.fixture(scope="module")
def writer(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A SavedModel that can write a file, and does so only if it is told where."""

    class Model(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([], tf.string)])
        def serve(self, path: Any) -> dict[str, Any]:
            tf.io.write_file(path, "written")
            return {"path": path}

    model, path = Model(), str(tmp_path_factory.mktemp("writer") / "model")
    tf.saved_model.save(model, path, signatures=model.serve)
    return path


def test_a_module_that_can_do_more_than_compute_is_warned_of(writer: str, files: Path, command: Command) -> None:
    done = in_a_process("run-signature", writer, "--input", "out.txt")
    assert (done.status, done.out) == (0, "path: string []\n'out.txt'\n")
    (line,) = done.err.splitlines()
    assert line.startswith(f"modhub: warning: {writer!r} can do more than compute: ")
    assert command("run-signature", writer, "--trust", "--input", "out.txt").err == ""
