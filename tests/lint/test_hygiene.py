from __future__ import annotations

import re
import tarfile
from pathlib import Path
from typing import Any

import pytest

from modhub.inspection.lint import all_rules, lint
from modhub.inspection.lint.ops import COLLECTIONS
from modhub.inspection.lint.paths import is_absolute_path
from tests.lint.crafted import PLAIN, Variant, constant, found, function, node, write


def plain(**more: Any) -> Variant:
    return Variant(signatures=PLAIN, **more)


@pytest.mark.parametrize("op", ["PyFunc", "PyFuncStateless", "EagerPyFunc"])
@pytest.mark.parametrize("is_in_function", [True, False])
def test_python_functions_are_found(op: str, is_in_function: bool, tmp_path: Path) -> None:
    called = node("call", op, token="pyfunc_0")
    variant = plain(functions=[function("f", called)]) if is_in_function else plain(nodes=[called])
    (finding,) = found("python-op", write(tmp_path / "module", variant))
    assert ("function 'f', node 'call'" if is_in_function else "variant {}, node 'call'") in finding.where
    assert op in finding.message


def test_ops_of_other_packages_are_found_and_calls_are_not(tmp_path: Path) -> None:
    nodes = [node("a", "SentencepieceOp"), node("b", "f"), node("c", "MatMul"), node("d", "SentencepieceOp")]
    module = write(
        tmp_path / "module", plain(nodes=nodes, functions=[function("f", node("x", "IO>KafkaReadableInit"))])
    )
    assert [finding.message for finding in found("unknown-op", module)] == [
        "The op 'IO>KafkaReadableInit' (1 node) is none of TensorFlow's.",
        "The op 'SentencepieceOp' (2 nodes) is none of TensorFlow's.",
    ]
    assert found("python-op", module) == []


def test_unsupported_collections_are_found(tmp_path: Path) -> None:
    module = write(tmp_path / "module", plain(collections={"losses": ["x"], "update_ops": ["default/inputs/x"]}))
    (finding,) = found("unsupported-collection", module)
    assert finding.message == "The collection 'losses' has 1 items; modules have none such."
    assert "drop_collections" in finding.fix
    assert found("unsupported-collection", write(tmp_path / "other", plain(collections={"losses": []}))) == []


def test_the_supported_collections_are_those_of_the_authoring() -> None:
    pytest.importorskip("tensorflow")
    from modhub.authoring.checks import SUPPORTED_COLLECTIONS

    assert SUPPORTED_COLLECTIONS == COLLECTIONS


@pytest.mark.parametrize(
    "text",
    [
        "/home/ada/vocab.txt", "/tmp/x", "/cns/aa/home/x", "/x/y/z.txt", "gs://bucket/vocab", "file:///tmp/x", "s3://b/c",
        "hdfs://host/x", "C:\\models\\vocab.txt", "D:/models", "\\\\server\\share\\x", "/mnt/my data/x.txt",
    ],
)  # fmt: skip
def test_absolute_paths_are_found(text: str, tmp_path: Path) -> None:
    (finding,) = found("absolute-path", write(tmp_path / "module", plain(nodes=[constant("c", "a", text)])))
    assert (finding.where, repr(text) in finding.message) == ("variant {}, node 'c'", True)


@pytest.mark.parametrize(
    "text",
    [
        "", "/", "/s", "/m/01g317", "vocab.txt", "a/b/c/d", "//", "/ /", "</s>", "http://x.org/y", "https://x.org/y/z",
        "SAVEDMODEL-ASSET", "a:b", "A: x", "\\d+", "/usr", "/[a-z]+/x/y", "a gs://b", "\\1\\2", "C:", "/tmp/\n/x",
    ],
)  # fmt: skip
def test_other_texts_are_no_paths(text: str, tmp_path: Path) -> None:
    assert not is_absolute_path(text)
    assert found("absolute-path", write(tmp_path / "module", plain(nodes=[constant("c", text)]))) == []


def test_long_lists_of_words_are_no_paths(tmp_path: Path) -> None:
    words = ["/tmp/x"] * 17
    assert found("absolute-path", write(tmp_path / "module", plain(nodes=[constant("c", *words)]))) == []


