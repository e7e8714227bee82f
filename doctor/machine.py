"""What is judged of the machine that the doctor runs on: Python, packages, files, disks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from doctor.finding import Finding, State, listed, size

GROUP = "this machine"
LEAST_PYTHON, TRIED_PYTHON = (3, 11), (3, 11)
ENOUGH_FILES = 4096
"""A connection of the gateway is an open file; so is each of a worker's producers, by partition."""

_LITTLE, _TOO_LITTLE = 2_000_000_000, 200_000_000


class Package(NamedTuple):
    """``found``: "" if it is not installed. ``locked``: a lock may have a version for each Python.
    ``exact``: whether we change or read its insides."""

    name: str
    found: str
    locked: tuple[str, ...]
    exact: bool


class Folder(NamedTuple):
    """``what`` it is for; bytes."""

    what: str
    path: str
    free: int
    total: int
    writable: bool


class MachineFacts(NamedTuple):
    """``packages``: those locked, ``None`` where no lock is at hand. ``files``: how many a process
    may open, and up to which that can be raised."""

    python: tuple[int, ...]
    packages: Sequence[Package] | None
    files: tuple[int, int]
    folders: Sequence[Folder]


def judge_machine(facts: MachineFacts) -> Iterator[Finding]:
    """Its findings, in order."""
    python = ".".join(map(str, facts.python))
    if facts.python < LEAST_PYTHON:
        yield Finding(GROUP, "python", "wrong", f"{python}: 3.11 is needed", "install a newer one")
    else:
        tried = facts.python[:2] == TRIED_PYTHON
        note = "" if tried else ", newer than the 3.11 that everything was measured with"
        yield Finding(GROUP, "python", "ok", f"{python}{note}")
    yield _packages(facts.packages)
    soft, hard = facts.files
    if soft < ENOUGH_FILES:
        yield Finding(
            GROUP,
            "open files",
            "warning",
            f"{soft} at most (could be {hard}): a gateway holds one for each learner, a worker one "
            "for each partition",
            f"ulimit -n {min(hard, 65_536)}, or LimitNOFILE= in the systemd unit",
        )
    else:
        yield Finding(GROUP, "open files", "ok", f"{soft} at most")
    for folder in facts.folders:
        yield _folder(folder)


def _packages(packages: Sequence[Package] | None) -> Finding:
    if packages is None:
        found = "no lock is at hand to compare with: installed as a package"
        return Finding(GROUP, "packages", "ok", found)
    other = [p for p in packages if p.found and p.found not in p.locked]
    other.sort(key=lambda package: not package.exact)
    exact = [p for p in other if p.exact]
    if not other:
        here = sum(bool(package.found) for package in packages)
        return Finding(GROUP, "packages", "ok", f"{here}, each as the lock says")
    state: State = "wrong" if exact else "warning"
    named = listed(f"{p.name} {p.found}, locked {' or '.join(p.locked)}" for p in other)
    advice = (
        "pip install --require-hashes -r requirements/stores.lock (runtime.lock without stores)"
    )
    why = "; insides of those that are pinned are changed by us" if exact else ""
    return Finding(GROUP, "packages", state, f"{len(other)} differ: {named}{why}", advice)


def _folder(folder: Folder) -> Finding:
    told = f"{folder.path}: {size(folder.free)} free of {size(folder.total)}"
    if not folder.writable:
        return Finding(
            GROUP,
            folder.what,
            "wrong",
            f"{folder.path}: this user may not write there",
            "run it as the user who owns it, or change the owner",
        )
    if folder.free < _LITTLE:
        state: State = "wrong" if folder.free < _TOO_LITTLE else "warning"
        return Finding(GROUP, folder.what, state, told, "make room")
    return Finding(GROUP, folder.what, "ok", told)


def locked(text: str) -> Mapping[str, tuple[str, ...]]:
    """Versions by package, of a file in ``requirements/``."""
    found: dict[str, tuple[str, ...]] = {}
    for line in text.splitlines():
        name, equals, rest = line.partition("==")
        if equals and name[:1].isalnum():
            found[name] = (*found.get(name, ()), rest.split()[0].rstrip(";"))
    return found
