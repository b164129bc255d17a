from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("tensorflow")

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from modhub.errors import ModhubError
from modhub.format import protos
from modhub.inspection.findings import Severity
from modhub.inspection.scan.report import ScanReport
from modhub.inspection.scan.scanning import scan
from tests.scan.honest_modules import HONEST

OPS = [
    *(
        "Const",
        "Identity",
        "IdentityN",
        "Placeholder",
        "PlaceholderWithDefault",
        "Pack",
        "PartitionedCall",
        "While",
        "If",
    ),
    *("Merge", "Switch", "StringJoin", "ShardedFilename", "SaveV2", "RestoreV2", "MergeV2Checkpoints", "ReadFile"),
    *("WriteFile", "PrintV2", "CacheDataset", "VarHandleOp", "AssignVariableOp", "ReadVariableOp", "DatasetFromGraph"),
    *("InitializeTableFromTextFileV2", "Unknown", "f0", "f1", "f2"),
]


def scanned(folder: Path, saved_model: Any) -> ScanReport:
    """Scan a SavedModel that is just this message."""
    (folder / "saved_model.pb").write_bytes(saved_model.SerializeToString())
    return scan(folder)


def empty() -> tuple[Any, Any]:
    saved_model = protos.SavedModel()
    return saved_model, saved_model.meta_graphs.add()


@pytest.mark.parametrize("name", sorted(HONEST))
def test_an_honest_module_is_not_refused(name: str, tmp_path: Path) -> None:
    HONEST[name](tmp_path / "module")
    report = scan(tmp_path / "module")
    assert report.refused == ()
    # One that starts from a checkpoint says so.
    warnings = [finding.op for finding in report.findings if finding.severity is Severity.WARNING]
    assert warnings == (["RestoreV2"] if name == "saved_model_of_tf1" else [])


@pytest.mark.parametrize(
    "name",
    [
        "genuine/control_flow/module",
        "genuine/nnlm_ref/module",
        "genuine/partitioned/module",
        "genuine/resnet_like/module",
    ]
    + [f"published/{name}" for name in ("dm21", "galmodel_likelihood", "half_plus_two_v1", "reconstruction_decoder")]
    + ["published/saved_model_half_plus_two_cpu/00000123"],
)
def test_a_published_module_has_no_findings(shared_modules: Path, name: str) -> None:
    report = scan(shared_modules / name)
    assert report.findings == ()
    assert report.ops > 20


@st.composite
def attributes(draw: st.DrawFn) -> Any:
    attribute = protos.AttrValue()
    kind = draw(st.sampled_from(["s", "func", "list", "placeholder", "tensor", "nested"]))
    if kind == "s":
        attribute.s = draw(st.binary(max_size=20))
    elif kind == "func":
        attribute.func.name = draw(st.sampled_from(["f0", "f1", "f2", "f3"]))
    elif kind == "nested":
        attribute.func.name = "f0"
        attribute.func.attr["g"].func.name = "f1"
    elif kind == "list":
        attribute.list.func.add(name=draw(st.sampled_from(["f0", "f2"])))
    elif kind == "placeholder":
        attribute.placeholder = "p"
    else:
        attribute.tensor.dtype = draw(st.sampled_from([0, 1, 7, 20, 21, 99]))
        attribute.tensor.tensor_shape.dim.extend(
            [protos.TensorShapeProto.Dim(size=size) for size in draw(st.lists(st.integers(-2, 2**62), max_size=3))]
        )
        attribute.tensor.tensor_content = draw(st.binary(max_size=20))
        attribute.tensor.string_val.extend(draw(st.lists(st.binary(max_size=20), max_size=3)))
    return attribute


@st.composite
def nodes(draw: st.DrawFn, name: str) -> Any:
    node = protos.NodeDef(name=name, op=draw(st.sampled_from(OPS)))
    names = st.sampled_from(["n0", "n1", "n2", "n3", "a0", "^n0", "n1:1", "n2:output:0", "", ":", "^"])
    node.input.extend(draw(st.lists(names, max_size=4)))
    keys = st.sampled_from(["value", "f", "body", "cond", "then_branch", "output_stream", "shared_name", "x"])
    for key in draw(st.lists(keys, max_size=3, unique=True)):
        node.attr[key].CopyFrom(draw(attributes()))
    return node


