#!/usr/bin/env bash
# nbd-real-servers - the NBD client against unmodified servers, over kernel sockets on the loopback
#
# What the fakes of tests/unit/nbd_client cannot prove: that nbdkit, nbd-server and qemu-nbd mean by the protocol what we
# mean. Each server gets a free port and a time limit, and is ended by its own process id. No privilege, no DPDK.
#
# timeout: 300
# shellcheck source=tests/net/servers.sh
. "$(dirname "${BASH_SOURCE[0]}")/servers.sh"

verify() { # name: random sizes written, read while written, read back; over one connection and four
    claim "$1 verifies" run --rw randrw --bs 4k-256k --runtime-ms 700 --verify --iodepth 32 "$(uri "${2:-}")"
    claim "$1 verified something" result '.verified > 100 and .verify_errors == 0 and .busy == 0'
    claim "$1 verifies over four connections" \
        run --rw randrw --bs 4k-64k --runtime-ms 500 --verify --connections 4 --quota-mbufs 400 "$(uri "${2:-}")"
}

# ---- nbdkit ----
kit memory 64M
verify nbdkit-memory
claim nbdkit-speaks-structured result .structured
claim nbdkit-probe-lists run --probe "$(uri)"
claim nbdkit-probe-has-size result '.size == 67108864 and .has_list and .structured'
kit --no-sr memory 64M
verify nbdkit-no-sr
claim nbdkit-no-sr-is-simple result '.structured | not'
kit --mask-handshake=0 memory 64M
verify nbdkit-export-name-only
claim nbdkit-export-name-only-probes run --probe "$(uri)"
claim nbdkit-export-name-only-has-no-list result '.has_export and (.has_list | not)'
truncate -s 64M "$tmp/disk"
kit file "$tmp/disk"
verify nbdkit-file
kit --filter=multi-conn memory 64M multi-conn-mode=disable
verify nbdkit-one-connection
kit --filter=delay memory 64M rdelay=2ms wdelay=20ms
verify nbdkit-delay
kit --filter=rate memory 64M rate=400M
verify nbdkit-rate
kit --filter=blocksize-policy memory 64M blocksize-minimum=4096 blocksize-preferred=64K blocksize-maximum=128K \
    blocksize-error-policy=error
verify nbdkit-blocksize-policy
kit --filter=blocksize-policy memory 64M blocksize-minimum=64K blocksize-preferred=64K blocksize-maximum=1M \
    blocksize-error-policy=error
claim nbdkit-large-blocks-refuse-small-bs eval '! run --bs 4k "$(uri)" && said "block size 65536"'
kit --filter=fua memory 64M # its default: FLUSH, and no FUA
verify nbdkit-no-fua
kit --readonly memory 64M
claim nbdkit-read-only-refuses-writes eval '! run --rw write "$(uri)" && said read-only'
claim nbdkit-read-only-reads run --rw read --bs 64k "$(uri)"
kit --filter=error memory 64M error-pread=EIO error-pread-rate=10%
claim nbdkit-errors-arrive eval '! run --rw randread --runtime-ms 500 "$(uri)"'
claim nbdkit-errors-are-errors-and-the-stream-goes-on \
    result '.errors > 10 and .errors < .reads / 2 and .reconnects == 0 and .protocol_errors == 0'
kit --filter=error memory 64M error-pwrite=ENOSPC error-pwrite-rate=10%
claim nbdkit-write-errors-arrive eval '! run --rw randrw --verify --runtime-ms 500 "$(uri)"'
claim nbdkit-failed-writes-do-not-spoil-verify result '.errors > 10 and .verify_errors == 0'
kit memory 1000
claim nbdkit-odd-size-is-served run --rw randrw --bs 512 --runtime-ms 300 --verify "$(uri)"
claim nbdkit-odd-size-is-told said 'the last 488 bytes of the export are not served'
kit memory 511
claim nbdkit-size-below-a-sector-is-refused refused "511 bytes) is less than one block"
kit memory 0
claim nbdkit-empty-disk-is-refused refused "size is 0"
kit --filter=exportname memory 1M exportname-strict=true exportname=right
claim nbdkit-unknown-export-is-refused refused "no export 'wrong'" wrong
claim nbdkit-known-export-is-served run --size 1m "$(uri right)"

# Killed and started again on the same port and file while requests are in flight.
kit file "$tmp/disk"
run --rw randrw --bs 4k-64k --runtime-ms 6000 --verify --connections 2 "$(uri)" &
bench_pid=$!
for _ in $(seq 5); do
    read -rt 0.7 <> <(:) # let it work; the point is to cut it at any moment
    kill -KILL "$server_pid"
    wait "$server_pid" 2>/dev/null
    nbdkit --foreground --exit-with-parent --ipaddr 127.0.0.1 --port "$port" file "$tmp/disk" >>"$tmp/server.log" 2>&1 &
    server_pid=$!
done
claim nbdkit-killed-five-times-loses-nothing wait "$bench_pid"
claim nbdkit-killed-five-times-was-noticed result '.reconnects >= 5 and .errors == 0 and .verify_errors == 0'

# Gone for good: with "fail", errors in time; the run ends by itself.
run --rw randread --runtime-ms 3000 --fail-ms 500 "$(uri)" &
bench_pid=$!
read -rt 0.7 <> <(:)
server_stop KILL
claim nbdkit-gone-fails-in-time eval '! wait "$bench_pid" && said "requests failed"'
claim nobody-there-is-refused refused "connection refused; start the server"

# ---- nbd-server ----
truncate -s 64M "$tmp/nbd-server.img"
nbd_server_config() { # extra lines
    printf '[generic]\n\tallowlist = true\n\tport = %s\n\tlistenaddr = 127.0.0.1\n' "$port"
    printf '[disk]\n\texportname = %s\n\tflush = true\n\tfua = true\n\ttrim = true\n%s\n' "$tmp/nbd-server.img" "${1:-}"
}
start_nbd_server() {
    server_stop
    port=$(port_free)
    nbd_server_config "${1:-}" >"$tmp/nbd-server.conf"
    nbd-server -d -C "$tmp/nbd-server.conf" -p "$tmp/nbd-server.pid" >>"$tmp/server.log" 2>&1 &
    server_pid=$!
    listens_soon
}
start_nbd_server
claim nbd-server-verifies run --rw randrw --bs 4k-128k --runtime-ms 700 --verify --iodepth 32 "$(uri disk)"
start_nbd_server
claim nbd-server-unknown-export-is-refused refused "export 'nope'" nope

# ---- qemu-nbd ----
for format in raw qcow2; do
    qemu-img create -q -f $format "$tmp/$format.img" 64M
    server qemu-nbd --format=$format --bind=127.0.0.1 --port=PORT --persistent --shared=8 --discard=unmap \
        --export-name=disk "$tmp/$format.img"
    verify "qemu-nbd-$format" disk
    claim "qemu-nbd-$format-probes" run --probe "$(uri disk)"
    claim "qemu-nbd-$format-lists" result '.exports == ["disk"]'
    claim "qemu-nbd-$format-unknown-export-is-refused" refused "no export 'nope'" nope
done

# ---- not NBD ----
server python3 -m http.server --bind 127.0.0.1 PORT
claim http-is-silent-and-refused eval '! run --connect-ms 1000 "$(uri)" && said "no handshake in time"'
server_stop
exit $status_all
