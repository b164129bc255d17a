from __future__ import annotations

from typing import Any

import pytest

from modhub.format import protos
from modhub.inspection.scan.paths import Origin, Paths
from tests.scan.graphs import add_nodes, meta_graph, text_constant

ASSET, CALLER, CONSTANT, COMPUTED = Origin.ASSET, Origin.CALLER, Origin.CONSTANT, Origin.COMPUTED


def definition(lines: str, **functions: str) -> Any:
    """Return a graph with an asset constant `asset`; functions have an argument `arg` and return `arg`."""
    found = protos.MetaGraphDef()
    found.graph_def.node.append(text_constant("asset", b"/tmp/words"))
    found.asset_file_def.add(filename="words").tensor_info.name = "asset:0"
    add_nodes(found.graph_def.node, lines)
    for name, body in functions.items():
        function = found.graph_def.library.function.add()
        function.signature.name = name
        function.signature.input_arg.add(name="arg")
        function.signature.output_arg.add(name="out")
        function.ret["out"] = "arg"
        add_nodes(function.node_def, body)
    return found


def node(found: Any, name: str) -> Any:
    return next(each for each in found.graph_def.node if each.name == name)


def source(found: Any, name: str = "read", function: str | None = None) -> Any:
    graph = meta_graph(found)
    nodes = graph.graph.functions[function].nodes if function else graph.graph.nodes
    (only,) = Paths(graph).sources(function, nodes.by_name[name])
    return only


@pytest.mark.parametrize(
    ("lines", "origins"),
    [
        ("read = ReadFile(asset)", {ASSET}),
        ("i = Identity(asset)\nread = ReadFile(i)", {ASSET}),
        ("c = '/etc/passwd'\nread = ReadFile(c)", {CONSTANT}),
        ("p = Placeholder()\nread = ReadFile(p)", {CALLER}),
        ("c = 'x'\np = PlaceholderWithDefault(c)\nread = ReadFile(p)", {CONSTANT}),
        ("c = 'x'\nj = StringJoin(c)\nread = ReadFile(j)", {COMPUTED}),
        ("c = 'x'\nn = IdentityN(asset, c)\nread = ReadFile(n)", {ASSET}),
        ("c = 'x'\nn = IdentityN(asset, c)\nread = ReadFile(n:1)", {CONSTANT}),
        ("n = IdentityN(asset)\nread = ReadFile(n:9)", {COMPUTED}),
        ("c = 'x'\nm = Merge(asset, c)\nread = ReadFile(m)", {ASSET, CONSTANT}),
        ("e = Enter(asset)\nm = Merge(e, n)\ns = Switch(m, b)\nn = NextIteration(s:1)\nread = ReadFile(s:1)", {ASSET}),
        ("i = Identity(j)\nj = Identity(i)\nread = ReadFile(i)", {COMPUTED}),
        ("read = ReadFile()", {COMPUTED}),
        ("read = ReadFile(^asset)", {COMPUTED}),
        ("read = ReadFile(nothing)", {COMPUTED}),
    ],
)
def test_origins_in_a_graph(lines: str, origins: set[Origin]) -> None:
    assert source(definition(lines)).origins == origins


def test_an_asset_that_is_computed_is_none() -> None:
    found = definition("c = 'x'\nmade = StringJoin(c)\nread = ReadFile(made)")
    found.asset_file_def.add(filename="words").tensor_info.name = "made:0"
    assert source(found).origins == {COMPUTED}


def test_an_input_that_has_a_default_is_none_of_the_callers() -> None:
    found = definition("p = Placeholder()\nread = ReadFile(p)")
    found.signature_def["s"].inputs["p"].name = "p:0"
    assert source(found).origins == {CALLER}
    found.signature_def["s"].defaults["p"].dtype = 7
    assert source(found).origins == {COMPUTED}


def called(lines: str, op: str, **attributes: str) -> Any:
    found = definition(f"{lines}\ncall = {op}", f="read = ReadFile(arg)")
    for name, function in attributes.items():
        node(found, "call").attr[name].func.name = function
    return found


