"""A small part of `make torture`: killed processes, flipped bits, and many who ask at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cache.publishing import Publisher
from tests.cache.torture import Report, flips_in_the_cache, flips_on_the_way, kills, races

SEED = "suite"


@pytest.mark.parametrize("no_flock", [False, True])
def test_a_killed_process_leaves_nothing_that_is_served(publisher: Publisher, tmp_path: Path, no_flock: bool) -> None:
    report = Report()
    kills(publisher, tmp_path, 12, f"{SEED}{no_flock}", report, no_flock=no_flock)
    assert report.violations == []
    assert report.counts["processes killed"] > 3


def test_flipped_bits_on_the_way_are_never_kept(publisher: Publisher, tmp_path: Path) -> None:
    report = Report()
    flips_on_the_way(publisher, tmp_path, 30, SEED, report)
    assert report.violations == []
    assert any(what.startswith("flips in tar.gz: an error") for what in report.counts)


def test_flipped_bits_in_the_cache_are_never_served(publisher: Publisher, tmp_path: Path) -> None:
    report = Report()
    flips_in_the_cache(publisher, tmp_path, 30, SEED, report)
    assert report.violations == []
    assert report.counts["bits flipped in the cache, no server: an error"] > 0


@pytest.mark.parametrize("no_flock", [False, True])
def test_of_many_processes_one_downloads(publisher: Publisher, tmp_path: Path, no_flock: bool) -> None:
    report = Report()
    races(publisher, tmp_path, 1, SEED, report, no_flock=no_flock, processes=8)
    assert report.violations == []
    assert report.counts["downloads when 8 ask at once, no lock, 1"] > 1
