//! The container engine, by its command line client: the engine that `DOCKER_HOST` names, as `make
//! test-container` sets it.

use std::net::Ipv4Addr;
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;

/// The image under test, built from the Dockerfile.
pub const IMAGE: &str = "maskrcnn-dapp:test";

/// The same built with `--build-arg WEIGHTS=weights/compact.safetensors`.
pub const IMAGE_WITH_WEIGHTS: &str = "maskrcnn-dapp:test-weights";

/// The same built with `--build-arg WEIGHTS_NAME=detectron2-r101-3x`, from a mirror that has the
/// embedded network under that name.
pub const IMAGE_WITH_NAMED_WEIGHTS: &str = "maskrcnn-dapp:test-named";

/// Where this machine is in [`network`].
///
/// In a task the program connects to public addresses only. This one passes for public and belongs
/// to nobody: RFC 1166 has 192.0.1.0/24 as BBN-TEST-C, and nobody announces it. The network is
/// internal, so no packet leaves the machine.
pub const GATEWAY: Ipv4Addr = Ipv4Addr::new(192, 0, 1, 17);
const SUBNET: &str = "192.0.1.16/28";

/// What `docker arguments` gave.
///
/// # Panics
///
/// When there is no client.
pub fn docker<S: AsRef<std::ffi::OsStr>>(arguments: &[S]) -> Output {
    let mut command = Command::new("docker");
    command.args(arguments).stdin(Stdio::null());
    command
        .output()
        .expect("the program `docker` is needed: run `make test-container`")
}

/// What `docker arguments` printed, without the last line's end.
///
/// # Panics
///
/// When it failed.
pub fn docker_prints<S: AsRef<std::ffi::OsStr>>(arguments: &[S]) -> String {
    let output = docker(arguments);
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout)
        .unwrap()
        .trim_end()
        .to_owned()
}

/// The network of the tasks: nobody in it but they and this machine, with a way to nowhere else.
pub fn network() -> &'static str {
    const NAME: &str = "maskrcnn-worker";
    static NETWORK: OnceLock<()> = OnceLock::new();
    NETWORK.get_or_init(|| {
        if !docker(&["network", "inspect", NAME]).status.success() {
            let gateway = GATEWAY.to_string();
            docker_prints(&[
                "network",
                "create",
                "--internal",
                "--subnet",
                SUBNET,
                "--gateway",
                &gateway,
                NAME,
            ]);
        }
    });
    NAME
}
