# The image that an iExec worker runs once per task: the program, the libraries it is linked to, certificates, licences,
# nothing else.
#
#   docker build -t maskrcnn-dapp .
#   docker build -t maskrcnn-dapp --build-arg WEIGHTS=weights/mine.pth .
#   docker build -t maskrcnn-dapp --build-arg WEIGHTS_NAME=maskrcnn-v2 .
#
# Needs no BuildKit. The layers are ordered by how often they change: libtorch, the crates, the program.

# Both of one Debian release: the program is compiled in the second, its system libraries are those of the first.
ARG DEBIAN_IMAGE=debian:bookworm-slim
ARG RUST_IMAGE=rust:1.95-slim-bookworm

FROM --platform=linux/amd64 ${DEBIAN_IMAGE} AS libtorch
RUN apt-get update \
 && apt-get install --yes --no-install-recommends binutils ca-certificates gcc libc6-dev python3-pip
WORKDIR /build
COPY scripts/libtorch.sh scripts/
RUN scripts/libtorch.sh && strip --strip-all .libtorch/lib/*.so*

FROM --platform=linux/amd64 ${RUST_IMAGE} AS build
# g++ for torch-sys.
RUN apt-get update && apt-get install --yes --no-install-recommends g++
WORKDIR /build
COPY --from=libtorch /build/.libtorch .libtorch
# The crates of others alone, with empty ones of ours: they are compiled again only when their list
# changes.
COPY Cargo.toml Cargo.lock build.rs ./
COPY .cargo .cargo
COPY crates/detections/Cargo.toml crates/detections/
COPY crates/intake/Cargo.toml crates/intake/
COPY crates/maskrcnn/Cargo.toml crates/maskrcnn/build.rs crates/maskrcnn/
RUN mkdir src crates/detections/src crates/intake/src crates/maskrcnn/src \
 && for crate in . crates/detections crates/intake crates/maskrcnn; do echo '//! Empty.' >$crate/src/lib.rs; done \
 && printf '//! Empty.\nfn main() {}\n' >src/main.rs \
 && cargo build --release --locked --lib --bins \
 && rm -r src crates/*/src
COPY crates crates
COPY src src
COPY weights/compact.safetensors weights/
# Cargo tells by their times that these are other sources than the empty ones.
RUN touch src/lib.rs src/main.rs crates/*/src/lib.rs \
 && cargo build --release --locked --bin maskrcnn \
 && strip --strip-all target/release/maskrcnn

# Weights that `maskrcnn weights` lists, from their publisher or the mirror, checked as everywhere.
FROM build AS named
ARG WEIGHTS_NAME
ARG MASKRCNN_MIRROR
RUN mkdir /named \
 && if [ -n "${WEIGHTS_NAME}" ]; then \
      XDG_CACHE_HOME=/cache target/release/maskrcnn weights fetch "${WEIGHTS_NAME}" >/fetched \
      && path=$(sed 's/^[^:]*: //' /fetched) \
      && if [ -f "$path" ]; then install --mode=644 "$path" /named/weights; fi; \
    fi

# What goes into the image, under the paths it has there.
FROM --platform=linux/amd64 ${DEBIAN_IMAGE} AS files
RUN apt-get update && apt-get install --yes --no-install-recommends ca-certificates
COPY --from=libtorch /build/.libtorch/lib /program/usr/local/lib
COPY --from=build /build/target/release/maskrcnn /program/usr/local/bin/
# The loader and the libraries that it finds for the program in this Debian; none may be missing.
RUN ldd /program/usr/local/bin/maskrcnn >/libraries \
 && ! grep 'not found' /libraries \
 && grep -oE '[[:space:]]/(usr/)?lib[^ ]+' /libraries | xargs -I{} install -D --mode=755 {} /system{} \
# What glibc needs to look up hosts.
 && install -D /dev/null /system/etc/nsswitch.conf \
 && echo 'hosts: files dns' >/system/etc/nsswitch.conf \
# The terms of what is Debian's here, and the licences that they name without their text.
 && for package in ca-certificates libc6 libgcc-s1 libstdc++6; do \
      install -D --mode=644 "/usr/share/doc/$package/copyright" "/system/usr/share/doc/$package/copyright" || exit 1; \
    done \
 && for licence in GPL-3 LGPL-2.1; do \
      install -D --mode=644 "/usr/share/common-licenses/$licence" "/system/usr/share/common-licenses/$licence" || exit 1; \
    done \
# Mozilla's certificates as Debian packages them, without what the building machine may trust besides.
 && mkdir --parents /system/etc/ssl/certs \
 && cat /usr/share/ca-certificates/mozilla/*.crt >/system/etc/ssl/certs/ca-certificates.crt \
 && install --directory --mode=1777 /system/tmp
# A checkpoint of the build context, or one that has a name, to use instead of the embedded one. The program finds it beside
# itself.
ARG WEIGHTS
COPY LICENSE ${WEIGHTS:-LICENSE} /weights/
COPY --from=named /named /baked/usr/local/bin
RUN mkdir --parents /baked/usr/local/bin \
 && if [ -n "${WEIGHTS}" ]; then install --mode=644 "/weights/$(basename "${WEIGHTS}")" /baked/usr/local/bin/weights; fi

FROM --platform=linux/amd64 scratch
COPY --from=files /system /
# The program's own, those of the fonts in it, and those of libtorch, which have to go with them.
COPY LICENSE crates/detections/src/picture/font/*LICENSE*.txt /usr/share/doc/maskrcnn/
COPY --from=libtorch /build/.libtorch/licenses /usr/share/doc/maskrcnn
COPY --from=files /program/usr/local/lib /usr/local/lib
COPY --from=files /baked /
COPY --from=files /program/usr/local/bin /usr/local/bin

ARG VERSION=0.1.0
ARG REVISION
LABEL org.opencontainers.image.title="maskrcnn-dapp" \
      org.opencontainers.image.description="Mask R-CNN as an iExec task: an image in, the image with masks drawn on it and the detections out" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"

# Input files are named without their folder; a worker mounts them here.
WORKDIR /iexec_in
# No USER: the folders that a worker mounts belong to root.
ENTRYPOINT ["/usr/local/bin/maskrcnn"]
