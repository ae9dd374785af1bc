//! What the image is: its size, its content, its settings, and how soon it is up.

use std::collections::BTreeSet;
use std::fs;
use std::io::{Cursor, Read};
use std::os::unix::fs::MetadataExt;
use std::process::{Command, Stdio};
use std::time::Duration;

use ::image::ImageFormat;
use ::image::imageops::FilterType;
use serde_json::{Value, json};

use crate::engine::{IMAGE, docker, docker_prints};
use crate::worker::{Task, Worker};
use crate::{photo, repository};

/// Largest image, uncompressed, in bytes.
const LARGEST: u64 = 400_000_000;

/// The longest that a small photo may take, from `docker run` to the results, on two processors.
const SLOWEST: Duration = Duration::from_secs(12);

#[test]
fn the_image_is_small() {
    let size: u64 = docker_prints(&["image", "inspect", "--format", "{{.Size}}", IMAGE])
        .parse()
        .unwrap();
    let mut save = Command::new("docker")
        .args(["save", IMAGE])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut saved = 0;
    let mut buffer = vec![0; 1 << 20];
    let mut pipe = save.stdout.take().unwrap();
    loop {
        match pipe.read(&mut buffer).unwrap() {
            0 => break,
            count => saved += count as u64,
        }
    }
    assert!(save.wait().unwrap().success());
    println!("image: {size} bytes, {saved} as docker save writes it");
    assert!(
        size <= LARGEST && saved <= LARGEST,
        "{size} bytes, {saved} saved"
    );
}

#[test]
fn the_image_holds_the_program_its_libraries_and_nothing_else() {
    let container = docker_prints(&["create", IMAGE]);
    let mut export = Command::new("docker")
        .args(["export", &container])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let list = Command::new("tar")
        .arg("-t")
        .stdin(export.stdout.take().unwrap())
        .output()
        .unwrap();
    assert!(export.wait().unwrap().success() && list.status.success());
    docker_prints(&["rm", &container]);
    // What the engine puts into every container.
    let engine = [
        ".dockerenv",
        "dev/",
        "proc/",
        "sys/",
        "etc/hostname",
        "etc/hosts",
        "etc/mtab",
        "etc/resolv.conf",
    ];
    let list = String::from_utf8(list.stdout).unwrap();
    let files = list.lines().filter(|file| !file.ends_with('/'));
    let files: BTreeSet<_> = files
        .filter(|file| !engine.iter().any(|made| file.starts_with(made)))
        .collect();
    let expected = [
        "etc/nsswitch.conf",
        "etc/ssl/certs/ca-certificates.crt",
        "lib/x86_64-linux-gnu/libc.so.6",
        "lib/x86_64-linux-gnu/libdl.so.2",
        "lib/x86_64-linux-gnu/libgcc_s.so.1",
        "lib/x86_64-linux-gnu/libm.so.6",
        "lib/x86_64-linux-gnu/libpthread.so.0",
        "lib/x86_64-linux-gnu/librt.so.1",
        "lib/x86_64-linux-gnu/libstdc++.so.6",
        "lib/x86_64-linux-gnu/libutil.so.1",
        "lib64/ld-linux-x86-64.so.2",
        "usr/local/bin/maskrcnn",
        "usr/local/lib/libc10.so",
        "usr/local/lib/libcudart.so.13",
        "usr/local/lib/libcupti.so.13",
        "usr/local/lib/libgomp.so.1",
        "usr/local/lib/libtorch.so",
        "usr/local/lib/libtorch_cpu.so",
        "usr/share/common-licenses/GPL-3",
        "usr/share/common-licenses/LGPL-2.1",
        "usr/share/doc/ca-certificates/copyright",
        "usr/share/doc/libc6/copyright",
        "usr/share/doc/libgcc-s1/copyright",
        "usr/share/doc/libstdc++6/copyright",
        "usr/share/doc/maskrcnn/DejaVu-LICENSE.txt",
        "usr/share/doc/maskrcnn/LICENSE",
        "usr/share/doc/maskrcnn/NotoSansCJK-LICENSE.txt",
        "usr/share/doc/maskrcnn/libtorch-LICENSE.txt",
        "usr/share/doc/maskrcnn/nvidia-cuda-cupti-LICENSE.txt",
        "usr/share/doc/maskrcnn/nvidia-cuda-runtime-LICENSE.txt",
    ];
    assert_eq!(files, BTreeSet::from(expected));
}

