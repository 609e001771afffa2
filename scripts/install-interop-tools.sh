#!/usr/bin/env bash
# Puts the foreign clients of `npm run test:interop` into .cache/interop: grpcurl (needs Go) and Python's grpcio (needs
# Python 3.9 or newer with venv). Installs zsh, fish and promtool where they are missing, as root on Debian; nothing else
# outside the checkout is touched. A second run finds everything in place.
set -euo pipefail
cd "$(dirname "$0")/.."

grpcurl_version=v1.9.3
grpcio_version=1.76.0
place="$PWD/.cache/interop"
mkdir -p "$place"

if [ ! -x "$place/bin/grpcurl-$grpcurl_version" ]; then
  command -v go >/dev/null || { echo "grpcurl is built with Go: install it (https://go.dev/doc/install), then run this again" >&2; exit 1; }
  GOBIN="$place/bin" go install "github.com/fullstorydev/grpcurl/cmd/grpcurl@$grpcurl_version"
  mv "$place/bin/grpcurl" "$place/bin/grpcurl-$grpcurl_version"
fi
ln -sf "grpcurl-$grpcurl_version" "$place/bin/grpcurl"

if ! "$place/python/bin/python" -c "import grpc, sys; sys.exit(grpc.__version__ != '$grpcio_version')" 2>/dev/null; then
  command -v python3 >/dev/null || { echo "the Python client needs python3 with venv: install it, then run this again" >&2; exit 1; }
  python3 -m venv --clear "$place/python"
  "$place/python/bin/pip" install --quiet --disable-pip-version-check "grpcio==$grpcio_version" "grpcio-tools==$grpcio_version"
fi

# A command, and the package of Debian that has it.
for tool in zsh:zsh fish:fish promtool:prometheus; do
  command -v "${tool%%:*}" >/dev/null && continue
  package="${tool#*:}"
  # Only where that asks nobody: as root on Debian and its kin.
  if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
    echo "the suite needs ${tool%%:*}: install it (Debian: apt-get install $package), then run this again" >&2
    exit 1
  fi
  apt-get install --yes --quiet "$package" >/dev/null || { apt-get update --quiet >/dev/null && apt-get install --yes --quiet "$package" >/dev/null; }
done

echo "interop tools are in $place"
