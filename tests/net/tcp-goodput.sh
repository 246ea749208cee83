#!/usr/bin/env bash
# tcp-goodput - over a wire that loses or reorders we are not much slower than the kernel
#
# timeout: 240
#
# Two rows of bench/tcp-loss, short. The bench compares in one run over one wire, and its floor of 0.9 is for figures; here half
# of it tells a stack that works from one that does not, and a busy machine from neither. Not with sanitizers: they are slow.
set -u
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
export BUILD=${BUILD:-$root/build}
cd "$root" || exit 1
if meson introspect --buildoptions "$BUILD" | jq -e '.[] | select(.name == "b_sanitize") | .value != "none"' >/dev/null; then
    echo "skip goodput_over_a_bad_wire a sanitized build is not measured"
    exit 0
fi
status=0
for row in loss-1% reorder-3%; do
    if result=$(bench/tcp-loss --json --row "$row" --rounds 2 --seconds 2) && echo "$result" >&2; then
        while read -r name ratio; do
            if jq -en "$ratio > 0.5" >/dev/null; then echo "ok $name"; else echo "not ok $name"; status=1; fi
        done < <(jq -r '"\(.direction)s_through_\(.row)_like_the_kernel \(.ratio)"' <<<"$result")
    else
        echo "not ok runs_over_$row"
        status=1
    fi
done
exit $status
