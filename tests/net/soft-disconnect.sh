#!/usr/bin/env bash
# soft-disconnect - whatever ends a connection, a server reads ABORT or DISC and a FIN, and never gets a reset
#
# timeout: 150
# beside others: mostly waits
#
#   sluiced --bench ── sl0 ── sl1 ── nft counts our resets and FINs ── nbdkit -v, which tells what it was sent
#
# A refused export, one that wants TLS, a server that is shutting down, an export we refuse for its size or because it is another
# one, a bench that ends with errors, one that is interrupted under load. `detach --force` is in tests/guest/slow-server.sh.
# shellcheck source=tests/net/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

in_srv nft -f - <<'TXT' || exit 1
table inet ends {
    counter rst { }
    counter fin { }
    chain in {
        type filter hook input priority 0
        tcp dport 10809 tcp flags & rst != 0 counter name rst
        tcp dport 10809 tcp flags & fin != 0 counter name fin
    }
}
TXT
packets() { in_srv nft -j list counter inet ends "$1" | jq '.nftables[] | .counter? // empty | .packets'; }
more_fins() { [ "$(packets fin)" -gt "$1" ]; }
load() { # options…
    BENCH_TIMEOUT=60 bench "$uri" "$@" >"$tmp/result" 2>"$tmp/log"
    return $? # so that a shell of its own stays the parent
}
daemon() { pgrep -x sluiced -P "$(pgrep -d, -x timeout -P "$load_pid")"; }
logged() { grep -Eq "$1" "$tmp/log"; }

begin() { in_srv nft reset counters >/dev/null; }
ended_softly() { # claim, what the server's log has to say: of the connections since begin
    claim "$1_ends_with_fin" wait_until 5 more_fins 0
    claim "$1_ends_without_reset" [ "$(packets rst)" -eq 0 ]
    [ -z "${2:-}" ] || claim "$1_ends_in_words" wait_until 5 grep -Eq "$2" "$tmp/server.log"
}
ABORT='NBD_OPT_ABORT' DISC='NBD_CMD_DISC'
served() { # nbdkit's arguments…
    start_server 10809 nbdkit -f -v -p 10809 "$@" || exit 1
}

write_config af_packet:sl0
uri=nbd://$SERVER_IP/no-such-export
served --filter=exportname memory 64M exportname-strict=true exportname=disk
begin
claim unknown_export_is_refused eval '! load --runtime=1'
ended_softly refused_export "$ABORT"
stop_server

uri=nbd://$SERVER_IP/
echo "alice:$(printf '%064d' 7)" >"$tmp/psk"
served --tls=require --tls-psk="$tmp/psk" memory 64M
begin
claim export_that_wants_tls_is_refused eval '! load --runtime=1'
ended_softly wanted_tls "$ABORT"
stop_server

# No real server could be made to answer an option so at a chosen moment.
cat >"$tmp/closing.py" <<'PY'
import socket, struct
server = socket.create_server(("", 10809))
while True:
    conn = server.accept()[0]
    conn.sendall(b"NBDMAGICIHAVEOPT\0\3")
    conn.recv(4, socket.MSG_WAITALL)
    option = 0
    while option != 2:
        head = conn.recv(16, socket.MSG_WAITALL)
        if len(head) < 16:
            break
        option, size = struct.unpack(">8xII", head)
        conn.recv(size, socket.MSG_WAITALL)
        conn.sendall(struct.pack(">QIII", 0x3E889045565A9, option, 1 if option == 2 else 0x80000007, 0))
    print("NBD_OPT_ABORT" if option == 2 else "no word", flush=True)
    conn.close()
PY
start_server 10809 python3 "$tmp/closing.py" || exit 1
begin
claim server_that_is_closing_is_refused eval '! load --runtime=1'
ended_softly err_shutdown "$ABORT"
stop_server

served memory 511
begin
claim export_of_511_bytes_is_refused eval '! load --runtime=1'
ended_softly refused_size "$DISC"
stop_server

served --filter=error memory 64M error-pread-rate=50%
begin
claim bench_fails_where_the_server_fails eval '! load --rw=randread --bs=4k --iodepth=8 --runtime=1'
claim it_had_errors jq -e '.errors > 0' "$tmp/result"
ended_softly bench_with_errors "$DISC"
stop_server

served --filter=delay memory 64M rdelay=200ms
begin
: >"$tmp/log"
load --rw=randread --bs=4k --iodepth=8 --runtime=30 &
load_pid=$!
wait_until 20 logged 'ready' || exit 1
kill -TERM "$(daemon)"
wait $load_pid
ended_softly interrupted_load "$DISC"
stop_server

# The load goes on over a server that ends with requests in flight, one of another size, and the old one again.
served --filter=delay memory 64M rdelay=200ms
begin
: >"$tmp/log"
load --rw=randread --bs=4k --iodepth=8 --runtime=6 &
load_pid=$!
wait_until 20 logged 'ready' || exit 1
stop_server
ended_softly server_that_shuts_down
served memory 32M
begin
claim smaller_export_is_refused wait_until 20 logged 'came back with 33554432 bytes'
ended_softly refused_identity "$DISC"
stop_server
served memory 64M
claim load_ends_well_with_the_old_export wait $load_pid
exit $status_all
