# Shared by the scripts of this folder: `. "$(dirname "${BASH_SOURCE[0]}")/common.sh"`. Sets `root` and
# goes there.
# shellcheck shell=bash

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
readonly root
readonly script=${0##*/}
cd "$root"

# say WORDS...: one line of progress, to standard error.
say() { printf '%s: %s\n' "$script" "$*" >&2; }

# need_rust: cargo is on the PATH and so are a C compiler and make, or the script ends with what to do.
need_rust() {
  if ! command -v cargo >/dev/null 2>&1 && [ -x "${CARGO_HOME:-$HOME/.cargo}/bin/cargo" ]; then
    PATH=${CARGO_HOME:-$HOME/.cargo}/bin:$PATH
    export PATH
  fi
  if ! command -v cargo >/dev/null 2>&1; then
    say 'Rust is missing: install it with rustup (https://rustup.rs), 1.95 or newer, then run this again'
    exit 1
  fi
  if ! command -v cc >/dev/null 2>&1 || ! command -v make >/dev/null 2>&1; then
    say 'a C compiler or make is missing: install both (Debian: apt-get install build-essential), then run this again'
    exit 1
  fi
}

# built NAME: the path of a binary of ours in the target directory.
built() { printf '%s/debug/%s\n' "${CARGO_TARGET_DIR:-$root/target}" "$1"; }

# start_services NAME...: starts those that are down, remembers them for `stop_services`, exports all.
started=()
start_services() {
  local name exports
  for name; do
    if ! "$root/scripts/services" status "$name" >/dev/null; then started+=("$name"); fi
  done
  trap stop_services EXIT
  "$root/scripts/services" start "$@"
  exports=$("$root/scripts/services" env "$@")
  eval "$exports"
}

# stop_services: only what this script has started. Silent, because a test runner's summary comes last.
stop_services() {
  if [ ${#started[@]} -gt 0 ]; then
    "$root/scripts/services" stop "${started[@]}" >/dev/null 2>&1 || true
  fi
}
