from __future__ import annotations

from pathlib import Path

import pytest
import tensorflow as tf

import tests.attacks.hostile_bytes
import tests.attacks.hostile_constants
import tests.attacks.hostile_detours
import tests.attacks.hostile_functions
import tests.attacks.hostile_ops
import tests.attacks.hostile_reads  # noqa: F401 - these fill the list
from modhub.errors import CorruptModuleError
from modhub.inspection.scan.scanning import scan
from tests.attacks.hostile_modules import HOSTILE, Hostile, put, v1, varint

# The file that modules read beside the trace that they leave.
_WORDS = "words.txt"
# Refused when they are read, for what they are stored like.
REFUSED_AT_ONCE = {
    "constant_in_pieces",
    "function_behind_a_large_tensor",
    "function_of_an_ops_name",
    "functions_of_one_name",
    "groups",
    "large_constant_in_pieces",
    "nodes_of_one_name",
    "path_behind_a_large_tensor",
    "tag_of_more_than_32_bits",
    "variants_of_equal_tags",
}
# Of the findings that are errors, one has this rule.
RULES = {
    "abort": "denial-of-service",
    "asset_above": "asset-outside",
    "asset_of_an_absolute_path": "asset-outside",
    "asset_that_is_the_folder": "asset-outside",
    "broken_text_beside": "unreadable",
    "chunks_beside": "unreadable",
    "constant_bomb": "constant-bomb",
    "data_service": "network",
    "dataset_from_a_graph": "hidden-graph",
    "eager_python_function": "runs-code",
    "large_constant_bomb": "constant-bomb",
    "python_function": "runs-code",
    "record_input": "reads-files",
    "remote_call": "network",
    "table_of_an_absolute_path": "reads-files",
    "tpu_system": "network",
    "write_file": "writes-files",
}


def built(name: str, folder: Path) -> tuple[Path, Path]:
    """Build a hostile module; return it, and the file that it leaves a trace in, which is not there."""
    module, trace = folder / "module", folder / "traces" / "trace"
    trace.parent.mkdir()
    HOSTILE[name].build(module, trace)
    for path in trace.parent.iterdir():  # what making it left
        if path.name != _WORDS:
            path.unlink()
    return module, trace


def use(module: Path, hostile: Hostile) -> None:
    """Do with TensorFlow what makes a module do harm."""
    if hostile.runs in ("load", "signature"):
        with tf.Graph().as_default(), v1.Session() as session:
            loaded = v1.saved_model.load(session, ["serve"], str(module))
            if hostile.runs == "signature":
                session.run(loaded.signature_def["serving_default"].outputs["y"].name, {"x:0": 0.0})
        return
    loaded = tf.saved_model.load(str(module))
    if hostile.runs == "call2":
        loaded.f(tf.constant(0.0))


@pytest.mark.parametrize("name", sorted(HOSTILE))
def test_it_is_refused(name: str, tmp_path: Path) -> None:
    module, trace = built(name, tmp_path)
    if name in REFUSED_AT_ONCE:
        with pytest.raises(CorruptModuleError):
            scan(module)
    else:
        rules = {finding.rule for finding in scan(module).refused}
        assert rules
        assert RULES.get(name, next(iter(rules))) in rules
    assert {path.name for path in trace.parent.iterdir()} <= {_WORDS}  # nothing was run


@pytest.mark.parametrize("name", sorted(name for name, hostile in HOSTILE.items() if hostile.runs != "file"))
def test_it_does_harm(name: str, tmp_path: Path) -> None:
    module, trace = built(name, tmp_path)
    use(module, HOSTILE[name])
    assert any(path.name.startswith(trace.name) for path in trace.parent.iterdir())


def test_readers_in_cpp_take_a_tag_of_more_than_32_bits() -> None:
    """As `tag_of_more_than_32_bits` says; what they do not parse is another error than what they cannot run."""
    node = v1.NodeDef(name="evil", op="NoOp").SerializeToString()
    graph = varint(1 << 3 | 2 | 1 << 32) + varint(len(node)) + node
    with pytest.raises(tf.errors.NotFoundError, match="FetchOutputs node"):
        tf.raw_ops.DatasetFromGraph(graph_def=graph)
    with pytest.raises(tf.errors.OpError, match=r"(?i)pars"):
        tf.raw_ops.DatasetFromGraph(graph_def=put(1, b"\xff"))


def test_the_list_is_whole() -> None:
    assert len(HOSTILE) > 75
    assert REFUSED_AT_ONCE | RULES.keys() <= HOSTILE.keys()
