from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from modhub.inspection.lint import all_rules, lint
from tests.lint.crafted import PLAIN, Signatures, Variant, constant, found, node, write

BOTH = ((), ("train",))
MEAN = "bn/moving_mean"
OWN: Signatures = {"default": ({"x": "float32 ? 2 @ x"}, {"default": "float32 ? 2 @ y"})}


def moving(step: list[Any], last: str = "step") -> list[Any]:
    """x -> x, and an update op that moves `bn/moving_mean` towards it."""
    return [
        node("x", "Placeholder"), node("y", "Identity", "x"), node(MEAN, "VarHandleOp"),
        node("read", "ReadVariableOp", MEAN), node("away", "Sub", "read", "x"), *step,
        node("delta", "Mul", "away", last),
        node("move", "AssignSubVariableOp", MEAN, "delta"), node("done", "ReadVariableOp", MEAN, "^move"),
    ]  # fmt: skip


def in_training(nodes: list[Any], **more: Any) -> Variant:
    return Variant(
        signatures=OWN, tags=["train"], nodes=nodes, variables=[MEAN], collections={"update_ops": ["done:0"]}, **more
    )


def momentum(value: float) -> list[Any]:
    return [constant("one", 1.0), constant("momentum", value), node("step", "Sub", "one", "momentum")]


@pytest.mark.parametrize(
    ("step", "is_slow"),
    [
        (momentum(0.999), True),
        (momentum(0.9997), True),
        (momentum(0.99), False),
        ([constant("step", 0.001)], True),
        ([constant("step", 0.01)], False),
        ([node("step", "Placeholder")], False),
        ([constant("c", 0.0001), node("step", "Identity", "c")], True),
    ],
)
def test_slow_moving_averages_are_found(step: list[Any], is_slow: bool, tmp_path: Path) -> None:
    module = write(tmp_path / "module", in_training(moving(step)))
    assert bool(found("batch-norm-momentum", module)) is is_slow
    for finding in found("batch-norm-momentum", module):
        assert "momentum of 0.999" in finding.message
        assert "'move'" in finding.message


def test_a_momentum_that_callers_give_is_not_fixed(tmp_path: Path) -> None:
    signatures = {**OWN, "tuned": ({"batch_norm_momentum": "float32"}, {"default": "float32 ? 2 @ y"})}
    variant = in_training(moving(momentum(0.999)))
    given = write(tmp_path / "given", Variant(**{**vars(variant), "signatures": signatures}))
    assert found("batch-norm-momentum", given) == found("fixed-hyperparameter", given) == []
    (note,) = found("fixed-hyperparameter", write(tmp_path / "fixed", variant))
    assert note.message == "Moving averages have a fixed momentum: 0.999."


def test_other_assignments_are_no_moving_averages(tmp_path: Path) -> None:
    nodes = [*moving([constant("step", 0.001)])[:4], constant("step", 0.001), node("delta", "Mul", "x", "step")]
    nodes += [node("away", "Sub", "x", "x"), node("delta2", "Mul", "away", "step")]
    nodes += [node("move", "AssignSubVariableOp", MEAN, "delta"), node("done", "AssignSubVariableOp", MEAN, "delta2")]
    module = write(tmp_path / "module", in_training(nodes))
    assert found("batch-norm-momentum", module) == found("fixed-hyperparameter", module) == []


def test_variables_are_trainable_and_regularized(tmp_path: Path) -> None:
    frozen = write(tmp_path / "frozen", Variant(signatures=PLAIN, variables=["a", "b"]))
    assert [finding.rule for finding in lint(frozen).findings] == ["trainable-variables-missing"]
    free = write(tmp_path / "free", Variant(signatures=PLAIN, variables=["a", "b"], trainable=["a"]))
    (finding,) = lint(free).findings
    assert (finding.rule, finding.message) == (
        "regularization-losses-missing",
        "It has 1 trainable variable, and no regularization losses.",
    )
    losses = {"regularization_losses": ["loss:0"]}
    good = Variant(
        signatures=PLAIN, variables=["a"], trainable=["a"], collections=losses, nodes=[node("loss", "L2Loss")]
    )
    assert lint(write(tmp_path / "good", good)).findings == ()
    assert lint(write(tmp_path / "none", Variant(signatures=PLAIN))).findings == ()


def test_the_checkpoint_has_the_variables_of_all_variants(tmp_path: Path) -> None:
    variants = [Variant(signatures=PLAIN, tags=tags, variables=["a", *tags]) for tags in BOTH]
    (finding,) = found("variables-missing", write(tmp_path / "module", *variants, stored=["a", "other"]))
    assert (finding.where, finding.message) == ("variant {'train'}", "The checkpoint lacks 'train'.")
    assert found("variables-missing", write(tmp_path / "whole", *variants)) == []


