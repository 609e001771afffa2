#!/usr/bin/env bash
# Puts h2load on the machine, the native client of `npm run bench`. As root on Debian; elsewhere it says what to install. A second
# run finds it in place.
set -euo pipefail
if ! command -v h2load >/dev/null; then
  if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
    echo "the bench needs h2load: install nghttp2 (Debian: apt-get install nghttp2-client), then run this again" >&2
    exit 1
  fi
  apt-get install --yes --quiet nghttp2-client >/dev/null || { apt-get update --quiet >/dev/null && apt-get install --yes --quiet nghttp2-client >/dev/null; }
fi
echo "h2load is there"
