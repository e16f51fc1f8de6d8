# Functions of the other scripts; to be sourced. Works from any folder, and leaves the shell in the project's root.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

fail() {
  printf 'forkheap: %s\n' "$*" >&2
  exit 2
}

# The folder that holds include/node with the headers of the node in PATH. Nothing is ever downloaded for it.
node_dir() {
  local node version dir
  if [[ -n ${npm_config_nodedir:-} ]]; then
    printf '%s\n' "$npm_config_nodedir"
    return
  fi
  node=$(node --print process.execPath)
  version=$(node --print process.versions.node)
  dir=$(dirname "$(dirname "$node")")
  for dir in "$dir" /usr /usr/local; do
    if [[ -f $dir/include/node/node_api.h && $(node_version "$dir/include/node/node_version.h") == "$version" ]]; then
      printf '%s\n' "$dir"
      return
    fi
  done
  fail "no headers of Node $version beside $node: use a Node that brings include/node, or set npm_config_nodedir" \
    'to the folder that holds include/node'
}

# The version that a node_version.h describes.
node_version() {
  awk '$1 == "#define" && $2 ~ /^NODE_(MAJOR|MINOR|PATCH)_VERSION$/ { part[$2] = $3 }
    END { print part["NODE_MAJOR_VERSION"] "." part["NODE_MINOR_VERSION"] "." part["NODE_PATCH_VERSION"] }' "$1"
}

# The native sources that are linted, a line each; arguments are file extensions.
native_sources() {
  local ext dirs=(native test/fixtures)
  [[ ! -d bench ]] || dirs+=(bench)
  for ext in "$@"; do
    find "${dirs[@]}" -name "*.$ext" -not -path '*/build/*' -not -path '*/node_modules/*'
  done | sort
}
