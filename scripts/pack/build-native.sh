#!/usr/bin/env bash
# Builds the native parts for the package in build/pack/linux-x64: on Debian 11, so that they run on glibc 2.31 and newer,
# in a root folder that debootstrap makes, once, in build/pack/debian11. Needs root, debootstrap and patchelf.
#
#   build-native.sh --here   into build/pack/here/linux-x64, from build/Release and this system's libraries: for systems
#                            as new as this one only, and needs patchelf alone
source "$(dirname "${BASH_SOURCE[0]}")/../common.sh"

here=false
[[ ${1:-} != --here ]] || here=true
suite=bullseye
needs=(g++ make python3-minimal python3-distutils libdw-dev libgoogle-perftools-dev)
place=$PWD/build/pack
root=$place/debian11
work=$place/work
# They come along for the symbolizer, from the system that it is linked on.
symbolizer_libraries=(libdw.so.1 libelf.so.1 libz.so.1 liblzma.so.5 libbz2.so.1.0)

make_root() {
  [[ $(id -u) == 0 ]] || fail 'pack: the native parts are built in a chroot, which root alone can enter'
  [[ ! -e $root/.complete ]] || return 0
  command -v debootstrap >/dev/null || fail 'pack: debootstrap is needed: apt-get install debootstrap'
  echo "forkheap: making a Debian 11 in $root" >&2
  rm -rf "$root"
  local include
  include=$(IFS=, && echo "${needs[*]}")
  debootstrap --variant=minbase --include="$include" "$suite" "$root" >"$place/debootstrap.log" 2>&1 ||
    fail "pack: debootstrap failed, see $place/debootstrap.log"
  touch "$root/.complete"
}

# Builds a copy of the sources: build/Release stays what this machine's tests use.
build_in_root() {
  local part
  for part in binding.gyp package.json scripts native; do rm -rf "${work:?}/$part" && cp -a "$part" "$work/"; done
  ln -sfn "$PWD/node_modules" "$work/node_modules"
  export PACK_ROOT=$root PACK_PROJECT=$PWD PACK_WORK=$work PACK_NODE PACK_NODEDIR
  PACK_NODE=$(node --print process.execPath)
  PACK_NODEDIR=$(node_dir)
  # The mounts are in a namespace of their own, and gone at its end.
  unshare --mount bash -euo pipefail -c '
    mkdir -p "$PACK_ROOT$PACK_PROJECT" "$PACK_ROOT/opt/node/include"
    touch "$PACK_ROOT/usr/local/bin/node"
    mount --bind "$PACK_PROJECT" "$PACK_ROOT$PACK_PROJECT"
    mount --bind "$PACK_NODE" "$PACK_ROOT/usr/local/bin/node"
    mount --bind "$PACK_NODEDIR/include" "$PACK_ROOT/opt/node/include"
    mount --rbind /dev "$PACK_ROOT/dev"
    mount -t proc proc "$PACK_ROOT/proc"
    exec chroot "$PACK_ROOT" /usr/bin/env -i PATH=/usr/local/bin:/usr/bin:/bin HOME=/tmp LANG=C.UTF-8 \
      npm_config_nodedir=/opt/node bash "$PACK_WORK/scripts/build-native.sh"'
}

command -v patchelf >/dev/null || fail 'pack: patchelf is needed: apt-get install patchelf'
if $here; then
  place=$place/here
  root=''
  built=build/Release
  bash scripts/build-native.sh
else
  built=$work/build/Release
  mkdir -p "$work"
  make_root
  build_in_root
fi

out=$place/linux-x64
rm -rf "$out"
mkdir -p "$out/lib" "$place/debug"
for name in forkheap.node forkheap_preload.so forkheap_unwind.so forkheap-symbolizer; do
  objcopy --only-keep-debug "$built/$name" "$place/debug/$name.debug"
  strip --strip-unneeded -o "$out/$name" "$built/$name"
done
chmod 755 "$out"/*

# DT_RPATH of the program, unlike DT_RUNPATH, counts for what its libraries need too.
# shellcheck disable=SC2016
patchelf --force-rpath --set-rpath '$ORIGIN/lib' "$out/forkheap-symbolizer"
# shellcheck disable=SC2016
patchelf --set-rpath '$ORIGIN' "$out/forkheap.node"
for name in "${symbolizer_libraries[@]}"; do
  file=$(find "$root/lib/x86_64-linux-gnu" "$root/usr/lib/x86_64-linux-gnu" -maxdepth 1 -name "$name" -print -quit)
  [[ -n $file ]] || fail "pack: $name is not installed"
  cp --dereference "$file" "$out/lib/$name"
  chmod 644 "$out/lib/$name"
done
echo "${root:-/}" >"$place/libraries-root"