@st.composite
def meta_graphs(draw: st.DrawFn) -> Any:
    saved_model, meta_graph = empty()
    for index in range(draw(st.integers(0, 4))):
        meta_graph.graph_def.node.append(draw(nodes(f"n{index}")))
    for index in range(draw(st.integers(0, 3))):
        function = meta_graph.graph_def.library.function.add()
        function.signature.name = f"f{index}"
        function.signature.input_arg.add(name="a0")
        function.signature.output_arg.add(name="r")
        function.ret["r"] = draw(st.sampled_from(["n0:output:0", "a0", "none"]))
        for inner in range(draw(st.integers(0, 3))):
            function.node_def.append(draw(nodes(f"n{inner}")))
    names = st.sampled_from(["n0", "n1:0", "n3", "nothing", "", ":0", "^n1"])
    meta_graph.signature_def["default"].outputs["y"].name = draw(names)
    meta_graph.saver_def.filename_tensor_name = draw(names)
    meta_graph.saver_def.save_tensor_name = draw(names)
    meta_graph.saver_def.restore_op_name = draw(names)
    collections = meta_graph.collection_def
    key = draw(st.sampled_from(["savers", "variables", "saved_model_main_op", "mine", "saved_model_assets"]))
    if draw(st.booleans()):
        collections[key].bytes_list.value.append(draw(st.binary(max_size=30)))
    else:
        collections[key].node_list.value.append(draw(names))
    asset = meta_graph.asset_file_def.add(filename=draw(st.sampled_from(["", ".", "a", "../a", "C:\\a", "/"])))
    asset.tensor_info.name = draw(names)
    objects = meta_graph.object_graph_def
    if draw(st.booleans()):
        objects.concrete_functions["f0"].bound_inputs.append(draw(st.integers(-3, 3)))
        objects.nodes.add().children.add(local_name="_initialize", node_id=draw(st.integers(-3, 3)))
    return saved_model


@settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck))
@given(saved_model=meta_graphs())
def test_any_graph_gives_a_report_or_an_error_of_modhub(saved_model: Any, tmp_path: Path) -> None:
    try:
        report = scanned(tmp_path, saved_model)
    except ModhubError:
        return
    assert report.variants == 1


def test_a_hundred_thousand_nodes_in_a_chain(tmp_path: Path) -> None:
    saved_model, meta_graph = empty()
    graph = meta_graph.graph_def
    graph.node.add(name="n0", op="Const")
    for index in range(1, 50_000):
        graph.node.add(name=f"n{index}", op="Identity", input=[f"n{index - 1}"])
        graph.node.add(name=f"r{index}", op="ReadFile", input=[f"n{index}"])
    meta_graph.signature_def["default"].outputs["y"].name = "n49999:0"
    report = scanned(tmp_path, saved_model)
    assert {finding.op for finding in report.findings} == {"ReadFile"}
    assert sum(len(finding.nodes) for finding in report.findings) == 49_999


def test_many_readers_in_a_function_of_many_callers(tmp_path: Path) -> None:
    saved_model, meta_graph = empty()
    function = meta_graph.graph_def.library.function.add()
    function.signature.name = "f"
    function.signature.input_arg.add(name="arg")
    for index in range(20_000):
        function.node_def.add(name=f"n{index}", op="Identity", input=["arg"])
        function.node_def.add(name=f"r{index}", op="ReadFile", input=[f"n{index}:output:0"])
        meta_graph.graph_def.node.add(name=f"p{index}", op="Placeholder")
        meta_graph.graph_def.node.add(name=f"c{index}", op="f", input=[f"p{index}"])
    meta_graph.signature_def["default"].outputs["y"].name = "c0:0"
    (finding,) = scanned(tmp_path, saved_model).findings
    assert (finding.severity, len(finding.nodes)) == (Severity.ERROR, 20_000)


def test_names_of_files_do_not_make_findings_without_end(tmp_path: Path) -> None:
    saved_model, meta_graph = empty()
    for index in range(1_000):
        const = meta_graph.graph_def.node.add(name=f"c{index}", op="Const")
        const.attr["value"].tensor.dtype = 7
        const.attr["value"].tensor.string_val.append(b"/" * 10_000 + b"%d" % index)
        meta_graph.graph_def.node.add(name=f"w{index}", op="WriteFile", input=[f"c{index}"] * 2)
    report = scanned(tmp_path, saved_model)
    assert len(report.findings) < 110
    assert sum(len(finding.nodes) for finding in report.findings) == 1_000
    assert max(len(finding.message) for finding in report.findings) < 500


def test_a_lambda_layer_is_told(tmp_path: Path) -> None:
    saved_model, _ = empty()
    (tmp_path / "keras_metadata.pb").write_bytes(b'... "class_name": "L\\u0061mbda" ...')
    assert [finding.rule for finding in scanned(tmp_path, saved_model).findings] == ["keras-lambda"]


def test_a_lambda_layer_in_an_object_is_told(tmp_path: Path) -> None:
    saved_model, meta_graph = empty()
    meta_graph.object_graph_def.nodes.add().user_object.metadata = '{"class_name": "Lambda"}'
    assert [finding.rule for finding in scanned(tmp_path, saved_model).findings] == ["keras-lambda"]


def test_an_unreached_op_is_a_warning(tmp_path: Path) -> None:
    saved_model, meta_graph = empty()
    meta_graph.graph_def.node.add(name="w", op="WriteFile")
    (finding,) = scanned(tmp_path, saved_model).findings
    assert (finding.severity, finding.reached_by) == (Severity.WARNING, "nothing")


def test_an_op_of_another_package_is_a_warning(tmp_path: Path) -> None:
    saved_model, meta_graph = empty()
    meta_graph.graph_def.node.add(name="w", op="IO>KafkaReadableInit")
    (finding,) = scanned(tmp_path, saved_model).findings
    assert (finding.severity, finding.rule) == (Severity.WARNING, "unknown-op")
