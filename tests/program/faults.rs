//! What goes wrong around the program while it runs: disks, signals, memory, other processes. Needs
//! root, to mount and for namespaces.

use std::fs::{self, File, FileTimes};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::thread::sleep;
use std::time::{Duration, SystemTime};

use tempfile::TempDir;

use crate::repository::{PROGRAM, repository};

/// A folder with `dog.jpg` and `small.png` in it, where the program is run, and results of an
/// earlier run in `out`.
fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::copy(
        repository("examples/photos/dog1.jpg"),
        folder.path().join("dog.jpg"),
    )
    .unwrap();
    fs::copy(
        repository("tests/fixtures/images/png-rgb.png"),
        folder.path().join("small.png"),
    )
    .unwrap();
    fs::create_dir(folder.path().join("out")).unwrap();
    folder
}

/// A report of `dog.jpg` as far as another run looks at it; `sha256sum examples/photos/dog1.jpg`.
const EARLIER_REPORT: &str = r#"{"schema": "urn:maskrcnn:detections:2",
    "image": {"source": "dog.jpg",
              "sha256": "828986ba0cdd909e3f6029d357938efba67d236350f724224b2e45cf0af0841f"},
    "detections": "of an earlier run"}"#;

fn earlier(directory: &Path) {
    fs::write(directory.join("dog.png"), "earlier picture").unwrap();
    fs::write(directory.join("dog.json"), EARLIER_REPORT).unwrap();
}

fn maskrcnn(folder: &TempDir, args: &[&str]) -> Command {
    let mut command = Command::new(PROGRAM);
    command
        .current_dir(folder)
        .args(args)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// Names of all files in `directory`, sorted.
fn listing(directory: &Path) -> Vec<String> {
    let names = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = names.collect();
    names.sort();
    names
}

/// Asserts that `directory` has the results of [`earlier`], `more` and nothing else.
fn assert_earlier(directory: &Path, more: &[&str]) {
    assert_eq!(
        fs::read_to_string(directory.join("dog.png")).unwrap(),
        "earlier picture"
    );
    assert_eq!(
        fs::read_to_string(directory.join("dog.json")).unwrap(),
        EARLIER_REPORT
    );
    assert_eq!(
        listing(directory),
        [&["dog.json", "dog.png"], more].concat()
    );
}

/// Asserts that every result in `directory` is whole; gives the names of the temporary files.
fn assert_whole(directory: &Path) -> Vec<String> {
    let (temporary, results): (Vec<_>, Vec<_>) = listing(directory)
        .into_iter()
        .partition(|name| name.starts_with(".maskrcnn-"));
    for name in results {
        let path = directory.join(&name);
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("png") => {
                drop(image::open(&path).unwrap_or_else(|error| panic!("{name}: {error}")))
            }
            Some("json") => {
                let text = fs::read_to_string(&path).unwrap();
                serde_json::from_str::<serde_json::Value>(&text)
                    .unwrap_or_else(|error| panic!("{name}: {error}"));
            }
            _ => panic!("{name} is neither a picture nor a report"),
        }
    }
    temporary
}

/// A small file system in memory, gone when it is dropped.
struct Mount(PathBuf);

impl Mount {
    fn new(path: PathBuf, size: &str) -> Self {
        fs::create_dir_all(&path).unwrap();
        mount(
            &["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"],
            &path,
        );
        Self(path)
    }

    fn make_read_only(&self) {
        mount(&["-o", "remount,ro"], &self.0);
    }
}

fn mount(args: &[&str], path: &Path) {
    let run = Command::new("mount")
        .args(args)
        .arg(path)
        .output()
        .expect("the program `mount` is needed");
    assert!(
        run.status.success(),
        "mounting needs root, so run this test as root: {}",
        stderr(&run)
    );
}

impl Drop for Mount {
    fn drop(&mut self) {
        Command::new("umount")
            .arg("--lazy")
            .arg(&self.0)
            .status()
            .ok();
    }
}