def test_paths_in_functions_and_in_attributes_are_found(tmp_path: Path) -> None:
    sampler = node("s", "FixedUnigramCandidateSampler", vocab_file="/home/ada/counts")
    module = write(tmp_path / "module", plain(nodes=[sampler], functions=[function("f", constant("c", "/tmp/x"))]))
    places = [finding.where for finding in found("absolute-path", module)]
    assert places == ["variant {}, function 'f', node 'c'", "variant {}, node 's'"]


def test_a_path_that_readers_replace_is_a_note(tmp_path: Path) -> None:
    table = node("t", "HashTableV2", shared_name="hash_table_/home/ada/v.txt_-2_-1")
    nodes = [constant("asset", "/home/ada/v.txt"), table]
    module = write(tmp_path / "module", plain(nodes=nodes, assets={"asset:0": "v.txt"}), files={"assets/v.txt": b"a"})
    assert [finding.where for finding in found("path-leak", module)] == [
        "variant {}, node 'asset'",
        "variant {}, node 't'",
    ]
    assert found("absolute-path", module) == []
    clean = [constant("asset", "SAVEDMODEL-ASSET"), node("t", "HashTableV2", shared_name="hash_table_1_load_0")]
    module = write(tmp_path / "clean", plain(nodes=clean, assets={"asset:0": "v.txt"}), files={"assets/v.txt": b"a"})
    assert lint(module).findings == ()


def test_assets_are_there_and_used(tmp_path: Path) -> None:
    nodes = [constant("asset", "SAVEDMODEL-ASSET")]
    module = write(
        tmp_path / "module", plain(nodes=nodes, assets={"asset:0": "a.txt"}), files={"assets/b.txt": b"12345"}
    )
    (missing,), (unused,) = found("asset-missing", module), found("asset-unused", module)
    assert (missing.where, unused.where) == ("assets/a.txt", "assets/b.txt")
    assert "{}" in missing.message
    assert "5 bytes" in unused.message
    assert found("unknown-file", module) == found("stray-file", module) == []


@pytest.mark.parametrize(
    "name",
    [
        ".DS_Store", "variables/.DS_Store", "assets/._v.txt", "__MACOSX/x", "saved_model.pb~", "v.txt.bak", ".v.swp",
        "assets/v.partial", "checkpoint", "variables/checkpoint", "model.ckpt-7.index", "model.ckpt-7.meta",
        ".git/HEAD", "events.out.tfevents.1.host", "__pycache__/x.pyc", ".ipynb_checkpoints/x", "variables/old.index",
    ],
)  # fmt: skip
def test_left_behind_files_are_found(name: str, tmp_path: Path) -> None:
    module = write(tmp_path / "module", plain(), files={name: b"x"})
    assert [finding.where for finding in lint(module).findings] == [name]
    assert [finding.rule for finding in lint(module).findings] == ["stray-file"]


def test_files_of_the_publishers_own_are_noted(tmp_path: Path) -> None:
    module = write(tmp_path / "module", plain(), files={"smart.pb": b"x", "README.md": b"x", "LICENSE": b"x"})
    assert [(finding.rule, finding.where) for finding in lint(module).findings] == [("unknown-file", "smart.pb")]


def test_an_asset_may_be_named_like_clutter(tmp_path: Path) -> None:
    nodes = [constant("asset", "SAVEDMODEL-ASSET")]
    variant = plain(nodes=nodes, assets={"asset:0": "model.index"})
    assert lint(write(tmp_path / "module", variant, files={"assets/model.index": b"x"})).findings == ()


def test_two_graph_files_are_found(tmp_path: Path) -> None:
    module = write(tmp_path / "module", plain(), files={"saved_model.pbtxt": b""})
    assert [finding.rule for finding in lint(module).findings] == ["two-graph-files"]


