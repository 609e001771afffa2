#!/usr/bin/env bash
# What `npm run test:terminal` needs: tmux. Nothing is done when it is there; otherwise it is installed by apt.
set -euo pipefail

if ! command -v tmux >/dev/null; then
  command -v apt-get >/dev/null || { echo "tmux is missing, and there is no apt-get to install it with: install it, then run this again" >&2; exit 1; }
  as_root=()
  [ "$(id -u)" -eq 0 ] || as_root=(sudo)
  "${as_root[@]}" apt-get update -qq
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends tmux
fi

tmux -V