/// Runs the program on `dog.jpg` and calls `fault` when the model is loaded and the image not yet
/// there.
fn run_with_fault(folder: &TempDir, output: &str, fault: impl FnOnce()) -> (ExitStatus, String) {
    let image = fs::read(folder.path().join("dog.jpg")).unwrap();
    let mut child = maskrcnn(folder, &["-v", "-o", output, "-"])
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().contains("load the model")));
    fault();
    child.stdin.take().unwrap().write_all(&image).unwrap();
    let errors: Vec<_> = lines
        .map(Result::unwrap)
        .filter(|line| !line.starts_with(' '))
        .collect();
    (child.wait().unwrap(), errors.join("\n"))
}

#[test]
fn a_full_disk_fails_the_image_and_leaves_what_was_there() {
    let folder = folder();
    // Room for the results of the small image, not for the picture of the large one.
    let disk = Mount::new(folder.path().join("full"), "64k");
    earlier(&disk.0);
    let run = maskrcnn(&folder, &["-o", "full", "dog.jpg", "small.png"])
        .output()
        .unwrap();
    assert_eq!(run.status.code(), Some(1));
    let expected = "error: dog.jpg: cannot write to `full`; make room there, or name another directory with -o: \
                    No space left on device (os error 28)\nerror: 1 of 2 images failed\n";
    assert_eq!(stderr(&run), expected);
    assert_earlier(&disk.0, &["small.json", "small.png"]);
}

#[test]
fn a_read_only_disk_is_reported_before_anything_is_read() {
    let folder = folder();
    let disk = Mount::new(folder.path().join("disk"), "1m");
    earlier(&disk.0);
    disk.make_read_only();
    let run = maskrcnn(
        &folder,
        &["-v", "-o", "disk", "-w", "missing.pth", "dog.jpg"],
    )
    .output()
    .unwrap();
    assert_eq!(run.status.code(), Some(1));
    let expected = "error[output-directory]: cannot write to `disk`; name another directory with -o: read-only ";
    assert!(
        stderr(&run).starts_with(expected) && stderr(&run).lines().count() == 1,
        "{}",
        stderr(&run)
    );
    assert_earlier(&disk.0, &[]);
}

#[test]
fn a_disk_that_becomes_read_only_meanwhile_fails_the_image() {
    let folder = folder();
    let disk = Mount::new(folder.path().join("disk"), "1m");
    earlier(&disk.0);
    let (status, errors) = run_with_fault(&folder, "disk", || disk.make_read_only());
    assert_eq!(status.code(), Some(1));
    assert!(
        errors.contains("error[output-file]: standard input: cannot write to `disk`; name another"),
        "{errors}"
    );
    assert_earlier(&disk.0, &[]);
}

#[test]
fn a_directory_that_vanishes_meanwhile_fails_the_image() {
    let folder = folder();
    let out = folder.path().join("out");
    let (status, errors) = run_with_fault(&folder, "out", || fs::remove_dir(&out).unwrap());
    assert_eq!(status.code(), Some(1));
    let expected = "error[output-file]: standard input: cannot write to `out`; it has been removed meanwhile, so make it";
    assert!(errors.contains(expected), "{errors}");
    assert!(!out.exists());
}

#[test]
fn a_directory_without_permission_is_reported() {
    let folder = folder();
    let out = folder.path().join("out");
    earlier(&out);
    fs::set_permissions(&out, fs::Permissions::from_mode(0o555)).unwrap();
    // Root that has to keep to permissions.
    let mut command = Command::new("setpriv");
    command
        .args([
            "--bounding-set=-dac_override,-dac_read_search",
            PROGRAM,
            "dog.jpg",
        ])
        .current_dir(&folder);
    let run = command.output().expect("the program `setpriv` is needed");
    assert_eq!(run.status.code(), Some(1));
    let expected =
        "error: cannot write to `out`; name another directory with -o: permission denied\n";
    assert_eq!(stderr(&run), expected);
    assert_earlier(&out, &[]);
}

