#!/usr/bin/env bash
# reserve - the ledger and the sum from outside: they add up, follow what comes and goes, name a leak, refuse with numbers
#
# timeout: 180
#
# A daemon on two ports, and a server that accepts and says nothing: `sluice probe` of it is a volume that stays as long as
# the probe waits, on a kernel without ublk too.
#
#   ┌── sluice-cli-PID ──┐              ┌── sluice-srv-PID ──────────────────────┐
#   │ port net0 10.66.0.2│── sl0  sl1 ──│ 10.66.0.1:10809 silent                 │
#   │ port net1 10.67.0.2│── sl2  sl3 ──│ 10.67.0.1:10809 silent                 │
#   └────────────────────┘              └────────────────────────────────────────┘
# shellcheck source=tests/net/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

second_wire() {
    ip -n "$cli" link add sl2 type veth peer name sl3 netns "$srv" &&
        in_cli sysctl -qw net.ipv6.conf.sl2.disable_ipv6=1 && ip -n "$srv" addr add 10.67.0.1/24 dev sl3 &&
        ip -n "$cli" link set sl2 up && ip -n "$srv" link set sl3 up &&
        in_cli ethtool -K sl2 gso off tso off tx off rx off gro off >/dev/null &&
        in_srv ethtool -K sl3 gso off tso off tx off rx off gro off >/dev/null
}

two_ports() { # lines for the first port, further lines
    {
        printf 'ports:\n  - name: net0\n    device: "af_packet:sl0"\n    address: ["%s"]\n%s' "$CLIENT_CIDR" "$1"
        printf '  - name: net1\n    device: "af_packet:sl2"\n    address: ["10.67.0.2/24"]\n'
        printf 'run_dir: %s\nsocket: %s/control.sock\n' "$tmp" "$tmp"
        printf '%s\n' "${@:2}"
    } >"$tmp/sluice.yaml"
}

sluice() { timeout 30 "$(program sluice)" --socket "$tmp/control.sock" "$@"; }
answers() { sluice status >/dev/null 2>&1; }

start_daemon() {
    ip netns exec "$cli" "$(program sluiced)" -c "$tmp/sluice.yaml" --no-ublk >"$tmp/sluiced.log" 2>&1 &
    daemon_pid=$!
    wait_until 40 answers || { not_ok daemon_starts "no answer"; cat "$tmp/sluiced.log" >&2; exit 1; }
}

stop_daemon() { # claim
    kill -TERM $daemon_pid
    if wait $daemon_pid; then ok "$1"; else not_ok "$1" "status $?"; tail -n 20 "$tmp/sluiced.log" >&2; fi
}

explain() { sluice --json reserve explain | jq -e --argjson pool "$1" ".pools[\$pool] | $2"; }
ledger() { sluice --json reserve | jq -e --argjson pool "$1" ".[\$pool] | $2"; }
true_of() { [ "$("$@")" = true ]; }
floor() { explain "$1" .floor; }
floor_is() { [ "$(floor "$1")" = "$2" ]; }
floor_is_not() { [ "$(floor "$1")" != "$2" ]; }
logged() { grep -Eq -- "$1" "$tmp/sluiced.log"; }

probe() { sluice probe "nbd://$1:10809/x" >"$tmp/probe.$2" 2>&1 & }

second_wire || exit 1
start_server 10809 python3 -c 'import socket, time
s = socket.create_server(("", 10809)); kept = []
while True: kept.append(s.accept())' || exit 1

### one daemon: the sum, and what comes and goes
two_ports ''
start_daemon
claim terms_add_up_to_the_sum true_of explain 0 '([.terms[].mbufs] | add) == .subtotal and .sum >= .subtotal and .floor == .sum'
if ! grep -q fsanitize "$BUILD/compile_commands.json"; then # a sanitizer's own memory nobody explains
    claim memory_explained_is_what_is_resident_within_5_percent true_of eval \
        'sluice --json reserve explain | jq -e ".memory | .bytes / .resident_bytes | . > 0.95 and . < 1.05"'
fi
claim drivers_of_no_device_here_are_not_loaded sh -c '! grep -q librte_crypto "/proc/$1/maps"' _ "$daemon_pid"
claim ledger_adds_up_to_the_pool true_of ledger 0 '.free + ([.owners[] | select(.parent == -1) | .used] | add) == .total'
claim every_place_has_a_limit true_of ledger 0 '[.owners[] | select(.owner == "ring" or .owner == "unclassified" or
    .owner == "essential" or .owner == "reassembly") | .limit > 0] | length == 4 and all'
