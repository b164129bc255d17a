"""What a ModuleSpec and a Module tell of themselves."""

from __future__ import annotations

from pathlib import Path

import pytest
import tensorflow as tf

import modhub as hub
from modhub import errors
from tests.constructions import affine, publish, variable

v1 = tf.compat.v1


def described(wide: bool = False) -> None:
    """Signatures of every kind of tensor; the wide variant has one more of them."""
    x = v1.placeholder(tf.float32, [None, 2])
    ids = v1.placeholder(tf.int64, [])
    anything = v1.placeholder(tf.string, None)
    sparse = v1.sparse_placeholder(tf.float32, [None, 3])
    ragged = v1.ragged.placeholder(tf.int32, 1, [])
    w = variable("w", [1.0, 2.0])
    hub.add_signature(inputs=x, outputs={"default": x * w, "sum": tf.reduce_sum(x)})
    hub.add_signature("mixed", {"ids": ids, "any": anything, "sparse": sparse}, {"same": sparse})
    hub.add_signature("ragged", {"rows": ragged}, {"rows": ragged})
    hub.add_signature("none", outputs=w * 1.0)
    if wide:
        hub.add_signature("wide", x, x)


def described_spec() -> hub.ModuleSpec:
    """The two variants of `described`."""
    return hub.create_module_spec(described, [(set(), {}), ({"wide", "b"}, {"wide": True})])


