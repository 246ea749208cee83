#!/usr/bin/env bash
# lifecycle - devices come and go 300 times under load, and leave nothing behind: see tests/guest/lifecycle.sh
#
# timeout: 3600
SLUICE_CYCLES=${SLUICE_CYCLES:-300} SLUICE_GUEST_S=3500 exec bash "$(dirname "${BASH_SOURCE[0]}")/../guest/lifecycle.sh"
