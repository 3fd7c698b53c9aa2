#!/usr/bin/env bash
# The plan in Markdown: in the summary of the job, and as one comment under the pull request, which later runs renew.
set -euo pipefail
[ "$PLAN" = true ] || exit 0
file=$(mktemp)
trap 'rm -f "$file"' EXIT
status=0
holdfast plan --format markdown >"$file" || status=$?
[ "$status" -le 1 ] || exit "$status" # 1: it would stop, and the plan says where
cat "$file" >>"$GITHUB_STEP_SUMMARY"
python "$ACTION/deploy/github/comment.py" "$file"
