# shellcheck shell=bash
# fio - fio on $device, each block it wrote read back and compared; sourced by tests in the guest

fio_verify() { # more options: random I/O of mixed sizes, each block's checksum read back
    timeout 300 fio --name=verify --filename="$device" --direct=1 --ioengine=io_uring --iodepth=16 --rw=randrw \
        --bsrange=4k-256k --verify=crc32c --verify_fatal=1 --verify_state_save=0 --randrepeat=0 --output-format=normal "$@"
}

# fio_verify in the background until fio_end; sets load.
fio_begin() { # log, more options
    local log=$1
    shift
    fio_verify --time_based --runtime=280 "$@" >"$log" 2>&1 &
    load=$!
}
# Stops it. True if it ran until then, saw no error, and each block it read back was right: fio ends with 128 only then.
fio_end() { # pid
    local status
    pkill -TERM -P "$1"
    timeout 60 tail --pid="$1" -f /dev/null || return
    wait "$1"
    status=$?
    [ $status -eq 128 ] || echo "fio ended with $status"
    [ $status -eq 128 ]
}
