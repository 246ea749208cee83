/*
 * counters.c - every counter's name, help and type
 *
 * Counters of a worker live in flat structs of uint64_t. The table beside each is checked against
 * the struct's size, so a counter without a name does not compile. JSON, the CLI and OpenMetrics
 * all take their names from here.
 */
#include "daemon/admin/counters.h"

#include <assert.h>
#include "dataplane/worker.h"

#define COUNT_OF(array) (sizeof(array) / sizeof(*(array)))
#define COUNTER(name, help)                                                                        \
	{                                                                                          \
		name, help, REGISTRY_COUNTER, REGISTRY_FINE                                        \
	}
/* Counters of `sluice drops`. */
#define DROPPED(name, help)                                                                        \
	{                                                                                          \
		name, help, REGISTRY_COUNTER, REGISTRY_DROPPED                                     \
	}
#define HELD(name, help)                                                                           \
	{                                                                                          \
		name, help, REGISTRY_COUNTER, REGISTRY_HELD                                        \
	}
#define REFUSED(name, help)                                                                        \
	{                                                                                          \
		name, help, REGISTRY_COUNTER, REGISTRY_REFUSED                                     \
	}
#define FAILED(name, help)                                                                         \
	{                                                                                          \
		name, help, REGISTRY_COUNTER, REGISTRY_FAILED                                      \
	}
#define GAUGE(name, help)                                                                          \
	{                                                                                          \
		name, help, REGISTRY_GAUGE, REGISTRY_FINE                                          \
	}

static const struct registry_item loop_items[] = {
	COUNTER("turns", "Turns of the worker's loop"),
	COUNTER("busy_turns", "Turns that found something to do"),
	COUNTER("sleeps", "Times the worker went to sleep"),
	COUNTER("naps", "Naps taken during a flood of non-storage packets"),
	COUNTER("rests", "Rests taken while requests were in flight"),
	COUNTER("wakeups", "Times an event ended its sleep"),
	COUNTER("rx_wakeups", "Of these, by the RX interrupt"),
	HELD("tx_full", "Packets the full TX ring did not take at once"),
	GAUGE("max_turn_us", "Longest turn in microseconds"),
	COUNTER("rx_packets", "Packets that arrived at this worker's queue"),
	COUNTER("tx_packets", "Packets sent by this worker's queue"),
	COUNTER("stray_out", "Packets of another worker's connections, handed over"),
	COUNTER("stray_in", "Packets of this worker's connections that arrived at another"),
	DROPPED("stray_lost", "Packets not handed over because the queue between workers was full"),
	COUNTER("clock_back", "Times the processor's clock (TSC) went back, as after a suspend; "
			      "time stood still for that turn"),
};

