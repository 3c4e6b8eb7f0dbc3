"""Runs a program under the restrictions of a systemd unit, without systemd.

Usage, as root: python -m tests.sandbox UNIT STATE_FOLDER PROGRAM [ARGUMENT...]

Taken from the unit: ProtectSystem=strict (everything read-only but the state folder), an
unprivileged user without any capability, NoNewPrivileges, PrivateIPC, LimitNOFILE, TasksMax,
RestrictAddressFamilies, and the system call filter with its error number.
"""

from __future__ import annotations

import ctypes
import errno
import os
import resource
import socket
import subprocess
import sys
from pathlib import Path

USER_ID = 64_998
"""Nobody's, so that nothing but the state folder belongs to it."""

_CLONE_NEWNS, _CLONE_NEWIPC = 0x00020000, 0x08000000
_MS_RDONLY, _MS_REMOUNT, _MS_BIND, _MS_REC, _MS_PRIVATE = 0x1, 0x20, 0x1000, 0x4000, 0x40000
_MS_NOSUID, _MS_NODEV, _MS_NOEXEC = 0x2, 0x4, 0x8
_KEPT_FLAGS = {"nosuid": _MS_NOSUID, "nodev": _MS_NODEV, "noexec": _MS_NOEXEC}
_PR_CAPBSET_DROP, _PR_SET_NO_NEW_PRIVS = 24, 38
_SCMP_ACT_ALLOW, _SCMP_ACT_ERRNO, _SCMP_CMP_EQ = 0x7FFF0000, 0x00050000, 4

libc = ctypes.CDLL(None, use_errno=True)


class _Compare(ctypes.Structure):
    """libseccomp's struct scmp_arg_cmp."""

    _fields_ = (
        ("arg", ctypes.c_uint),
        ("op", ctypes.c_int),
        ("datum_a", ctypes.c_uint64),
        ("datum_b", ctypes.c_uint64),
    )


def settings(unit: Path) -> dict[str, list[str]]:
    """Read a unit's ``Key=value`` lines; a key may stand more than once."""
    found: dict[str, list[str]] = {}
    for line in unit.read_text().splitlines():
        key, given, value = line.partition("=")
        if given and not line.startswith("#"):
            found.setdefault(key, []).append(value)
    return found


def allowed_calls(filters: list[str]) -> set[str]:
    """Expand ``SystemCallFilter=`` lines: the first allows, those with ``~`` take away."""
    listed = subprocess.run(
        ["systemd-analyze", "syscall-filter"], capture_output=True, text=True, check=True
    )
    sets: dict[str, list[str]] = {}
    for line in listed.stdout.splitlines():
        if line.startswith("@"):
            sets[line] = members = []
        elif line.startswith(" ") and "#" not in line:
            members.append(line.strip())

    def expand(name: str) -> set[str]:
        if not name.startswith("@"):
            return {name}
        return {call for member in sets[name] for call in expand(member)}

    calls: set[str] = set()
    for line in filters:
        names = {call for name in line.lstrip("~").split() for call in expand(name)}
        calls = calls - names if line.startswith("~") else calls | names
    return calls


def restrict(unit: dict[str, list[str]], state: Path) -> None:
    """Give up, for good, all that the unit doesn't allow."""
    assert unit["ProtectSystem"] == ["strict"]
    assert unit["SystemCallErrorNumber"] == ["EPERM"]
    assert unit["CapabilityBoundingSet"] == [""]
    calls = allowed_calls(unit["SystemCallFilter"])
    _must(libc.unshare(_CLONE_NEWNS | _CLONE_NEWIPC))
    _mount(None, "/", _MS_REC | _MS_PRIVATE)
    _mount(state, state, _MS_BIND)
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        fields = line.split()
        place, flags = Path(fields[4]), fields[5].split(",")
        if place != state and place.parts[1:2] not in (("proc",), ("dev",)):
            kept = sum(_KEPT_FLAGS.get(flag, 0) for flag in flags)
            _mount(None, place, _MS_REMOUNT | _MS_BIND | _MS_RDONLY | kept)
    files, tasks = int(unit["LimitNOFILE"][0]), int(unit["TasksMax"][0])
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))
    resource.setrlimit(resource.RLIMIT_NPROC, (tasks, tasks))
    for capability in range(64):
        libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0)
    os.setgroups([])
    os.setresgid(USER_ID, USER_ID, USER_ID)
    os.setresuid(USER_ID, USER_ID, USER_ID)
    os.umask(int(unit["UMask"][0], 8))
    _must(libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
    _filter(calls, unit["RestrictAddressFamilies"][0].split())


def _filter(calls: set[str], families: list[str]) -> None:
    seccomp = ctypes.CDLL("libseccomp.so.2", use_errno=True)
    seccomp.seccomp_init.restype = ctypes.c_void_p
    seccomp.seccomp_load.argtypes = [ctypes.c_void_p]
    seccomp.seccomp_rule_add_array.argtypes = [
        ctypes.c_void_p, ctypes.c_uint32, ctypes.c_int, ctypes.c_uint, ctypes.POINTER(_Compare)
    ]  # fmt: skip
    context = seccomp.seccomp_init(_SCMP_ACT_ERRNO | errno.EPERM)
    for call in sorted(calls - {"socket"}):
        number = seccomp.seccomp_syscall_resolve_name(call.encode())
        if number >= 0:
            _must(seccomp.seccomp_rule_add_array(context, _SCMP_ACT_ALLOW, number, 0, None))
    number = seccomp.seccomp_syscall_resolve_name(b"socket")
    for family in families:
        equal = _Compare(arg=0, op=_SCMP_CMP_EQ, datum_a=getattr(socket, family))
        _must(seccomp.seccomp_rule_add_array(context, _SCMP_ACT_ALLOW, number, 1, equal))
    _must(seccomp.seccomp_load(context))


def _mount(source: Path | None, target: Path | str, flags: int) -> None:
    from_ = str(source).encode() if source else None
    _must(libc.mount(from_, str(target).encode(), None, ctypes.c_ulong(flags), None))


def _must(status: int) -> None:
    if status < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


if __name__ == "__main__":
    unit, state, *command = sys.argv[1:]
    restrict(settings(Path(unit)), Path(state))
    os.execvp(command[0], command)
