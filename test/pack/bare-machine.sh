#!/usr/bin/env bash
# Runs a command as on a machine that has Node and little else: no compiler, no gperftools, no libdw, not this project,
# and no rights. Everything happens in namespaces of its own; this machine stays as it is.
#
#   bare-machine.sh FOLDER COMMAND...     FOLDER is the command's working folder and home, and is given to its user
#
# Ends with status 125 when this system lets nobody make such namespaces.
set -euo pipefail
folder=$1
shift
export BARE_FOLDER=$folder BARE_PROJECT BARE_UID BARE_NODE BARE_REGISTRY
BARE_PROJECT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
BARE_NODE=$(dirname "$(command -v node)")
BARE_UID=$(id -u)
BARE_REGISTRY=$(npm config get registry 2>/dev/null)

namespaces=(--mount)
if [[ $BARE_UID == 0 ]]; then
  BARE_UID=65534
  chown -R 65534:65534 "$folder"
else
  namespaces+=(--map-root-user)
fi
unshare "${namespaces[@]}" true 2>/dev/null || exit 125

exec unshare "${namespaces[@]}" bash -euo pipefail -c '
  # A copy of /usr on which nothing is written, without what a server does not have.
  layers=$(mktemp -d)
  mount -t tmpfs layers "$layers"
  mkdir "$layers/upper" "$layers/work" "$layers/usr"
  mount -t overlay overlay -o "lowerdir=/usr,upperdir=$layers/upper,workdir=$layers/work" "$layers/usr" || exit 125
  shopt -s nullglob
  for dir in "$layers/usr/bin" "$layers/usr/local/bin"; do
    rm -f "$dir"/{cc,c++,c89,c99,make,gmake,cmake,ld,ld.*,as,python3*,pprof,google-pprof,go} \
      "$dir"/{*gcc*,*g++*,clang*,*-ld,*-ld.*,*-as}
  done
  for dir in "$layers/usr/lib" "$layers/usr/local/lib" "$layers"/usr/lib/*-linux-gnu; do
    rm -f "$dir"/{libtcmalloc,libprofiler,libunwind,libdw,libelf}*
  done
  mount --bind "$layers/usr" /usr
  mount -t tmpfs project "$BARE_PROJECT"
  cd "$BARE_FOLDER"
  settings=(HOME="$BARE_FOLDER" PATH="$BARE_NODE:/usr/local/bin:/usr/bin:/bin" LANG=C.UTF-8
    npm_config_registry="$BARE_REGISTRY" npm_config_update_notifier=false
    npm_config_audit=false npm_config_fund=false npm_config_cache="$BARE_FOLDER/.npm")
  as_user=(setpriv --reuid=65534 --regid=65534 --clear-groups --no-new-privs)
  [[ $BARE_UID == 65534 ]] || as_user=(unshare --user --map-user="$BARE_UID")
  exec "${as_user[@]}" env -i "${settings[@]}" "$@"
' bare "$@"
