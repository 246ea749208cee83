#!/usr/bin/env python3
"""tcp_diff - our TCP and the kernel's, asked the same questions by the same peer

A scene (tcp_diff_scenes.py) is a list of steps: what the peer sends, what the application does, and what is awaited. It is
played twice, to our stack behind the test ABI in virtual time, and to a plain socket of the kernel whose packets come out of a
TUN interface; what either sends in answer is written down in relative numbers and compared step by step. First over IPv4, then
what is neither about that nor waits for long over IPv6.

A step whose answers differ must be a row of docs/tcp-differences.md, where it is explained, or this fails. A row that no longer
differs fails as well: what is written there is true. It is true of the kernel named there; on another one a surprise is told
and skipped. A scene is played up to three times before it is said to differ, for the
kernel's clock is real and this machine may be busy. Windows, timestamps' values and ISNs are each stack's own business and not
compared; times are compared as "at once" or "later".

    tcp_diff.py TUN [SCENE…]       in a network namespace of its own, as root (tests/net/tcp-diff.sh)
    tcp_diff.py --show TUN SCENE   prints both sides
"""
import errno
import fcntl
import os
import re
import select
import socket
import struct
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tests/abi"))
from stt import *  # noqa: E402,F403  pylint: disable=wildcard-import,wrong-import-position,unused-wildcard-import

GRACE_S = 0.004  # an answer "at once" leaves within the write() that caused it, or just after
RTT_S = 0.01
TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454ca, 1, 0x1000


def describe(s, first):
    """A segment in words that both stacks can agree on."""
    names = "".join(n for k, n in enumerate("FSR.AUEC") if s.flags >> k & 1 and n != ".")
    text = f"{names} seq {s.seq}"
    if s.flags & ACK:
        text += f" ack {s.ack}"
    if s.data:
        text += f" len {len(s.data)}"
    if s.sacks:
        text += " sack " + " ".join(f"{a}-{b}" for a, b in s.sacks)
    if s.flags & SYN:
        text += " offers" + "".join(w for w, on in ((" mss", s.mss), (" sack", s.sack_ok), (" ts", s.ts),
                                                    (" wscale", s.wscale is not None)) if on)
    if s.ecn:
        text += f" ect {s.ecn}"
    return text + first


def local():
    return LOCAL6 if FAMILY == AF_INET6 else LOCAL4


def peer():
    return PEER6 if FAMILY == AF_INET6 else PEER4


class Ours:
    name = "ours"

    def __init__(self, want):
        disable = NO_TSO | (0 if want.get("ecn") else NO_ECN) | (0 if want.get("ts") else NO_TS)
        disable |= (NO_SACK if want.get("no_sack") else 0) | (0 if want.get("wscale") else NO_WSCALE)
        self.s = Stack(disable=disable, seed=7, cc=b"newreno", family=FAMILY)

    def connect(self):
        assert self.s.connect() >= 0

    def write(self, data):
        self.s.send(data)

    def nodelay(self, on):
        self.s.set("nodelay", on)

    def keepalive(self, seconds):
        self.s.set("keepalive_us", seconds * 1000000)

    def read(self):
        got = self.s.recv(1 << 20)
        return f"read {len(got)}" if isinstance(got, bytes) else errno.errorcode[-got]

    def shutdown(self):
        self.s.call("shutdown")

    def close(self):
        self.s.call("close")

    def abort(self):
        self.s.call("abort")

    def inject(self, packet):
        self.s.raw(packet)

    def packets(self, wait_s):
        """What leaves at once; nothing yet: the first that leaves within @wait_s, and what leaves with it."""
        out = self.s.drain()
        end = self.s.now() + int(wait_s * 1e6)
        while not out and self.s.deadline() <= end:
            self.s.lib.stt_advance_us(self.s.h, self.s.deadline())
            out = self.s.drain()
        return out

    def sleep(self, seconds):
        self.s.after(int(seconds * 1e6))

    def end(self):
        self.s.__exit__()


