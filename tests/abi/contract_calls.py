"""contract_calls - what the contract says of the library, its structs and its calls"""
import ctypes as c
import errno
import os
import struct
import subprocess

from claims import both, claim
from stt import *  # pylint: disable=wildcard-import,unused-wildcard-import


# ---- the library and its structs ----

@claim
def library_exports_only_the_contract():
    path = Stack.lib._name
    out = subprocess.run(["nm", "-D", "--defined-only", path], capture_output=True, text=True, check=True).stdout
    names = {line.split()[-1].split("@")[0] for line in out.splitlines()}
    want = {"stt_" + n for n in ("create destroy connect send recv shutdown close abort set rx tx now_us advance_us "
                                 "deadline_us pool_fail info").split()}
    assert want <= names, want - names
    strange = {n for n in names - want if not n.startswith(("__asan", "__ubsan", "__odr_asan", "_init", "_fini"))}
    assert not strange, strange


@claim
def layouts_are_as_the_contract_has_them():
    assert (Config.mtu.offset, Config.seed.offset, Config.cc.offset, Config.disable.offset) == (44, 48, 64, 80)
    assert c.sizeof(Config) == 88 and Info.bytes_acked.offset == 72 and c.sizeof(Info) == 88
    source = b"""#include <stdio.h>
#include <stddef.h>
#include "tests/abi/sluice_tcp_test.h"
int main(void) { printf("%zu %zu %zu %zu %d %d", sizeof(struct stt_config), offsetof(struct stt_config, disable),
    sizeof(struct stt_info), offsetof(struct stt_info, bytes_acked), STT_TIME_WAIT, (int)STT_NO_TSO); }"""
    exe = f"/tmp/stt-layout-{os.getpid()}"
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    try:
        subprocess.run(["cc", "-I", root, "-x", "c", "-", "-o", exe], input=source, check=True)
        assert subprocess.run([exe], capture_output=True, check=True).stdout == b"88 80 88 72 10 16"
    finally:
        if os.path.exists(exe):
            os.unlink(exe)


@claim
def smaller_structs_of_an_older_driver_are_enough():
    with Stack(size=Config.cc.offset) as s:
        s.open()
        short = Info(size=8, mss=77)
        assert Stack.lib.stt_info(s.h, s.conn, c.byref(short)) == 0
        assert short.state == ESTABLISHED and short.mss == 77, "written beyond size"


@claim
def larger_structs_of_a_newer_driver_are_filled_as_far_as_known():
    class Larger(c.Structure):
        _fields_ = [("info", Info), ("more", c.c_uint64)]
    with Stack(size=c.sizeof(Config) + 64) as s:
        s.open()
        big = Larger(more=123)
        big.info.size = c.sizeof(Larger)
        assert Stack.lib.stt_info(s.h, s.conn, c.byref(big)) == 0
        assert big.info.state == ESTABLISHED and big.more == 123


@claim
def unknown_congestion_control_is_refused():
    cfg = Config(size=c.sizeof(Config), local_ip4=1, peer_ip4=2, mtu=1500, cc=b"vegas")
    assert not Stack.lib.stt_create(c.byref(cfg))


@claim
def null_handles_and_numbers_do_no_harm():
    Stack.lib.stt_destroy(None)
    assert not Stack.lib.stt_create(None)
    with Stack() as s:
        for conn in (-1, 0, 63, 64, 10**6):
            s.conn = conn
            assert s.send(b"x") < 0 and Stack.lib.stt_recv(s.h, conn, s.buffer, 1) < 0
            assert s.call("shutdown") < 0 and s.call("close") < 0 and s.call("abort") < 0
            assert s.set("nodelay", 1) < 0
            assert Stack.lib.stt_info(s.h, conn, c.byref(Info(size=c.sizeof(Info)))) < 0


@claim
def stacks_come_and_go_three_hundred_times():
    for i in range(300):
        with Stack(seed=i, family=(AF_INET, AF_INET6)[i & 1]) as s:
            s.open()
            s.send_bytes(3000)
            s.rx(ACK, 901 + 1000, 101, n=1000)  # memory is held when it goes


@claim
def stacks_live_side_by_side():
    stacks = [Stack(seed=i, pool=512) for i in range(8)]
    for s in stacks:
        s.open()
    for s in stacks:
        s.send_bytes(10)
        s.expect(ACK, 101, n=10)
    for s in stacks[::-1]:
        s.__exit__()


