#!/usr/bin/env bash
# half-open - connections that died in silence are replaced at the server, not added: it may let in one client only
#
# timeout: 240
# beside others: mostly waits
#
#   sluiced --bench ── sl0 ── sl1 ── qemu-nbd -t with its default of one client; then nbdkit, and 48 connections that die four times
#
# A filter on both ends' packets drops everything for longer than dead_peer_timeout, so neither side hears of the other's end. The
# next connection has the same local port: its SYN draws a challenge ACK from the half-open one, our RST ends that (RFC 9293 3.5.1).
# shellcheck source=tests/net/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

said() { grep -q "$1" "$tmp/log"; }
times() { [ "$(grep -c "$1" "$tmp/log")" -ge "$2" ]; }
standing() { in_srv ss -Htn state established 'sport = :10809' | wc -l; }

cut_off() {
    in_srv nft -f - <<'TXT'
table netdev cut {
    chain in { type filter hook ingress device "sl1" priority 0; ip protocol tcp drop; }
}
table inet cut {
    chain out { type filter hook output priority 0; meta l4proto tcp drop; }
}
TXT
}
mend() { in_srv nft delete table netdev cut; in_srv nft delete table inet cut; }

load() { # options…: until end_load, or for as long as this takes at most
    BENCH_TIMEOUT=150 bench "nbd://$SERVER_IP:10809/" --rw=randread --bs=4k --runtime=120 "$@" >"$tmp/result" 2>"$tmp/log" &
    load_pid=$!
}
end_load() {
    kill -INT $(ip netns pids "$cli") # shellcheck disable=SC2046 # one word for each
    wait "$load_pid"
    tail -n 8 "$tmp/log" >&2
}

one_client() {
    truncate -s 64M "$tmp/disk"
    start_server 10809 qemu-nbd --format=raw --port=10809 --persistent --export-name= "$tmp/disk" || exit 1
    write_config af_packet:sl0 "volumes:" "  - name: disk" "    uri: \"nbd://$SERVER_IP:10809/\"" "    dead_peer_timeout: 2s"
    load --iodepth=4
    wait_until 20 said 'disk: ready' || { tail "$tmp/log" >&2; exit 1; }
    cut_off
    claim silent_connection_is_given_up wait_until 15 said 'connection timed out\|no answer\|lost'
    mend
    claim server_for_one_client_lets_the_next_connection_in wait_until 12 times 'connection 1 of 1 is up' 2
    end_load
    stop_server
}

# Four times: all die, and all come back.
many() {
    local round count
    start_server 10809 nbdkit -f -p 10809 memory 64M || exit 1
    write_config af_packet:sl0 "volumes:" "  - name: disk" "    uri: \"nbd://$SERVER_IP:10809/\"" "    dead_peer_timeout: 2s" \
        "    connections: 8"
    load --iodepth=16 --volumes=6
    wait_until 30 times ' is up$' 48 || { tail "$tmp/log" >&2; exit 1; }
    for round in 1 2 3 4; do
        cut_off
        wait_until 20 times 'no server: requests are held' $((6 * round)) || echo "round $round: not all were given up" >&2
        mend
        wait_until 30 times ' is up$' $((48 * (round + 1))) || echo "round $round: not all are back" >&2
    done
    count=$(standing)
    claim connections_of_six_volumes_are_replaced_four_times times ' is up$' 240
    claim as_many_stand_at_the_server_as_there_are [ "$count" -eq 48 ]
    echo "$count connections stand at the server" >&2
    end_load
    stop_server
}

one_client
many
exit $status_all