def test_collections_name_what_is_in_the_graph(tmp_path: Path) -> None:
    collections = {"update_ops": ["default/inputs/x", "gone"], "regularization_losses": ["lost:0"]}
    module = write(tmp_path / "module", Variant(signatures=PLAIN, collections=collections, tags=["train"]))
    (finding,) = found("collection-dangling", module)
    assert finding.message == "The graph lacks 'lost:0', 'gone'."


def norm(**attributes: Any) -> list[Any]:
    return [node("x", "Placeholder"), node("y", "FusedBatchNormV3", "x", **attributes)]


@pytest.mark.parametrize(
    ("variants", "rules"),
    [
        # Batch norm for inference only, with variables that can be trained, and with none.
        (
            [Variant(signatures=OWN, nodes=norm(is_training=False), variables=["g"], trainable=["g"])],
            ["train-variant-missing"],
        ),
        ([Variant(signatures=PLAIN, variables=["g", MEAN], trainable=["g"])], ["train-variant-missing"]),
        ([Variant(signatures=OWN, nodes=norm(is_training=False), variables=["g"])], []),
        ([Variant(signatures=PLAIN, variables=["g", "moving_target"], trainable=["g"])], []),
        # Not needed by any output.
        ([Variant(signatures=PLAIN, nodes=norm(is_training=False), variables=["g"], trainable=["g"])], []),
        # In training mode, which is the op's default; as an instance norm it has no moving averages.
        ([Variant(signatures=OWN, nodes=norm(), variables=[MEAN])], ["batch-statistics-at-inference"]),
        ([Variant(signatures=OWN, nodes=norm(is_training=True), variables=["g"])], []),
        ([Variant(signatures=OWN, nodes=norm(), variables=[MEAN], tags=["train"])], ["update-ops-missing"]),
        ([in_training([*norm(), node("done", "NoOp")])], []),
        ([in_training([norm()[0], node("y", "Relu", "x"), node("done", "NoOp")])], []),
        ([Variant(signatures=PLAIN, collections={"update_ops": ["default/inputs/x"]})], ["update-ops-at-inference"]),
        ([Variant(signatures=PLAIN, tags=["train"], collections={"update_ops": ["default/inputs/x"]})], []),
    ],
)
def test_batch_norm_fits_the_variants(variants: list[Variant], rules: list[str], tmp_path: Path) -> None:
    findings = lint(write(tmp_path / "module", *variants)).findings
    notes = {"regularization-losses-missing", "trainable-variables-missing"}
    assert [finding.rule for finding in findings if finding.rule not in notes] == rules


def test_a_needless_train_variant_is_found(tmp_path: Path) -> None:
    same = [Variant(signatures=PLAIN, tags=tags, nodes=[constant("c", 1.0, 2.0)]) for tags in BOTH]
    (finding,) = lint(write(tmp_path / "same", *same)).findings
    assert (finding.rule, finding.where) == ("train-variant-needless", "variant {'train'}")
    other = [same[0], Variant(signatures=PLAIN, tags=("train",), nodes=[constant("c", 1.0, 3.0)])]
    assert lint(write(tmp_path / "other", *other)).findings == ()


def test_large_constants_make_graphs_differ(tmp_path: Path) -> None:
    values = [[float(end)] * 20_000 for end in (1, 2)]
    same = [Variant(signatures=PLAIN, tags=tags, nodes=[constant("c", *values[0])]) for tags in BOTH]
    assert found("train-variant-needless", write(tmp_path / "same", *same))
    other = [
        Variant(signatures=PLAIN, tags=tags, nodes=[constant("c", *each)])
        for tags, each in zip(BOTH, values, strict=True)
    ]
    assert found("train-variant-needless", write(tmp_path / "other", *other)) == []


@pytest.mark.parametrize(
    ("training", "says"),
    [
        ({"default": ({"x": "float32 8 2"}, {"default": "float32 ? 2"})}, "the input 'x' is float32 [?, 2] in one"),
        ({"default": ({"x": "float32 ? 2"}, {"default": "float64 ? 2"})}, "float64"),
        ({**PLAIN, "more": PLAIN["default"]}, "The variant {} does not have it."),
        ({"other": PLAIN["default"]}, "The variant {'train'} does not have it."),
        (PLAIN, None),
        ({**PLAIN, "image_feature_vector_with_bn_hparams": PLAIN["default"]}, None),
    ],
)
def test_signatures_are_the_same_in_training(training: Signatures, says: str | None, tmp_path: Path) -> None:
    variants = [Variant(signatures=PLAIN), Variant(signatures=training, tags=["train"])]
    messages = [finding.message for finding in found("signatures-differ", write(tmp_path / "module", *variants))]
    assert bool(messages) is (says is not None)
    assert says is None or any(says in message for message in messages)