#[test]
fn links_named_like_results_are_replaced_and_not_followed() {
    let folder = folder();
    let path = |name: &str| folder.path().join(name);
    fs::write(path("precious"), "precious").unwrap();
    fs::create_dir(path("directory")).unwrap();
    symlink("../precious", path("out/dog.png")).unwrap();
    symlink("../nowhere", path("out/dog.json")).unwrap();
    symlink("../directory", path("out/small.png")).unwrap();
    assert!(
        maskrcnn(&folder, &["dog.jpg", "small.png"])
            .status()
            .unwrap()
            .success()
    );
    assert_eq!(fs::read_to_string(path("precious")).unwrap(), "precious");
    assert!(!path("nowhere").exists() && listing(&path("directory")).is_empty());
    for name in ["out/dog.png", "out/dog.json", "out/small.png"] {
        assert!(
            fs::symlink_metadata(path(name)).unwrap().is_file(),
            "{name}"
        );
    }
    assert!(assert_whole(&path("out")).is_empty());
}

#[test]
fn the_output_directory_may_be_a_link_unless_it_leads_nowhere() {
    let folder = folder();
    let path = |name: &str| folder.path().join(name);
    symlink("out", path("link")).unwrap();
    symlink("gone", path("dangling")).unwrap();
    assert!(
        maskrcnn(&folder, &["-o", "link", "small.png"])
            .status()
            .unwrap()
            .success()
    );
    assert_eq!(listing(&path("out")), ["small.json", "small.png"]);
    let run = maskrcnn(&folder, &["-o", "dangling", "small.png"])
        .output()
        .unwrap();
    let expected = "error: cannot write to `dangling`: it is a symbolic link that leads nowhere; name another with -o\n";
    assert_eq!((run.status.code(), &*stderr(&run)), (Some(1), expected));
    assert!(!path("gone").exists());
}

/// Starts the program on several images, waits for the `moment`-th of twenty moments of its life,
/// and sends `signal`.
fn interrupted(folder: &TempDir, moment: u32, signal: &str) -> ExitStatus {
    let images = [
        "dog.jpg",
        "small.png",
        "dog.jpg",
        "small.png",
        "dog.jpg",
        "small.png",
    ];
    let mut child = maskrcnn(folder, &images)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    // Steps of no common measure with the work, up to about a second.
    sleep(Duration::from_micros(u64::from(moment) * 53_777));
    send(&child, signal);
    child.wait().unwrap()
}

fn send(child: &Child, signal: &str) {
    // It may have ended by itself.
    Command::new("kill")
        .args(["-s", signal, &child.id().to_string()])
        .stderr(Stdio::null())
        .status()
        .unwrap();
}

#[test]
fn after_sigkill_at_twenty_moments_there_are_only_whole_files() {
    let folder = folder();
    let killed = (0..20).filter(|&moment| {
        let status = interrupted(&folder, moment, "KILL");
        assert_whole(&folder.path().join("out"));
        status.signal() == Some(9)
    });
    assert!(killed.count() > 3, "the moments are too late");
}

#[test]
fn signals_at_twenty_moments_leave_no_temporary_file() {
    let folder = folder();
    let mut died = 0;
    for moment in 0..20 {
        let (signal, number) = if moment % 2 == 0 {
            ("TERM", 15)
        } else {
            ("INT", 2)
        };
        let status = interrupted(&folder, moment, signal);
        assert!(
            status.success() || status.signal() == Some(number),
            "{signal}: {status}"
        );
        died += u32::from(!status.success());
        assert_eq!(
            assert_whole(&folder.path().join("out")),
            Vec::<String>::new(),
            "{signal} at {moment}"
        );
    }
    assert!(died > 3, "the moments are too late");
}

