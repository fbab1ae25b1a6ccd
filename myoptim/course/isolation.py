"""Keep the machine's files from a process by the system's own means, whatever its code knows.

Used on both sides: `sandbox.py` asks which ways this machine offers, and tries them on a process of
its own; `child.py` takes one before a student's code is run. The child loads this file alone, so it
imports the standard library only.

Ways, the stronger first:

- **landlock** (Linux 6.2 or newer): the process gives up, for good, every file but Python's and
  torch's, which it may read. Nothing may be written. Needs no privileges.
- **user** (where the grader is root): the process becomes a user whom nobody else is. Files that
  are open to everybody stay readable.

With either come, where Linux has them, a filter of system calls (no new process, no network, no
signals to others, no changes of a file's owner or mode), and the loss of all capabilities.
"""

import contextlib
import ctypes
import json
import os
import platform
import struct
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

WAYS: dict[str, str] = {
    "landlock": "a submission reads Python's and torch's files alone, and writes none",
    "user": "a submission runs as another user, who reads what everybody may read",
}
"""What the system can do for us, in words; the stronger first."""

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
NEEDED_VERSION = 3
"""Landlock before version 3 cannot keep a file from being emptied."""
_READ_FILE, _READ_DIR, _WRITE_FILE = 1 << 2, 1 << 3, 1 << 1
_ALL_OF_FILES = {3: (1 << 15) - 1, 5: (1 << 16) - 1}
_ALL_OF_TCP, _ALL_OF_SCOPES = 3, 3
_SET_NO_NEW_PRIVILEGES, _SET_SECCOMP, _DROP_BOUND = 38, 22, 24
_FILTER_MODE = 2
_CAPABILITIES_VERSION = 0x20080522

_SYSCALLS: dict[str, tuple[int, int, int, tuple[int, ...]]] = {
    # Machine: its number for filters, capset, tgkill, and what is refused: fork, exec, sockets,
    # signals, tracing, mounts, owners and modes, other processes' memory, io_uring, namespaces.
    "x86_64": (
        0xC000003E,
        126,
        234,
        (
            *(41, 53, 56, 57, 58, 59, 62, 90, 91, 92, 93, 94, 101, 132, 133, 165, 166, 188, 189),
            *(190, 200, 235, 250, 260, 261, 268, 272, 280, 298, 308, 310, 311, 321, 322, 323),
            *(424, 425, 435, 452),
        ),
    ),
    "aarch64": (
        0xC00000B7,
        91,
        131,
        (
            *(5, 6, 7, 33, 39, 40, 52, 53, 54, 55, 88, 97, 117, 129, 130, 198, 199, 219, 220),
            *(221, 241, 268, 270, 271, 280, 281, 282, 424, 425, 435, 452),
        ),
    ),
}


def confine(
    way: str,
    uid: int | None,
    hidden: Iterable[Path] = (),
    readable: Iterable[Path] = (),
    own: Iterable[Path] = (),
) -> None:
    """Take a way, for good: this process and all that it could start.

    Args:
        way: a key of `WAYS`, or "" for none.
        uid: the user to become, where we are root; None to stay who we are.
        hidden: packages inside Python's folders that are not to be read either.
        readable: further folders that it may read.
        own: folders in which it may do as it likes.

    Raises:
        OSError: the system refused what it offered before.
    """
    if uid is not None:
        os.setgroups([])
        os.setgid(uid)
        os.setuid(uid)
    if way == "landlock":
        further = [(str(place), _READ_FILE | _READ_DIR) for place in readable]
        further += [(str(place), _ALL_OF_FILES[3]) for place in own]
        _landlock([*_readable(set(hidden)), *further])
    if way and sys.platform == "linux" and platform.machine() in _SYSCALLS:
        _drop_capabilities()
        _filter_system_calls()


def landlock_version() -> int:
    """The version of Landlock that the kernel has; 0 where there is none."""
    if sys.platform != "linux":
        return 0
    return max(0, _libc().syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), 1))


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _done(result: int, what: str) -> int:
    if result < 0:
        error = ctypes.get_errno()
        raise OSError(error, f"{what}: {os.strerror(error)}")
    return result


def _readable(hidden: set[Path]) -> Iterator[tuple[str, int]]:
    """Paths with the access that they get: Python, its packages, and what the C library needs."""
    inside = tuple({os.path.realpath(p) + os.sep for p in (sys.prefix, sys.base_prefix, "/usr")})
    for place in map(os.path.realpath, sys.path):
        if place.startswith(inside) and os.path.isdir(place):
            yield from _but(Path(place), hidden | {Path(p) for p in sys.path})
    for place in ("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/share/zoneinfo"):
        yield place, _READ_FILE | _READ_DIR
    for place in ("/etc/ld.so.cache", "/etc/localtime", "/proc/cpuinfo", "/proc/meminfo"):
        yield place, _READ_FILE
    for place in ("/proc/self", "/sys/devices/system", "/dev/urandom"):
        yield place, _READ_FILE | _READ_DIR
    yield os.devnull, _READ_FILE | _WRITE_FILE


