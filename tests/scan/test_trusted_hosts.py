"""Which handles a prefix in the environment trusts."""

from __future__ import annotations

from pathlib import Path

import pytest

from modhub.errors import UntrustedModuleError
from modhub.format import protos
from modhub.inspection.trust import check_trust
from tests.scan.graphs import add_nodes


@pytest.fixture
def hostile(tmp_path: Path) -> Path:
    saved_model = protos.SavedModel()
    meta_graph = saved_model.meta_graphs.add()
    add_nodes(meta_graph.graph_def.node, "name = 'trace'\nevil = WriteFile(name, name)")
    meta_graph.collection_def["saved_model_main_op"].node_list.value.append("evil")
    (tmp_path / "saved_model.pb").write_bytes(saved_model.SerializeToString())
    return tmp_path


@pytest.mark.parametrize("prefix", ["https://good.example", "https://good.example/", "https://good.example/a/mod"])
def test_a_prefix_trusts_what_starts_with_it(hostile: Path, prefix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODHUB_TRUST", prefix)
    check_trust("https://good.example/a/module/1", hostile, None)


@pytest.mark.parametrize(
    "handle", ["https://good.example.evil/m", "https://good.example@evil/m", "https://good.examples"]
)
def test_the_prefix_of_a_host_trusts_no_other_host(hostile: Path, handle: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODHUB_TRUST", "https://good.example")
    with pytest.raises(UntrustedModuleError):
        check_trust(handle, hostile, None)
