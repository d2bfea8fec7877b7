#!/usr/bin/env bash
# Packs the project, installs the tarball into an empty folder and runs the installed command there.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$root"
tarball=$(npm pack --silent --ignore-scripts --pack-destination "$work" | tail -n 1)
cd "$work"
echo '{ "name": "elsewhere", "private": true }' > package.json
npm install --silent --no-audit --no-fund "./$tarball"
./node_modules/.bin/daybreak --version
./node_modules/.bin/daybreak config check node_modules/daybreak/config/local.yaml
echo "pack: $tarball installs and runs"