static const struct registry_item net_items[] = {
	COUNTER("rx_packets", "Packets received"),
	COUNTER("rx_bytes", "Bytes received"),
	COUNTER("tx_packets", "Packets sent"),
	COUNTER("tx_bytes", "Bytes sent"),
	DROPPED("rx_bad_csum", "Packets with a wrong checksum"),
	DROPPED("rx_bad_hdr", "Packets with a malformed header"),
	REFUSED("rx_no_conn", "Segments that match no connection"),
	DROPPED("rx_not_ours", "Packets for another address"),
	COUNTER("arp_rx", "ARP packets received"),
	COUNTER("arp_tx", "ARP packets sent"),
	COUNTER("nd_rx", "Neighbour discovery packets received"),
	COUNTER("nd_tx", "Neighbour discovery packets sent"),
	COUNTER("icmp_rx", "ICMP packets received"),
	COUNTER("icmp_echo_tx", "Echo requests answered"),
	COUNTER("icmp_unreach_rx", "ICMP errors received"),
	COUNTER("neigh_failed", "Neighbours that did not answer"),
	COUNTER("frag_rx", "Fragments received"),
	COUNTER("reass_ok", "Datagrams reassembled"),
	DROPPED("reass_drop", "Datagrams dropped before they were complete"),
	COUNTER("tcp_rx_segs", "TCP segments received"),
	COUNTER("tcp_run_segs", "Of these, taken as the next of a run"),
	COUNTER("tcp_tx_segs", "TCP segments sent"),
	COUNTER("tcp_train_segs", "Of these, made from the headers of the one before"),
	COUNTER("tcp_retrans_segs", "TCP segments sent again"),
	COUNTER("tcp_rto", "Retransmission timeouts"),
	COUNTER("tcp_fast_rtx", "Fast retransmits"),
	COUNTER("tcp_tlp", "Tail loss probes"),
	COUNTER("tcp_dupack_rx", "Duplicate acknowledgements received"),
	COUNTER("tcp_ooo_segs", "Segments received out of order"),
	DROPPED("tcp_ooo_shed", "Out-of-order segments dropped for lack of memory"),
	COUNTER("tcp_compacted", "Small segments merged by copying"),
	DROPPED("tcp_out_of_window", "Segments outside of the window"),
	DROPPED("tcp_paws_drop", "Segments with an old timestamp"),
	COUNTER("tcp_challenge_ack", "Challenge acknowledgements sent"),
	COUNTER("tcp_rst_rx", "Resets received"),
	COUNTER("tcp_rst_tx", "Resets sent"),
	COUNTER("tcp_zero_window_probe", "Zero window probes sent"),
	COUNTER("tcp_undo", "Reactions to loss that were undone"),
	COUNTER("tcp_connect", "Connections begun"),
	COUNTER("tcp_established", "Connections established"),
	COUNTER("tcp_closed", "Connections closed in order"),
	COUNTER("tcp_aborted", "Connections aborted"),
	REFUSED("hdr_alloc_failed", "Headers that could not be allocated"),
	DROPPED("protected_drops", "Storage segments dropped for memory, which must stay 0"),
};

static const struct registry_item exception_items[] = {
	COUNTER("to_kernel", "Packets of other traffic passed to the kernel"),
	COUNTER("rule_to_kernel", "Packets protected by a rule passed to the kernel"),
	COUNTER("copied_to_kernel", "ARP and ND packets of which the kernel got a copy"),
	COUNTER("from_kernel", "Packets of the kernel sent out of the NIC"),
	HELD("held", "Packets that had to wait in the hold queue"),
	COUNTER("released", "Packets released from the hold queue, in order"),
	DROPPED("aged", "Packets dropped because they waited too long"),
	HELD("rationed", "Packets delayed because the kernel is short of memory; they were "
			    "held or shed"),
	DROPPED("shed_flow",
		"Packets dropped from the hold queue, of the largest and newest flows"),
	DROPPED("shed_off", "Packets dropped because the port has no exception port"),
	DROPPED("shed_red", "Packets dropped at level red"),
	DROPPED("shed_memory", "Packets dropped because there was no memory for them"),
	DROPPED("shed_unfit", "Packets dropped because the kernel cannot take them as they are"),
	DROPPED("bad", "Malformed packets dropped"),
};

static const struct registry_item class_items[] = {
	COUNTER("protected", "Packets of storage connections"),
	COUNTER("essential", "Packets that storage connections depend on (ARP, ND, ICMP)"),
	COUNTER("other", "Packets of other traffic"),
	COUNTER("bad", "Malformed packets"),
};

static const struct registry_item port_items[] = {
	COUNTER("rx_packets", "Packets the NIC received"),
	COUNTER("tx_packets", "Packets the NIC sent"),
	COUNTER("rx_bytes", "Bytes the NIC received"),
	COUNTER("tx_bytes", "Bytes the NIC sent"),
	DROPPED("rx_missed", "Packets the NIC had no descriptor for"),
	DROPPED("rx_errors", "Packets the NIC received with errors"),
	DROPPED("tx_errors", "Packets the NIC failed to send"),
	REFUSED("rx_nombuf", "Refills that found no memory, as the driver counts them"),
};

static const struct registry_item ops_items[] = {
	COUNTER("read", "Reads answered"),
	COUNTER("write", "Writes answered"),
	COUNTER("flush", "Flushes answered"),
	COUNTER("trim", "Trims answered"),
	COUNTER("write_zeroes", "Writes of zeroes answered"),
};

