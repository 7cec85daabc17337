"""Becomes another program that dies with the process that started it.

Run as a file: `python leash.py PARENT_PID DEATH_SIGNAL USER -- PROGRAM ARGS…`.
Linux sends DEATH_SIGNAL when the parent is gone, however it went; elsewhere the next start ends
what was left.
A USER other than "-" is become first (PostgreSQL refuses root); that user keeps the right to pass
through directories it could not open, so no permission in the checkout or the home has to be widened.
"""

from __future__ import annotations

import ctypes
import os
import pwd
import sys

PR_SET_PDEATHSIG = 1
PR_SET_KEEPCAPS = 8
PR_CAP_AMBIENT = 47
PR_CAP_AMBIENT_RAISE = 2
CAP_DAC_OVERRIDE = 1
CAPABILITY_VERSION_3 = 0x20080522


class _Header(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _Data(ctypes.Structure):
    _fields_ = (
        ("effective", ctypes.c_uint32),
        ("permitted", ctypes.c_uint32),
        ("inheritable", ctypes.c_uint32),
    )


def become(user: str, libc: ctypes.CDLL) -> None:
    """Drop to `user`. Where the system refuses the capability, the program says what it cannot open."""
    entry = pwd.getpwnam(user)
    libc.prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0)
    os.setgroups([])
    os.setgid(entry.pw_gid)
    os.setuid(entry.pw_uid)
    mask = 1 << CAP_DAC_OVERRIDE
    data = (_Data * 2)(_Data(mask, mask, mask), _Data(0, 0, 0))
    libc.capset(ctypes.byref(_Header(CAPABILITY_VERSION_3, 0)), ctypes.byref(data))
    libc.prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_DAC_OVERRIDE, 0, 0)


def command(user: str, *program: str, death_signal: int = 9) -> tuple[str, ...]:
    """The command line that runs `program` on this process's leash."""
    # -I -S: the launcher needs no site packages, and starts in 10 ms without them.
    launcher = (sys.executable, "-I", "-S", __file__)
    return (*launcher, str(os.getpid()), str(death_signal), user, "--", *program)


def main(argv: list[str]) -> None:
    parent, signal_number, user = int(argv[1]), int(argv[2]), argv[3]
    program = argv[5:]
    if sys.platform == "linux":
        libc = ctypes.CDLL(None, use_errno=True)
        if user != "-":
            become(user, libc)
        # After the change of user, which clears it.
        libc.prctl(PR_SET_PDEATHSIG, signal_number, 0, 0, 0)
        if os.getppid() != parent:
            sys.exit(1)
    elif user != "-":
        entry = pwd.getpwnam(user)
        os.setgid(entry.pw_gid)
        os.setuid(entry.pw_uid)
    os.execvp(program[0], program)  # noqa: S606 - becoming the program is the purpose


if __name__ == "__main__":
    main(sys.argv)
