#!/usr/bin/env bash
# One check: annotations at the lines of the pull request, and the same findings in a SARIF file.
# It does not fail where something is found, so that the plan is shown too: the last step of the action does.
set -euo pipefail
arguments=(--format github --sarif "$SARIF_FILE")
[ -z "$SINCE" ] || arguments+=(--since "$SINCE")
status=0
holdfast check "${arguments[@]}" || status=$?
{
    echo "status=$status"
    echo "found=$([ "$status" -eq 1 ] && echo true || echo false)"
    echo "sarif-file=$WORKING_DIRECTORY/$SARIF_FILE"
} >>"$GITHUB_OUTPUT"
[ "$status" -le 1 ] || exit "$status" # not checked at all
