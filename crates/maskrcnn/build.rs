//! Tells the tests and examples of this crate where libtorch is when they run, and the crate which
//! libtorch it was built with.

// Build scripts are told by the environment.
#![allow(clippy::disallowed_methods)]

use std::path::Path;
use std::{env, fs};

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-env-changed=LIBTORCH");

    // Where torch-sys found it.
    let libraries = env::var("DEP_TCH_LIBTORCH_LIB")
        .or_else(|_| env::var("LIBTORCH").map(|libtorch| format!("{libtorch}/lib")))
        .unwrap_or_default();
    if !libraries.is_empty() {
        println!("cargo:rustc-link-arg=-Wl,-rpath,{libraries}");
        // For the build scripts of crates that depend on this one: DEP_MASKRCNN_LIBTORCH_LIB.
        println!("cargo:libtorch_lib={libraries}");
    }

    // libtorch has no function that tells its version; its folder does.
    let version_file = Path::new(&libraries).with_file_name("build-version");
    println!("cargo:rerun-if-changed={}", version_file.display());
    let version =
        fs::read_to_string(&version_file).unwrap_or_else(|_| "2.13, build unknown".to_owned());
    println!(
        "cargo:rustc-env=MASKRCNN_LIBTORCH_VERSION={}",
        version.trim()
    );
}
