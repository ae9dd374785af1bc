//! Tells the linker where the programs find libtorch when they run, so that nobody has to set
//! LD_LIBRARY_PATH.

use std::{env, fs, path::Path};

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-env-changed=LIBTORCH");

    // In a container, or wherever the program is copied to, its libraries lie beside it or in
    // ../lib.
    for relative in ["$ORIGIN", "$ORIGIN/../lib"] {
        println!("cargo:rustc-link-arg=-Wl,-rpath,{relative}");
    }
    // In the checkout, they are where torch-sys found them.
    let libraries = env::var("DEP_TCH_LIBTORCH_LIB")
        .or_else(|_| env::var("LIBTORCH").map(|libtorch| format!("{libtorch}/lib")))
        .unwrap_or_default();
    if !libraries.is_empty() {
        println!("cargo:rustc-link-arg=-Wl,-rpath,{libraries}");
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
