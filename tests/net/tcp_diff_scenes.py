"""tcp_diff_scenes - what the peer does to both stacks; see tcp_diff.py

Sequence numbers: the stack's begin at 100, the peer's at 900; segments of 1000 bytes. Each answers() is a step with a name.
All are played over IPv4, and over IPv6 those that are not about IPv4 (ip4) and wait for no timer (slow).
"""
from stt import ACK, CWR, ECE, FIN, PSH, RST, SYN, URG

SCENES = []


def scene(**want):
    def take(function):
        function.want = want
        SCENES.append(function)
        return function
    return take


# ---- opening ----

@scene(ts=True, wscale=True, slow=True)
def syn_offers(s):
    s.t.connect()
    s.answers("syn")
    s.answers("second_syn", 1.5)
    s.answers("third_syn", 2.5)


@scene()
def open_to_a_confused_peer(s):
    s.t.connect()
    s.answers("syn")
    s.rx(ACK, 5000, 7000)
    s.answers("ack_of_another_life")
    s.rx(SYN | ACK, 900, 102, mss=1000)
    s.answers("syn_ack_with_wrong_ack")
    s.rx(RST, 900)
    s.rx(RST | ACK, 900, 105)
    s.answers("rst_without_right_ack")
    s.rx(ACK, 901, 101, n=10)
    s.answers("data_before_syn")
    s.rx(SYN | ACK, 900, 101, mss=1000)
    s.answers("syn_ack")
    s.rx(SYN | ACK, 900, 101, mss=1000)
    s.answers("syn_ack_again")


@scene()
def open_is_refused(s):
    s.t.connect()
    s.answers("syn")
    s.rx(RST | ACK, 0, 101)
    s.answers("after_rst")
    s.read("error")


@scene()
def simultaneous_open(s):
    s.t.connect()
    s.answers("syn")
    s.rx(SYN, 900, mss=1000, sack_ok=True)
    s.answers("crossing_syn")
    s.rx(SYN, 900, mss=1000, sack_ok=True)
    s.answers("crossing_syn_again")
    s.rx(SYN | ACK, 900, 101, mss=1000, sack_ok=True)
    s.answers("their_syn_ack")
    s.write(10)
    s.answers("data")


@scene()
def open_without_options(s):
    s.t.connect()
    s.answers("syn")
    s.rx(SYN | ACK, 900, 101)
    s.answers("handshake")
    s.write(2000)
    s.answers("segments_of_536")


@scene()
def data_with_the_syn_ack(s):
    s.t.connect()
    s.answers("syn")
    s.rx(SYN | ACK | FIN, 900, 101, n=10, mss=1000)
    s.answers("syn_ack_data_fin")
    s.read("read")


@scene()
def strange_options(s):
    s.t.connect()
    s.answers("syn")
    s.rx(SYN | ACK, 900, 101, opts=b"\xfd\x06abcd\x02\x04\x01\xf4\xfe\x00")
    s.answers("illegal_length_behind_mss_500")
    s.write(600)
    s.answers("segments_of_500")
    s.rx(ACK, 901, 701, n=10, opts=b"\xfd\x01xx")
    s.answers("illegal_length_on_data", 0.2)


# ---- receiving ----

@scene()
def data_in_order(s):
    s.open()
    for i in range(4):
        s.rx(ACK, 901 + 1000 * i, 101, n=1000)
        s.answers(f"segment_{i}")
    s.read("read")


@scene()
def data_out_of_order(s):
    s.open()
    for label, seq in (("hole", 1901), ("next", 2901), ("second_run", 5901), ("third_run", 7901), ("joins_first", 3901)):
        s.rx(ACK, seq, 101, n=1000)
        s.answers(label)
    s.rx(ACK, 901, 101, n=1000)
    s.answers("hole_filled")
    s.rx(ACK, 4901, 101, n=1000)
    s.answers("second_hole_filled")
    s.read("read")


