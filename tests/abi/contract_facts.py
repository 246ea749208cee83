"""contract_facts - what the contract says of time, of memory, of stt_info, and of packets that are none"""
import ctypes as c
import errno
import random
import struct

from claims import claim
from stt import *  # pylint: disable=wildcard-import,unused-wildcard-import


# ---- time ----

@claim
def time_moves_only_when_told_and_never_back():
    with Stack() as s:
        t = s.now()
        s.open()
        assert s.now() == t
        Stack.lib.stt_advance_us(s.h, t + 1234567)
        assert s.now() == t + 1234567
        Stack.lib.stt_advance_us(s.h, t)
        assert s.now() == t + 1234567


@claim
def clock_stands_where_it_was_put_while_packets_wait_to_be_fetched():
    """More than the library keeps for stt_tx: the stack has something to send at every moment of the way."""
    with Stack(disable=NO_TSO) as s:
        s.open(mss=100, wnd=65535, wscale=7)
        got = 0
        for _ in range(400):
            if s.info().cwnd_bytes > 200_000:
                break
            s.send(pattern(s.queued, 100_000, True))
            for x in s.drain():
                got = max(got, x.seq + len(x.data) - 101)
                s.rx(ACK, 901, 101 + got)
        assert s.info().cwnd_bytes > 200_000
        while s.send(pattern(s.queued, 100_000, True)) > 0:
            pass
        t = s.now()
        for us in range(1, 20):
            Stack.lib.stt_advance_us(s.h, t + us)
            assert s.now() == t + us