def _but(folder: Path, hidden: set[Path]) -> Iterator[tuple[str, int]]:
    """A folder without some of the things below it. Their names may be listed."""
    yield str(folder), _READ_DIR
    for path in folder.iterdir():
        if path in hidden:
            continue
        if any(path in one.parents for one in hidden):
            yield from _but(path, hidden)
        else:
            yield str(path), _READ_FILE | _READ_DIR


def _landlock(allowed: Iterable[tuple[str, int]]) -> None:
    libc = _libc()
    version = landlock_version()
    if version < NEEDED_VERSION:
        raise OSError(f"this kernel has Landlock {version or 'not at all'}")
    files = _ALL_OF_FILES[5 if version >= 5 else 3]
    tcp = _ALL_OF_TCP if version >= 4 else 0
    scopes = _ALL_OF_SCOPES if version >= 6 else 0
    size = 24 if version >= 6 else 16 if version >= 4 else 8
    attributes = struct.pack("=QQQ", files, tcp, scopes)[:size]
    rules = _done(libc.syscall(_CREATE_RULESET, attributes, ctypes.c_size_t(size), 0), "Landlock")
    for path, access in allowed:
        with contextlib.suppress(FileNotFoundError, PermissionError):
            _allow(libc, rules, path, access)
    _done(libc.prctl(_SET_NO_NEW_PRIVILEGES, 1, 0, 0, 0), "no_new_privs")
    _done(libc.syscall(_RESTRICT_SELF, rules, 0), "Landlock")
    os.close(rules)


def _allow(libc: ctypes.CDLL, rules: int, path: str, access: int) -> None:
    descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        if not os.path.isdir(path):
            access &= ~_READ_DIR  # only folders can be listed
        beneath = struct.pack("=Qi", access, descriptor)
        _done(libc.syscall(_ADD_RULE, rules, 1, beneath, 0), f"Landlock: {path}")
    finally:
        os.close(descriptor)


def _drop_capabilities() -> None:
    """Root without capabilities is the owner of root's files, and nothing more."""
    libc = _libc()
    for capability in range(64):
        libc.prctl(_DROP_BOUND, capability, 0, 0, 0)
    header = struct.pack("=Ii", _CAPABILITIES_VERSION, 0)
    _done(libc.syscall(_SYSCALLS[platform.machine()][1], header, bytes(24)), "capset")


def _filter_system_calls() -> None:
    """Refuse the system calls that a calculation has no use for."""
    machine, _, tgkill, refused = _SYSCALLS[platform.machine()]
    load, equal, above, leave = 0x20, 0x15, 0x35, 0x06
    allow, refuse = 0x7FFF0000, 0x00050001  # the latter gives EPERM
    program = [
        (load, 0, 0, 4),
        (equal, 1, 0, machine),
        (leave, 0, 0, refuse),
        (load, 0, 0, 0),
        (above, 0, 1, 0x40000000),  # the same calls by other numbers (x32)
        (leave, 0, 0, refuse),
    ]
    for number in refused:
        program += [(equal, 0, 1, number), (leave, 0, 0, refuse)]
    program += [  # A signal may be sent to oneself: abort() does.
        (equal, 0, 3, tgkill),
        (load, 0, 0, 16),
        (equal, 1, 0, os.getpid()),
        (leave, 0, 0, refuse),
        (leave, 0, 0, allow),
    ]
    code = b"".join(struct.pack("=HBBI", *instruction) for instruction in program)
    buffer = ctypes.create_string_buffer(code, len(code))
    description = struct.pack("@HP", len(program), ctypes.addressof(buffer))
    libc = _libc()
    _done(libc.prctl(_SET_NO_NEW_PRIVILEGES, 1, 0, 0, 0), "no_new_privs")
    _done(libc.prctl(_SET_SECCOMP, _FILTER_MODE, description, 0, 0), "seccomp")


def _try_out(way: str, uid: int | None, folder: Path) -> dict[str, bool]:
    """What a process that took a way can still do with files that are none of its business."""
    confine(way, uid)
    return {
        "private": _can(folder / "private", os.O_RDONLY),
        "public": _can(folder / "public", os.O_RDONLY),
        "write": _can(folder / "public", os.O_WRONLY)
        or _can(folder / "new", os.O_WRONLY | os.O_CREAT),
    }


def _can(path: Path, flags: int) -> bool:
    try:
        os.close(os.open(path, flags))
    except OSError:
        return False
    return True


if __name__ == "__main__":
    user = int(sys.argv[2]) if sys.argv[2] else None
    print(json.dumps(_try_out(sys.argv[1], user, Path(sys.argv[3]))))
