//! The bytes of every result file with `--deterministic`: for any number of threads and whatever
//! the environment says of libtorch's kernels they are those of
//! `tests/fixtures/deterministic.sha256`, which another processor made.
//!
//! To write the digests anew, after a change that is meant to change results:
//! `REGENERATE=1 cargo test --release --test program deterministic`.

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;

use image::{Rgb, RgbImage};
use safetensors::tensor::{Dtype, TensorView};
use sha2::{Digest, Sha256};
use tempfile::TempDir;

use crate::repository::{PROGRAM, repository};

const DIGESTS: &str = "tests/fixtures/deterministic.sha256";
const PHOTOS: [&str; 5] = [
    "astronaut.png",
    "chelsea.png",
    "dog2.jpg",
    "grace_hopper_517x606.jpg",
    "person1.jpg",
];
/// An image in which nothing is found, and all places score alike.
const FLAT: &str = "flat.png";

/// What a user may have set, from the processor as it is down to one of 2008.
const ENVIRONMENTS: [&[(&str, &str)]; 5] = [
    &[],
    &[
        ("ONEDNN_MAX_CPU_ISA", "AVX512_CORE"),
        ("ATEN_CPU_CAPABILITY", "avx512"),
        ("MKL_CBWR", "AVX512"),
    ],
    &[
        ("DNNL_MAX_CPU_ISA", "AVX"),
        ("ATEN_CPU_CAPABILITY", "avx2"),
        ("MKL_ENABLE_INSTRUCTIONS", "AVX"),
    ],
    &[
        ("ONEDNN_MAX_CPU_ISA", "SSE41"),
        ("ONEDNN_DEFAULT_FPMATH_MODE", "ANY"),
        ("ONEDNN_CPU_ISA_HINTS", "PREFER_YMM"),
        ("ATEN_CPU_CAPABILITY", "default"),
        ("MKL_CBWR", "COMPATIBLE"),
    ],
    &[
        ("OMP_NUM_THREADS", "1"),
        ("MKL_NUM_THREADS", "1"),
        ("OMP_DYNAMIC", "true"),
        ("MKL_DYNAMIC", "false"),
    ],
];

/// A folder with the photos and the flat image.
fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for photo in PHOTOS {
        fs::copy(
            repository("examples/photos").join(photo),
            folder.path().join(photo),
        )
        .unwrap();
    }
    RgbImage::from_pixel(150, 97, Rgb([120, 130, 90]))
        .save(folder.path().join(FLAT))
        .unwrap();
    folder
}

/// Weights of torchvision's network by formula, as `v1.safetensors` in `folder`.
fn write_v1(folder: &TempDir) {
    let layout = include_str!("../fixtures/parity/formula.tsv");
    let tensors = layout.lines().map(|line| {
        let mut fields = line.split('\t');
        let (name, shape) = (fields.next().unwrap(), fields.next().unwrap());
        let shape: Vec<i64> = shape.split(',').map(|side| side.parse().unwrap()).collect();
        let bytes: Vec<u8> = crate::formula::fill(name, &shape, false)
            .iter()
            .flat_map(|value| value.to_le_bytes())
            .collect();
        (
            name,
            shape.iter().map(|&side| side as usize).collect::<Vec<_>>(),
            bytes,
        )
    });
    let tensors: Vec<_> = tensors.collect();
    let views = tensors.iter().map(|(name, shape, bytes)| {
        (
            *name,
            TensorView::new(Dtype::F32, shape.clone(), bytes).unwrap(),
        )
    });
    safetensors::serialize_to_file(views, None, &folder.path().join("v1.safetensors")).unwrap();
}

/// The sha256 of each result file of a run over all images, by `family/file`; low thresholds, so
/// that much is compared.
fn digests(
    folder: &TempDir,
    family: &str,
    mut command: Command,
    args: &[&str],
) -> BTreeMap<String, String> {
    let output = folder.path().join("out");
    command
        .current_dir(folder)
        .args(["--deterministic", "-q", "-t", "0.1", "-o", "out"])
        .args(args);
    command.args(PHOTOS).arg(FLAT);
    let run = command.output().unwrap();
    assert!(
        run.status.success(),
        "{command:?}: {}",
        String::from_utf8_lossy(&run.stderr)
    );
    let files = fs::read_dir(&output).unwrap().map(|entry| {
        let entry = entry.unwrap();
        let digest = Sha256::digest(fs::read(entry.path()).unwrap());
        let digest = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        (format!("{family}/{}", entry.file_name().display()), digest)
    });
    let digests: BTreeMap<_, _> = files.collect();
    assert_eq!(
        digests.len(),
        2 * (PHOTOS.len() + 1),
        "a picture and a list for each image"
    );
    fs::remove_dir_all(output).unwrap();
    digests
}

fn program(environment: &[(&str, &str)]) -> Command {
    let mut command = Command::new(PROGRAM);
    command.envs(environment.iter().copied());
    command
}

/// The committed digests of a family; with `REGENERATE=1` those of `first`, which are written.
fn expected(family: &str, first: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let read = |text: String| -> BTreeMap<String, String> {
        let lines = text.lines().map(|line| {
            line.split_once("  ")
                .expect("a line is a digest and a name")
        });
        lines
            .map(|(digest, name)| (name.to_owned(), digest.to_owned()))
            .collect()
    };
    let path = repository(DIGESTS);
    let mut all = fs::read_to_string(&path).map(read).unwrap_or_default();
    let of_family = |name: &str| name.split('/').next() == Some(family);
    if std::env::var_os("REGENERATE").is_some_and(|value| value == "1") {
        all.retain(|name, _| !of_family(name));
        all.extend(first.clone());
        let lines: String = all
            .iter()
            .map(|(name, digest)| format!("{digest}  {name}\n"))
            .collect();
        fs::write(path, lines).unwrap();
    }
    all.retain(|name, _| of_family(name));
    all
}

#[test]
fn compact_writes_the_same_bytes_for_any_threads_anywhere() {
    let folder = folder();
    let first = digests(&folder, "compact", program(&[]), &[]);
    let expected = expected("compact", &first);
    assert_eq!(first, expected, "of all cores");
    for threads in ["1", "2", "3", "4", "64"] {
        assert_eq!(
            digests(&folder, "compact", program(&[]), &["--threads", threads]),
            expected,
            "{threads} threads"
        );
    }
    for (environment, threads) in ENVIRONMENTS[1..].iter().zip(["2", "3", "1", "2"]) {
        let found = digests(
            &folder,
            "compact",
            program(environment),
            &["--threads", threads],
        );
        assert_eq!(found, expected, "{environment:?}");
    }
    let mut on_one_core = Command::new("taskset");
    on_one_core.args(["-c", "0", PROGRAM]);
    assert_eq!(
        digests(&folder, "compact", on_one_core, &[]),
        expected,
        "on one core"
    );
}

#[test]
fn v1_writes_the_same_bytes_for_any_threads_and_any_environment() {
    let folder = folder();
    write_v1(&folder);
    let run = |environment, threads| {
        digests(
            &folder,
            "v1",
            program(environment),
            &["-w", "v1.safetensors", "--threads", threads],
        )
    };
    let first = run(ENVIRONMENTS[0], "2");
    let expected = expected("v1", &first);
    assert_eq!(first, expected, "2 threads");
    for (environment, threads) in ENVIRONMENTS[1..].iter().zip(["1", "3", "2", "4"]) {
        assert_eq!(
            run(environment, threads),
            expected,
            "{threads} threads, {environment:?}"
        );
    }
}