floor0=$(floor 0) floor1=$(floor 1)
probe $SERVER_IP 0
claim attach_grows_the_reserve_of_its_port wait_until 10 floor_is_not 0 "$floor0"
claim other_port_keeps_its_own floor_is 1 "$floor1"
claim owners_of_the_volume_are_in_the_ledger true_of ledger 0 '[.owners[] | select(.owner | test("^probe-1"))] |
    length == 3 and all(.limit > 0)'
claim growth_is_logged_with_before_and_after logged "queue 0: the reserve is now [0-9]+ of the pool.s [0-9]+ mbufs, before $floor0: probe-1"
claim status_tells_what_the_nic_answers_to_a_flow_rule true_of eval \
    'sluice --json status | jq -e ".ports[0].flow_rules | test(\"^in software[:;] the port \")"'
goes_first() { [ "$(ps -L -o ni=,comm= -p $daemon_pid | awk '$2 == "sluice-worker" { print $1 }' | sort -u)" = -20 ]; }
claim workers_go_before_ordinary_programs_or_the_log_says_why eval 'goes_first || logged "priority of the workers"'
claim detach_brings_the_same_numbers_back wait_until 40 floor_is 0 "$floor0"
claim shrinkage_is_logged_too logged "queue 0: the reserve is now $floor0 of the pool.s [0-9]+ mbufs, before [0-9]+:"
wait %?probe 2>/dev/null

### the MTU is in the sum, for a datagram in pieces is no longer than that
ip -n "$cli" link set sl0 mtu 1100
claim smaller_mtu_shrinks_the_reserve wait_until 10 floor_is_not 0 "$floor0"
claim mtu_change_is_logged_with_before_and_after logged "queue 0: the reserve is now [0-9]+ of the pool.s [0-9]+ mbufs, before $floor0: .*MTU"
ip -n "$cli" link set sl0 mtu 1500
claim mtu_back_brings_the_same_numbers_back wait_until 10 floor_is 0 "$floor0"

### a leak, planted: named, counted, aged
sluice fault leak essential 3 >&2
claim leak_names_owner_and_count wait_until 5 true_of eval \
    'sluice --json reserve leaks | jq "any(.[]; .owner == \"essential\" and .count == 3)"'
claim leak_grows_old wait_until 10 true_of eval \
    'sluice --json reserve leaks | jq "any(.[]; .owner == \"essential\" and .oldest_us > 1000000 and (.ages[4:] | add) == 3)"'
claim ledger_still_adds_up true_of ledger 0 '.free + ([.owners[] | select(.parent == -1) | .used] | add) == .total'
claim people_see_the_leak eval 'sluice reserve leaks | grep -E "essential +3 "'

### refills that fail: one is nothing, a run is a warning and a counter
ping_some() { in_srv ping -qc 60 -i 0.01 -W 1 10.66.0.2 >/dev/null 2>&1; true; }
sluice fault refill 1 >&2
ping_some
claim one_failed_refill_raises_no_alarm true_of ledger 0 '.refused_refills >= 1 and .refill_alarms == 0'
sluice fault refill 60 >&2
ping_some
claim run_of_failed_refills_is_counted true_of ledger 0 '.refill_alarms == 1'
claim run_of_failed_refills_is_one_warning wait_until 5 eval '[ "$(grep -c "refills in a row found no packet memory" "$tmp/sluiced.log")" = 1 ]'
claim ring_debt_is_paid_once_memory_is_back true_of ledger 0 '.ring_debt == 0 and .refused_run == 0'
claim end_of_the_trouble_is_told wait_until 5 logged 'refills succeed again'
claim port_of_its_own_is_not_touched true_of ledger 1 '.refused_refills == 0'
claim no_owner_was_over_its_limit true_of eval 'sluice --json reserve | jq "all(.[]; .owners_over_limit == 0)"'
stop_daemon daemon_ends_with_a_leak_on_its_books

### ring size and queues of the file reach the sum; what does not fit is refused
two_ports $'    rx_ring: 512\n    queues: 2\n' 'reserve: {normal: 64}'
start_daemon
claim ring_size_is_a_term true_of explain 0 'any(.terms[]; .term == "ring" and .mbufs == 512)'
claim each_queue_has_its_own_pool true_of eval 'sluice --json reserve explain | jq ".pools | length == 3"'
for i in 0 1 2 3; do
    probe 10.67.0.1 "$i"
done
claim attach_past_the_memory_is_refused_with_the_numbers wait_until 20 eval \
    'grep -Eq "does not fit: [0-9]+ mbufs needed.*has [0-9]+; lower .* set reserve.normal to [0-9]+" "$tmp"/probe.*'
claim those_that_fit_were_not_refused eval '[ "$(grep -l "does not fit" "$tmp"/probe.* | wc -l)" -lt 4 ]'
stop_daemon daemon_ends_with_probes_under_way
exit $status_all
