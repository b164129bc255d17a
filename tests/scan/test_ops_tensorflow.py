from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from modhub.inspection.scan.ops import OpClass, file_arguments, op_classes

tf = pytest.importorskip("tensorflow")
op_def_pb2 = pytest.importorskip("tensorflow.core.framework.op_def_pb2")
session = pytest.importorskip("tensorflow.python.client.pywrap_tf_session")

RAW = tf.raw_ops
STRING, RESOURCE = tf.string.as_datatype_enum, tf.resource.as_datatype_enum
OP_DEFS = {op.name: op for op in op_def_pb2.OpList.FromString(session.TF_GetBuffer(session.TF_GetAllOpList())).op}

# What a string input or attribute is called that names a file, a server, a program or the code to run.
TELLING = re.compile(
    r"file|path|prefix|dir$|directory|ur[il]s?$|address|target|host|server|socket|source|protocol|memory_region|library"
    r"|program|module|graph|serialized|config|proto$|token|debug_ops|backend|command|(^|_)script$|query|pattern|(^|_)key$"
)
# Of ops that only compute or keep state: (the ops, the argument) and why it is none of these.
INNOCENT = {
    (r"(Load|Retrieve)(All)?TPUEmbedding\w*|\w*TPUEmbedding(Activations|Gradients|Initialized|DeduplicationData)(V2)?"
     r"|ComputeDedupData\w+|MergeDedupData|SplitDedupData", r"config|hbm_buffers_config"):
        "the layout of embedding tables on the local TPU",
    (r"TPUReplicateMetadata|_TPUReplicate", "tpu_compile_options_proto|host_compute_core"):
        "how a function of the graph is compiled and placed",
    (r"(Stateful)?PartitionedCall", "config|config_proto"): "how a function of the graph is optimized",
    (r"OptimizeDataset(V2)?", "optimization_configs"): "options of rewrites that are in TensorFlow",
    (r"OptionsDataset", "serialized_options"): "tf.data.Options",
    (r"BoostedTrees(Create|Deserialize)Ensemble", "tree_ensemble_serialized"): "trees, which are data",
    (r"Parse\w*Example(V2)?|ParseTensor|DeserializeManySparse", "serialized|serialized_sparse"): "data",
    (r"TensorSummaryV2", "serialized_summary_metadata"): "goes into a string",
    (r"ExperimentalSetStatsAggregatorDataset|SetStatsAggregatorDataset", "counter_prefix"): "of a counter's name",
    (r"TensorArrayGrad\w*", "source"): "which gradients() asks for it",
    (r"(Static)?Regex\w+", "pattern"): "a regular expression",
    (r"Copy(Host)?", "debug_ops_spec"): "only Debug ops send, see test_what_no_name_tells",
    (r"Xla(Conv|Dot)(V2)?|XlaSvd", "precision_config"): "of arithmetic",
}  # fmt: skip


def test_each_op_of_this_tensorflow_is_judged() -> None:
    assert len(OP_DEFS) > 1800
    assert [op for op in OP_DEFS if op.startswith("_")]
    assert sorted(op for op in OP_DEFS if not op_classes(op)) == [], "`make ops` adds them, for a person to judge"


@pytest.mark.parametrize("op", sorted(op for op in OP_DEFS if file_arguments(op)))
def test_file_arguments_are_in_the_definition(op: str) -> None:
    definition = OP_DEFS[op]
    attributes = {attr.name: attr.type for attr in definition.attr}
    for argument in file_arguments(op):
        if argument.index is None:
            assert attributes[argument.name] in ("string", "list(string)")
            continue
        # An input's place in the definition is its place at a node only if no list of inputs comes before it.
        lists = [bool(arg.number_attr or arg.type_list_attr) for arg in definition.input_arg]
        assert not any(lists[: argument.index + 1])
        given = definition.input_arg[argument.index]
        assert given.name == argument.name
        assert given.type == STRING or (argument.name == "queue_handle" and given.type == RESOURCE)


def test_what_names_a_file_or_program_is_more_than_pure() -> None:
    innocent = [(re.compile(ops), re.compile(names)) for ops, names in INNOCENT]
    used = set()
    for op, definition in OP_DEFS.items():
        if not (op_classes(op) or set()) <= {OpClass.PURE, OpClass.STATE, OpClass.SAVER}:
            continue
        for name in filter(TELLING.search, _strings(definition)):
            excuses = [pair for pair in innocent if pair[0].fullmatch(op) and pair[1].fullmatch(name)]
            assert excuses, f"{op} has {name!r} and is only {', '.join(op_classes(op) or ())}"
            used.update(excuses)
    assert [ops.pattern for ops, names in innocent if (ops, names) not in used] == []


def _strings(definition: Any) -> list[str]:
    """The string inputs and attributes of an op, without attributes that take one of a few values."""
    attributes = [attr for attr in definition.attr if attr.type in ("string", "list(string)")]
    return [
        *(arg.name for arg in definition.input_arg if arg.type == STRING),
        *(attr.name for attr in attributes if not attr.HasField("allowed_values")),
    ]


def test_a_pure_op_has_no_reference_or_resource() -> None:
    for op, definition in OP_DEFS.items():
        if op_classes(op) == {OpClass.PURE}:
            arguments = [*definition.input_arg, *definition.output_arg]
            assert [arg.name for arg in arguments if arg.is_ref or arg.type == RESOURCE] == [], op


# Judgements that no name in the definition tells, tried.
def test_what_no_name_tells(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    def after(action: Any) -> set[str]:
        before = {path.name for path in tmp_path.iterdir()}
        action()
        return {path.name for path in tmp_path.iterdir()} - before

    def sql() -> None:
        made = tf.data.experimental.SqlDataset(
            "sqlite", str(tmp_path / "made.db"), "CREATE TABLE made(a)", (tf.string,)
        )
        with pytest.raises(tf.errors.InvalidArgumentError):
            list(made)

    def suffix() -> None:
        writer = RAW.SummaryWriter(shared_name=str(tmp_path))
        RAW.CreateSummaryFileWriter(
            writer=writer, logdir=str(tmp_path / "log"), max_queue=1, flush_millis=1, filename_suffix="/../../outside"
        )
        RAW.FlushSummaryWriter(writer=writer)
        RAW.CloseSummaryWriter(writer=writer)

    assert after(sql) == {"made.db"}
    assert "outside" in after(suffix)
    assert after(lambda: RAW.PrintV2(input="abc", output_stream=f"file://{tmp_path}/printed", end="")) == {"printed"}
    assert after(lambda: RAW.Print(input=1.0, data=[1.0], message=f"file://{tmp_path}/no")) == set()
    spec = [f"DebugIdentity;file://{tmp_path}/copied;0"]
    assert after(lambda: RAW.Copy(input=1.0, tensor_name="a:0", debug_ops_spec=spec)) == set()
    assert after(lambda: RAW.DebugIdentity(input=1.0, tensor_name="a:0", debug_urls=[f"file://{tmp_path}/sent"])) == {
        "sent"
    }
    mapped = RAW.ImmutableConst(dtype=tf.uint8, shape=[3], memory_region_name=str(tmp_path / "printed"))
    assert bytes(mapped.numpy()) == b"abc"


@pytest.mark.parametrize("stream", ["stdout", "stderr", "log(info)", "log(warning)", "log(error)"])
def test_a_harmless_value_leaves_no_file(stream: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert stream in file_arguments("PrintV2")[0].harmless
    RAW.PrintV2(input="", output_stream=stream)
    assert list(tf.data.Dataset.range(1).cache("")) == [0]
    assert list(tmp_path.iterdir()) == []
