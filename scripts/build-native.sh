#!/usr/bin/env bash
# Builds binding.gyp with the headers of the Node that runs it. make sees to it that only what has changed is built.
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

[[ -f binding.gyp ]] || exit 0
nodedir=$(node_dir)
gyp=(node_modules/.bin/node-gyp --nodedir="$nodedir" --loglevel=warn)

# A configuration is for one Node; config.gypi tells which.
configured_for() {
  sed -n 's/^ *"nodedir": "\(.*\)",\?$/\1/p' build/config.gypi 2>/dev/null
}
if [[ ! -f build/Makefile || binding.gyp -nt build/Makefile || $(configured_for) != "$nodedir" ]]; then
  "${gyp[@]}" configure >&2
fi
MAKEFLAGS=--silent "${gyp[@]}" build --jobs="$(nproc)" >&2