static const struct registry_item bytes_items[] = {
	COUNTER("read", "Bytes read"),
	COUNTER("write", "Bytes written"),
	COUNTER("flush", "Always 0"),
	COUNTER("trim", "Bytes trimmed"),
	COUNTER("write_zeroes", "Bytes zeroed"),
};

static const struct registry_item errors_items[] = {
	FAILED("read", "Reads that failed"),
	FAILED("write", "Writes that failed"),
	FAILED("flush", "Flushes that failed"),
	FAILED("trim", "Trims that failed"),
	FAILED("write_zeroes", "Writes of zeroes that failed"),
};

static const struct registry_item volume_items[] = {
	GAUGE("in_flight", "Requests in flight"),
	GAUGE("in_flight_max", "Most requests in flight at a time"),
	GAUGE("size_bytes", "Size of the export"),
	GAUGE("connections_ready", "Connections ready for requests"),
	COUNTER("reconnects", "Reconnects"),
	HELD("replayed", "Requests sent again after a reconnect"),
	HELD("timeouts", "Requests not answered in time"),
	COUNTER("protocol_errors", "Times the server broke the protocol"),
	GAUGE("oldest_request_us", "Age of the oldest request in flight in microseconds"),
	GAUGE("unstable_bytes", "Bytes answered and not flushed"),
	COUNTER("unstable_lost", "Of those, bytes that a server may have lost by a restart"),
	COUNTER("dirty_reconnects", "Connections lost while bytes were answered and not flushed"),
};

static const struct registry_item pool_items[] = {
	GAUGE("total", "Packet buffers in the pool"),
	GAUGE("floor", "Of those, reserved"),
	GAUGE("free", "Free packet buffers"),
	GAUGE("low_water", "Fewest free since the start"),
	GAUGE("ring_debt", "Buffers the last refused refill asked for"),
	GAUGE("depth_percent", "Share of the reserve in use"),
	GAUGE("level", "Level, 0 green, 1 yellow, 2 red"),
	COUNTER("dips", "Buffers allocated from the reserve"),
	REFUSED("refused", "Allocations refused"),
	REFUSED("refused_refills", "Refills that got no buffer"),
	COUNTER("refill_alarms", "Long runs of such refills"),
	COUNTER("allocs", "Buffers allocated"),
	COUNTER("frees", "Buffers freed"),
};

static_assert(COUNT_OF(loop_items) * sizeof(uint64_t) == sizeof(struct worker_stats),
	"each counter of a worker has a name");
static_assert(COUNT_OF(exception_items) * sizeof(uint64_t) == sizeof(struct slow_path_stats),
	"each counter of other traffic has a name");
static_assert(COUNT_OF(net_items) * sizeof(uint64_t) == sizeof(struct net_stats),
	"each counter of net has a name");
static_assert(COUNT_OF(port_items) * sizeof(uint64_t) == sizeof(struct port_stats),
	"each counter of a port has a name");
static_assert(COUNT_OF(ops_items) == BLOCK_OP_COUNT && COUNT_OF(bytes_items) == BLOCK_OP_COUNT &&
		      COUNT_OF(errors_items) == BLOCK_OP_COUNT,
	"each block operation has a name");

#define FAMILY(name, label)                                                                        \
	{                                                                                          \
#name, label, name##_items, COUNT_OF(name##_items)                                 \
	}

const struct registry_family counters_loop = FAMILY(loop, "worker");
const struct registry_family counters_net = FAMILY(net, "worker");
const struct registry_family counters_exception = {
	"other", "worker", exception_items, COUNT_OF(exception_items)};
const struct registry_family counters_class = FAMILY(class, "worker");
const struct registry_family counters_port = FAMILY(port, "port");
const struct registry_family counters_ops = FAMILY(ops, "volume");
const struct registry_family counters_bytes = FAMILY(bytes, "volume");
const struct registry_family counters_errors = FAMILY(errors, "volume");
const struct registry_family counters_volume = FAMILY(volume, "volume");
const struct registry_family counters_pool = FAMILY(pool, "pool");