@pytest.mark.parametrize(
    ("lines", "op", "attributes", "origins"),
    [
        ("", "f(asset)", {}, {ASSET}),
        ("", "PartitionedCall(asset)", {"f": "f"}, {ASSET}),
        ("c = 'x'", "PartitionedCall(c)", {"f": "f"}, {CONSTANT}),
        ("c = 'x'", "If(c, asset)", {"then_branch": "f"}, {ASSET}),
        ("c = 'x'", "While(asset)", {"cond": "f"}, {ASSET, COMPUTED}),
        ("c = 'x'", "While(asset)", {"body": "f"}, {ASSET}),
        ("c = 'x'", "MapDataset(asset)", {"f": "f"}, {COMPUTED}),
        ("c = 'x'", "PartitionedCall()", {"f": "f"}, {COMPUTED}),
    ],
)
def test_origins_of_arguments(lines: str, op: str, attributes: dict[str, str], origins: set[Origin]) -> None:
    assert source(called(lines, op, **attributes), function="f").origins == origins


def test_a_function_that_nobody_calls_has_computed_arguments() -> None:
    assert source(definition("", f="read = ReadFile(arg)"), function="f").origins == {COMPUTED}


def test_a_function_that_is_passed_on_has_computed_arguments() -> None:
    found = called("", "PartitionedCall(asset)", f="f")
    node(found, "call").attr["f"].func.attr["g"].func.name = "f"
    assert source(found, function="f").origins == {COMPUTED}


def test_all_callers_count() -> None:
    found = definition("c = 'x'\na = f(asset)\nb = f(c)", f="read = ReadFile(arg)")
    assert source(found, function="f").origins == {ASSET, CONSTANT}
    assert source(found, function="f").texts == {None, "x"}


def test_functions_that_call_themselves() -> None:
    assert source(definition("", f="read = ReadFile(arg)\nn = f(arg)"), function="f").origins == {COMPUTED}


@pytest.mark.parametrize(
    ("bound", "origins"), [(None, {CALLER}), ("asset", {ASSET}), ("variable", {COMPUTED}), ("constant", {COMPUTED})]
)
def test_arguments_of_functions_of_objects(bound: str | None, origins: set[Origin]) -> None:
    found = definition("", f="read = ReadFile(arg)")
    objects = found.object_graph_def
    objects.concrete_functions["f"].SetInParent()
    if bound:
        getattr(objects.nodes.add(), bound).SetInParent()
        objects.concrete_functions["f"].bound_inputs.append(0)
    assert source(found, function="f").origins == origins


def test_a_function_of_an_object_with_a_default_text() -> None:
    found = definition("", f="read = ReadFile(arg)")
    found.object_graph_def.concrete_functions["f"].SetInParent()
    arguments = found.object_graph_def.nodes.add().function.function_spec.fullargspec.named_tuple_value
    arguments.values.add(key="defaults").value.tuple_value.values.add().string_value = "/etc/passwd"
    assert source(found, function="f").origins == {COMPUTED}


def test_a_variable_that_is_assigned_once() -> None:
    lines = "v = VarHandleOp()\nset = AssignVariableOp(v, asset)\nr = ReadVariableOp(v)\nread = ReadFile(r)"
    assert source(definition(lines)).origins == {ASSET}
    assert source(definition(lines + "\nc = 'x'\nalso = AssignVariableOp(v, c)")).origins == {ASSET, CONSTANT}
    assert source(definition(lines + "\nother = f(v)", f="n = NoOp()")).origins == {COMPUTED}
    assert source(definition(lines + "\nother = Identity(v)")).origins == {COMPUTED}