@claim
def hundreds_of_connections_pass_through_one_stack():
    with Stack() as s:
        for i in range(300):
            s.iss = None
            s.open(lport=20000 + i)
            assert s.call("abort") == 0
            assert s.drain()[-1].flags & RST
            assert s.state == CLOSED
        info = s.info()
        assert info.free_mbufs == info.total_mbufs


@claim
def sixty_four_connections_stand_at_once():
    with Stack() as s:
        ids = [s.connect(20000 + i) for i in range(64)]
        assert sorted(ids) == list(range(64)) or min(ids) >= 0
        assert len({(x.sport) for x in s.drain()}) == 64
        assert s.connect(30000) == -errno.ENOSPC


@claim
def mtu_and_defaults_of_zero_work():
    with Stack(mtu=0) as s:
        assert s.connect() >= 0 and s.expect_syn().mss == 1460
    with Stack(mtu=9000, family=AF_INET6) as s:
        assert s.connect() >= 0 and s.expect_syn().mss == 9000 - 60


# ---- connecting ----

@claim
def connect_only_arms_the_syn():
    with Stack() as s:
        assert s.connect() >= 0
        assert s.set("mss", 700) == 0 and s.state == SYN_SENT
        assert s.expect_syn().mss == 700
        assert s.set("mss", 800) < 0
        s.nothing()


@claim
def connect_answers_errors():
    with Stack(v6=False) as s:
        assert s.connect(family=AF_INET6) < 0
        assert s.connect(family=77) == -errno.EAFNOSUPPORT
        assert s.connect() >= 0 and s.connect() == -errno.EADDRNOTAVAIL  # the same tuple twice


@claim
def chosen_ports_differ_and_are_in_host_order():
    with Stack() as s:
        ids = [s.connect(0) for _ in range(20)]
        assert min(ids) >= 0
        syns = s.drain()
        assert len({x.sport for x in syns}) == 20 and all(x.sport >= 1024 and x.dport == PPORT for x in syns)


@claim
def same_seed_says_the_same_another_seed_another():
    def syn(seed):
        with Stack(seed=seed) as s:
            s.connect()
            x = s.expect_syn()
            return s.iss, x.ts
    assert syn(5) == syn(5) and syn(5)[0] != syn(6)[0] and syn(5)[1] != syn(6)[1]


@claim
def each_disable_flag_takes_its_option_away():
    for bits in range(16):
        with Stack(disable=bits) as s:
            s.connect()
            x = s.expect_syn()
            assert x.sack_ok == (not bits & NO_SACK) and (x.ts is None) == bool(bits & NO_TS)
            assert (x.wscale is None) == bool(bits & NO_WSCALE)
            assert bool(x.flags & (ECE | CWR)) == (not bits & NO_ECN)
            # The peer offers everything all the same: what we did not ask for is not used.
            s.ts = True
            s.rx(SYN | ACK | ECE, 900, 101, mss=1000, sack_ok=True, wscale=7, wnd=100)
            x = s.expect(ACK, 101, 901)
            assert (x.ts is None) == bool(bits & NO_TS)
            s.ts = not bits & NO_TS
            s.rx(ACK, 901, 101, wnd=100)
            assert s.info().snd_wnd_bytes == (100 if bits & NO_WSCALE else 12800)
            s.rx(ACK, 1901, 101, n=1000, wnd=100)
            x = s.tx()
            assert bool(x.sacks) == (not bits & NO_SACK)


@claim
def each_congestion_control_moves_data():
    for cc in (b"", b"cubic", b"newreno", b"dctcp"):
        with Stack(cc=cc, disable=NO_TSO) as s:
            s.open()
            s.send_bytes(50000)
            got = 0
            for _ in range(60):
                for x in s.drain():
                    got = max(got, x.seq + len(x.data) - 101)
                s.rx(ACK, 901, 101 + got)
            assert got == 50000 and s.info().bytes_acked == 50000


# ---- sending and receiving ----

@both
def bytes_pass_both_ways(family, disable):
    with Stack(family, disable) as s:
        s.open(mss=1400, wscale=7, ts=True, wnd=65535)
        s.send_bytes(200000)
        acked = 0
        for _ in range(200):
            for x in s.drain():
                assert disable == 0 or len(x.packet) <= 1500
                acked = max(acked, x.seq + len(x.data) - 101)
            s.after(100)
            s.rx(ACK, 901, 101 + acked)
            if acked == 200000:
                break
        assert acked == 200000 and s.info().unacked_bytes == 0
        seq = 901
        for n in (1, 1000, 1400, 7, 536):
            s.rx(ACK, seq, 200101, n=n)
            seq += n
        assert len(s.recv()) == seq - 901
        assert s.info().bytes_received == seq - 901


