"""Kills processes while they fetch, flips bits on the way and in the cache, and compares every byte that comes out.

    python -m tests.cache.torture --kills 1000 --flips 1000 [--seed N] [--no-flock]

Every trial draws from a seed of its own, which is printed when it goes wrong; `--seed` repeats a run.
"""

from __future__ import annotations

import argparse
import logging
import os
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import modhub
from modhub.cache.leftovers import find_leftovers
from modhub.cache.names import key_of
from modhub.errors import ModhubError
from tests.cache.children import Child, Result, Task, settings_for, start
from tests.cache.damage import damage_entry, flip
from tests.cache.publishing import Publisher, contents, digest_of, made_files, packed, sha256

__all__ = ["Report", "flips_in_the_cache", "flips_on_the_way", "kills", "races"]

_PROCESSES = 16
# The pace of the server when a download is to take some time: of the whole archive in about these seconds.
_DOWNLOAD_S = 0.06
_MOST_RECOVERY_S = 1.0
# What a process may leave that is killed between putting an entry in its place and its own end.
_LATE = (".lock", ".descriptor", ".manifest")


@dataclass(kw_only=True)
class Report:
    """What was seen.

    Attributes:
      counts: how often what happened.
      violations: what must not happen, each with the seed of its trial.
      slowest: the longest that a fetch took after a kill, without the download, in seconds; and its seed.
    """

    counts: Counter[str] = field(default_factory=Counter)
    violations: list[str] = field(default_factory=list)
    slowest: tuple[float, str] = (0.0, "")

    def check(self, holds: bool, seed: str, what: str) -> None:
        if not holds:
            self.violations.append(f"[{seed}] {what}")
            print(f"VIOLATION [{seed}] {what}", flush=True)

    def judge(self, result: Result | None, truth: Mapping[str, bytes], seed: str, *, may_fail: bool = False) -> bool:
        """Check that a result is the module, byte for byte, or an error in words; tell whether it is the module."""
        if result is None:
            self.check(False, seed, "the process ended without a result")
            return False
        self.check(not result.surprise, seed, f"an error of others: {result.surprise}")
        self.check(result.locked == 0, seed, f"flock or lockf was called {result.locked} times")
        self.check(may_fail or not result.error, seed, f"refused: {result.error}")
        if result.directory is None:
            return False
        self.check(contents(Path(result.directory)) == truth, seed, f"{result.directory} is not what was published")
        return True


def kills(publisher: Publisher, folder: Path, count: int, seed: str, report: Report, *, no_flock: bool) -> None:
    """Kill a process that fetches, at any time, once or more; then fetch."""
    cache = folder / "kills"
    usual: dict[tuple[bool, bool], float] = {}
    for number in range(count):
        name = f"{seed}:kill:{number}"
        draw = random.Random(name)
        has_many = draw.random() < 0.1
        truth = made_files(number, count=200 if has_many else 4, size=500 if has_many else 30_000)
        path = f"/kill/{number}"
        archive = publisher.archives[path] = packed(truth)
        publisher.pace = len(archive) / _DOWNLOAD_S if draw.random() < 0.7 else None
        mode = draw.choices(["as usual", "no hard links", "no lock"], [0.6, 0.2, 0.2])[0]
        task = Task(
            handle=publisher.url(path),
            settings=settings_for(cache),
            no_flock=no_flock,
            no_links=mode == "no hard links",
            no_lock=mode == "no lock",
        )
        report.counts[f"trials with kills, {mode}"] += 1
        kind = has_many, publisher.pace is not None
        if kind not in usual:
            usual[kind] = _time_of(task, cache, truth, report, name)
        killed_at = time.monotonic()
        for _ in range(draw.choice([1, 1, 1, 2, 4])):
            by_call = draw.random() < 0.3
            child = start(_killing(task, draw.randint(1, 90)) if by_call else task)
            child.go()
            if not by_call:
                time.sleep(draw.uniform(0, 1.1 * usual[kind]))
                child.kill()
            killed_at = time.monotonic()
            result = child.result()
            if by_call:
                killed_at = time.monotonic()
            report.counts["processes killed"] += result is None
            report.counts["processes that were done before"] += result is not None
            if result is not None:
                report.judge(result, truth, name)
        _recover(task, cache, path, truth, killed_at, publisher, report, name)
        if (number + 1) % 50 == 0:
            print(f"  {number + 1} of {count} killed; slowest recovery {report.slowest[0]:.3f} s", flush=True)
        del publisher.archives[path]
        shutil.rmtree(cache / key_of(task.handle), ignore_errors=True)
    publisher.pace = None
    left = find_leftovers(cache, older_than=3600)
    report.counts["files left by processes killed after the download was in its place"] = len(left)
    for leftover in left:
        report.check(leftover.name.endswith(_LATE), seed, f"{leftover} is left after a successful fetch")


