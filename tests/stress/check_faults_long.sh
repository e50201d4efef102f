#!/usr/bin/env bash
# check_faults_long.sh BUILD: ten minutes of it.
exec "$(dirname "$0")/check_faults.sh" "$1" 600
