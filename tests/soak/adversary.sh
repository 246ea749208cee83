#!/usr/bin/env bash
# adversary - cut after every single byte, then every lie: see tests/net/adversary.sh
#
# timeout: 600
SLUICE_CUT_STEP=1 SLUICE_RUNTIME=400 exec bash "$(dirname "${BASH_SOURCE[0]}")/../net/adversary.sh"