@claim
def one_long_advance_runs_every_timer_on_the_way():
    def run(step):
        with Stack(disable=NO_TSO) as s:
            s.open()
            s.send_bytes(100)
            for _ in range(60_000_000 // step):
                s.after(step)
            return [(x.seq, len(x.data), x.flags) for x in s.drain()], s.info().retrans_segs
    assert run(60_000_000) == run(100_000)


@claim
def deadlines_are_in_the_future_or_now_and_none_when_idle():
    with Stack() as s:
        assert s.deadline() == NEVER
        s.open()
        assert s.deadline() == NEVER
        s.rx(ACK, 901, 101, n=10)
        s.drain()
        for i in range(1, 18):  # past the quick acknowledgements of the beginning
            s.rx(ACK, 901 + 10 * i, 101, n=10)
            s.drain()
        s.rx(ACK, 901 + 180, 101, n=10)
        s.nothing()
        assert s.now() < s.deadline() < s.now() + 500_000
        Stack.lib.stt_advance_us(s.h, s.deadline())
        s.expect(ACK, 101, 901 + 190)


@claim
def following_the_deadline_reaches_the_end_of_a_dead_peer():
    with Stack() as s:
        s.open()
        s.send_bytes(10)
        steps = 0
        while s.state != CLOSED:
            s.drain()
            assert s.now() <= s.deadline() < NEVER
            Stack.lib.stt_advance_us(s.h, s.deadline())
            steps += 1
            assert steps < 1000
        assert s.recv() == -errno.ETIMEDOUT and s.now() - s.start >= 100_000_000  # R2


# ---- facts ----

@claim
def info_is_plausible_all_along():
    with Stack(disable=NO_TSO, pool=1024, quota=64) as s:
        s.open(rtt_us=20_000)
        i = s.info()
        assert i.size == c.sizeof(Info) and i.mss == 1000 and i.srtt_us == 20_000 and i.rttvar_us == 10_000
        assert 60_000 <= i.rto_us <= 1_000_000 and i.cwnd_bytes == 10_000 and i.snd_wnd_bytes == 60000
        assert i.total_mbufs == 1024 and i.free_mbufs == 1024 and i.backoff == 0
        s.send_bytes(5000)
        s.drain()
        i = s.info()
        assert (i.unacked_bytes, i.bytes_acked, i.retrans_segs) == (5000, 0, 0)
        s.rx(ACK, 901, 101, sacks=[(1101, 2101)])
        assert s.info().sacked_bytes == 1000
        s.rx(ACK, 901, 101, sacks=[(1101, 5101)])
        i = s.info()
        assert i.sacked_bytes == 4000 and i.lost_bytes == 1000
        s.expect(ACK, 101, n=1000)
        assert s.info().retrans_segs == 1
        s.rx(ACK, 901, 5101)
        i = s.info()
        assert (i.unacked_bytes, i.sacked_bytes, i.lost_bytes, i.bytes_acked) == (0, 0, 0, 5000)
        edge = 901 + s.info().rcv_wnd_bytes
        for k in range(5):
            s.rx(ACK, 901 + 1000 * k, 5101, n=1000)
        s.rx(ACK, 901 + 7000, 5101, n=1000)
        s.drain()
        i = s.info()
        assert i.held_mbufs >= 3 and i.free_mbufs + i.held_mbufs == i.total_mbufs and i.bytes_received == 5000
        assert 5901 + i.rcv_wnd_bytes >= edge
        s.recv()
        s.call("abort")
        s.drain()


@claim
def window_on_the_wire_agrees_with_info():
    with Stack(quota=64) as s:
        s.connect()
        syn = s.expect_syn()
        s.rx(SYN | ACK, 900, 101, mss=1000, wscale=3)
        x = s.expect(ACK, 101, 901)
        assert (x.wnd << syn.wscale) == s.info().rcv_wnd_bytes > 0


@claim
def backoff_and_rto_grow_with_each_timeout():
    with Stack(disable=NO_TSO) as s:
        s.open(rtt_us=10_000)
        s.send_bytes(10)
        s.drain()
        seen = [s.info().rto_us]
        for k in range(1, 6):
            while s.info().backoff < k:
                Stack.lib.stt_advance_us(s.h, s.deadline())
                s.drain()
            seen.append(s.info().rto_us)
        assert all(b == 2 * a for a, b in zip(seen, seen[1:])), seen


# ---- memory ----

@claim
def pool_fail_counts_and_stops():
    with Stack() as s:
        s.open()
        s.fail(0, 2)
        assert s.rx(ACK, 901, 101, n=10) < 0 and s.rx(ACK, 901, 101, n=10) < 0
        assert s.rx(ACK, 901, 101, n=10) == 0
        s.expect(ACK, 101, 911)
        s.fail(1, 1)
        assert s.rx(ACK, 911, 101, n=10) == 0
        s.nothing()
        s.after(50_000)
        s.expect(ACK, 101, 921)


@claim
def pool_fail_of_each_allocation_loses_nothing():
    for skip in range(40):
        with Stack(disable=NO_TSO) as s:
            s.fail(skip, 3)
            s.connect()
            sent, got, peer = 0, 0, 0
            for _ in range(400):
                for x in s.drain():
                    if x.flags & SYN:
                        s.rx(SYN | ACK, 900, 101, mss=1000)
                    got = max(got, (x.seq + len(x.data) - 101) if not x.flags & SYN and x.seq <= 101 + got else 0)
                    peer = max(peer, x.ack - 901 if x.flags & ACK else 0)
                if s.state == ESTABLISHED:
                    if not sent:
                        s.send_bytes(5000)
                        sent = 5000
                    if peer < 3000:
                        s.rx(ACK, 901 + peer, 101 + got, n=1000)
                    else:
                        s.rx(ACK, 901 + peer, 101 + got)
                    while isinstance(s.recv(), bytes):
                        pass
                if got == 5000 and peer == 3000 and s.info().unacked_bytes == 0:
                    break
                s.after(20_000)
            assert (got, peer, s.read) == (5000, 3000, 3000), (skip, got, peer, s.read)


@claim
def quota_bounds_what_a_hostile_peer_can_make_us_hold():
    with Stack(quota=32, pool=256) as s:
        s.open()
        for k in range(3000):
            s.rx(ACK, 901 + 2 * ((k * 7919) % 30000), 101, n=1)
            i = s.info()
            assert i.held_mbufs <= 33 and i.free_mbufs + i.held_mbufs == i.total_mbufs
            if k % 50 == 0:
                s.drain()


# ---- packets that are none ----

@claim
def garbage_is_survived():
    rnd = random.Random(1)
    for family in (AF_INET, AF_INET6):
        with Stack(family, NO_TSO) as s:
            s.open()
            good = ip_packet(s.peer, s.us, 6, s.build(ACK, 901, 101, n=100))
            for n in range(len(good)):
                s.raw(good[:n])
            for _ in range(2000):
                bad = bytearray(good)
                for _ in range(rnd.randint(1, 4)):
                    bad[rnd.randrange(len(bad))] = rnd.randrange(256)
                s.raw(bytes(bad[:rnd.randint(1, len(bad))]))
            s.drain()
            assert s.raw(b"") < 0 and s.raw(b"\x45") in (0, -errno.EINVAL)
            assert s.state == ESTABLISHED and s.recv() == -errno.EAGAIN


@claim
def extension_headers_and_ip_options_are_stepped_over():
    with Stack(AF_INET6) as s:
        s.open()
        pad = bytes((0, 1, 4, 0, 0, 0, 0))
        hop = bytes((60, 0, 1, 4, 0, 0, 0, 0))  # hop-by-hop, then destination options
        dst = bytes((6, 0, 1, 4, 0, 0, 0, 0))
        s.raw(ip_packet(s.peer, s.us, 0, s.build(ACK, 901, 101, n=10), extra=hop + dst))
        assert len(s.recv()) == 10 and pad
    with Stack() as s:
        s.open()
        s.raw(ip_packet(s.peer, s.us, 6, s.build(ACK, 901, 101, n=10), extra=bytes((1, 1, 1, 0))))
        assert len(s.recv()) == 10


@claim
def fragments_are_put_together_in_any_order():
    with Stack() as s:
        s.open()
        body = s.build(ACK, 901, 101, n=1000)
        parts = [(0, body[:400]), (400, body[400:800]), (800, body[800:])]
        for off, part in parts[::-1]:
            s.raw(ip_packet(s.peer, s.us, 6, part, ident=77, frag=(0x2000 if off < 800 else 0) | off // 8))
        assert len(s.recv()) == 1000
    with Stack(AF_INET6) as s:
        s.open()
        body = s.build(ACK, 901, 101, n=1000)
        for off in (400, 0, 800):
            part = body[off:off + 400]
            frag = struct.pack(">BBHI", 6, 0, off | (off < 800), 99)
            s.raw(ip_packet(s.peer, s.us, 44, part, extra=frag))
        assert len(s.recv()) == 1000


@claim
def unknown_ports_are_answered_with_a_reset():
    for family in (AF_INET, AF_INET6):
        with Stack(family) as s:
            s.iss = 0
            s.rx(SYN, 900, sport=1, dport=2)
            x = s.tx()
            assert (x.flags, x.ack, x.sport, x.dport) == (RST | ACK, 901, 2, 1) and x.seq - 100 == 0
            s.raw(ip_packet(s.peer, s.us, 6, tcp_segment(s.peer, s.us, 1, 2, 5, 777, ACK)))
            x = s.tx()
            assert x.flags == RST and x.seq - 100 == 777
            s.rx(RST, 900, sport=1, dport=2)
            s.nothing()