class Kernel:
    name = "kernel"

    def __init__(self, want):
        for key, value in (("timestamps", want.get("ts")), ("ecn", want.get("ecn")), ("sack", not want.get("no_sack")),
                           ("window_scaling", want.get("wscale"))):
            with open(f"/proc/sys/net/ipv4/tcp_{key}", "w", encoding="ascii") as file:
                file.write(str(int(bool(value))))
        while select.select([TUN], [], [], 0)[0]:
            os.read(TUN, 65536)  # of the scene before
        self.sock = socket.socket(FAMILY, socket.SOCK_STREAM)
        self.sock.setblocking(False)
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock.setsockopt(socket.IPPROTO_TCP, 13, b"reno")  # TCP_CONGESTION
        self.iss = None
        Kernel.port = getattr(Kernel, "port", 40000) + 1
        self.sock.bind((socket.inet_ntop(FAMILY, local()), Kernel.port))

    def connect(self):
        self.sock.connect_ex((socket.inet_ntop(FAMILY, peer()), PPORT))

    def write(self, data):
        self.sock.send(data)

    def nodelay(self, on):
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, on)

    def keepalive(self, seconds):
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, seconds)
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)

    def read(self):
        try:
            return f"read {len(self.sock.recv(1 << 20))}"
        except OSError as e:
            return errno.errorcode[e.errno]

    def shutdown(self):
        try:
            self.sock.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def close(self):
        self.sock.close()

    def abort(self):
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    def inject(self, packet):
        os.write(TUN, packet)

    def packets(self, wait_s):
        out, wait = [], max(wait_s, GRACE_S)
        while select.select([TUN], [], [], wait)[0]:
            packet = os.read(TUN, 65536)
            if packet[9 if packet[0] >> 4 == 4 else 6] != 6:
                continue
            s = Segment(packet)
            if s.src != local() or s.sport != Kernel.port:
                continue
            if s.flags & SYN and self.iss is None:
                self.iss = s.seq
            s.seq = (s.seq - (self.iss or 0) + 100) & ALL
            out.append(s)
            wait = GRACE_S
        return out

    def sleep(self, seconds):
        time.sleep(seconds)

    def end(self):
        try:
            self.abort()
        except OSError:
            pass


class Scene:
    """The peer and the application of one scene, played to one of the two."""

    def __init__(self, target, want):
        self.t, self.want, self.log, self.step_count, self.label = target, want, [], 0, ""
        self.start, self.tsecr, self.written = time.monotonic(), 0, 0

    @property
    def iss(self):
        return (self.t.s.iss if isinstance(self.t, Ours) else self.t.iss) or 0

    @property
    def port(self):
        return LPORT if isinstance(self.t, Ours) else Kernel.port

    def note(self, text):
        self.log.append((self.label, text))

    def answers(self, label, wait_s=0.0):
        """Writes down what is sent now; with @wait_s the first thing that is sent within it."""
        self.label = label
        got = self.t.packets(wait_s)
        for s in got:
            if s.ts:
                self.tsecr = s.ts[0]
            self.note(describe(s, ""))
        if not got:
            self.note("nothing")
        return got

    def rx(self, flags, seq=0, ack=None, n=0, ecn=0, wnd=60000, urp=0, opts=b"", data=None, **kw):
        if self.want.get("ts") and "ts" not in kw and not flags & RST and not kw.pop("no_ts", False):
            kw["ts"] = (5000 + int((time.monotonic() - self.start) * 1000), self.tsecr)
        kw.pop("no_ts", None)
        kw["sacks"] = [(a - 100 + self.iss, b - 100 + self.iss) for a, b in kw.get("sacks", ())]
        ack = 0 if ack is None else ack - 100 + self.iss
        data = data if data is not None else bytes(pattern(seq + bool(flags & SYN) - 901, n, False)) if n else b""
        body = tcp_segment(peer(), local(), PPORT, self.port, seq, ack, flags, wnd, opts + options(**kw), data, urp)
        self.t.inject(ip_packet(peer(), local(), 6, body, ecn))

    def icmp(self, kind, code, seq, mtu=0):  # a scene that says so is of IPv4 only
        quoted = ip_packet(LOCAL4, PEER4, 6, struct.pack(">HHI", self.port, PPORT, (seq - 100 + self.iss) & ALL) + bytes(12))
        body = struct.pack(">BBHHH", kind, code, 0, 0, mtu) + quoted
        self.t.inject(ip_packet(PEER4, LOCAL4, 1, body[:2] + struct.pack(">H", csum(body)) + body[4:]))

    def open(self, **kw):
        self.t.connect()
        self.answers("syn")
        kw.setdefault("mss", 1000)
        kw.setdefault("sack_ok", not self.want.get("no_sack"))
        self.sleep(RTT_S)
        self.rx(SYN | ACK | (ECE if self.want.get("ecn") else 0), 900, 101, **kw)
        self.answers("handshake")

    def ack(self, ack, **kw):
        """A bare ACK, a round trip after what it answers."""
        self.sleep(RTT_S)
        self.rx(ACK, 901, ack, **kw)

    def write(self, n):
        self.t.write(pattern(self.written, n, True))
        self.written += n

    def read(self, label):
        self.label = label
        self.note(self.t.read())

    def __getattr__(self, name):
        return getattr(self.t, name)  # nodelay, shutdown, close, abort, sleep, keepalive