def test_a_variable_of_two_handles() -> None:
    lines = "v = VarHandleOp()\nw = VarHandleOp()\nset = AssignVariableOp(v, asset)\nc = 'x'"
    found = definition(lines + "\nset2 = AssignVariableOp(w, c)\nr = ReadVariableOp(v)\nread = ReadFile(r)")
    assert source(found).origins == {ASSET}
    for name in ("v", "w"):
        node(found, name).attr["shared_name"].s = b"same"
    assert source(found).origins == {ASSET, CONSTANT}


@pytest.mark.parametrize(
    ("stored", "harmless"),
    [
        (None, True),
        ({"s": b"stderr"}, True),
        ({"s": b"file:///x"}, False),
        ({"placeholder": "p"}, False),
        ({"i": 1}, False),
    ],
)
def test_attributes(stored: dict[str, Any] | None, harmless: bool) -> None:
    found = definition("print = PrintV2()")
    if stored is not None:
        node(found, "print").attr["output_stream"].CopyFrom(protos.AttrValue(**stored))
    graph = meta_graph(found)
    assert Paths(graph).touch_nothing(None, graph.graph.nodes.by_name["print"]) is harmless


@pytest.mark.parametrize(
    ("lines", "harmless"),
    [
        ("c = ''", True),
        ("c = '/x'", False),
        ("c = Placeholder()", False),
        ("a = ''\nb = '/x'\nc = Merge(a, b)", False),
        ("a = ''\nb = ''\nc = Merge(a, b)", True),
    ],
)
def test_what_touches_nothing(lines: str, harmless: bool) -> None:
    graph = meta_graph(definition(lines + "\ncache = CacheDataset(asset, c)"))
    assert Paths(graph).touch_nothing(None, graph.graph.nodes.by_name["cache"]) is harmless


@pytest.mark.parametrize(
    ("lines", "follows"),
    [
        ("path = Identity(told)", True),
        ("part = '_temp/part'\npath = StringJoin(told, part)", True),
        ("part = '_temp/part'\nj = StringJoin(told, part)\nn = NoOp()\npath = ShardedFilename(j, n, n)", True),
        ("a = 'a'\nb = 'b'\ns = Select(n, a, b)\npath = StringJoin(told, s)", True),
        ("up = '/../../etc/x'\npath = StringJoin(told, up)", False),
        ("start = '/etc/x'\npath = StringJoin(start, told)", False),
        ("p = Placeholder()\npath = StringJoin(told, p)", False),
        ("part = 'x'\npath = Identity(part)", False),
        ("part = 'x'\npath = Merge(told, part)", False),
        ("path = ReadFile(told)", False),
        ("path = Identity(path)", False),
        ("path = StringJoin()", False),
    ],
)
def test_what_follows_a_saver(lines: str, follows: bool) -> None:
    found = definition(f"told = Placeholder()\n{lines}\nsave = SaveV2(path)")
    found.saver_def.filename_tensor_name = "told:0"
    graph = meta_graph(found)
    assert Paths(graph).follow_saver(None, graph.graph.nodes.by_name["save"]) is follows


def test_what_follows_a_saver_into_functions() -> None:
    body = "part = '_part'\npath = StringJoin(arg, part:output:0)\nsave = SaveV2(path:output:0)"
    found = definition("told = Placeholder()\nc = 'x'\nn = f(told)", f=body)
    found.saver_def.filename_tensor_name = "told:0"
    graph = meta_graph(found)
    assert Paths(graph).follow_saver("f", graph.graph.functions["f"].nodes.by_name["save"])
    add_nodes(found.graph_def.node, "m = f(c)")
    graph = meta_graph(found)
    assert not Paths(graph).follow_saver("f", graph.graph.functions["f"].nodes.by_name["save"])


def test_a_path_that_goes_too_far_is_computed() -> None:
    chain = "\n".join(f"n{index} = Identity({'asset' if not index else f'n{index - 1}'})" for index in range(5_000))
    assert source(definition(f"{chain}\nread = ReadFile(n10)")).origins == {ASSET}
    assert COMPUTED in source(definition(f"{chain}\nread = ReadFile(n4999)")).origins
