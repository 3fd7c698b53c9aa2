#!/usr/bin/env bash
# Installs holdfast with its embedded PostgreSQL, then the project by its own command, into the Python of the job.
set -euo pipefail
python -m pip install --quiet --disable-pip-version-check "$ACTION/packages/holdfast[scratch]"
[ -z "$INSTALL" ] || bash -euo pipefail -c "$INSTALL"
