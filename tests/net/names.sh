#!/usr/bin/env bash
# names - servers by name: every address that the port reaches is tried, and nobody waits for a name server
#
# timeout: 150
#
#   ┌── sluice-cli-PID ─────────────────┐          ┌── sluice-srv-PID ───────────────────┐
#   │ 127.0.0.1:53 nameserver (ours)    │          │ 10.66.0.1, 10.66.0.3  nbdkit        │
#   │ sluiced, 10.66.0.2, IPv4 only     │── veth ──│ 10.66.0.9             nobody there  │
#   └───────────────────────────────────┘          └─────────────────────────────────────┘
#
# /etc/resolv.conf of the client's namespace names the name server (ip-netns(8)).
# shellcheck source=tests/net/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

zone=$tmp/zone asked=$tmp/asked
drop_resolv() { rm -rf "/etc/netns/$cli"; }
trap 'drop_resolv; cleanup' EXIT
mkdir -p "/etc/netns/$cli" && echo 'nameserver 127.0.0.1' >"/etc/netns/$cli/resolv.conf" || exit 1

sluice() { timeout 60 "$(program sluice)" --socket "$tmp/control.sock" "$@"; }
answers() { sluice status >/dev/null 2>&1; }

ip -n "$srv" addr add 10.66.0.3/24 dev sl1
printf '%s\n' 'both.test AAAA fd00:77::1' "both.test A $SERVER_IP" 'two.test A 10.66.0.9' "two.test A $SERVER_IP" \
    "moves.test A $SERVER_IP" 'six.test AAAA fd00:77::1' 'dead.test silent' >"$zone"
in_cli "$root/tests/net/nameserver" 127.0.0.1 "$zone" "$asked" >"$tmp/nameserver.log" 2>&1 &
wait_until 20 grep -q ready "$asked" 2>/dev/null || { echo "no name server" >&2; cat "$tmp/nameserver.log" >&2; exit 1; }
start_server 10809 nbdkit -f -p 10809 memory 64M || exit 1

config() { # more lines of YAML
    printf 'ports:\n  - {name: net0, device: "af_packet:sl0", address: "%s"}\nrun_dir: %s\nsocket: %s/control.sock\n' \
        "$CLIENT_CIDR" "$tmp" "$tmp" >"$tmp/sluice.yaml"
    [ $# -eq 0 ] || printf '%s\n' "$@" >>"$tmp/sluice.yaml"
}
load=(--rw=randread --bs=4k --iodepth=4 --runtime=1)

### which addresses

config
claim address_of_a_family_the_port_has_not_is_left_out eval \
    'bench_good nbd://both.test/ "${load[@]}" 2>"$tmp/said"; rc=$?; cat "$tmp/said" >&2; [ $rc -eq 0 ] &&
        grep -q "both.test (fd00:77::1) is left out: no port reaches it" "$tmp/said"'
claim second_address_of_a_name_is_tried_when_the_first_is_dead bench_good nbd://two.test/ "${load[@]}"
claim name_without_an_address_the_port_reaches_is_refused eval \
    '! bench nbd://six.test/ "${load[@]}" >/dev/null 2>"$tmp/said"; grep "no port reaches six.test" "$tmp/said"'
claim name_that_does_not_exist_is_refused eval \
    '! bench nbd://none.test/ "${load[@]}" >/dev/null 2>"$tmp/said"; grep "none.test: .*check the name" "$tmp/said"'

config "volumes:" "  - {name: v, uris: [\"nbd://$SERVER_IP/\", \"nbd://none.test/\"]}"
claim server_whose_name_is_unknown_is_left_out eval \
    'bench_good "nbd://$SERVER_IP/" "${load[@]}" 2>"$tmp/said"; rc=$?; cat "$tmp/said" >&2; [ $rc -eq 0 ] &&
        grep -q "none.test is left out: " "$tmp/said"'
config "volumes:" "  - {name: v, uris: [\"nbd://none.test/\", \"nbd://$SERVER_IP/\"]}"
claim the_same_where_it_stands_first bench_good nbd://none.test/ "${load[@]}"

### a server moves to another address behind its name

move() {
    wait_until 20 eval '[ "$(grep -c "^moves.test A$" "$asked")" -ge 1 ]' && wait_until 20 is_connected || return 1
    stop_server
    sed -i 's/^moves.test A .*/moves.test A 10.66.0.3/' "$zone"
    start_server 10809 nbdkit -f -i 10.66.0.3 -p 10809 memory 64M
}
is_connected() { [ -n "$(in_srv ss -Htn state established '( sport = :10809 )')" ]; }
follows_the_name() {
    bench nbd://moves.test/ --rw=randread --bs=4k --iodepth=4 --runtime=6 >"$tmp/result" 2>"$tmp/said" &
    local pid=$! rc
    move && wait_until 20 is_connected
    rc=$?
    wait $pid || rc=1
    cat "$tmp/said" "$tmp/result" >&2
    [ $rc -eq 0 ] && grep -q 'addresses 10.66.0.3$' "$tmp/said" && jq -e '.errors == 0 and .ios > 0' "$tmp/result" >/dev/null
}
config
claim server_is_followed_to_another_address_behind_its_name follows_the_name
stop_server
start_server 10809 nbdkit -f -p 10809 memory 64M || exit 1

### a name server that never answers

ip netns exec "$cli" "$(program sluiced)" -c "$tmp/sluice.yaml" --no-ublk >"$tmp/sluiced.log" 2>&1 &
daemon_pid=$!
wait_until 40 answers || { not_ok daemon_starts "no answer"; cat "$tmp/sluiced.log" >&2; exit 1; }
sluice probe nbd://moves.test/ >/dev/null 2>&1
printf 'moves.test silent\ndead.test silent\nboth.test A %s\n' "$SERVER_IP" >"$zone"

pids=()
for i in 1 2 3; do
    sluice probe "nbd://dead.test/$i" >"$tmp/probe.$i" 2>&1 &
    pids+=($!)
done
under_way() { for p in "${pids[@]}"; do kill -0 "$p" 2>/dev/null || return 1; done; }
three_resolving() { [ "$(sluice list --json | jq '[.[] | select(.step == "resolving")] | length')" = 3 ]; }
claim list_is_answered_while_three_names_are_looked_up eval 'wait_until 10 three_resolving && under_way'
claim other_names_are_resolved_meanwhile eval 'sluice probe nbd://both.test/ >&2 && under_way'
claim silence_of_the_name_server_has_an_end eval \
    'wait "${pids[0]}"; rc=$?; cat "$tmp/probe.1"; [ $rc -eq 1 ] && grep -E "dead.test: .*check the name" "$tmp/probe.1"'

pids=()
sluice probe nbd://dead.test/last >"$tmp/probe.last" 2>&1 &
pids+=($!)
one_resolving() { [ "$(sluice list --json | jq '[.[] | select(.step == "resolving")] | length')" -ge 1 ]; }
ended() { ! kill -0 $daemon_pid 2>/dev/null; }
ends_at_once() {
    wait_until 10 one_resolving || return 1
    local begin=${EPOCHREALTIME/./}
    kill -TERM $daemon_pid
    wait_until 10 ended || return 1
    echo "ended after $(((${EPOCHREALTIME/./} - begin) / 1000)) ms"
    [ $((${EPOCHREALTIME/./} - begin)) -lt 4000000 ] && wait $daemon_pid
}
claim sigterm_is_heard_while_a_name_is_looked_up ends_at_once
exit $status_all
