"""Runs the program on stdin behind walls. `python -I -S jail.py walled|bare LIMITS`.

A script for `python.py`, not to be imported: it stands alone on the standard library.

walled: namespaces of its own for mounts, processes, network, IPC and host name. The root is
a small tmpfs with Python and the system's libraries in it, to be read only; a user of its
own without capabilities. When its first process ends, the kernel ends all that it started,
whatever group or session they are in. It fails where the kernel grants no such walls.

bare: what resource limits alone hold. Files and the network are open to it.
"""

import ctypes
import json
import os
import resource
import sys

NEW_MOUNTS, NEW_HOST, NEW_IPC, NEW_USER = 0x00020000, 0x04000000, 0x08000000, 0x10000000
NEW_PROCESSES, NEW_NETWORK = 0x20000000, 0x40000000
NOSUID, NODEV, BIND, RECURSIVE, PRIVATE = 0x2, 0x4, 0x1000, 0x4000, 0x40000
READ_ONLY = 0x1  # as an attribute of a mount; NOSUID and NODEV are the same there
MOUNT_SETATTR, HERE, SUBTREE = 442, -100, 0x8000  # the number is the same on all machines
DETACH = 2
DIE_WITH_PARENT, NO_NEW_PRIVILEGES = 1, 38
USERS = 20_000, 40_000  # from and how many: of no system user, of any user namespace
DEVICES = "/dev/null", "/dev/zero", "/dev/urandom"
SYSTEM = "/usr", "/lib", "/lib64", "/lib32", "/bin"
CACHE = "/etc/ld.so.cache"  # where libraries are

libc = ctypes.CDLL(None, use_errno=True)


def ask(call, *arguments) -> None:
    """Of the C library; raises OSError."""
    if call(*arguments) != 0:
        error = ctypes.get_errno()
        raise OSError(error, f"{call.__name__}: {os.strerror(error)}")


def mount(source: str, target: str, kind: str | None, flags: int, data: str = "") -> None:
    words = [word.encode() if word else None for word in (source, target, kind)]
    ask(libc.mount, *words, ctypes.c_ulong(flags), data.encode() or None)


def bind(source: str, root: str, attributes: int) -> None:
    """The same path under `root`, with all that is mounted in it."""
    target = root + source
    if os.path.isdir(source):
        os.makedirs(target, exist_ok=True)
    else:
        os.makedirs(os.path.dirname(target), exist_ok=True)
        open(target, "w").close()
    mount(source, target, None, BIND | RECURSIVE)
    wanted = (ctypes.c_uint64 * 4)(attributes, 0, 0, 0)
    ask(libc.syscall, MOUNT_SETATTR, HERE, target.encode(), SUBTREE, wanted, 32)


def separate() -> None:
    """Namespaces of its own. As root they are there for the asking; the limit on processes
    does not hold for root, so that a user comes later."""
    flags = NEW_MOUNTS | NEW_HOST | NEW_IPC | NEW_PROCESSES | NEW_NETWORK
    user, group = os.geteuid(), os.getegid()
    ask(libc.unshare, flags if user == 0 else flags | NEW_USER)
    if user != 0:
        for name, line in (
            ("setgroups", "deny"),
            ("uid_map", f"{USERS[0]} {user} 1"),
            ("gid_map", f"{USERS[0]} {group} 1"),
        ):
            with open(f"/proc/self/{name}", "w") as file:
                file.write(line)


def build(root: str, limits: dict[str, int]) -> None:
    """The root of what it sees: Python, and room to write."""
    mount("none", "/", None, RECURSIVE | PRIVATE)
    room = f"size={limits['disk_bytes']},nr_inodes=20000,mode=755"
    mount("tmpfs", root, "tmpfs", NOSUID | NODEV, room)
    for path in SYSTEM:
        if os.path.islink(path):
            os.symlink(os.readlink(path), root + path)
        elif os.path.isdir(path):
            bind(path, root, READ_ONLY | NOSUID | NODEV)
    for path in {sys.base_prefix, sys.base_exec_prefix}:
        if not path.startswith("/usr/") and path != "/usr":
            bind(path, root, READ_ONLY | NOSUID | NODEV)
    if os.path.isfile(CACHE):
        bind(CACHE, root, READ_ONLY | NOSUID | NODEV)
    for path in DEVICES:
        bind(path, root, READ_ONLY | NOSUID)
    os.mkdir(root + "/tmp", 0o700)


def enter(root: str) -> None:
    """The old root is let go of: nothing leads back to it."""
    os.chdir(root)
    ask(libc.pivot_root, b".", b".")
    ask(libc.umount2, b".", DETACH)
    os.chdir("/tmp")


def become(user: int) -> None:
    os.chown(".", user, user)
    os.setgroups([])
    os.setresgid(user, user, user)
    os.setresuid(user, user, user)


def walled(code: str, limits: dict[str, int]) -> int:
    root, born = os.getcwd(), os.getpid()
    separate()
    build(root, limits)
    first = os.fork()
    if first:
        return ended(os.waitpid(first, 0)[1])
    ask(libc.prctl, DIE_WITH_PARENT, 9, 0, 0, 0)
    enter(root)  # process 1 of its namespace: waits, and takes all others along
    program = os.fork()
    if not program:
        os.setsid()  # it shares no group with its guards
        if os.geteuid() == 0:
            become(USERS[0] + born % USERS[1])
        run(code, limits)
    while True:
        gone, status = os.wait()
        if gone == program:
            os._exit(ended(status))


def ended(status: int) -> int:
    """As a shell says it."""
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


def run(code: str, limits: dict[str, int]) -> None:
    """Never returns."""
    os.nice(19)  # conversations go first
    if sys.platform == "linux":
        ask(libc.prctl, NO_NEW_PRIVILEGES, 1, 0, 0, 0)
    for what, most in (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_CPU, limits["cpu_s"]),
        (resource.RLIMIT_AS, limits["memory_bytes"]),
        (resource.RLIMIT_FSIZE, limits["disk_bytes"]),
        (resource.RLIMIT_NOFILE, limits["files"]),
        (resource.RLIMIT_NPROC, limits["processes"]),
    ):
        resource.setrlimit(what, (most, most))
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    python = os.path.realpath(sys.executable)
    os.execve(python, [python, "-I", "-S", "-u", "-X", "utf8", "-c", code], {})


if __name__ == "__main__":
    program, given = sys.stdin.buffer.read().decode(), json.loads(sys.argv[2])
    if sys.argv[1] == "bare":
        run(program, given)
    try:
        sys.exit(walled(program, given))
    except (OSError, AttributeError) as error:  # refused, or not in this C library
        sys.exit(f"no walls: {error}")