@scene(no_sack=True)
def data_out_of_order_without_sack(s):
    s.open()
    for i in range(1, 4):
        s.rx(ACK, 901 + 1000 * i, 101, n=1000)
        s.answers(f"duplicate_{i}")
    s.rx(ACK, 901, 101, n=1000)
    s.answers("hole_filled")


@scene()
def duplicates(s):
    s.open()
    s.rx(ACK, 901, 101, n=1000)
    s.answers("first")
    s.rx(ACK, 901, 101, n=1000)
    s.answers("again")
    s.rx(ACK, 1401, 101, n=1000)
    s.answers("half_again")
    s.rx(ACK, 3401, 101, n=1000)
    s.answers("hole")
    s.rx(ACK, 3401, 101, n=1000)
    s.answers("beyond_the_hole_again")
    s.rx(ACK, 3901, 101, n=1000)
    s.answers("half_of_the_run_again")
    s.rx(ACK, 901, 101, n=500)
    s.answers("old_while_a_hole")


@scene(slow=True)
def outside_the_window(s):
    s.open()
    s.rx(ACK, 901 + 8000000, 101, n=100)
    s.answers("far_beyond")
    s.sleep(0.6)
    s.rx(ACK, 901 + 8000000, 101)
    s.answers("bare_ack_far_beyond")
    s.sleep(0.6)
    s.rx(ACK, 900, 101)
    s.answers("keepalive")
    s.sleep(0.6)
    s.rx(ACK, 900, 101, n=1)
    s.answers("keepalive_with_garbage")
    s.sleep(0.6)
    s.rx(FIN | ACK, 901 + 8000000, 101)
    s.answers("fin_far_beyond")
    s.read("read")


@scene()
def urgent(s):
    s.open()
    s.rx(ACK | URG | PSH, 901, 101, n=10, urp=5)
    s.answers("urgent_data")


@scene()
def odd_flags(s):
    s.open()
    s.rx(0, 901, n=10)
    s.answers("no_flags")
    s.rx(FIN, 901)
    s.answers("fin_without_ack")
    s.rx(ACK | FIN | URG | PSH, 901, 101, n=10, urp=60000)
    s.answers("christmas_tree")


@scene(slow=True)
def acks_nobody_sent_for(s):
    s.open()
    s.rx(ACK, 901, 5000, n=10)
    s.answers("ack_of_the_future")
    s.sleep(0.6)
    s.rx(ACK, 901, 101 - 2000000, n=10)
    s.answers("ack_of_the_distant_past")
    s.sleep(0.6)
    s.rx(ACK, 901, 90, n=10)
    s.answers("ack_of_the_near_past")


# ---- resets and SYNs out of place ----

@scene(slow=True)
def resets(s):
    s.open()
    s.rx(RST, 901 + 8000000)
    s.answers("rst_outside")
    s.rx(RST, 905)
    s.answers("rst_inside")
    s.sleep(0.6)
    s.rx(SYN, 905, mss=1000)
    s.answers("syn_inside")
    s.sleep(0.6)
    s.rx(SYN | ACK, 901 + 8000000, 101)
    s.answers("syn_ack_outside")
    s.rx(RST, 901)
    s.answers("rst_exact")
    s.read("error")


@scene()
def reset_at_the_edge_of_sacked_data(s):
    s.open()
    s.rx(ACK, 1901, 101, n=1000)
    s.answers("hole")
    s.rx(RST, 2901)
    s.answers("rst_behind_the_run")
    s.rx(ACK, 901, 101, n=1000)
    s.answers("hole_filled")


@scene()
def challenges_in_a_row(s):
    s.open()
    for i in range(30):
        s.rx(RST, 905 + i)
    s.answers("thirty_wrong_rsts")


@scene()
def close_with_unread_data(s):
    s.open()
    s.rx(ACK, 901, 101, n=100)
    s.answers("data")
    s.close()
    s.answers("close")
    s.rx(ACK, 1001, 101, n=100)
    s.answers("data_after")


