"""stt - the test ABI from Python, written from the contract alone

Layouts and names here come from the contract (tcp.md section 6 of the design), not from the header, and packets are built and
read with struct and nothing of the product: a driver outside this repository starts from the same place, so what it would
trip over, this trips over first.

Sequence numbers in a script are relative, as in the C conversations: ours begin at 100, the peer's at 900.
"""
import ctypes as c
import os
import socket
import struct

FIN, SYN, RST, PSH, ACK, URG, ECE, CWR = (1 << i for i in range(8))
NO_SACK, NO_TS, NO_WSCALE, NO_ECN, NO_TSO = 1, 2, 4, 8, 16
(CLOSED, LISTEN, SYN_SENT, SYN_RECEIVED, ESTABLISHED, FIN_WAIT_1, FIN_WAIT_2, CLOSE_WAIT, CLOSING, LAST_ACK,
 TIME_WAIT) = range(11)
AF_INET, AF_INET6 = socket.AF_INET, socket.AF_INET6
NEVER = 2**64 - 1
ALL = 2**32 - 1
LOCAL4, PEER4 = socket.inet_aton("10.0.0.1"), socket.inet_aton("10.0.0.2")
LOCAL6, PEER6 = socket.inet_pton(AF_INET6, "fd00::1"), socket.inet_pton(AF_INET6, "fd00::2")
LPORT, PPORT = 40000, 10809


class Config(c.Structure):
    _fields_ = [("size", c.c_uint32), ("local_ip4", c.c_uint32), ("peer_ip4", c.c_uint32),
                ("local_ip6", c.c_uint8 * 16), ("peer_ip6", c.c_uint8 * 16), ("mtu", c.c_uint16), ("seed", c.c_uint64),
                ("pool_count", c.c_uint32), ("quota", c.c_uint32), ("cc", c.c_char * 16), ("disable", c.c_uint32)]


class Info(c.Structure):
    _fields_ = [(n, c.c_uint32) for n in (
        "size state mss cwnd_bytes ssthresh_bytes rcv_wnd_bytes snd_wnd_bytes rto_us srtt_us rttvar_us unacked_bytes "
        "sacked_bytes lost_bytes retrans_segs backoff held_mbufs free_mbufs total_mbufs").split()] + [
        ("bytes_acked", c.c_uint64), ("bytes_received", c.c_uint64)]


def load(path=None):
    path = path or os.path.join(os.environ.get("BUILD", "build"), "tests/abi/libsluice_tcp_test.so")
    lib = c.CDLL(path)
    p, i, l, u64, u32, sz = c.c_void_p, c.c_int, c.c_long, c.c_uint64, c.c_uint32, c.c_size_t
    for name, result, args in (
            ("create", p, [p]), ("destroy", None, [p]), ("connect", i, [p, i, c.c_uint16, c.c_uint16]),
            ("send", l, [p, i, c.c_char_p, sz]), ("recv", l, [p, i, p, sz]), ("shutdown", i, [p, i]),
            ("close", i, [p, i]), ("abort", i, [p, i]), ("set", i, [p, i, c.c_char_p, c.c_int64]),
            ("rx", i, [p, c.c_char_p, sz]), ("tx", l, [p, p, sz]), ("now_us", u64, [p]), ("advance_us", None, [p, u64]),
            ("deadline_us", u64, [p]), ("pool_fail", None, [p, u32, u32]), ("info", i, [p, i, p])):
        function = getattr(lib, "stt_" + name)
        function.restype, function.argtypes = result, args
    return lib


def total(data, at=0):
    if len(data) & 1:
        data += b"\0"
    at += sum(struct.unpack(f">{len(data) // 2}H", data))
    while at >> 16:
        at = (at & 0xffff) + (at >> 16)
    return at


def csum(data, at=0):
    return 0xffff & ~total(data, at)


def pseudo(src, dst, proto, length):
    if len(src) == 4:
        return total(src + dst + struct.pack(">BBH", 0, proto, length))
    return total(src + dst + struct.pack(">IHBB", length, 0, 0, proto))