def _killing(task: Task, kill_at: int) -> Task:
    return Task(**{name: getattr(task, name) for name in Task.__dataclass_fields__} | {"kill_at": kill_at})


def _time_of(task: Task, cache: Path, truth: Mapping[str, bytes], report: Report, seed: str) -> float:
    """Return how long a fetch takes that nobody disturbs, and undo it."""
    child = start(task)
    begin = time.monotonic()
    child.go()
    report.judge(child.result(), truth, seed)
    took = time.monotonic() - begin
    shutil.rmtree(cache / key_of(task.handle))
    return took


def _recover(
    task: Task,
    cache: Path,
    path: str,
    truth: Mapping[str, bytes],
    killed_at: float,
    publisher: Publisher,
    report: Report,
    seed: str,
) -> None:
    child = start(task)
    asked = publisher.served.get(path, 0)
    child.go()
    result = child.result()
    took = time.monotonic() - killed_at
    report.judge(result, truth, seed)
    if publisher.served.get(path, 0) > asked:
        took -= publisher.seconds.get(path, 0.0)
    report.slowest = max(report.slowest, (took, seed))
    report.counts["recoveries of more than 1 s"] += took > _MOST_RECOVERY_S
    key = key_of(task.handle)
    expected = {key, f"{key}.descriptor.txt"}
    if publisher.served.get(path, 0) == asked:
        # It was there: the process was killed after all was done. Small files wait for the next fetch, or for gc.
        report.counts["killed after the download was in its place"] += 1
        names = {name for name in _names(cache, key) if not name.endswith(_LATE)}
    else:
        names = _names(cache, key)
    report.check(names <= expected, seed, f"leftovers: {sorted(names - expected)}")


def _names(cache: Path, key: str) -> set[str]:
    return {name for name in os.listdir(cache) if name.startswith(key)}


def flips_on_the_way(publisher: Publisher, folder: Path, count: int, seed: str, report: Report) -> None:
    """Flip bits in archives as they are sent."""
    truth = made_files(1, count=2, size=8_000)
    forms: dict[str, Callable[[], tuple[bytes, str]]] = {
        "tar.gz": lambda: (packed(truth), ""),
        "tar with a digest in the headers": lambda: (packed(truth, compressed=False), ""),
        "tar, pinned": lambda: (archive := packed(truth, compressed=False), sha256(archive)),
        "tar.gz, its files pinned": lambda: (packed(truth), digest_of(truth)),
    }
    for number in range(count):
        name = f"{seed}:way:{number}"
        draw = random.Random(name)
        form = draw.choice(list(forms))
        archive, pin = forms[form]()
        path = f"/way/{number}"
        publisher.archives[path] = archive
        publisher.headers = _repr_digest if "headers" in form else None
        broken = flip(archive, draw)
        only_first = draw.random() < 0.2
        publisher.alter = _altered(broken, only_first)
        handle = publisher.url(path) + (f"#sha256={pin}" if pin else "")
        result = _resolve_here(handle, folder / "way")
        same = report.judge(result, truth, name, may_fail=True)
        report.counts[f"flips in {form}: {'the published bytes' if same else 'an error'}"] += 1
        publisher.alter = publisher.headers = None
        if not same:
            report.judge(_resolve_here(handle, folder / "way"), truth, name)
        del publisher.archives[path]
        shutil.rmtree(folder / "way")
        if (number + 1) % 200 == 0:
            print(f"  {number + 1} of {count} flipped on the way", flush=True)


def _repr_digest(archive: bytes) -> dict[str, str]:
    import base64
    import hashlib

    digest = base64.b64encode(hashlib.sha256(archive).digest()).decode()
    return {"Repr-Digest": f"sha-256=:{digest}:"}


def _altered(broken: bytes, only_first: bool) -> Callable[[bytes], bytes]:
    left = [1 if only_first else 10**9]

    def alter(archive: bytes) -> bytes:
        left[0] -= 1
        return broken if left[0] >= 0 else archive

    return alter