#[test]
fn a_shell_sees_the_convention_and_ignored_signals_stay_so() {
    let folder = folder();
    let shell = |script: &str| {
        let mut command = Command::new("env");
        // Whoever runs the tests in the background may ignore some.
        command
            .args([
                "--default-signal=INT,TERM,HUP",
                "sh",
                "-c",
                script,
                "sh",
                PROGRAM,
            ])
            .current_dir(&folder);
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // Kept open: who reads it cannot be done before the signal comes.
        let _stdin = child.stdin.take();
        child.wait_with_output().unwrap()
    };
    for (signal, code) in [("INT", "130"), ("TERM", "143"), ("HUP", "129")] {
        let run = shell(&format!(
            "rm -f pid; (until [ -s pid ]; do sleep 0.1; done; sleep 1; kill -s {signal} $(cat pid)) & \
             sh -c 'echo $$ > pid; exec \"$0\" -' \"$1\"; echo $?"
        ));
        assert_eq!(
            String::from_utf8_lossy(&run.stdout).trim(),
            code,
            "{}",
            stderr(&run)
        );
    }
    let run = shell(
        "trap '' HUP; (sleep 0.1; kill -s HUP $$) & exec \"$1\" dog.jpg dog.jpg dog.jpg dog.jpg",
    );
    assert!(run.status.success(), "{}", run.status);
}

#[test]
fn two_processes_with_one_output_directory_leave_whole_pairs() {
    let folder = folder();
    let out = folder.path().join("out");
    let pair = || {
        (
            fs::read(out.join("dog.png")).unwrap(),
            fs::read(out.join("dog.json")).unwrap(),
        )
    };
    let variants = [["-t", "0.5", "dog.jpg"], ["-t", "1", "dog.jpg"]];
    let expected = variants.map(|args| {
        assert!(maskrcnn(&folder, &args).status().unwrap().success());
        pair()
    });
    assert!(expected[0].0 != expected[1].0 && expected[0].1 != expected[1].1);
    for _ in 0..5 {
        let children = variants.map(|args| maskrcnn(&folder, &args).spawn().unwrap());
        for child in children {
            let run = child.wait_with_output().unwrap();
            assert!(run.status.success(), "{}", stderr(&run));
        }
        assert!(
            expected.contains(&pair()),
            "the picture is of one process, the report of the other"
        );
        assert_eq!(listing(&out), ["dog.json", "dog.png"]);
    }
}

#[test]
fn only_temporary_files_provably_left_behind_are_removed() {
    let folder = folder();
    let out = folder.path().join("out");
    let make = |name: &str, age: u64| {
        let file = File::create(out.join(name)).unwrap();
        let time = SystemTime::now() - Duration::from_secs(age);
        file.set_times(FileTimes::new().set_modified(time)).unwrap();
        file
    };
    make(".maskrcnn-killed", 4000);
    make(".maskrcnn-recent", 3000);
    make(".maskrcnn-longer-name", 4000);
    make(".other-killed", 4000);
    let locked = make(".maskrcnn-locked", 4000);
    locked.lock().unwrap();
    fs::create_dir(out.join(".maskrcnn-folder")).unwrap();
    symlink("../dog.jpg", out.join(".maskrcnn-symbol")).unwrap();
    assert!(
        maskrcnn(&folder, &["--json-only", "small.png"])
            .status()
            .unwrap()
            .success()
    );
    let left = [
        ".maskrcnn-folder",
        ".maskrcnn-locked",
        ".maskrcnn-longer-name",
        ".maskrcnn-recent",
        ".maskrcnn-symbol",
        ".other-killed",
        "small.json",
    ];
    assert_eq!(listing(&out), left);
}

#[test]
fn under_a_memory_limit_the_model_fails_in_one_line_or_works() {
    let folder = folder();
    let mut short = 0;
    for megabytes in (480..=760).step_by(20) {
        let mut command = Command::new("sh");
        let script = format!(
            "ulimit -v {}; exec \"$1\" -v --threads 1 dog.jpg",
            megabytes * 1024
        );
        command
            .args(["-c", &script, "sh", PROGRAM])
            .current_dir(&folder)
            .env("RAYON_NUM_THREADS", "1");
        // Each thread's arena would take 64 MiB of addresses.
        let run = command.env("MALLOC_ARENA_MAX", "1").output().unwrap();
        let text = stderr(&run);
        let errors: Vec<_> = text
            .lines()
            .filter(|line| line.starts_with("error"))
            .collect();
        assert!(
            !text.contains("frame #") && !text.contains("terminate"),
            "{megabytes} MiB: {text}"
        );
        match run.status.code() {
            Some(0) => assert!(errors.is_empty(), "{megabytes} MiB: {text}"),
            Some(1) => {
                assert_eq!(errors.len(), 1, "{megabytes} MiB: {text}");
                short += u32::from(errors[0].starts_with("error[out-of-memory]"));
            }
            _ => panic!("{megabytes} MiB: {}: {text}", run.status),
        }
        assert_eq!(
            assert_whole(&folder.path().join("out")),
            Vec::<String>::new()
        );
    }
    assert!(short > 0, "the limits are too high");
}

