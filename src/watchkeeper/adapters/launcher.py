"""The last thing before a child's own program. Run as `python -I -S launcher.py PARENT CONTROL STATUS ORDER`, never imported.

Nothing can run between fork and exec of a process that has threads, so what must be set in the child is set here,
by a small single-threaded program that then becomes the child: own session and group, death with the parent,
limits. It waits for its order on CONTROL, so that the parent can first write down who it is (its pid and start time
stay the same across exec), and it ends without doing anything when the parent goes away before that.

ORDER is a file with one JSON object. CONTROL carries one byte when it may be carried out, and only ends when it may
not. STATUS answers `r` once the process stands by, and then either ends (the program was started) or carries
`{errno, what}`.
"""

import ctypes
import json
import os
import resource
import signal
import sys

PR_SET_PDEATHSIG = 1  # Source: prctl(2)
PR_SET_NO_NEW_PRIVS = 38

LIMITS = {
    "cpu_s": resource.RLIMIT_CPU,
    "memory_bytes": resource.RLIMIT_AS,
    "files": resource.RLIMIT_NOFILE,
    "processes": resource.RLIMIT_NPROC,
    "file_bytes": resource.RLIMIT_FSIZE,
}


def main() -> None:
    parent, control, status, order = (int(one) for one in sys.argv[1:5])
    for one in (control, status, order):
        os.set_inheritable(one, False)
    os.setsid()
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    if prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
        failed(status, "prctl", ctypes.get_errno())
    if os.getppid() != parent:  # it died before the signal was asked for, and so cannot send it
        sys.exit(1)
    os.write(status, b"r")
    if os.read(control, 1) != b"g":  # the parent is gone, or has thought better of it
        sys.exit(1)
    with os.fdopen(order, "rb") as file:
        wanted = json.load(file)
    os.umask(0o077)
    try:
        os.chdir(wanted["cwd"])
    except OSError as refused:
        failed(status, f"working directory {wanted['cwd']}", refused.errno)
    if wanted["no_new_privileges"] and prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        failed(status, "prctl", ctypes.get_errno())
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core file would hold the secrets
    for name, limit in wanted["limits"].items():
        try:
            hard = resource.getrlimit(LIMITS[name])[1]
            lower = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
            resource.setrlimit(LIMITS[name], (lower, lower))
        except OSError as refused:
            failed(status, f"limit {name}", refused.errno)
    for one in (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGINT):
        signal.signal(one, signal.SIG_DFL)  # Python ignores or catches them, and exec would pass that on
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    try:
        os.execve(wanted["program"], wanted["argv"], wanted["env"])  # noqa: S606  # no shell is what is wanted
    except OSError as refused:
        failed(status, f"program {wanted['program']}", refused.errno)


def failed(status: int, what: str, errno: int | None) -> None:
    os.write(status, json.dumps({"what": what, "errno": errno}).encode())
    os._exit(127)


if __name__ == "__main__":
    main()