#[test]
fn the_image_trusts_the_authorities_that_browsers_trust() {
    let container = docker_prints(&["create", IMAGE]);
    let archive = docker_prints(&[
        "cp",
        &format!("{container}:/etc/ssl/certs/ca-certificates.crt"),
        "-",
    ]);
    docker_prints(&["rm", &container]);
    let count = archive.matches("-----BEGIN CERTIFICATE-----").count();
    assert!((100..200).contains(&count), "{count} certificates");
}

#[test]
fn the_image_is_set_up_for_a_worker() {
    let inspected: Value =
        serde_json::from_str(&docker_prints(&["image", "inspect", IMAGE])).unwrap();
    let image = &inspected[0];
    assert_eq!(
        (&image["Os"], &image["Architecture"]),
        (&json!("linux"), &json!("amd64"))
    );
    let config = &image["Config"];
    assert_eq!(config["Entrypoint"], json!(["/usr/local/bin/maskrcnn"]));
    assert_eq!(config["Cmd"], Value::Null);
    assert_eq!(config["User"], json!(""));
    assert_eq!(config["WorkingDir"], json!("/iexec_in"));
    let label = |name: &str| config["Labels"][format!("org.opencontainers.image.{name}")].as_str();
    assert_eq!(label("title"), Some(env!("CARGO_PKG_NAME")));
    assert_eq!(label("version"), Some(env!("CARGO_PKG_VERSION")));
    assert_eq!(label("licenses"), Some(env!("CARGO_PKG_LICENSE")));
    assert!(label("description").is_some_and(|text| text.contains("Mask R-CNN")));
}

#[test]
fn a_small_photo_is_done_soon_and_the_results_belong_to_root() {
    let small = ::image::load_from_memory(&photo("dog1.jpg"))
        .unwrap()
        .resize_exact(640, 480, FilterType::Triangle);
    let mut file = Cursor::new(Vec::new());
    small
        .to_rgb8()
        .write_to(&mut file, ImageFormat::Png)
        .unwrap();
    let run = |_| {
        let worker = Worker::new();
        let task = Task::new("photo.png")
            .under("--cpus", "2")
            .under("--network", "none");
        let (input, _) = worker.folders(&task);
        fs::create_dir_all(&input).unwrap();
        fs::write(input.join("photo.png"), file.get_ref()).unwrap();
        let outcome = worker.run(&task);
        assert_eq!(outcome.exit, Some(0), "{}", outcome.stderr);
        assert_eq!(fs::metadata(outcome.output.join("1.png")).unwrap().uid(), 0);
        outcome.took
    };
    // The machine has other things to do besides.
    let took = (0..3).map(run).min().unwrap();
    println!(
        "start-up: {:.2} s from docker run to the results of a 640×480 photo",
        took.as_secs_f64()
    );
    assert!(took < SLOWEST, "{took:?}");
}

#[test]
fn what_runs_outside_of_a_task_runs_in_a_container_too() {
    let help = docker_prints(&["run", "--rm", "--network", "none", IMAGE, "--help"]);
    assert!(help.contains("--threshold"), "{help}");
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("photo.jpg"), photo("dog1.jpg")).unwrap();
    let mount = format!("{}:/iexec_in", folder.path().display());
    let run = docker(&[
        "run",
        "--rm",
        "--network",
        "none",
        "--volume",
        &mount,
        IMAGE,
        "photo.jpg",
    ]);
    assert!(
        run.status.success(),
        "{}",
        String::from_utf8_lossy(&run.stderr)
    );
    assert!(
        folder.path().join("out/photo.png").exists()
            && folder.path().join("out/photo.json").exists()
    );
}

#[test]
fn the_dockerfile_and_iexec_json_name_the_package_versions() {
    let dockerfile = fs::read_to_string(repository("Dockerfile")).unwrap();
    let argument = |name: &str| {
        dockerfile
            .lines()
            .find_map(|line| line.strip_prefix(&format!("ARG {name}=")))
            .unwrap()
    };
    assert_eq!(argument("VERSION"), env!("CARGO_PKG_VERSION"));
    assert!(argument("RUST_IMAGE").starts_with(concat!(
        "rust:",
        env!("CARGO_PKG_RUST_VERSION"),
        "-"
    )));
    let configuration: Value =
        serde_json::from_slice(&fs::read(repository("iexec.json")).unwrap()).unwrap();
    let image = configuration["app"]["multiaddr"].as_str().unwrap();
    assert!(
        image.ends_with(concat!(
            "/",
            env!("CARGO_PKG_NAME"),
            ":",
            env!("CARGO_PKG_VERSION")
        )),
        "{image}"
    );
}