@pytest.fixture(params=["from a spec", "from disk"], scope="module")
def spec(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> hub.ModuleSpec:
    if request.param == "from a spec":
        return described_spec()
    return hub.load_module_spec(publish(described_spec(), tmp_path_factory.mktemp("it") / "module"))


def test_tags(spec: hub.ModuleSpec) -> None:
    tags = spec.get_tags()
    assert isinstance(tags, list)
    assert tags == [frozenset(), frozenset({"b", "wide"})]


def test_signature_names(spec: hub.ModuleSpec) -> None:
    assert sorted(spec.get_signature_names()) == ["default", "mixed", "none", "ragged"]
    assert sorted(spec.get_signature_names(tags={"b", "wide"})) == ["default", "mixed", "none", "ragged", "wide"]
    assert sorted(spec.get_signature_names({"wide", "b"})) == ["default", "mixed", "none", "ragged", "wide"]


def test_input_info(graph: tf.Graph, spec: hub.ModuleSpec) -> None:
    for source in (spec, hub.Module(spec)):
        info = source.get_input_info_dict()
        assert sorted(info) == ["default"]
        assert info["default"].dtype == tf.float32
        assert info["default"].get_shape().as_list() == [None, 2]
        assert info["default"].is_sparse is False
        assert source.get_input_info_dict("none") == {}


def test_output_info(graph: tf.Graph, spec: hub.ModuleSpec) -> None:
    for source in (spec, hub.Module(spec)):
        info = source.get_output_info_dict(signature="default")
        assert {name: (one.dtype, one.get_shape().as_list()) for name, one in info.items()} == {
            "default": (tf.float32, [None, 2]),
            "sum": (tf.float32, []),
        }


def test_kinds_of_tensors(spec: hub.ModuleSpec) -> None:
    info = spec.get_input_info_dict("mixed")
    assert {name: one.is_sparse for name, one in info.items()} == {"ids": False, "any": False, "sparse": True}
    assert {name: one.dtype for name, one in info.items()} == {"ids": tf.int64, "any": tf.string, "sparse": tf.float32}
    assert info["ids"].get_shape().as_list() == []
    assert info["any"].get_shape().rank is None
    assert info["sparse"].get_shape().as_list() == [None, 3]
    assert all(one.is_supported_type for one in info.values())


def test_ragged_info(spec: hub.ModuleSpec) -> None:
    info = spec.get_input_info_dict("ragged")["rows"]
    assert info.is_composite
    assert not info.is_sparse
    assert isinstance(info.type_spec, tf.RaggedTensorSpec)
    assert info.dtype == tf.int32
    assert spec.get_output_info_dict("ragged")["rows"].get_shape().rank == 2


def test_repr(spec: hub.ModuleSpec) -> None:
    info = spec.get_input_info_dict()["default"]
    assert repr(info) == "<hub.ParsedTensorInfo shape=(None, 2) dtype=float32 is_sparse=False>"
    assert "is_sparse=True" in repr(spec.get_input_info_dict("mixed")["sparse"])


def test_infos_compare_by_value(spec: hub.ModuleSpec) -> None:
    one, two = spec.get_input_info_dict(), spec.get_input_info_dict()
    assert one == two
    assert one["default"] != spec.get_output_info_dict()["sum"]
    assert spec.get_input_info_dict("default", {"b", "wide"}) == one


@pytest.mark.parametrize("getter", ["get_input_info_dict", "get_output_info_dict"])
def test_an_unknown_signature(graph: tf.Graph, spec: hub.ModuleSpec, getter: str) -> None:
    for source in (spec, hub.Module(spec)):
        with pytest.raises(errors.UnknownSignatureError) as caught:
            getattr(source, getter)("mixt")
        assert isinstance(caught.value, ValueError)
        assert isinstance(caught.value, KeyError)
        assert "'mixt'" in str(caught.value)
        assert "'default', 'mixed', 'none', 'ragged'" in str(caught.value)


@pytest.mark.parametrize("getter", ["get_signature_names", "get_input_info_dict", "get_output_info_dict"])
def test_unknown_tags(spec: hub.ModuleSpec, getter: str) -> None:
    with pytest.raises(errors.UnknownVariantError) as caught:
        getattr(spec, getter)(tags={"wide"})
    assert isinstance(caught.value, KeyError)
    assert "wide" in str(caught.value)


def test_a_loaded_spec_is_independent_of_todays_graph(graph: tf.Graph, tmp_path: Path) -> None:
    hub.load_module_spec(publish(affine, tmp_path / "module")).get_input_info_dict()
    assert graph.get_operations() == []
    assert graph.get_all_collection_keys() == []


def test_a_module_fn_runs_in_a_graph_of_its_own(graph: tf.Graph) -> None:
    tf.constant(1.0)
    with v1.variable_scope("vs", reuse=True), v1.name_scope("ns"), tf.device("/device:CPU:1"):
        spec = hub.create_module_spec(affine)
    assert len(graph.get_operations()) == 1
    assert v1.get_default_graph() is graph
    module = hub.Module(spec)
    assert sorted(module.variable_map) == ["b", "w"]
    assert {v.op.device for v in module.variables} == {""}


def test_a_module_fn_may_be_defined_in_eager_mode() -> None:
    assert tf.executing_eagerly()
    assert hub.create_module_spec(affine).get_signature_names() == ["default"]


def test_variables_are_resources_by_default() -> None:
    found = []

    def module_fn() -> None:
        found.append(v1.get_variable("w", []))
        hub.add_signature(outputs=tf.identity(found[0]))

    hub.create_module_spec(module_fn)
    assert found[0].op.type == "VarHandleOp"


def test_tags_and_args_are_passed_on() -> None:
    seen = []

    def module_fn(**args: int) -> None:
        seen.append(args)
        hub.add_signature(outputs=tf.constant(1.0))

    spec = hub.create_module_spec(module_fn, tags_and_args=[(set(), {"a": 1}), (["x", "y"], {"b": 2})])
    assert seen == [{"a": 1}, {"b": 2}]
    assert spec.get_tags() == [frozenset(), frozenset({"x", "y"})]


@pytest.mark.parametrize("tags", [["wide", "b"], ("b", "wide"), frozenset({"b", "wide"}), {"b", "wide"}], ids=repr)
def test_kinds_of_tag_sets(graph: tf.Graph, spec: hub.ModuleSpec, tags: object) -> None:
    assert "wide" in hub.Module(spec, tags=tags).get_signature_names()
