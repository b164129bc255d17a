from __future__ import annotations

from typing import Any

import pytest

from modhub.errors import CorruptModuleError
from modhub.format import protos
from modhub.inspection.scan.reach import Entry, reach_of, saver_definitions
from tests.scan.graphs import add_nodes, meta_graph


def definition(lines: str = "", **functions: str) -> Any:
    found = protos.MetaGraphDef()
    add_nodes(found.graph_def.node, lines)
    for name, body in functions.items():
        function = found.graph_def.library.function.add()
        function.signature.name = name
        add_nodes(function.node_def, body)
    return found


def call(found: Any, node: str, function: str) -> None:
    """Let a node, of the graph or of a function ("f/n"), name a function."""
    body, _, name = node.rpartition("/")
    library = {each.signature.name: each.node_def for each in found.graph_def.library.function}
    nodes = library[body] if body else found.graph_def.node
    next(each for each in nodes if each.name == name).attr["f"].func.name = function


def in_a_signature(found: Any, name: str, signature: str = "default") -> None:
    found.signature_def[signature].outputs["y"].name = name


def test_inputs_and_control_inputs_are_followed() -> None:
    found = definition("a = NoOp()\nb = NoOp(^a)\nc = Identity(b:1)\nd = NoOp()")
    in_a_signature(found, "c:0")
    reach = reach_of(meta_graph(found))
    assert reach.nodes == dict.fromkeys("abc", Entry.SIGNATURE)
    assert reach.of(None, "d") is Entry.NOTHING


@pytest.mark.parametrize(
    ("key", "entry"),
    [
        ("saved_model_main_op", Entry.INITIALIZER),
        ("legacy_init_op", Entry.INITIALIZER),
        ("table_initializer", Entry.TABLE),
        ("update_ops", Entry.COLLECTION),
        ("of its own", Entry.COLLECTION),
    ],
)
def test_collections_of_names(key: str, entry: Entry) -> None:
    found = definition("a = NoOp()")
    found.collection_def[key].node_list.value.append("a")
    assert reach_of(meta_graph(found)).nodes == {"a": entry}


@pytest.mark.parametrize("signature", ["__saved_model_init_op", "__saved_model_train_op"])
def test_signatures_that_loading_runs(signature: str) -> None:
    found = definition("a = NoOp()")
    in_a_signature(found, "a", signature)
    assert reach_of(meta_graph(found)).nodes == {"a": Entry.INITIALIZER}


def test_the_most_direct_entry_is_told() -> None:
    found = definition("a = NoOp()")
    found.saver_def.restore_op_name = "a"
    in_a_signature(found, "a:0")
    found.collection_def["table_initializer"].node_list.value.append("a")
    assert reach_of(meta_graph(found)).nodes == {"a": Entry.TABLE}


def test_sparse_and_composite_outputs() -> None:
    found = definition("a = NoOp()\nb = NoOp()\nc = NoOp()\nd = NoOp()")
    sparse = found.signature_def["s"].outputs["y"].coo_sparse
    sparse.indices_tensor_name, sparse.values_tensor_name, sparse.dense_shape_tensor_name = "a:0", "b:0", "c:0"
    found.signature_def["s"].outputs["z"].composite_tensor.components.add().name = "d:0"
    assert set(reach_of(meta_graph(found)).nodes) == set("abcd")


def test_savers() -> None:
    found = definition("name = NoOp()\nsave = NoOp()\nrestore = NoOp()\nsave2 = NoOp()")
    found.saver_def.filename_tensor_name, found.saver_def.save_tensor_name = "name:0", "save:0"
    found.saver_def.restore_op_name = "restore"
    other = protos.SaverDef(save_tensor_name="save2")
    found.collection_def["savers"].bytes_list.value.append(other.SerializeToString())
    graph = meta_graph(found)
    expected = {"name": Entry.SAVER, "save": Entry.SAVER, "save2": Entry.SAVER, "restore": Entry.RESTORE}
    assert reach_of(graph).nodes == expected
    assert list(saver_definitions(graph)) == [found.saver_def, other]


def test_a_savers_collection_of_names_has_no_savers() -> None:
    found = definition("a = NoOp()")
    found.collection_def["savers"].node_list.value.append("a")
    assert list(saver_definitions(meta_graph(found))) == []


