//! Writes any checkpoint that the program reads as canonical safetensors: `cargo run --release
//! --example convert -- maskrcnn_resnet50_fpn_coco-bf2d0c1e.pth v1.safetensors [--half]`.
//!
//! The result has torchvision's current names, loads by mapping instead of reading, and with
//! `--half` takes half the room.

use std::path::Path;

use anyhow::{Result, bail};
use maskrcnn::{Device, MaskRcnn, Precision, Weights};

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (from, to, precision) = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [from, to] => (Path::new(from), Path::new(to), Precision::Single),
        [from, to, "--half"] => (Path::new(from), Path::new(to), Precision::Half),
        _ => bail!("usage: convert CHECKPOINT RESULT.safetensors [--half]"),
    };

    let weights = Weights::open(from)?;
    println!(
        "{}: {}, {} classes",
        from.display(),
        weights.family(),
        weights.labels().count()
    );
    weights.save(to, precision)?;

    // What cannot be built would be no checkpoint: a missing or leftover tensor shows here and not
    // at the user's.
    let written = Weights::open(to)?;
    let sha256 = written.sha256();
    MaskRcnn::new(written, Device::Cpu)?;
    println!("{}: sha256 {sha256}", to.display());
    Ok(())
}