@scene()
def data_after_close(s):
    s.open()
    s.close()
    s.answers("close")
    s.rx(ACK, 901, 102, n=100)
    s.answers("data")


@scene()
def abort(s):
    s.open()
    s.write(500)
    s.answers("data")
    s.abort()
    s.answers("abort")


# ---- closing ----

@scene()
def active_close(s):
    s.open()
    s.shutdown()
    s.answers("fin")
    s.rx(ACK, 901, 102)
    s.answers("ack_of_fin")
    s.rx(ACK, 901, 102, n=100)
    s.answers("data_to_the_open_half", 0.2)
    s.rx(FIN | ACK, 1001, 102)
    s.answers("their_fin")
    s.rx(FIN | ACK, 1001, 102)
    s.answers("their_fin_again")
    s.rx(SYN, 905, mss=1000)
    s.answers("old_syn_in_time_wait")


@scene()
def passive_close(s):
    s.open()
    s.rx(FIN | ACK, 901, 101, n=100)
    s.answers("data_and_fin")
    s.rx(ACK, 1002, 101, n=100)
    s.answers("data_behind_the_fin")
    s.read("read")
    s.read("end")
    s.write(100)
    s.answers("data_from_close_wait")
    s.rx(ACK, 1002, 201)
    s.shutdown()
    s.answers("fin")
    s.rx(ACK, 1002, 202)
    s.answers("over")


@scene()
def simultaneous_close(s):
    s.open()
    s.shutdown()
    s.answers("fin")
    s.rx(FIN | ACK, 901, 101)
    s.answers("crossing_fin")
    s.rx(ACK, 902, 102)
    s.answers("ack_of_fin")


@scene()
def fin_beyond_a_hole(s):
    s.open()
    s.rx(FIN | ACK, 1901, 101, n=1000)
    s.answers("fin_and_hole")
    s.rx(ACK, 901, 101, n=1000)
    s.answers("hole_filled")


@scene(slow=True)
def fin_is_lost(s):
    s.open()
    s.shutdown()
    s.answers("fin")
    s.answers("fin_again", 2.0)
    s.answers("fin_third", 2.0)


# ---- sending ----

@scene()
def initial_window(s):
    s.open()
    s.write(20000)
    s.answers("ten_segments")
    s.ack(2101)
    s.answers("two_acknowledged")


@scene()
def lone_segment_is_lost(s):
    s.open()
    s.write(1000)
    s.answers("data")
    for i in range(4):
        s.answers(f"again_{i}", 3.0)
    s.ack(1101)
    s.answers("acknowledged")


@scene(slow=True)
def tail_is_lost(s):
    s.open()
    s.write(5000)
    s.answers("data")
    s.answers("probe", 1.0)
    s.ack(101, sacks=[(4101, 5101)])
    s.answers("probe_sacked")
    s.ack(5101)
    s.answers("acknowledged")


@scene()
def hole_is_sacked(s):
    s.open()
    s.write(8000)
    s.answers("data")
    s.ack(101, sacks=[(1101, 2101)])
    s.answers("one_sacked")
    s.ack(101, sacks=[(1101, 3101)])
    s.answers("two_sacked")
    s.ack(101, sacks=[(1101, 4101)])
    s.answers("three_sacked")
    s.ack(4101)
    s.answers("hole_acknowledged")


@scene(no_sack=True)
def duplicate_acks(s):
    s.open()
    s.ack(101)  # Linux takes the first ACK after the SYN for a window update, which is no duplicate
    s.write(20000)
    s.answers("data")
    for i in range(1, 6):
        s.ack(101)
        s.answers(f"duplicate_{i}")
    s.ack(3101)
    s.answers("partial_ack")
    s.ack(12101)
    s.answers("full_ack")


