"""Rights that a process of Linux gives up for good, before it runs code of others.

Landlock takes away files, TCP connections and signals to others (https://docs.kernel.org/userspace-api/landlock.html),
a filter of system calls what is left of its reach to the processes that started it, and root loses its privileges. No
privilege is needed, children inherit what is left, and nothing gives it back. UDP and the sockets of services of this
machine are not restricted. Other systems, and Linux before 5.13, have no Landlock.
"""

import ctypes
import os
import platform
import struct
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import psutil

from epitome_kit.system import process_group

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
"""Numbers of the system calls, the same on all processors."""

_VERSION, _PATH_BENEATH, _NO_NEW_PRIVILEGES = 1, 1, 38

_EXECUTE, _READ_FILE, _READ_FOLDER, _TRUNCATE, _DEVICE = 1, 1 << 2, 1 << 3, 1 << 14, 1 << 15
_READ = _EXECUTE | _READ_FILE | _READ_FOLDER
_OF_FILES = _EXECUTE | 1 << 1 | _READ_FILE | _TRUNCATE | _DEVICE
_FILES = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 5: (1 << 16) - 1}
"""Version to the rights on files that it knows."""

_CONNECTIONS, _OTHERS = 0b11, 0b11
"""TCP, from version 4; signals and abstract sockets, from version 6."""


_CALLS = {
    "x86_64": (0xC000003E, (62, 200, 234, 129, 297, 302, 311, 434)),
    "aarch64": (0xC00000B7, (129, 130, 131, 138, 240, 261, 271, 434)),
}
"""Processor to its number, and to those of the calls that reach another process, whose number is their first argument:
kill, tkill, tgkill, rt_sigqueueinfo, rt_tgsigqueueinfo, prlimit64, process_vm_writev, pidfd_open."""

_EVERYBODY = 0xFFFFFFFF
"""As the number of a process, all that it may signal."""

_SECCOMP, _FILTER, _FIRST_OF_X32 = 22, 2, 0x40000000
_ALLOW, _REFUSE = 0x7FFF0000, 0x00050001  # the second with EPERM
_LOAD, _EQUAL, _AT_LEAST, _RETURN = 0x20, 0x15, 0x35, 0x06
_NUMBER, _PROCESSOR, _FIRST_ARGUMENT = 0, 4, 16
"""What a filter loads: offsets in ``struct seccomp_data``."""

_CAPABILITIES_VERSION = 0x20080522


class _Ruleset(ctypes.Structure):
    _fields_ = [(name, ctypes.c_uint64) for name in ("files", "connections", "others")]


class _Beneath(ctypes.Structure):
    _pack_ = 1
    _fields_ = [("allowed", ctypes.c_uint64), ("folder", ctypes.c_int32)]


def landlock_version() -> int:
    """Return the version of Landlock of this system; 0 where there is none.

    Returns
    -------
    int
        Files can be restricted from version 1, connections from 4, signals from 6.
    """
    try:
        return max(_call(_CREATE_RULESET, None, ctypes.c_size_t(0), ctypes.c_uint32(_VERSION)), 0)
    except (AttributeError, OSError, TypeError):  # no C library under this name, or no system calls in it
        return 0