def test_variants_that_are_not_for_training_may_differ(tmp_path: Path) -> None:
    small = {"default": ({"x": "float32 8 2"}, {"default": "float32 8 2"})}
    variants = [Variant(signatures=PLAIN), Variant(signatures=small, tags=["bs8"])]
    assert lint(write(tmp_path / "module", *variants)).findings == ()


def dropped(*mask: Any, first: str = "RandomUniform") -> list[Any]:
    return [node("x", "Placeholder"), constant("rate", 0.3), node("uniform", first), *mask]


GREATER = node("mask", "GreaterEqual", "uniform", "rate")


@pytest.mark.parametrize(
    ("nodes", "is_dropout"),
    [
        (dropped(GREATER, node("cast", "Cast", "mask"), node("y", "Mul", "x", "cast")), True),
        (dropped(GREATER, node("y", "SelectV2", "mask", "x", "x")), True),
        (
            dropped(node("sum", "Add", "rate", "uniform"), node("keep", "Floor", "sum"), node("y", "Mul", "x", "keep")),
            True,
        ),
        (dropped(GREATER, node("y", "Select", "mask", "x", "x"), first="StatelessRandomUniformV2"), True),
        # Computed and not used; compared the other way round; not compared.
        (dropped(GREATER, node("z", "Mul", "x", "mask"), node("y", "Identity", "x")), False),
        (dropped(node("mask", "GreaterEqual", "rate", "uniform"), node("y", "Select", "mask", "x", "x")), False),
        (dropped(node("y", "Mul", "x", "uniform")), False),
        (dropped(node("floor", "Floor", "uniform"), node("y", "Mul", "x", "floor")), False),
        (dropped(GREATER, node("cast", "Cast", "mask"), node("y", "AddV2", "x", "cast")), False),
    ],
)
def test_dropout_is_for_training(nodes: list[Any], is_dropout: bool, tmp_path: Path) -> None:
    module = write(tmp_path / "module", Variant(signatures=OWN, nodes=nodes))
    assert bool(found("dropout-at-inference", module)) is is_dropout
    training = write(tmp_path / "training", Variant(signatures=OWN, nodes=nodes, tags=["train"]))
    assert found("dropout-at-inference", training) == found("random-output", training) == []
    notes = [finding.message for finding in found("fixed-hyperparameter", training)]
    assert notes == (["Dropout has fixed rates (of dropping or keeping): 0.3."] if is_dropout else [])


@pytest.mark.parametrize(
    ("op", "is_random"),
    [
        ("RandomStandardNormal", True),
        ("Multinomial", True),
        ("StatefulUniform", True),
        ("StatelessRandomNormal", False),
    ],
)
def test_random_outputs_are_noted(op: str, is_random: bool, tmp_path: Path) -> None:
    nodes = [node("x", "Placeholder"), node("drawn", op), node("y", "AddV2", "x", "drawn")]
    assert bool(found("random-output", write(tmp_path / "module", Variant(signatures=OWN, nodes=nodes)))) is is_random
    # As an initializer of a variable has them.
    apart = [*nodes[:2], node("y", "Identity", "x")]
    assert found("random-output", write(tmp_path / "apart", Variant(signatures=OWN, nodes=apart))) == []


def test_random_numbers_in_functions_are_noted(tmp_path: Path) -> None:
    from tests.lint.crafted import function

    body = function("f", node("drawn", "RandomUniform"))
    for name, call, expected in (("called", "f", 1), ("apart", "Relu", 0)):
        nodes = [node("x", "Placeholder"), node("y", call, "x")]
        variant = Variant(signatures=OWN, nodes=nodes, functions=[body])
        assert len(found("random-output", write(tmp_path / name, variant))) == expected


@pytest.mark.parametrize(("drawn_after", "is_found"), [("^enter", True), ("^exit", False)])
def test_random_numbers_in_loops_are_noted(drawn_after: str, is_found: bool, tmp_path: Path) -> None:
    inside = drawn_after == "^enter"
    nodes = [
        node("x", "Placeholder"), node("enter", "Enter", "x"), node("drawn", "RandomUniform", drawn_after),
        node("body", "AddV2", "enter", "drawn" if inside else "enter"), node("exit", "Exit", "body"),
        node("y", "AddV2", "exit", "exit" if inside else "drawn"),
    ]  # fmt: skip
    module = write(tmp_path / "module", Variant(signatures=OWN, nodes=nodes))
    assert bool(found("random-in-loop", module)) is is_found
    assert found("random-output", module)


def test_every_rule_for_training_is_tried() -> None:
    text = Path(__file__).read_text(encoding="utf-8")
    topics = re.compile("fine_tuning|variants|randomness")
    assert [rule.id for rule in all_rules().values() if topics.fullmatch(rule.topic) and rule.id not in text] == []
