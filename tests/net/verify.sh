#!/usr/bin/env bash
# verify - what is written over our own TCP and NBD is what is read back, on either host driver
#
# timeout: 600
#
# The whole path below ublk: port, reserve, classifier, TCP, NBD client, bench front end, against unmodified servers.
# shellcheck source=tests/net/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
RUNTIME=${RUNTIME:-3}

mixed() { bench_good "$1" --rw=randrw --bs=4k-256k --iodepth=16 --runtime="$RUNTIME" --size=64m --verify; }
small() { bench_good "$1" --rw=randrw --bs=4k --iodepth=32 --runtime="$RUNTIME" --size=16m --verify; }

against() { # driver, server's name, URI
    write_config "$1:sl0"
    claim "mixed_sizes_verify_over_$1_against_$2" mixed "$3"
    claim "small_blocks_verify_over_$1_against_$2" small "$3"
}

start_server 10809 nbdkit -f -p 10809 memory 256M || exit 1
against af_packet nbdkit "nbd://$SERVER_IP/"
against af_xdp nbdkit "nbd://$SERVER_IP/"
write_config af_packet:sl0
claim mixed_sizes_verify_over_ipv6 mixed 'nbd://[fd00:66::1]/'
stop_server

truncate -s 256M "$tmp/disk"
printf '[generic]\n  user = root\n  group = root\n[disk]\n  exportname = %s\n  flush = true\n  fua = true\n' "$tmp/disk" >"$tmp/nbd.conf"
write_config af_packet:sl0
for load in mixed small; do # in the foreground nbd-server serves one connection and ends
    if start_server 10810 nbd-server -d -C "$tmp/nbd.conf" $SERVER_IP:10810; then
        claim "${load}_verifies_over_af_packet_against_nbd-server" $load "nbd://$SERVER_IP:10810/disk"
        stop_server
    else
        not_ok "${load}_verifies_over_af_packet_against_nbd-server" "nbd-server does not start"
    fi
done

qemu-img create -q -f qcow2 "$tmp/disk.qcow2" 256M
if start_server 10811 qemu-nbd --bind=$SERVER_IP --port=10811 --persistent --format=qcow2 --discard=unmap "$tmp/disk.qcow2"; then
    against af_xdp qemu-nbd "nbd://$SERVER_IP:10811/"
    stop_server
else
    not_ok mixed_sizes_verify_over_af_xdp_against_qemu-nbd "qemu-nbd does not start"
fi
exit $status_all
