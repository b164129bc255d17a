"""Whatever is done to a cache, and in whatever order: what it gives is what was published, or an error in words."""

from __future__ import annotations

import os
import random
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

import modhub
from modhub.cache.names import key_of
from modhub.errors import ModhubError
from modhub.format.layout import MANIFEST
from tests.cache.children import Task, settings_for, start
from tests.cache.damage import damage_entry
from tests.cache.publishing import Publisher, contents, digest_of, module_files, packed, sha256, write_files

_EXAMPLES = int(os.environ.get("MODHUB_FUZZ_EXAMPLES", "0")) // 100 or 20
_VERSIONS = [module_files(1), module_files(2)]
_ARCHIVES = [packed(files) for files in _VERSIONS]
_PINS = {"archive": [sha256(archive) for archive in _ARCHIVES], "files": [digest_of(files) for files in _VERSIONS]}


@dataclass(frozen=True)
class Whole:
    """What is known to be in an entry that nobody has damaged."""

    version: int
    has_archive: bool


class Machine(RuleBasedStateMachine):
    """A cache, the server that it is filled from, and what is known of both."""

    publisher: ClassVar[Publisher]
    made: ClassVar[int] = 0

    def __init__(self) -> None:
        super().__init__()
        Machine.made += 1
        self.path = f"/{Machine.made}/module"
        self.handle = self.publisher.url(self.path)
        self.folder = Path(tempfile.mkdtemp())
        self.cache = self.folder / "cache"
        self.whole: dict[str, Whole] = {}
        self.current = 0
        self.is_offline = False
        self.publisher.is_down = False
        self.publisher.archives[self.path] = _ARCHIVES[0]
        modhub.configure(cache_dir=self.cache, lock_file="", retries=0)

    def teardown(self) -> None:
        modhub.configure(cache_dir=None, lock_file=None, retries=None, offline=None)
        del self.publisher.archives[self.path]
        shutil.rmtree(self.folder)

    @property
    def _asked(self) -> int:
        return self.publisher.served.get(self.path, 0)

    def _is_hit(self, pin: tuple[str, int] | None) -> bool:
        if pin is None:
            return key_of(self.handle) in self.whole
        kind, version = pin
        slots = [key_of(self.handle), key_of(f"{self.handle}#sha256={_PINS[kind][version]}")]
        found = [self.whole[slot] for slot in slots if slot in self.whole]
        return any(each.version == version and (kind == "files" or each.has_archive) for each in found)

    @rule(pin=st.none() | st.tuples(st.sampled_from(["archive", "files"]), st.integers(0, 1)), verify=st.booleans())
    def get(self, pin: tuple[str, int] | None, verify: bool) -> None:
        asked, is_hit = self._asked, self._is_hit(pin)
        handle = self.handle if pin is None else f"{self.handle}#sha256={_PINS[pin[0]][pin[1]]}"
        may_fetch = not self.is_offline and not self.publisher.is_down and (pin is None or pin[1] == self.current)
        try:
            directory = Path(modhub.resolve(handle, verify=verify))
        except ModhubError:
            assert not is_hit
            assert not may_fetch
            assert not self.is_offline or self._asked == asked
            return
        found = contents(directory)
        assert found in _VERSIONS[: self.current + 1] if pin is None else found == _VERSIONS[pin[1]]
        if is_hit or self.is_offline:
            assert self._asked == asked
        if is_hit and pin is None:
            assert found == _VERSIONS[self.whole[directory.name].version]
        known = self.whole.get(directory.name)
        has_archive = self._asked > asked or bool(pin and pin[0] == "archive") or bool(known and known.has_archive)
        self.whole[directory.name] = Whole(_VERSIONS.index(found), has_archive)

    @rule(kill_at=st.integers(1, 100))
    def killed(self, kill_at: int) -> None:
        """What is whole stays so, whatever a process was at when it was killed."""
        more = {"MODHUB_OFFLINE": "1"} if self.is_offline else {}
        child = start(Task(handle=self.handle, settings=settings_for(self.cache, **more), kill_at=kill_at))
        child.go()
        result = child.result()
        assert result is None or not result.surprise

    @rule()
    def remove(self) -> None:
        try:
            modhub.cache.remove(self.handle)
        except ModhubError:
            assert not self.whole
        self.whole.clear()

    @rule()
    def collect(self) -> None:
        modhub.cache.gc()
        names = os.listdir(self.cache) if self.cache.is_dir() else []
        assert [name for name in names if name.endswith((".tmp", ".part", ".lock", ".old"))] == []

    @rule()
    def verify(self) -> None:
        damaged = {found.key for found in modhub.cache.verify() if found.damage}
        assert not damaged & set(self.whole)

    @rule(seed=st.integers(0, 10**6))
    def damage(self, seed: int) -> None:
        draw = random.Random(seed)
        for entry in self._entries()[:1]:
            known = self.whole.pop(entry.name, None)
            # Without a manifest, or after other damage, which may have taken it, nothing can tell what was there.
            is_hidden = known is None or not (entry / MANIFEST).exists() or damage_entry(entry, draw)[1]
            if is_hidden:
                shutil.rmtree(entry)

    @rule()
    def touch(self) -> None:
        for entry in self._entries():
            for path in entry.rglob("*"):
                if not path.is_symlink() and path.is_file():
                    os.utime(path)

    @rule(offline=st.booleans(), down=st.booleans())
    def unplug(self, offline: bool, down: bool) -> None:
        self.is_offline, self.publisher.is_down = offline, down
        modhub.configure(offline=offline)

    @rule()
    def publish_another(self) -> None:
        self.current = 1
        self.publisher.archives[self.path] = _ARCHIVES[1]

    @rule()
    def tensorflow_hub_fetches(self) -> None:
        key = key_of(self.handle)
        if (self.cache / key).exists():
            return
        write_files(self.cache / key, _VERSIONS[self.current])
        (self.cache / f"{key}.descriptor.txt").write_text(f"Module: {self.handle}\nDownload Time: now\n")
        self.whole[key] = Whole(self.current, has_archive=False)

    def _entries(self) -> list[Path]:
        entries = [path for path in self.cache.glob("*") if len(path.name) == 40 and path.is_dir()]
        return sorted(path for path in entries if any(each.is_file() for each in path.rglob("*")))


def test_a_cache_gives_what_was_published_or_an_error(publisher: Publisher) -> None:
    Machine.publisher = publisher
    run_state_machine_as_test(  # type: ignore[no-untyped-call]
        Machine,
        settings=settings(
            max_examples=_EXAMPLES,
            stateful_step_count=25,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
