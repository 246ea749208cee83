#!/usr/bin/env bash
# alloc - no worker allocates after start, and the tripwire that says so works
#
# timeout: 120
#
# Every test build interposes malloc and aborts on a worker's first allocation; so each passing host test is a proof. Here
# one is planted, to show that the tripwire is there.
# shellcheck source=tests/net/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
case $BUILD in *asan*) echo "skip planted_allocation_aborts the sanitizer has an allocator of its own"; exit 0 ;; esac

start_server 10809 nbdkit -f -p 10809 memory 64M || exit 1
write_config af_packet:sl0
claim a_load_runs_without_an_allocation bench_good "nbd://$SERVER_IP/" --rw=randrw --bs=4k-64k --iodepth=16 --runtime=2 --size=16m
bench "nbd://$SERVER_IP/" --rw=randread --bs=4k --iodepth=4 --runtime=3 --plant-allocation >/dev/null 2>"$tmp/err"
claim planted_allocation_aborts grep -q 'a worker allocated memory after start' "$tmp/err"
exit $status_all
