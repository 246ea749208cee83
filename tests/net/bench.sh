#!/usr/bin/env bash
# bench - the bench commands run, and hold the figures that do not depend on the machine
#
# timeout: 400
# beside others: mostly waits
#
# Throughput is not judged here: a shared machine would make it a matter of luck. Instructions are counted by callgrind over the
# same work each time, and CPU of a worker that waits is near nothing or it is not. Valgrind and sanitizers exclude each other,
# and a sanitized build is not measured: it is played once, with the plain one.
set -u
cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit 1
export BUILD=${BUILD:-$PWD/build}
if grep -q fsanitize "$BUILD/compile_commands.json"; then
    echo "ok is_played_with_the_plain_build"
    exit 0
fi
tmp=$(mktemp -d "${TMPDIR:-/tmp}/sluice-bench.XXXXXX")
trap 'rm -rf "$tmp"' EXIT
status_all=0

claim() { # claim, command…
    local name=$1
    shift
    if "$@" >&2; then echo "ok $name"; else echo "not ok $name"; status_all=1; fi
}

host_is_measured() {
    bench/host --rounds 1 --runtime 1 --drivers af_packet --job randread,4k,32 --no-forwarder --json "$tmp/host.json" --svg "$tmp/host.svg" &&
        jq -e '.jobs["randread-4k-32"] | .rows["sluice/af_packet"].iops > 0 and .ratios["sluice/af_packet"].iops > 0 and
            .spread["sluice/af_packet"].iops[0] <= .ratios["sluice/af_packet"].iops' "$tmp/host.json" &&
        /usr/bin/python3 -c 'import sys, xml.dom.minidom; xml.dom.minidom.parse(sys.argv[1])' "$tmp/host.svg"
}

# An ACK rides on the next request, and several requests share a packet: it was 1.9. A loaded machine makes it less.
reads_share_packets() { jq -e '.jobs["randread-4k-32"].rows["sluice/af_packet"].packets_sent_per_io < 0.8' "$tmp/host.json"; }

costs_less() { # case, instructions
    jq -e --arg case "$1" --argjson limit "$2" '.[$case].without_copy < $limit' "$tmp/cost.json"
}

rest_costs_less() { # instructions
    jq -e --argjson limit "$1" '.instructions["depth 1"].idle_per_turn < $limit' "$tmp/scale.json"
}

worker_sleeps() { jq -e '.af_packet.idle_worker_cpu_pct < 2' "$tmp/idle.json"; }

claim bench_host_measures_sluice_beside_libnbd host_is_measured
claim a_4k_read_at_depth_32_sends_less_than_0.8_packets reads_share_packets
# Each room has a colour of its own, and the legend has them all.
legend_is_whole() { [ "$(grep -c '<!-- \(port\|reserve\|classify\|ip\|tcp\|nbd\|load\|other\|copy\) -->' "$tmp/cost.svg")" -eq 9 ]; }

claim bench_cost_counts_instructions bench/cost --ios 20 --only 'segment,READ 4k' --json "$tmp/cost.json" --svg "$tmp/cost.svg"
claim every_room_is_in_the_legend legend_is_whole
claim a_received_segment_costs_less_than_900_instructions costs_less segment 900
claim a_4k_read_costs_less_than_5600_instructions costs_less 'READ 4k' 5600
claim bench_scale_counts_volumes_at_rest bench/scale --volumes 1,16 --ios 64 --no-load --json "$tmp/scale.json"
claim a_volume_at_rest_costs_less_than_250_instructions_a_turn rest_costs_less 250
claim bench_idle_watches_a_worker bench/idle --seconds 2 --drivers af_packet --json "$tmp/idle.json"
claim an_idle_worker_takes_less_than_2_percent_of_a_core worker_sleeps
exit $status_all
