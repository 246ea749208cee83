#!/usr/bin/env bash
# real-servers - sluiced's own TCP and NBD against unmodified servers of every kind, each block verified
#
# timeout: 300
#
# nbd-real-servers asks the same of the NBD client alone, over kernel sockets; here it is the whole daemon. Each server serves
# one short load with --verify, most over one connection, and those that say so over four.
# shellcheck source=tests/net/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
RUNTIME=${SLUICE_RUNTIME:-1}
truncate -s 64M "$tmp/disk"

verify() { # kind, URI's end, bench's options, command…
    local kind=$1 export=$2 options=$3
    shift 3
    start_server 10809 "$@" || { not_ok "${kind}_verifies" "the server does not start"; return; }
    # shellcheck disable=SC2086
    claim "${kind}_verifies" bench_good "nbd://$SERVER_IP:10809/$export" --rw=randrw --iodepth=16 --size=8M \
        --runtime="$RUNTIME" --verify $options
    stop_server
}

nbdkit_is() { # kind, options of bench, nbdkit's arguments…
    local kind=$1 options=$2
    shift 2
    verify "nbdkit_$kind" '' "$options" nbdkit -f -p 10809 "$@"
}

config() { write_config af_packet:sl0 "volumes:" "  - name: many" "    uri: nbd://$SERVER_IP:10809/" "    connections: $1"; }

config 1
nbdkit_is memory --bs=4k-256k memory 64M
nbdkit_is file --bs=4k-64k file "$tmp/disk"
nbdkit_is no_sr --bs=4k-64k --no-sr memory 64M
nbdkit_is export_name_only --bs=4k-64k --mask-handshake=0 memory 64M
nbdkit_is delay --bs=4k-64k --filter=delay memory 64M rdelay=2ms wdelay=10ms
nbdkit_is rate --bs=4k-64k --filter=rate memory 64M rate=400M
nbdkit_is blocksize_policy --bs=4k-256k --filter=blocksize-policy memory 64M blocksize-minimum=4096 \
    blocksize-preferred=64K blocksize-maximum=128K blocksize-error-policy=error
nbdkit_is single_connection --bs=4k-64k --filter=multi-conn memory 64M multi-conn-mode=disable
config 4
nbdkit_is four_connections --bs=4k-64k memory 64M
nbdkit_is four_wished_one_allowed --bs=4k-64k --filter=multi-conn memory 64M multi-conn-mode=disable
config 1

# Paused for a while in the middle, and told to end while it is served.
paused() {
    pause() { printf %s "$1" | in_srv timeout 10 python3 -c 'import socket, sys
s = socket.socket(socket.AF_UNIX)
s.connect(sys.argv[1])
s.sendall(sys.stdin.read().encode())
s.recv(1)' "$tmp/pause"; }
    start_server 10809 nbdkit -f -p 10809 --filter=pause memory 64M pause-control="$tmp/pause" || return
    bench_good "nbd://$SERVER_IP:10809/" --rw=randrw --bs=4k-64k --size=8M --runtime=4 --verify >&2 &
    load_pid=$!
    flows() { [ "$(in_srv cat /sys/class/net/sl1/statistics/tx_bytes)" -gt 1000000 ]; }
    wait_until 20 flows
    pause p
    sleep 1 # it is silent for that long
    pause r
    claim nbdkit_pause_verifies wait "$load_pid"
    stop_server
}

exits() {
    start_server 10809 nbdkit -f -p 10809 --filter=exitwhen memory 64M exit-when-file-created="$tmp/exit" exit-when-poll=1 || return
    bench_good "nbd://$SERVER_IP:10809/" --rw=randrw --bs=4k-64k --size=8M --runtime=3 --verify >&2 &
    load_pid=$!
    wait_until 20 eval 'in_srv ss -Htn "sport = :10809" | grep -q ESTAB'
    touch "$tmp/exit"
    claim nbdkit_exitwhen_serves_whom_it_has wait "$load_pid"
    claim nbdkit_exitwhen_ends_then wait_until 20 eval '! kill -0 "$server_pid" 2>/dev/null'
}
paused
exits

printf '[generic]\nallowlist = true\nport = 10809\nlistenaddr = %s\n[disk]\nexportname = %s\nflush = true\nfua = true\ntrim = true\n' \
    "$SERVER_IP" "$tmp/disk" >"$tmp/conf"
verify nbd_server disk --bs=4k-128k nbd-server -d -C "$tmp/conf" -p "$tmp/pid"
for format in raw qcow2; do
    qemu-img create -q -f $format "$tmp/$format" 64M
    verify "qemu_nbd_$format" disk --bs=4k-128k qemu-nbd --format=$format --bind=$SERVER_IP --port=10809 --persistent --shared=8 \
        --discard=unmap --export-name=disk "$tmp/$format"
done
exit $status_all
