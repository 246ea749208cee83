#!/usr/bin/env bash
# loss - random loss costs time, never data
#
# timeout: 300
#
# nftables in the server's namespace throws away one packet in a hundred, both ways. Every block is verified; and that the
# loss was there is seen from our own retransmissions, so the test cannot pass on a lossless wire.
# shellcheck source=tests/net/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

start_server 10809 nbdkit -f -p 10809 memory 256M || exit 1
in_srv nft -f - <<'NFT' || exit 1
table inet loss {
    chain in { type filter hook input priority 0; meta l4proto tcp numgen random mod 100 0 drop; }
    chain out { type filter hook output priority 0; meta l4proto tcp numgen random mod 100 0 drop; }
}
NFT
write_config af_packet:sl0
lossy() { bench_good "nbd://$SERVER_IP/" --rw=randrw --bs=4k-256k --iodepth=16 --runtime=10 --size=64m --verify; }
claim data_is_intact_under_1_percent_loss lossy
claim loss_was_there_and_repaired jq -e '.tcp.retrans_segs > 0' "$tmp/result"
exit $status_all