@claim
def tso_packets_pass_the_mtu_with_right_lengths_and_checksums():
    for family in (AF_INET, AF_INET6):
        with Stack(family, 0) as s:
            s.open(mss=1400, wscale=7, ts=True, wnd=65535)
            s.send_bytes(100000)
            sizes = [len(x.packet) for x in s.drain()]  # Segment() verifies lengths and checksums
            assert max(sizes) > 1500 and max(sizes) <= 65575, sizes


@claim
def too_small_a_buffer_keeps_the_packet():
    with Stack(disable=NO_TSO) as s:
        s.open()
        s.send_bytes(1000)
        assert Stack.lib.stt_tx(s.h, s.buffer, 100) < 0
        s.expect(ACK, 101, n=1000)


@claim
def send_takes_a_part_and_then_says_try_again():
    with Stack() as s:
        s.open()
        data, n = pattern(0, 1 << 20, True), 0
        for _ in range(64):
            got = s.send(data)
            if got < len(data):
                break
        assert got == -errno.EAGAIN or 0 < got < len(data), got
        assert s.send(data) == -errno.EAGAIN
        assert s.info().unacked_bytes == 0  # queued, not sent


@claim
def nothing_to_read_says_try_again():
    with Stack() as s:
        s.connect()
        assert s.recv() == -errno.EAGAIN
        s.expect_syn()
        s.rx(SYN | ACK, 900, 101)
        assert s.recv() == -errno.EAGAIN and s.recv(0) == b"" and s.send(b"") == 0


@claim
def bytes_may_be_queued_before_the_syn_leaves():
    with Stack() as s:
        s.connect()
        s.send_bytes(500)
        s.expect_syn()
        s.rx(SYN | ACK, 900, 101, mss=1000)
        s.expect(ACK, 101, 901, n=500)


@claim
def end_of_stream_is_zero_again_and_again():
    with Stack() as s:
        s.open()
        s.rx(ACK | FIN, 901, 101, n=10)
        s.expect(ACK, 101, 912)
        assert len(s.recv()) == 10 and s.recv() == b"" and s.recv() == b"" and s.state == CLOSE_WAIT


@claim
def errors_are_answered_after_the_data_before_them():
    for flags, error, end in ((RST, errno.ECONNRESET, None), (0, errno.ETIMEDOUT, 400_000_000)):
        with Stack() as s:
            s.open()
            s.rx(ACK, 901, 101, n=100)
            s.drain()
            s.send_bytes(10)
            if end:
                s.after(end)
                s.drain()
            else:
                s.rx(flags, 1001)
            assert s.state == CLOSED
            assert len(s.recv(60)) == 60 and len(s.recv()) == 40
            assert s.recv() == -error and s.recv() == -error and s.send(b"x") == -error, (s.recv(), s.send(b"x"))


@claim
def failures_to_open_have_their_names():
    def fails(act, error):
        with Stack() as s:
            s.connect()
            s.expect_syn()
            act(s)
            assert s.state == CLOSED and s.recv() == -error and s.send(b"x") == -error
    def icmp(s, kind, code):
        quoted = ip_packet(LOCAL4, PEER4, 6, struct.pack(">HHI", LPORT, PPORT, s.iss))
        body = struct.pack(">BBHI", kind, code, 0, 0) + quoted
        s.raw(ip_packet(PEER4, LOCAL4, 1, body[:2] + struct.pack(">H", csum(body)) + body[4:]))
    def timeout(s):
        s.after(200_000_000)
    def soft(s):
        icmp(s, 3, 1)
        timeout(s)
    fails(lambda s: s.rx(RST | ACK, 0, 101), errno.ECONNREFUSED)
    fails(lambda s: icmp(s, 3, 3), errno.ECONNREFUSED)
    fails(timeout, errno.ETIMEDOUT)
    fails(soft, errno.EHOSTUNREACH)


# ---- closing, and states ----

@claim
def states_are_visible_through_time_wait():
    with Stack() as s:
        s.open()
        assert s.call("shutdown") == 0 and s.state == FIN_WAIT_1
        s.expect(ACK | FIN, 101, 901)
        s.rx(ACK, 901, 102)
        assert s.state == FIN_WAIT_2
        s.rx(ACK | FIN, 901, 102)
        s.expect(ACK, 102, 902)
        assert s.state == TIME_WAIT and s.deadline() > s.now()
        assert s.call("close") == 0 and s.state == TIME_WAIT
        s.after(59_000_000)
        assert s.state == TIME_WAIT
        s.after(2_000_000)
        assert s.state == CLOSED and s.deadline() == NEVER


