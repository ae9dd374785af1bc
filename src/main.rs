//! The program `maskrcnn`: images in, pictures with masks and lists of objects out.

use std::process::ExitCode;

fn main() -> ExitCode {
    maskrcnn_dapp::main()
}
