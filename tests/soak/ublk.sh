#!/usr/bin/env bash
# ublk - the ublk front end alone, over RAM, in either copy mode: see tests/guest/ublk.sh
#
# timeout: 900
exec bash "$(dirname "${BASH_SOURCE[0]}")/../guest/ublk.sh"