@claim
def passive_close_passes_close_wait_and_last_ack():
    with Stack() as s:
        s.open()
        s.rx(ACK | FIN, 901, 101)
        s.expect(ACK, 101, 902)
        assert s.state == CLOSE_WAIT
        s.send_bytes(10)
        s.expect(ACK, 101, 902, n=10)
        assert s.call("close") == 0
        s.expect(ACK | FIN, 111)
        assert s.state == LAST_ACK
        s.rx(ACK, 902, 112)
        assert s.state == CLOSED


@claim
def simultaneous_open_and_close_pass_syn_received_and_closing():
    with Stack() as s:
        s.connect()
        s.expect_syn()
        s.rx(SYN, 900, mss=1000)
        assert s.state == SYN_RECEIVED
        s.expect(SYN | ACK, 100, 901)
        s.rx(ACK, 901, 101)
        assert s.state == ESTABLISHED
        s.call("shutdown")
        s.expect(ACK | FIN, 101, 901)
        s.rx(ACK | FIN, 901, 101)
        assert s.state == CLOSING
        s.expect(ACK, 102, 902)
        s.rx(ACK, 902, 102)
        assert s.state == TIME_WAIT


@claim
def sending_after_shutdown_is_refused_and_reading_goes_on():
    with Stack() as s:
        s.open()
        s.call("shutdown")
        assert s.send(b"x") == -errno.EPIPE and s.call("shutdown") == 0
        s.expect(ACK | FIN, 101, 901)
        s.rx(ACK, 901, 102, n=100)
        assert len(s.recv()) == 100


@claim
def abort_resets_and_gives_all_memory_back():
    with Stack() as s:
        s.open()
        s.send_bytes(5000)
        s.rx(ACK, 1901, 101, n=1000)
        s.rx(ACK, 901, 101, n=500)
        s.drain()
        assert s.call("abort") == 0
        x = s.tx()
        assert x.flags & RST and s.state == CLOSED
        info = s.info()
        assert info.free_mbufs == info.total_mbufs and info.held_mbufs == 0


@claim
def close_with_unread_data_resets():
    with Stack() as s:
        s.open()
        s.rx(ACK, 901, 101, n=100)
        s.drain()
        assert s.call("close") == 0
        assert s.tx().flags & RST and s.state == CLOSED


# ---- options ----

@claim
def settings_answer_and_count():
    with Stack(disable=NO_TSO) as s:
        s.connect()
        for name in ("nodelay", "keepalive_us", "user_timeout_us", "mss"):
            assert s.set(name, -1) < 0
        assert s.set("colour", 1) in (-errno.EINVAL, -errno.ENOENT, -errno.ENOPROTOOPT)
        assert s.set("nodelay", 0) == 0 and s.set("keepalive_us", 10_000_000) == 0
        assert s.set("user_timeout_us", 20_000_000) == 0 and s.set("mss", 500) == 0
        s.expect_syn()
        s.rx(SYN | ACK, 900, 101, mss=1000)
        s.expect(ACK, 101)
        s.send_bytes(10)
        s.expect(ACK, 101, n=10)
        s.send_bytes(10)
        s.nothing()  # Nagle
        s.send_bytes(490)
        s.expect(ACK, 111, n=500)  # a full segment of the size that was set


@claim
def nagle_holds_a_small_segment_until_asked_not_to():
    with Stack() as s:
        s.open()
        assert s.set("nodelay", 0) == 0
        s.send_bytes(10)
        s.expect(ACK, 101, n=10)
        s.send_bytes(10)
        s.nothing()
        assert s.set("nodelay", 1) == 0
        s.expect(ACK, 111, n=10)


@claim
def keepalive_probes_at_its_interval():
    with Stack() as s:
        s.open()
        assert s.set("keepalive_us", 10_000_000) == 0
        s.after(9_999_000)
        s.nothing()
        s.after(2_000)
        s.expect(ACK, 100, 901)
        s.rx(ACK, 901, 101)
        s.after(9_000_000)
        s.nothing()
        assert s.set("keepalive_us", 0) == 0
        s.after(100_000_000)
        s.nothing()
        assert s.state == ESTABLISHED


@claim
def user_timeout_ends_the_connection():
    with Stack() as s:
        s.open()
        assert s.set("user_timeout_us", 5_000_000) == 0
        s.send_bytes(10)
        s.after(4_900_000)
        assert s.state == ESTABLISHED
        s.after(200_000)
        assert s.state == CLOSED and s.recv() == -errno.ETIMEDOUT
