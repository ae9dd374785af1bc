//! The program and the network from outside, through the built binary and the public faces of the
//! crates. One program, since each one links libtorch.

// Tests have an environment and a clock.
#![allow(clippy::disallowed_methods)]

mod averages;
mod cli;
mod detectron2;
mod deterministic;
mod examples;
mod faults;
mod fetch;
#[path = "../common/formula.rs"]
mod formula;
mod golden;
mod hostile_images;
mod iexec;
mod jobs;
mod matterport;
mod names;
mod parity;
mod picture;
mod regressions;
mod repository;
mod segment;
#[path = "../common/server.rs"]
mod server;
mod user;
mod weights;
mod weights_by_name;
mod weights_convert;
mod weights_kept;
mod wrappers;