def flips_in_the_cache(publisher: Publisher, folder: Path, count: int, seed: str, report: Report) -> None:
    """Flip bits in files of an entry, cut them, remove them; half of the time with no server to fetch them again."""
    truth = made_files(2, count=3, size=6_000)
    path = "/cached"
    publisher.archives[path] = packed(truth)
    cache = folder / "cached"
    handle = publisher.url(path)
    report.judge(_resolve_here(handle, cache), truth, seed)
    for number in range(count):
        name = f"{seed}:cached:{number}"
        draw = random.Random(name)
        what, is_hidden = damage_entry(cache / key_of(handle), draw)
        publisher.is_down = draw.random() < 0.5
        result = _resolve_here(handle, cache, offline=publisher.is_down and draw.random() < 0.5, verify=is_hidden)
        same = report.judge(result, truth, name, may_fail=publisher.is_down)
        server = "no server" if publisher.is_down else "a server"
        report.counts[f"{what} in the cache, {server}: {'the published bytes' if same else 'an error'}"] += 1
        publisher.is_down = False
        report.judge(_resolve_here(handle, cache, verify=is_hidden), truth, name)
        if (number + 1) % 200 == 0:
            print(f"  {number + 1} of {count} damaged in the cache", flush=True)


def _resolve_here(handle: str, cache: Path, *, offline: bool = False, verify: bool = False) -> Result:
    modhub.configure(cache_dir=cache, offline=offline, lock_file="", retries=1)
    try:
        return Result(directory=modhub.resolve(handle, verify=verify))
    except ModhubError as error:
        return Result(error=f"{type(error).__name__}: {error}")
    except Exception as error:
        return Result(surprise=f"{type(error).__name__}: {error}")
    finally:
        modhub.configure(cache_dir=None, offline=None, lock_file=None, retries=None)


def races(
    publisher: Publisher,
    folder: Path,
    rounds: int,
    seed: str,
    report: Report,
    *,
    no_flock: bool,
    processes: int = _PROCESSES,
) -> None:
    """Have many processes ask at once, and kill some of them."""
    cache = folder / "races"
    for number in range(rounds):
        for mode in ("as usual", "no hard links", "no lock", "some killed"):
            name = f"{seed}:race:{number}:{mode}"
            draw = random.Random(name)
            path = f"/race/{number}/{mode.replace(' ', '-')}"
            truth = made_files(number)
            archive = publisher.archives[path] = packed(truth)
            publisher.pace = len(archive) / 0.2
            task = Task(
                handle=publisher.url(path),
                settings=settings_for(cache),
                no_flock=no_flock,
                no_links=mode == "no hard links",
                no_lock=mode == "no lock",
            )
            children: list[Child] = [start(task) for _ in range(processes)]
            for child in children:
                child.go()
            doomed = draw.sample(children, processes // 2) if mode == "some killed" else []
            for child in doomed:
                time.sleep(draw.uniform(0, 0.05))
                child.kill()
            for child in children:
                result = child.result()
                if result is not None or child not in doomed:
                    report.judge(result, truth, name)
            downloads = publisher.served[path]
            report.counts[f"downloads when {processes} ask at once, {mode}, {number + 1}"] = downloads
            if mode in ("as usual", "no hard links"):
                report.check(downloads == 1, name, f"{downloads} downloads instead of one")
    publisher.pace = None


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--kills", type=int, default=1000, help="how many trials with killed processes")
    parser.add_argument("--flips", type=int, default=1000, help="how many on the way, and as many in the cache")
    parser.add_argument("--seed", default=f"{random.randrange(2**32):08x}", help="repeats a run")
    parser.add_argument("--no-flock", action="store_true", help="make flock and lockf do nothing")
    options = parser.parse_args()
    logging.getLogger("modhub").setLevel(logging.CRITICAL)
    report, begin = Report(), time.monotonic()
    print(f"seed {options.seed}", flush=True)
    with Publisher() as publisher, tempfile.TemporaryDirectory() as folder:
        where = Path(folder)
        races(publisher, where, 2, options.seed, report, no_flock=options.no_flock)
        flips_on_the_way(publisher, where, options.flips, options.seed, report)
        flips_in_the_cache(publisher, where, options.flips, options.seed, report)
        kills(publisher, where, options.kills, options.seed, report, no_flock=options.no_flock)
    for what, count in sorted(report.counts.items()):
        print(f"{count:7} {what}")
    print(f"{report.slowest[0]:7.3f} s from a kill to the module, without the download, at most [{report.slowest[1]}]")
    is_slow = report.slowest[0] > _MOST_RECOVERY_S
    print(f"{len(report.violations)} violations in {time.monotonic() - begin:.0f} s, seed {options.seed}")
    return 1 if report.violations or is_slow else 0


if __name__ == "__main__":
    sys.exit(main())
