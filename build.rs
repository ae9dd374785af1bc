//! Tells the linker where the program finds libtorch when it runs, so that nobody has to set
//! LD_LIBRARY_PATH.

// Build scripts are told by the environment.
#![allow(clippy::disallowed_methods)]

use std::env;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");

    // In a container, or wherever the program is copied to, its libraries lie beside it or in a
    // folder of its own: `make install` has PREFIX/bin and PREFIX/lib/maskrcnn.
    for relative in ["$ORIGIN", "$ORIGIN/../lib", "$ORIGIN/../lib/maskrcnn"] {
        println!("cargo:rustc-link-arg=-Wl,-rpath,{relative}");
    }
    // What is installed knows nothing of the checkout.
    println!("cargo:rerun-if-env-changed=MASKRCNN_INSTALLED");
    if env::var_os("MASKRCNN_INSTALLED").is_some() {
        return;
    }
    // In the checkout, they are where crates/maskrcnn found them.
    if let Ok(libraries) = env::var("DEP_MASKRCNN_LIBTORCH_LIB") {
        println!("cargo:rustc-link-arg=-Wl,-rpath,{libraries}");
    }
}