#[test]
fn an_image_for_which_there_is_no_memory_fails_alone() {
    let folder = folder();
    // 90 megapixels of one colour: a small file.
    image::GrayImage::new(10_000, 9_000)
        .save(folder.path().join("huge.png"))
        .unwrap();
    let script = "ulimit -v 800000; exec \"$1\" -v --threads 1 huge.png small.png";
    let mut command = Command::new("sh");
    command
        .args(["-c", script, "sh", PROGRAM])
        .current_dir(&folder)
        .env("MALLOC_ARENA_MAX", "1");
    let run = command.output().unwrap();
    let text = stderr(&run);
    assert!(
        text.contains(
            "error[out-of-memory]: huge.png: cannot decode the PNG image: there is not enough"
        ),
        "{text}"
    );
    assert_eq!(
        (run.status.code(), listing(&folder.path().join("out")).len()),
        (Some(1), 2),
        "{text}"
    );
}

/// Runs the program on an image of 100 megapixels or so within `kib` KiB of addresses.
fn run_within(folder: &TempDir, kib: u32, args: &[&str]) -> Output {
    let script = "ulimit -v \"$1\" && shift && exec \"$@\"";
    let mut command = Command::new("sh");
    command
        .args([
            "-c",
            script,
            "sh",
            &kib.to_string(),
            PROGRAM,
            "-v",
            "--threads",
            "1",
        ])
        .args(args);
    // Each thread's arena would take 64 MiB of addresses.
    command
        .current_dir(folder)
        .env("MALLOC_ARENA_MAX", "1")
        .env("RAYON_NUM_THREADS", "1")
        .output()
        .unwrap()
}

#[test]
fn a_progressive_jpeg_that_memory_cannot_hold_fails_alone() {
    let folder = folder();
    let mut photo = fs::read(repository("tests/fixtures/images/jpeg-progressive.jpg")).unwrap();
    let frame = photo
        .windows(2)
        .position(|marker| marker == [0xff, 0xc2])
        .unwrap();
    photo[frame + 5..frame + 9]
        .copy_from_slice(&[10_000u16.to_be_bytes(), 9_999u16.to_be_bytes()].concat());
    fs::write(folder.path().join("huge.jpg"), photo).unwrap();
    // 300 MB of pixels and 600 MB of coefficients: in between there is room for the former only,
    // whatever the model has taken meanwhile.
    for kib in (750_000..1_350_000)
        .step_by(60_000)
        .chain((980_000..1_110_000).step_by(10_000))
    {
        let run = run_within(&folder, kib, &["--json-only", "huge.jpg", "small.png"]);
        let text = stderr(&run);
        let refused = text.contains(
            "error[out-of-memory]: huge.jpg: cannot decode the JPEG image: there is not enough",
        );
        assert!(
            matches!(run.status.code(), Some(0 | 1)),
            "{kib}: {}: {text}",
            run.status
        );
        assert!(
            refused || run.status.success() || text.contains("error[out-of-memory]"),
            "{kib}: {text}"
        );
        assert!(refused || kib > 900_000, "{kib}: {text}");
        println!("{kib}: {:?} {refused}", run.status.code());
    }
}