def test_a_damaged_saver_is_refused() -> None:
    found = definition()
    found.collection_def["savers"].bytes_list.value.append(b"\xff")
    with pytest.raises(CorruptModuleError, match="here"):
        reach_of(meta_graph(found))


@pytest.mark.parametrize("key", ["variables", "of its own"])
def test_initializers_of_variables(key: str) -> None:
    found = definition("v = VariableV2()\ni = NoOp()\nvalue = NoOp()")
    variable = protos.VariableDef(variable_name="v:0", initializer_name="i", initial_value_name="value:0")
    found.collection_def[key].bytes_list.value.append(variable.SerializeToString())
    expected = {"v": Entry.COLLECTION, "i": Entry.VARIABLE, "value": Entry.VARIABLE}
    assert reach_of(meta_graph(found)).nodes == expected


def test_names_in_messages_of_collections() -> None:
    found = definition("enqueue = NoOp()\nother = NoOp()")
    found.collection_def["queue_runners"].bytes_list.value.append(b"\x0a\x05queue\x12\x07enqueue")
    assert reach_of(meta_graph(found)).nodes == {"enqueue": Entry.COLLECTION}


def test_a_collection_too_large_to_search_counts_for_all_nodes() -> None:
    found = definition("a = NoOp()")
    found.collection_def["large"].bytes_list.value.append(b"\x08\x00" * 600_000)
    assert reach_of(meta_graph(found)).nodes == {"a": Entry.COLLECTION}


def test_functions_are_followed_through_calls() -> None:
    found = definition("a = PartitionedCall()", f="n = PartitionedCall()", g="n = h()", h="n = NoOp()", i="n = NoOp()")
    call(found, "a", "f")
    call(found, "f/n", "g")
    in_a_signature(found, "a:0")
    reach = reach_of(meta_graph(found))
    assert reach.functions == dict.fromkeys("fgh", Entry.SIGNATURE)
    assert reach.of("h", "n") is Entry.SIGNATURE
    assert reach.of("i", "n") is Entry.NOTHING


def test_functions_in_lists_and_in_attributes_of_functions() -> None:
    found = definition("a = Case()", f="", g="", h="")
    found.graph_def.node[0].attr["branches"].list.func.add(name="f").attr["x"].func.name = "g"
    found.graph_def.node[0].attr["other"].list.func.add(name="h")
    in_a_signature(found, "a")
    assert set(reach_of(meta_graph(found)).functions) == set("fgh")


def test_gradients_and_stand_ins() -> None:
    found = definition("a = f()", f="", gradient="", alike="", other="")
    found.graph_def.library.gradient.add(function_name="f", gradient_func="gradient")
    for index in (0, 2):
        found.graph_def.library.function[index].attr["api_implements"].s = b"same"
    in_a_signature(found, "a")
    assert set(reach_of(meta_graph(found)).functions) == {"f", "gradient", "alike"}


def test_functions_of_objects() -> None:
    found = definition("", f="", initializer="", restore="", left="")
    objects = found.object_graph_def
    objects.concrete_functions["f"].SetInParent()
    objects.nodes.add().children.add(local_name="_initialize", node_id=1)
    objects.nodes.add().function.concrete_functions.append("initializer")
    objects.nodes.add().bare_concrete_function.concrete_function_name = "restore"
    objects.nodes[0].saveable_objects["s"].restore_function = 2
    assert reach_of(meta_graph(found)).functions == {
        "f": Entry.OBJECT,
        "initializer": Entry.INITIALIZER,
        "restore": Entry.INITIALIZER,
        "left": Entry.OBJECT,
    }


def test_attributes_of_functions_nested_too_deeply_are_refused() -> None:
    found = definition("a = NoOp()", f="")
    attribute = found.graph_def.node[0].attr["f"]
    for _ in range(20):
        attribute.func.name = "f"
        attribute = attribute.func.attr["f"]
    with pytest.raises(CorruptModuleError, match="nested too deeply"):
        reach_of(meta_graph(found))


def test_a_thousand_functions_in_a_chain_and_in_diamonds() -> None:
    """In diamonds there are 2**1000 ways; each function is followed once."""
    bodies = {f"f{index}": f"n = f{index + 1}()\nm = f{index + 1}()\no = f{index + 2}()" for index in range(1_000)}
    found = definition("a = f0()", **bodies)
    in_a_signature(found, "a")
    assert len(reach_of(meta_graph(found)).functions) == 1_000