def give_up_rights(
    *, read: Iterable[Path], write: Iterable[Path], hidden: Iterable[Path] = (), listed: Iterable[Path] = ()
) -> int:
    """Restrict this process and those it starts to some files; to itself and its children, where the system can.

    Call it before any thread is started. Paths that do not exist are passed over.

    Parameters
    ----------
    read : sequence of Path
        Files, and folders with all below them, that can be read and executed.
    write : sequence of Path
        Those that can be written as well.
    hidden : sequence of Path
        Files and folders below those of `read` that cannot be read; their names can.
    listed : sequence of Path
        Folders of which names can be read, but no file.

    Returns
    -------
    int
        As of :func:`landlock_version`; with 0, nothing is restricted.
    """
    version = landlock_version()
    if not version:
        return 0
    read, hidden = [path.resolve() for path in read], [path.resolve() for path in hidden]
    known = max(rights for since, rights in _FILES.items() if since <= version)
    wanted = _Ruleset(known, _CONNECTIONS if version >= 4 else 0, _OTHERS if version >= 6 else 0)
    rules = _checked(_call(_CREATE_RULESET, ctypes.byref(wanted), ctypes.c_size_t(8 * _fields_of(version)), 0))
    for path in {*read, *map(Path.resolve, listed)}:
        _allow(rules, path, _READ_FOLDER)
    for root in read:
        for path in _except(root, hidden):
            _allow(rules, path, _READ)
    for path in write:
        _allow(rules, path, known)
    _checked(_libc().prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0))
    _checked(_call(_RESTRICT_SELF, rules, 0))
    os.close(rules)
    _leave_alone([process.pid for process in psutil.Process().parents()])
    _drop_privileges()
    return version


def _leave_alone(processes: Sequence[int]) -> None:
    """Refuse system calls that would signal some processes or change their limits."""
    if platform.machine() not in _CALLS:
        return
    processor, calls = _CALLS[platform.machine()]
    groups = {process_group(pid) for pid in processes} - {0}
    protected = sorted({_EVERYBODY, *processes, *(2**32 - group for group in groups)})
    refuse = struct.pack("=HBBI", _RETURN, 0, 0, _REFUSE)
    steps = [struct.pack("=HBBI", _LOAD, 0, 0, _PROCESSOR), struct.pack("=HBBI", _EQUAL, 1, 0, processor), refuse]
    steps += [struct.pack("=HBBI", _LOAD, 0, 0, _NUMBER), struct.pack("=HBBI", _AT_LEAST, 0, 1, _FIRST_OF_X32), refuse]
    steps += [struct.pack("=HBBI", _EQUAL, len(calls) - number, 0, call) for number, call in enumerate(calls)]
    steps += [struct.pack("=HBBI", _RETURN, 0, 0, _ALLOW), struct.pack("=HBBI", _LOAD, 0, 0, _FIRST_ARGUMENT)]
    for pid in protected:
        steps += [struct.pack("=HBBI", _EQUAL, 0, 1, pid), refuse]
    steps.append(struct.pack("=HBBI", _RETURN, 0, 0, _ALLOW))
    code = ctypes.create_string_buffer(b"".join(steps))
    program = ctypes.create_string_buffer(struct.pack("@HP", len(steps), ctypes.addressof(code)))
    _checked(_libc().prctl(_SECCOMP, _FILTER, program, 0, 0))


def _drop_privileges() -> None:
    """Give up the privileges of root, which could undo the rest."""
    head = ctypes.create_string_buffer(struct.pack("=Ii", _CAPABILITIES_VERSION, 0))
    _checked(_libc().capset(head, ctypes.create_string_buffer(bytes(24))))


def _fields_of(version: int) -> int:
    return 1 if version < 4 else 2 if version < 6 else 3


def _except(path: Path, hidden: list[Path]) -> Iterator[Path]:
    """Yield a path, or in its place all that is below it except what is hidden."""
    if path in hidden:
        return
    below = [each for each in hidden if each.is_relative_to(path)]
    if not below:
        yield path
    elif path.is_dir():
        for each in path.iterdir():
            yield from _except(each.resolve(), below)


def _allow(rules: int, path: Path, rights: int) -> None:
    try:
        opened = os.open(path, os.O_PATH | os.O_CLOEXEC)  # type: ignore[attr-defined,unused-ignore]  # Linux only
    except OSError:
        return
    try:
        rights = rights if path.is_dir() else rights & _OF_FILES
        if rights:
            beneath = _Beneath(rights, opened)
            _checked(_call(_ADD_RULE, rules, _PATH_BENEATH, ctypes.byref(beneath), 0))
    finally:
        os.close(opened)


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _call(number: int, *values: object) -> int:
    return _libc().syscall(ctypes.c_long(number), *values)


def _checked(result: int) -> int:
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"Landlock: {os.strerror(code)}")
    return result