#[test]
fn a_picture_that_memory_cannot_hold_is_an_error_and_no_abort() {
    let folder = folder();
    let noise = (0..30_000_000u32 * 3)
        .map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect();
    image::RgbImage::from_raw(6000, 5000, noise)
        .unwrap()
        .save(folder.path().join("huge.bmp"))
        .unwrap();
    let mut refused = 0;
    for kib in (600_000..1_200_000).step_by(50_000) {
        let run = run_within(&folder, kib, &["huge.bmp"]);
        let text = stderr(&run);
        match run.status.code() {
            Some(0) => {}
            Some(1) => assert!(text.contains("error[out-of-memory]: "), "{kib}: {text}"),
            _ => panic!("{kib}: {}: {text}", run.status),
        }
        refused += u32::from(
            text.contains("there is not enough memory for the picture; scale the image down first"),
        );
        println!(
            "{kib}: {:?} {}",
            run.status.code(),
            text.lines().last().unwrap_or_default()
        );
    }
    assert!(refused > 0);
}

/// What the program says of `http://images.invalid/a.png` where names are looked up in `sources`,
/// as in `/etc/nsswitch.conf`, and in no network at all if `isolated`.
fn look_up(sources: &str, isolated: bool) -> String {
    let folder = folder();
    fs::write(
        folder.path().join("nsswitch.conf"),
        format!("hosts: {sources}\n"),
    )
    .unwrap();
    let script = "mount --bind nsswitch.conf /etc/nsswitch.conf && exec \"$1\" -v http://images.invalid/a.png";
    let mut command = Command::new("unshare");
    command.args(if isolated {
        &["--mount", "--net"][..]
    } else {
        &["--mount"]
    });
    command
        .args(["sh", "-c", script, "sh", PROGRAM])
        .current_dir(&folder);
    for name in ["http_proxy", "all_proxy"] {
        command.env_remove(name).env_remove(name.to_uppercase());
    }
    let run = command.output().expect("the program `unshare` is needed");
    let text = stderr(&run);
    text.lines()
        .find(|line| line.starts_with("error["))
        .unwrap_or_else(|| panic!("{text}"))
        .to_owned()
}

#[test]
fn a_missing_host_is_told_from_a_network_that_does_not_work() {
    let place = "http://images.invalid/a.png: cannot fetch it from images.invalid:";
    let unknown = "there is no host of this name, or it has no address; is it spelled right?";
    assert_eq!(
        look_up("files", false),
        format!("error[host-not-found]: {place} {unknown}")
    );
    let failed = "its address cannot be looked up: Temporary failure in name resolution; is there a network? try again";
    assert_eq!(
        look_up("dns", true),
        format!("error[look-up-failed]: {place} {failed} later")
    );
}

#[test]
fn codes_are_shown_with_v_and_not_without() {
    let folder = folder();
    fs::write(folder.path().join("text.jpg"), "no image").unwrap();
    fs::write(folder.path().join("weights.pth"), "no weights").unwrap();
    for (args, code, line) in [
        (
            &["text.jpg"][..],
            "not-an-image",
            "text.jpg: it is no image",
        ),
        (
            &["missing.jpg"],
            "image-file",
            "missing.jpg: cannot open the file",
        ),
        (
            &["ftp://example.org/a.jpg"],
            "bad-address",
            "ftp://example.org/a.jpg: `ftp` addresses are not fetched",
        ),
        (
            &["-w", "weights.pth", "dog.jpg"],
            "not-a-checkpoint",
            "cannot load the weights `weights.pth`: not a",
        ),
        (
            &["--classes", "dgo", "dog.jpg"],
            "unknown-class",
            "unknown class `dgo`",
        ),
        (
            &["-o", ".", "small.png"],
            "replaces-input",
            "refused to replace the input",
        ),
    ] {
        let plain = stderr(&maskrcnn(&folder, args).output().unwrap());
        assert!(plain.starts_with(&format!("error: {line}")), "{plain}");
        let verbose = stderr(
            &maskrcnn(&folder, &[&["-v"], args].concat())
                .output()
                .unwrap(),
        );
        assert!(
            verbose.contains(&format!("error[{code}]: {line}")),
            "{verbose}"
        );
    }
    let mut text = String::new();
    File::open(repository("docs/errors.md"))
        .unwrap()
        .read_to_string(&mut text)
        .unwrap();
    assert!(text.contains("error[not-an-image]: "));
}
