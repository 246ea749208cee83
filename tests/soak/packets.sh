#!/usr/bin/env bash
# packets - storage beside a flood with packet memory gone, 20 s a phase on either NIC model: see tests/pressure/packets.sh
#
# timeout: 1500
PHASE_SECONDS=${PHASE_SECONDS:-20} exec bash "$(dirname "${BASH_SOURCE[0]}")/../pressure/packets.sh"