def ip_packet(src, dst, proto, payload, ecn=0, ttl=64, ident=0, frag=0, extra=b""):
    """@frag: the IPv4 flags and offset field. @extra: options (IPv4), or extension headers with @proto set to fit (IPv6)."""
    if len(src) == 16:
        return struct.pack(">IHBB", 6 << 28 | ecn << 20, len(extra) + len(payload), proto, ttl) + src + dst + extra + payload
    head = struct.pack(">BBHHHBBH", 0x45 + len(extra) // 4, ecn, 20 + len(extra) + len(payload), ident, frag, ttl, proto, 0)
    head += src + dst + extra
    return head[:10] + struct.pack(">H", csum(head)) + head[12:] + payload


def options(mss=None, wscale=None, sack_ok=False, ts=None, sacks=()):
    out = b""
    if mss is not None:
        out += struct.pack(">BBH", 2, 4, mss)
    if wscale is not None:
        out += struct.pack(">BBBB", 1, 3, 3, wscale)
    if sack_ok:
        out += bytes((1, 1, 4, 2))
    if ts:
        out += struct.pack(">BBBBII", 1, 1, 8, 10, ts[0] & ALL, ts[1] & ALL)
    if sacks:
        out += bytes((1, 1, 5, 2 + 8 * len(sacks))) + b"".join(struct.pack(">II", a & ALL, b & ALL) for a, b in sacks)
    return out


def tcp_segment(src, dst, sport, dport, seq, ack, flags, wnd=60000, opts=b"", data=b"", urp=0):
    assert len(opts) % 4 == 0
    head = struct.pack(">HHIIBBHHH", sport, dport, seq & ALL, ack & ALL, (20 + len(opts)) // 4 << 4, flags, wnd, 0, urp) + opts
    sum_ = csum(head + data, pseudo(src, dst, 6, len(head) + len(data)))
    return head[:16] + struct.pack(">H", sum_) + head[18:] + data


class Segment:
    """One IP packet, read; every checksum and length field is verified here."""

    def __init__(self, packet):
        self.packet = packet
        if packet[0] >> 4 == 4:
            assert packet[0] == 0x45 and struct.unpack(">H", packet[2:4])[0] == len(packet), "IPv4 length field"
            assert total(packet[:20]) == 0xffff, "IPv4 checksum"
            self.src, self.dst, self.proto, self.ecn = packet[12:16], packet[16:20], packet[9], packet[1] & 3
            self.df, off = bool(packet[6] & 0x40), 20
        else:
            assert packet[0] >> 4 == 6 and struct.unpack(">H", packet[4:6])[0] == len(packet) - 40, "IPv6 length field"
            self.src, self.dst, self.proto, self.ecn = packet[8:24], packet[24:40], packet[6], packet[1] >> 4 & 3
            self.df, off = True, 40
        body = packet[off:]
        self.body = body
        assert total(body, pseudo(self.src, self.dst, self.proto, len(body))) == 0xffff or self.proto == 1, "L4 checksum"
        if self.proto == 6:
            self.read_tcp(body)

    def read_tcp(self, b):
        self.sport, self.dport, self.seq, self.ack, off, self.flags, self.wnd, _, self.urp = struct.unpack(">HHIIBBHHH", b[:20])
        off = (off >> 4) * 4
        self.data, self.mss, self.wscale, self.sack_ok, self.ts, self.sacks = b[off:], None, None, False, None, []
        o, i = b[20:off], 0
        while i < len(o) and o[i]:
            n = 1 if o[i] == 1 else o[i + 1]
            assert n > 0 and i + n <= len(o), "option runs over"
            v = o[i + 2:i + n]
            if o[i] == 2:
                self.mss = struct.unpack(">H", v)[0]
            elif o[i] == 3:
                self.wscale = v[0]
            elif o[i] == 4:
                self.sack_ok = True
            elif o[i] == 8:
                self.ts = struct.unpack(">II", v)
            elif o[i] == 5:
                self.sacks = [struct.unpack(">II", v[k:k + 8]) for k in range(0, len(v), 8)]
            i += n

    def __repr__(self):
        names = "".join(n for k, n in enumerate("FSRPAUEC") if self.flags >> k & 1)
        return f"<{names} seq {self.seq} ack {self.ack} len {len(self.data)} wnd {self.wnd} ts {self.ts} sacks {self.sacks}>"


def pattern(off, length, ours):
    return bytes((k * 131 + (k >> 8) * 29 + (7 if ours else 0)) & 255 for k in range(off, off + length))


class Stack:
    """A stack of ours and its only peer, who is this script."""

    lib = None

    def __init__(self, family=AF_INET, disable=0, mtu=1500, seed=1, pool=0, quota=0, cc=b"", size=None, v4=True, v6=True):
        if Stack.lib is None:
            Stack.lib = load()
        cfg = Config(size=c.sizeof(Config) if size is None else size, mtu=mtu, seed=seed, pool_count=pool, quota=quota, cc=cc,
                     disable=disable)
        if v4:
            cfg.local_ip4, cfg.peer_ip4 = struct.unpack("=II", LOCAL4 + PEER4)
        if v6:
            cfg.local_ip6[:], cfg.peer_ip6[:] = LOCAL6, PEER6
        self.h = self.lib.stt_create(c.byref(cfg))
        assert self.h, "stt_create answered NULL"
        self.family, self.buffer, self.iss, self.conn = family, c.create_string_buffer(65536), None, -1
        self.us, self.peer = (LOCAL4, PEER4) if family == AF_INET else (LOCAL6, PEER6)
        self.ts, self.tsecr, self.start, self.read, self.queued = False, 0, self.now(), 0, 0
        self.peer_wscale = 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.lib.stt_destroy(self.h)
        self.h = None

    def now(self):
        return self.lib.stt_now_us(self.h)

    def after(self, us):
        self.lib.stt_advance_us(self.h, self.now() + us)
        assert self.deadline() >= self.now(), "a deadline in the past"

    def deadline(self):
        return self.lib.stt_deadline_us(self.h)

    def connect(self, lport=LPORT, pport=PPORT, family=None):
        self.conn = self.lib.stt_connect(self.h, family or self.family, lport, pport)
        return self.conn

    def set(self, name, value):
        return self.lib.stt_set(self.h, self.conn, name.encode(), value)

    def send(self, data):
        n = self.lib.stt_send(self.h, self.conn, data, len(data))
        self.queued += max(n, 0)
        return n

    def send_bytes(self, n):
        assert self.send(pattern(self.queued, n, True)) == n

    def recv(self, n=65536):
        """Bytes, or the negative number the library answered; b"" is the end."""
        buffer = c.create_string_buffer(n)
        got = self.lib.stt_recv(self.h, self.conn, buffer, n)
        if got > 0:
            assert buffer.raw[:got] == pattern(self.read, got, False), "what was read is not what the peer sent"
            self.read += got
        return got if got < 0 else buffer.raw[:got]

    def call(self, name):
        return getattr(self.lib, "stt_" + name)(self.h, self.conn)

    def fail(self, skip, count):
        self.lib.stt_pool_fail(self.h, skip, count)

    def info(self):
        info = Info(size=c.sizeof(Info))
        assert self.lib.stt_info(self.h, self.conn, c.byref(info)) == 0
        return info

    @property
    def state(self):
        return self.info().state

    def raw(self, packet):
        return self.lib.stt_rx(self.h, packet, len(packet))

    def build(self, flags, seq=0, ack=None, n=0, wnd=60000, sport=PPORT, dport=LPORT, urp=0, no_ts=False, opts=b"", **kw):
        """The bytes of a TCP segment of the peer's (no IP header)."""
        if self.ts and not no_ts and not flags & RST and "ts" not in kw:
            kw["ts"] = (5000 + (self.now() - self.start) // 1000, self.tsecr)
        if "sacks" in kw:
            kw["sacks"] = [(a - 100 + self.iss, b - 100 + self.iss) for a, b in kw["sacks"]]
        data = pattern(seq + bool(flags & SYN) - 901, n, False) if n else b""
        ack = 0 if ack is None else ack - 100 + (self.iss or 0)
        return tcp_segment(self.peer, self.us, sport, dport, seq, ack, flags, wnd, opts + options(**kw), data, urp)

    def rx(self, flags, seq=0, ack=None, n=0, ecn=0, **kw):
        return self.raw(ip_packet(self.peer, self.us, 6, self.build(flags, seq, ack, n, **kw), ecn))

    def tx(self):
        """The next segment of ours with relative numbers, or None."""
        n = self.lib.stt_tx(self.h, self.buffer, len(self.buffer))
        assert n >= 0, f"stt_tx answered {n}"
        if n == 0:
            return None
        s = Segment(self.buffer.raw[:n])
        assert s.src == self.us and s.dst == self.peer and s.df, "addresses or DF"
        if s.proto != 6:
            return s
        if s.flags & SYN and self.iss is None:
            self.iss = s.seq
        if s.ts:
            self.tsecr = s.ts[0]
        s.seq = (s.seq - (self.iss or 0) + 100) & ALL
        if s.data and s.sport == LPORT:
            assert s.data == pattern(s.seq - 101, len(s.data), True), "what was sent is not what was queued"
        return s

    def drain(self):
        out = []
        while (s := self.tx()) is not None:
            out.append(s)
        return out

    def expect(self, flags, seq=None, ack=None, n=0):
        s = self.tx()
        assert s, f"nothing was sent, flags {flags:02x} seq {seq} were expected"
        assert s.flags & ~PSH == flags, f"{s}: flags {flags:02x} expected"
        assert seq is None or s.seq == seq, f"{s}: seq {seq} expected"
        assert ack is None or s.ack == ack, f"{s}: ack {ack} expected"
        assert n is None or len(s.data) == n, f"{s}: {n} bytes expected"
        return s

    def nothing(self):
        s = self.tx()
        assert s is None, f"unexpected {s}"

    def open(self, mss=1000, wnd=60000, wscale=None, sack_ok=True, ts=False, rtt_us=0, lport=LPORT):
        assert self.connect(lport) >= 0
        syn = self.expect_syn()
        self.after(rtt_us)
        self.ts = ts
        flags = SYN | ACK | (ECE if syn.flags & ECE else 0)
        self.rx(flags, 900, 101, wnd=wnd, mss=mss, sack_ok=sack_ok, wscale=wscale, dport=lport)
        self.expect(ACK, 101, 901)
        assert self.state == ESTABLISHED
        return syn

    def expect_syn(self):
        s = self.tx()
        assert s and s.flags & (SYN | ACK) == SYN, f"{s}: a SYN was expected"
        return s
