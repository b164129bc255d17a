from __future__ import annotations

import copy
import pickle
from pathlib import Path
from typing import Any

import pytest

from modhub.errors import InvalidArgumentError, UnknownVariableError, UnknownVariantError
from modhub.inspection.description import Inspection
from modhub.inspection.inspect import inspect
from tests.lint.crafted import PLAIN, Variant, write


@pytest.fixture
def large(tmp_path: Path) -> Inspection:
    """A module with two variants, and more variables than a line has room for."""
    names = [f"a/long/name/of/variable_{index}" for index in range(300)]
    variants = [Variant(signatures=PLAIN, variables=names, tags=tags) for tags in ((), ("train",))]
    return inspect(write(tmp_path / "large", *variants))


def test_a_repr_is_a_line_however_large_the_module_is(large: Inspection) -> None:
    assert repr(large) == (
        f"<Inspection handle={large.handle!r} format='TF1 Hub module' variants=2 variables=300 assets=0 files=4>"
    )
    train = large.variant("train")
    nodes = sum(train.ops.values())
    assert repr(train) == (
        f"<VariantDescription tags={{'train'}} signatures=1 nodes={nodes} functions=0 variables=300>"
    )


def test_a_description_is_equal_to_its_copies_which_read_the_same_values(large: Inspection) -> None:
    name = large.variables[7].name
    for other in (pickle.loads(pickle.dumps(large)), copy.deepcopy(large), inspect(large.handle)):
        assert other == large
        assert other.read_variable(name).tolist() == large.read_variable(name).tolist()


def test_a_variant_is_named_by_its_tags_one_by_one(large: Inspection) -> None:
    assert large.variant("train").tags == ("train",)
    assert large.variant().tags == ()
    with pytest.raises(UnknownVariantError, match=r"Did you mean \{'train'\}\?"):
        large.variant("tran")


@pytest.mark.parametrize("tags", [{"train"}, ["train"], None, 1])
def test_a_set_of_tags_is_refused_with_what_to_write(large: Inspection, tags: Any) -> None:
    with pytest.raises(InvalidArgumentError, match=r"variant\('train'\), variant\(\*tags\)"):
        large.variant(tags)


def test_variables_are_named_by_strings(large: Inspection) -> None:
    wrong: Any = 1
    with pytest.raises(InvalidArgumentError, match="named by a string, and not 1"):
        large.read_variable(wrong)
    with pytest.raises(InvalidArgumentError, match=r"pass \['kernel'\]"):
        list(large.read_variables("kernel"))
    with pytest.raises(UnknownVariableError, match="Did you mean 'a/long/name/of/variable_299'"):
        large.variable("a/long/name/of/variabl_299")
