#!/usr/bin/env bash
# watchdog - what the service manager hears: readiness, the status line, and the watchdog while every thread makes progress
#
# timeout: 180
#
# The manager is a program that listens on NOTIFY_SOCKET. It stops one thread of the daemon by ptrace, which no other thread
# notices, and the daemon must fall silent; when the thread goes on, the daemon is heard again.
# shellcheck source=tests/net/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

write_config af_packet:sl0 || exit 1
cat >"$tmp/manager.py" <<'PY'
import ctypes, os, socket, subprocess, sys, time
socket_path, *command = sys.argv[1:]
INTERVAL = 4.0  # seconds
listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
listener.bind(socket_path)
env = dict(os.environ, NOTIFY_SOCKET=socket_path, WATCHDOG_USEC=str(int(INTERVAL * 1e6)))
daemon = subprocess.Popen(command, env=env, stdout=sys.stderr)
libc = ctypes.CDLL(None, use_errno=True)
libc.ptrace.argtypes = [ctypes.c_long] * 4
SEIZE, INTERRUPT, DETACH = 0x4206, 0x4207, 17
WALL = 0x40000000


def hear(wanted, seconds):
    """True if a datagram with @wanted in it arrives in time."""
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        listener.settimeout(left)
        try:
            if wanted in listener.recv(4096).decode():
                return True
        except socket.timeout:
            return False
    return False


def claim(name, good):
    print(("ok " if good else "not ok ") + name, flush=True)
    return good


def drain():
    listener.setblocking(False)
    try:
        while True:
            listener.recv(4096)
    except BlockingIOError:
        pass


def thread(comm):
    for tid in os.listdir(f"/proc/{daemon.pid}/task"):
        with open(f"/proc/{daemon.pid}/task/{tid}/comm") as file:
            if file.read().startswith(comm):
                return int(tid)
    return 0


def stop_and_go(label, tid):
    good = libc.ptrace(SEIZE, tid, 0, 0) == 0 and libc.ptrace(INTERRUPT, tid, 0, 0) == 0
    os.waitpid(tid, WALL)
    # What was fed before it stopped, and the look that finds it quiet for the first time.
    end = time.monotonic() + INTERVAL / 2
    while time.monotonic() < end:
        hear("nothing", 0.1)
    drain()
    claim(f"watchdog_is_not_fed_while_the_{label}_is_stuck", good and not hear("WATCHDOG=1", INTERVAL * 1.5))
    libc.ptrace(DETACH, tid, 0, 0)
    claim(f"watchdog_is_fed_when_the_{label}_goes_on", hear("WATCHDOG=1", INTERVAL))


claim("readiness_is_told", hear("READY=1", 60))
claim("status_line_is_told", hear("STATUS=0 volume(s), partial guarantee", 5))
claim("watchdog_is_fed", all(hear("WATCHDOG=1", INTERVAL / 2) for _ in range(8)))
stop_and_go("worker", thread("sluice-worker"))
stop_and_go("control_thread", daemon.pid)
daemon.terminate()
claim("end_is_told", hear("STOPPING=1", 20))
sys.exit(0 if claim("it_ends_well", daemon.wait(60) == 0) else 1)
PY
in_cli python3 "$tmp/manager.py" "$tmp/notify" "$(program sluiced)" -c "$tmp/sluice.yaml" --no-ublk || status_all=1
exit $status_all
