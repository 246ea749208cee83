#!/usr/bin/env bash
# credits - read credits follow rate x delay, and the sum follows the credits
#
# timeout: 120
#
# A reader that asks for one thing at a time needs no more than the largest request in flight; one that keeps a server busy that
# takes 20 ms for each needs what it sends in that time, and gets it as far as the pool has room. The product and what was granted
# are printed.
# shellcheck source=tests/net/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

read_from() { # delay in ms, requests at a time
    start_server 10809 nbdkit -f -p 10809 -t 64 --filter=delay memory 256M rdelay="$1"ms || exit 1
    bench_good "nbd://$SERVER_IP/" --rw=randread --bs=128k --iodepth="$2" --runtime=2 --size=256m 2>"$tmp/log"
    stop_server
    cat "$tmp/log" >&2
    jq -r '.credits | "rate \(.read_mb_s) MB/s x delay \(.read_delay_us) us = \(.read_mb_s * .read_delay_us / 1024 | floor) KiB, " +
        "granted \(.mbufs / 2 | floor) KiB of \(.least / 2) to \(.most / 2)"' "$tmp/result" >&2
}

write_config af_packet:sl0
read_from 0 1
claim credits_of_a_single_reader_stay_the_least jq -e '.credits | .mbufs == .least and .mbufs < .most' "$tmp/result"
claim rate_and_delay_are_measured jq -e '.credits | .read_mb_s > 1 and .read_delay_us > 0' "$tmp/result"
read_from 20 32
claim credits_of_a_far_server_grow jq -e '.credits | .mbufs >= 2 * .least and .mbufs <= .most' "$tmp/result"
claim delay_of_the_disk_is_in_it jq -e '.credits.read_delay_us >= 20000' "$tmp/result"
claim the_sum_follows_the_credits grep -Eq 'queue 0: the reserve is now [0-9]+ of the pool.s [0-9]+ mbufs, before [0-9]+: read credits' "$tmp/log"
claim normal_mbufs_are_left_to_others jq -e '.reserve.total - .reserve.floor >= 2048' "$tmp/result"
exit $status_all