def play(function, target):
    scene = Scene(target(function.want), function.want)
    try:
        function(scene)
    finally:
        scene.t.end()
    return scene.log


def by_step(log):
    steps = {}
    for label, text in log:
        steps.setdefault(label, []).append(text)
    return steps


def differences(function, page):
    """Steps that differ in each of up to three plays, as label -> (ours, the kernel's); and those that did in any."""
    ours, always, ever = by_step(play(function, Ours)), None, set()
    for _ in range(3):
        kernel = by_step(play(function, Kernel))
        now = {f"{function.__name__}/{label}": (ours.get(label, ["-"]), kernel.get(label, ["-"]))
               for label in list(ours) + list(kernel) if ours.get(label) != kernel.get(label)}
        always = now if always is None else {k: v for k, v in now.items() if k in always}
        ever |= set(now)
        if set(always) <= page:
            break
    return always, ever


def compare(functions, family, page, bad):
    """Plays @functions over @family. Out: no surprise; rows of the page that did not differ."""
    global FAMILY  # pylint: disable=global-statement
    FAMILY, all_good, stale = family, True, set()
    over = "_over_ip6" if family == AF_INET6 else ""
    for function in functions:
        name = function.__name__
        mine = {k for k in page if k.startswith(name + "/")}
        found, ever = differences(function, mine)
        stale |= mine - ever
        for key, (ours, kernel) in found.items():
            print(f"{key}{over}: ours {ours}, kernel {kernel}", file=sys.stderr)
        good = set(found) <= mine
        all_good &= good
        print(f"{'ok' if good else bad} {name}_{'is_as_the_kernel_does' if not mine else 'differs_as_listed'}{over}", flush=True)
    return all_good, stale


def listed():
    """Rows of the page: | `scene/step` | …, and whether they are about this kernel."""
    with open(os.path.join(ROOT, "docs/tcp-differences.md"), encoding="utf-8") as file:
        page = file.read()
    kernel = re.search(r"Seen with Linux ([0-9]+\.[0-9]+)\b", page).group(1)
    return set(re.findall(r"^\| `([a-z0-9_]+/[^`]+)` \|", page, re.M)), os.uname().release.startswith(kernel + ".")


def show(functions):
    for function in functions:
        for target in (Ours, Kernel):
            print(f"{function.__name__} {target.name}")
            for label, text in play(function, target):
                print(f"    {label}: {text}")


def main(argv):
    global TUN  # pylint: disable=global-statement
    import tcp_diff_scenes  # pylint: disable=import-outside-toplevel
    showing = argv[:1] == ["--show"]
    argv = argv[showing:]
    TUN = os.open("/dev/net/tun", os.O_RDWR)
    fcntl.ioctl(TUN, TUNSETIFF, struct.pack("16sH22x", argv[0].encode(), IFF_TUN | IFF_NO_PI))
    os.system(f"ip addr add 10.0.0.1/24 dev {argv[0]} && ip link set {argv[0]} up")
    os.system(f"ip addr add fd00::1/64 dev {argv[0]} nodad")
    functions = [f for f in tcp_diff_scenes.SCENES if not argv[1:] or f.__name__ in argv[1:]]
    if showing:
        show(functions)
        return 0
    page, is_strict = listed()
    bad = "not ok" if is_strict else "skip"
    quick = [f for f in functions if not f.want.get("ip4") and not f.want.get("slow")]
    good, stale = compare(functions, AF_INET, page, bad)
    good6, stale6 = compare(quick, AF_INET6, page, bad)
    failed, stale = is_strict and not (good and good6), stale | stale6
    if not argv[1:]:
        print(f"{bad if stale else 'ok'} every_listed_difference_is_there", flush=True)
        failed |= is_strict and bool(stale)
        print(f"no longer different: {sorted(stale)}" if stale else f"{len(page)} differences, all listed", file=sys.stderr)
    return int(failed)


TUN, FAMILY = -1, AF_INET
if __name__ == "__main__":
    sys.modules["tcp_diff"] = sys.modules["__main__"]
    sys.exit(main(sys.argv[1:]))
