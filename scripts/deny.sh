#!/usr/bin/env bash
# Licences, sources, duplicates and advisories of all crates, by cargo-deny, which is built into target/cargo-deny. deny.toml
# has the rules. Advisories are left out, and that is said, where their database cannot be fetched.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

version=0.20.2
tool=$PWD/target/cargo-deny
if [ "$("$tool/bin/cargo-deny" --version 2>/dev/null)" != "cargo-deny $version" ]; then
  ${CARGO:-cargo} install cargo-deny --version "$version" --locked --root "$tool"
fi
PATH=$tool/bin:$PATH
cargo deny check licenses sources bans
if cargo deny fetch db; then
  cargo deny check advisories
elif [ -n "${CI:-}" ]; then
  echo "deny: the database of advisories cannot be fetched" >&2
  exit 1
else
  echo "deny: the database of advisories cannot be fetched; they were not checked" >&2
fi