def packed(module: str, target: Path, *, folder: str = ".", directories: bool = True, user: int = 0) -> str:
    """Pack a module; into a folder, without entries of directories, or as files of a user."""

    def owned(member: tarfile.TarInfo) -> tarfile.TarInfo:
        member.uid = member.gid = user
        member.uname = member.gname = "ada" if user else "root"
        return member

    root = Path(module)
    with tarfile.open(target, "w:gz") as archive:
        for path in sorted([root, *root.rglob("*")]):
            if directories or path.is_file():
                archive.add(path, f"{folder}/{path.relative_to(root)}", recursive=False, filter=owned)
    return str(target)


@pytest.mark.parametrize(
    ("options", "rules"),
    [
        ({}, []),
        ({"directories": False}, ["archive-directories"]),
        ({"folder": "module"}, ["archive-root"]),
        ({"user": 1000}, ["archive-owner"]),
        ({"directories": False, "folder": "m"}, ["archive-directories", "archive-directories", "archive-root"]),
    ],
)
def test_archives_fit_older_clients(options: Any, rules: list[str], tmp_path: Path) -> None:
    module = write(tmp_path / "module", plain(variables=["v"], trainable=["v"]))
    ignore = {"regularization-losses-missing": "no decay"}
    report = lint(packed(module, tmp_path / "module.tar.gz", **options), ignore=ignore)
    assert [finding.rule for finding in report.findings] == rules


def test_a_plain_saved_model_says_what_was_not_checked(tmp_path: Path) -> None:
    variant = Variant(
        signatures={"predict": PLAIN["default"]}, tags=["serve"], collections={"saved_model_main_op": ["x"]}
    )
    report = lint(write(tmp_path / "module", variant, is_module=False))
    assert [finding.rule for finding in report.findings] == ["module-marker-missing"]
    assert found("module-marker-missing", write(tmp_path / "other", plain())) == []


def saved_object(kind: str = "user_object", **children: int) -> Any:
    from modhub.format.protos import SavedObject

    made = SavedObject()
    getattr(made, kind).SetInParent()
    for name, child in children.items():
        made.children.add(local_name=name, node_id=child)
    return made


def traced() -> Any:
    made = saved_object("function")
    made.function.concrete_functions.append("__inference_f_1")
    return made


def trained() -> Any:
    made = saved_object("variable")
    made.variable.trainable = True
    return made


LISTS = {"variables": 2, "trainable_variables": 2, "regularization_losses": 2}


@pytest.mark.parametrize(
    ("objects", "rules"),
    [
        ([saved_object(__call__=1, **LISTS), traced(), saved_object()], []),
        ([saved_object(__call__=1, **LISTS), traced(), saved_object(x=3), trained()], []),
        ([saved_object(__call__=1), traced()], []),
        ([saved_object(signatures=1), saved_object()], ["reusable-call"]),
        ([saved_object(__call__=1, **LISTS), saved_object("function"), saved_object()], ["reusable-call"]),
        ([saved_object(__call__=1, v=2), traced(), trained()], ["reusable-variables"]),
        ([saved_object(__call__=1, variables=2, trainable_variables=2), traced(), saved_object()], ["reusable-losses"]),
    ],
)
def test_saved_models_of_tf2_have_their_own_rules(objects: list[Any], rules: list[str], tmp_path: Path) -> None:
    variant = Variant(signatures=PLAIN, tags=["serve"], objects=objects)
    report = lint(write(tmp_path / "module", variant, is_module=False))
    assert sorted(finding.rule for finding in report.findings) == sorted(["tf2-saved-model", *rules])


def test_an_object_that_is_not_there_is_a_damaged_file(tmp_path: Path) -> None:
    from modhub.errors import CorruptModuleError

    variant = Variant(signatures=PLAIN, objects=[saved_object(__call__=7)])
    with pytest.raises(CorruptModuleError, match="__call__"):
        lint(write(tmp_path / "module", variant, is_module=False))


def test_every_rule_for_files_and_ops_is_tried() -> None:
    text = Path(__file__).read_text(encoding="utf-8")
    topics = re.compile("ops|paths|files|archives|saved_models")
    assert [rule.id for rule in all_rules().values() if topics.fullmatch(rule.topic) and rule.id not in text] == []
