"""Runs a program on a machine that may open no more sockets: every socket(2) of it fails with ENFILE.

    python3 no_file_left.py PROGRAM ARGUMENT…

The limit itself (fs.file-max) holds for the whole machine and not for root, so the kernel is told to refuse this program alone
(seccomp(2)).
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct
import sys

#: The number of socket(2).
SOCKET = {"x86_64": 41, "aarch64": 198}
PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 38, 22, 2
# linux/filter.h and linux/seccomp.h: load the number of the call, compare, return.
LOAD, EQUAL, RETURN = 0x20, 0x15, 0x06
ALLOW, REFUSE = 0x7FFF0000, 0x00050000


class Program(ctypes.Structure):
    """struct sock_fprog"""

    _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.c_char_p)]


def refuse_sockets() -> None:
    """From now on, and in whatever this process becomes."""
    steps = [(LOAD, 0, 0, 0), (EQUAL, 0, 1, SOCKET[platform.machine()]), (RETURN, 0, 0, REFUSE | errno.ENFILE), (RETURN, 0, 0, ALLOW)]
    code = b"".join(struct.pack("HBBI", *step) for step in steps)
    libc = ctypes.CDLL(None, use_errno=True)
    program = Program(len(steps), code)
    zero = ctypes.c_ulong(0)
    for arguments in (
        (PR_SET_NO_NEW_PRIVS, ctypes.c_ulong(1), zero, zero, zero),
        (PR_SET_SECCOMP, ctypes.c_ulong(SECCOMP_MODE_FILTER), ctypes.byref(program), zero, zero),
    ):
        if libc.prctl(*arguments) != 0:
            number = ctypes.get_errno()
            raise OSError(number, f"prctl: {os.strerror(number)}")


if __name__ == "__main__":
    refuse_sockets()
    os.execvp(sys.argv[1], sys.argv[1:])
