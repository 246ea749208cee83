#!/usr/bin/env bash
# black-hole - a path narrower than both its ends, that says nothing
#
# timeout: 300
# beside others: mostly waits
#
# Both ends have an MTU of 1500; the server's end of the wire throws away what is larger than 1060 bytes, below IP, so no ICMP
# tells of it, as a tunnel behind a firewall does. Only the way to the server is narrow: the other is the server's to
# find out. WRITEs that fill no segment, and many: each is stored, over the connection that was opened first, and that
# something was too large is seen from the counter of the filter. Jumbo frames are the simulator's: af_packet takes none.
# shellcheck source=tests/net/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

start_server 10809 nbdkit -f -p 10809 memory 64M || exit 1
in_srv nft -f - <<'NFT' || exit 1
table netdev narrow {
    chain in { type filter hook ingress device "sl1" priority 0; meta length > 1060 counter drop; }
}
NFT
write_config af_packet:sl0
dropped() { in_srv nft -j list chain netdev narrow in | jq '[.. | .counter? // empty | .packets] | add'; }

# One connection from the beginning to the end, and packets were lost on it.
written() { # size
    local before good=0
    before=$(dropped)
    bench_good "nbd://$SERVER_IP/" --rw=randwrite --bs="$1" --iodepth=1 --runtime=5 --size=4m --verify 2>"$tmp/log" || good=1
    cat "$tmp/log" >&2
    [ $good = 0 ] && [ "$(grep -c 'connection 1 of 1 is up' "$tmp/log")" = 1 ] && [ "$(dropped)" -gt "$before" ]
}
for size in 1k 128k; do
    claim "writes_of_${size}_get_through_a_silent_black_hole" written $size
done
exit $status_all
