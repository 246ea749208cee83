#!/usr/bin/env bash
# abi - an outside driver of the test library, written from its contract
#
# timeout: 120
#
# Needs no network: a Python program loads the library and is the peer, in virtual time (tests/abi/contract.py). In the
# sanitized build the sanitizer's own library has to come first, for Python was not built with it.
cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit 1
export BUILD=${BUILD:-$PWD/build} PYTHONDONTWRITEBYTECODE=1
library=$BUILD/tests/abi/libsluice_tcp_test.so
if nm -D --undefined-only "$library" | grep -q __asan_init; then
    LD_PRELOAD=$(cc -print-file-name=libasan.so)
    export LD_PRELOAD ASAN_OPTIONS=detect_leaks=0:abort_on_error=1 # the interpreter leaks, not we
fi
exec python3 tests/abi/contract.py