@scene(slow=True)
def everything_is_lost(s):
    s.open()
    s.write(10000)
    s.answers("data")
    s.answers("probe", 1.0)
    s.answers("timeout", 1.5)
    s.ack(1101)
    s.answers("first_acknowledged")
    s.ack(3101)
    s.answers("two_more")


@scene(slow=True)
def reneging(s):
    s.open()
    s.write(4000)
    s.answers("data")
    s.ack(101, sacks=[(1101, 4101)])
    s.answers("all_but_the_first_sacked")
    s.ack(1101)
    s.answers("first_acknowledged_and_blocks_gone")
    s.answers("what_was_sacked_comes_again", 2.0)


@scene(slow=True)
def window_shuts(s):
    s.open()
    s.ack(101, wnd=0)
    s.write(1000)
    s.answers("shut")
    s.answers("probe", 1.0)
    s.ack(101, wnd=0)
    s.answers("probe_answered")
    s.answers("second_probe", 2.0)
    s.ack(101, wnd=5000)
    s.answers("opened")


@scene()
def window_is_small(s):
    s.open(wnd=2500)
    s.write(5000)
    s.answers("two_and_a_half_segments")
    s.ack(1101, wnd=2500)
    s.answers("window_moved")


@scene()
def window_shrinks(s):
    s.open(wnd=5000)
    s.write(8000)
    s.answers("five_segments")
    s.ack(1101, wnd=1000)
    s.answers("shrunk")
    s.ack(5101, wnd=3000)
    s.answers("opened")


@scene()
def nagle(s):
    s.open()
    s.nodelay(0)
    s.write(10)
    s.answers("first_small")
    s.write(10)
    s.answers("second_small")
    s.ack(111)
    s.answers("acknowledged")


@scene(slow=True)
def keepalive(s):
    s.open()
    s.keepalive(1)
    s.answers("probe", 1.5)


# ---- timestamps, ECN, ICMP ----

@scene(ts=True, slow=True)
def timestamps(s):
    s.open(ts=(100000, 0))
    s.rx(ACK, 901, 101, n=100, ts=(100010, s.tsecr))
    s.answers("good")
    s.rx(ACK, 1001, 101, n=100, ts=(90000, s.tsecr))
    s.answers("old_timestamp")
    s.sleep(0.6)
    s.rx(ACK, 1001, 101, ts=(90000, s.tsecr))
    s.answers("old_timestamp_bare_ack")
    s.rx(ACK, 1001, 101, n=100, no_ts=True)
    s.answers("no_timestamp", 0.2)
    s.rx(RST, 1101)
    s.rx(RST, 1001)
    s.answers("rst_without_timestamp")


@scene(ecn=True)
def ecn(s):
    s.open()
    s.rx(ACK, 901, 101, n=1000, ecn=3)
    s.answers("marked")
    s.rx(ACK, 1901, 101, n=1000, ecn=2)
    s.answers("still_echoed")
    s.rx(ACK | CWR, 2901, 101, n=1000, ecn=2)
    s.answers("reduced")
    s.write(3000)
    s.answers("data")
    s.rx(ACK | ECE, 3901, 3101)
    s.write(1000)
    s.answers("our_cwr")


@scene(ip4=True)
def icmp(s):
    s.open()
    s.write(1000)
    s.answers("data")
    s.icmp(3, 3, 101)
    s.icmp(3, 1, 101)
    s.icmp(4, 0, 101)
    s.answers("errors_about_our_segment")
    s.icmp(3, 4, 5000, 600)
    s.answers("too_big_about_another_number")
    s.icmp(3, 4, 101, 600)
    s.answers("too_big")


@scene(ip4=True)
def icmp_while_opening(s):
    s.t.connect()
    s.answers("syn")
    s.icmp(3, 3, 500)
    s.answers("about_another_number")
    s.icmp(3, 3, 100)
    s.read("port_unreachable")


@scene(ip4=True)
def soft_icmp_while_opening(s):
    s.t.connect()
    s.answers("syn")
    s.icmp(3, 1, 100)
    s.read("host_unreachable")
