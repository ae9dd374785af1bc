//! iExec's worker as far as an application sees it: what it mounts and sets, how it ends a task,
//! and what it wants to find afterwards. Standard tasks, without a trusted execution environment.
//!
//! Source: iexec-worker 9.2 `AppComputeService`, `DataService`, `ComputeManagerService`,
//! `PostComputeService` and iexec-common `IexecEnvUtils`, `ResultUtils`.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::Value;
use sha2::{Digest, Sha256};
use tempfile::TempDir;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipArchive, ZipWriter};

use crate::arguments;
use crate::digest::{self, hex, keccak};
use crate::engine::{IMAGE, docker, docker_prints, network};

/// The dataset of a deal without one.
pub const NO_DATASET: &str = "0x0000000000000000000000000000000000000000";

/// Longest name of a file of the result, in characters; the program counts bytes, which are more.
pub const LONGEST_NAME: usize = 31;

/// What a requester asked for, and which part of it this task is.
#[derive(Clone)]
pub struct Task {
    /// The image of the application.
    pub image: &'static str,
    /// `iexec_args`, as it stands in the order.
    pub args: String,
    /// `iexec_input_files`.
    pub input_files: Vec<String>,
    /// The address of a dataset, and what was downloaded for it; nothing is when its checksum is
    /// blank.
    pub dataset: Option<(String, Option<PathBuf>)>,
    /// The number of this task in its bag, from 0.
    pub index: usize,
    /// How many tasks the bag has.
    pub bag: usize,
    /// Whether the deal names a contract that is called with the result.
    pub callback: bool,
    /// How long the category of the deal allows; for XS 300 s.
    pub time_limit: Duration,
    /// Options of `docker run` that no worker gives: the conditions of a test.
    pub conditions: Vec<String>,
}

impl Task {
    /// A task of its own, with these `iexec_args`.
    pub fn new(args: impl Into<String>) -> Self {
        Self {
            image: IMAGE,
            args: args.into(),
            input_files: Vec::new(),
            dataset: None,
            index: 0,
            bag: 1,
            callback: false,
            time_limit: Duration::from_secs(300),
            conditions: Vec::new(),
        }
    }

    /// The same with the option `name` of `docker run` set to `value`.
    pub fn under(mut self, name: &str, value: &str) -> Self {
        self.conditions.extend([name.to_owned(), value.to_owned()]);
        self
    }
}

/// Why a worker does not contribute a result (`ReplicateStatusCause`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// An input file could not be downloaded: the application is not run, and the worker reports
    /// this by itself.
    InputFilesDownloadFailed,
    /// A file's name is too long.
    PostComputeTooLongResultFileName,
    /// There is no computed.json.
    PostComputeSendComputedFileFailed,
    /// computed.json is none.
    PostComputeComputedFileNotFound,
    /// What computed.json points to is not there.
    PostComputeResultDigestComputationFailed,
    /// There is callback data in a deal without a callback. A worker forwards it, and the contract
    /// does not finalize the task: `finalize` of PoCo's contracts/facets/IexecPoco2Facet.sol. It
    /// has no name of its own in `ReplicateStatusCause`.
    FinalizeReverted,
}

/// What a worker contributes.
#[derive(Clone, Debug, PartialEq)]
pub struct Contribution {
    /// What the workers have to agree on.
    pub digest: String,
    /// The content of computed.json.
    pub computed: Value,
}

/// How a task ended.
#[derive(Debug)]
pub struct Outcome {
    /// The exit status of the application; none when it was not run.
    pub exit: Option<i32>,
    /// Whether the worker stopped it, since its time was over.
    pub timed_out: bool,
    /// What it said.
    pub stdout: String,
    /// What it complained about.
    pub stderr: String,
    /// From the start of the container to its end.
    pub took: Duration,
    /// The host's side of /iexec_out.
    pub output: PathBuf,
    /// The files of the archive that a requester gets, sorted; empty when there is none.
    pub archive: Vec<String>,
    /// What the worker contributes, or why it does not.
    pub contribution: Result<Contribution, Cause>,
    /// Holds `output`.
    _base: Rc<TempDir>,
}

impl Outcome {
    /// The result file `name`.
    pub fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.output.join(name)).unwrap_or_else(|error| panic!("{name}: {error}: {self:?}"))
    }

    /// The result file `name`.
    pub fn json(&self, name: &str) -> Value {
        serde_json::from_slice(&self.read(name)).unwrap()
    }
}

/// A worker with a folder for its tasks.
pub struct Worker {
    base: Rc<TempDir>,
    deal: [u8; 32],
}

impl Worker {
    /// A worker with a deal that no other has.
    pub fn new() -> Self {
        static DEALS: AtomicUsize = AtomicUsize::new(0);
        let deal = format!(
            "{}-{}",
            std::process::id(),
            DEALS.fetch_add(1, Ordering::Relaxed)
        );
        Self {
            base: Rc::new(tempfile::tempdir().unwrap()),
            deal: Sha256::digest(deal).into(),
        }
    }

    fn id(&self, task: &Task) -> String {
        let mut index = [0; 32];
        index[24..].copy_from_slice(&(task.index as u64).to_be_bytes());
        keccak(&[self.deal, index].concat())
    }

    /// The host's side of /iexec_in and /iexec_out. The worker makes neither; the engine does when
    /// they are missing.
    pub fn folders(&self, task: &Task) -> (PathBuf, PathBuf) {
        let base = self.base.path().join(self.id(task));
        (base.join("input"), base.join("output/iexec_out"))
    }

    /// Does all of a task.
    pub fn run(&self, task: &Task) -> Outcome {
        match self.start(task) {
            Ok(running) => running.finish(),
            Err(cause) => Outcome {
                exit: None,
                timed_out: false,
                stdout: String::new(),
                stderr: String::new(),
                took: Duration::ZERO,
                output: self.folders(task).1,
                archive: Vec::new(),
                contribution: Err(cause),
                _base: Rc::clone(&self.base),
            },
        }
    }

    /// Downloads what the task needs and starts the application.
    pub fn start<'a>(&self, task: &'a Task) -> Result<Running<'a>, Cause> {
        let (input, output) = self.folders(task);
        let id = self.id(task);
        let dataset = task
            .dataset
            .as_ref()
            .map_or(NO_DATASET, |(address, _)| address);
        let mut environment = vec![
            ("IEXEC_DEAL_ID".to_owned(), hex(&self.deal)),
            ("IEXEC_TASK_ID".to_owned(), id.clone()),
            ("IEXEC_TASK_INDEX".to_owned(), task.index.to_string()),
            ("IEXEC_IN".to_owned(), "/iexec_in".to_owned()),
            ("IEXEC_OUT".to_owned(), "/iexec_out".to_owned()),
            ("IEXEC_DATASET_ADDRESS".to_owned(), dataset.to_owned()),
            ("IEXEC_DATASET_FILENAME".to_owned(), dataset.to_owned()),
            ("IEXEC_BOT_SIZE".to_owned(), task.bag.to_string()),
            ("IEXEC_BOT_FIRST_INDEX".to_owned(), "0".to_owned()),
            ("IEXEC_BOT_TASK_INDEX".to_owned(), task.index.to_string()),
            (
                "IEXEC_INPUT_FILES_NUMBER".to_owned(),
                task.input_files.len().to_string(),
            ),
        ];
        if let Some((address, Some(content))) = &task.dataset {
            fs::create_dir_all(&input).unwrap();
            fs::copy(content, input.join(address)).unwrap();
        }
        if !task.input_files.is_empty() {
            fs::create_dir_all(&input).unwrap();
            environment.push((
                "IEXEC_INPUT_FILES_FOLDER".to_owned(),
                "/iexec_in".to_owned(),
            ));
        }
        for (url, number) in task.input_files.iter().zip(1..) {
            let name = input_file_name(url);
            let content = download(url).ok_or(Cause::InputFilesDownloadFailed)?;
            fs::write(input.join(&name), content).unwrap();
            environment.push((format!("IEXEC_INPUT_FILE_NAME_{number}"), name));
        }

        let container = format!("worker-{id}");
        let mut arguments = vec![
            "run".to_owned(),
            "--detach".to_owned(),
            "--name".to_owned(),
            container.clone(),
        ];
        for (folder, mount) in [(&input, "/iexec_in"), (&output, "/iexec_out")] {
            arguments.extend([
                "--volume".to_owned(),
                format!("{}:{mount}", folder.display()),
            ]);
        }
        for (name, value) in environment {
            arguments.extend(["--env".to_owned(), format!("{name}={value}")]);
        }
        if !task
            .conditions
            .iter()
            .any(|condition| condition == "--network")
        {
            arguments.extend(["--network".to_owned(), network().to_owned()]);
        }
        arguments.extend(task.conditions.iter().cloned());
        arguments.push(task.image.to_owned());
        arguments.extend(arguments::split(&task.args));
        let started = Instant::now();
        docker_prints(&arguments);
        Ok(Running {
            task,
            container,
            started,
            output,
            base: Rc::clone(&self.base),
        })
    }
}

/// The name under which a worker (iexec-common from 8.6.0 on) keeps the file at `url`.
pub fn input_file_name(url: &str) -> String {
    hex(&Sha256::digest(url))
}

/// Like the worker's: whatever the address, all at once, and nothing is as bad as an error.
fn download(url: &str) -> Option<Vec<u8>> {
    let mut response = ureq::get(url).call().ok()?;
    response
        .body_mut()
        .read_to_vec()
        .ok()
        .filter(|content| !content.is_empty())
}

/// A task whose application runs.
pub struct Running<'a> {
    task: &'a Task,
    container: String,
    started: Instant,
    output: PathBuf,
    base: Rc<TempDir>,
}

impl Running<'_> {
    /// The host's side of /iexec_out.
    pub fn output(&self) -> &Path {
        &self.output
    }

    /// Sends the application a signal.
    pub fn signal(&self, name: &str) {
        docker_prints(&["kill", "--signal", name, &self.container]);
    }

    /// Waits for the application's end, or ends it when its time is over, and does what comes then.
    pub fn finish(self) -> Outcome {
        let container = &self.container;
        let mut command = Command::new("docker");
        let mut waiting = command
            .args(["wait", container])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut timed_out = false;
        while waiting.try_wait().unwrap().is_none() {
            if self.started.elapsed() > self.task.time_limit && !timed_out {
                docker_prints(&["stop", "--time", "0", container]);
                timed_out = true;
            }
            sleep(Duration::from_millis(5));
        }
        let took = self.started.elapsed();
        let exit = String::from_utf8(waiting.wait_with_output().unwrap().stdout).unwrap();
        let exit = exit
            .trim_end()
            .parse()
            .expect("the engine knows the exit status");
        let logs = docker(&["logs", container]);
        docker_prints(&["rm", container]);
        if exit == 0 {
            for (name, log) in [("stdout.txt", &logs.stdout), ("stderr.txt", &logs.stderr)] {
                if !log.is_empty() {
                    fs::write(self.output.join(name), log).unwrap();
                }
            }
        }
        let (archive, contribution) = match pack(&self.output) {
            Ok(archive) => (archive, contribution(&self.output, self.task.callback)),
            Err(cause) => (Vec::new(), Err(cause)),
        };
        Outcome {
            exit: Some(exit),
            timed_out,
            stdout: String::from_utf8(logs.stdout).unwrap(),
            stderr: String::from_utf8(logs.stderr).unwrap(),
            took,
            output: self.output,
            archive,
            contribution,
            _base: self.base,
        }
    }
}

/// Puts the files of `output` into the archive that the requester gets, and lists them.
fn pack(output: &Path) -> Result<Vec<String>, Cause> {
    let mut files = Vec::new();
    list(output, &mut files);
    let name_length = |file: &PathBuf| file.file_name().unwrap().to_string_lossy().chars().count();
    if files.iter().any(|file| name_length(file) > LONGEST_NAME) {
        return Err(Cause::PostComputeTooLongResultFileName);
    }
    let path = output.with_extension("zip");
    let mut archive = ZipWriter::new(fs::File::create(&path).unwrap());
    let options = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
    for file in &files {
        let name = file
            .strip_prefix(output)
            .unwrap()
            .to_str()
            .expect("names are text");
        archive.start_file(name, options).unwrap();
        archive.write_all(&fs::read(file).unwrap()).unwrap();
    }
    archive.finish().unwrap();
    let archive = ZipArchive::new(fs::File::open(&path).unwrap()).unwrap();
    let mut names: Vec<_> = archive
        .file_names()
        .map(|name| name.unwrap().into_owned())
        .collect();
    names.sort();
    Ok(names)
}

/// What computed.json makes of the results in `output`.
fn contribution(output: &Path, callback: bool) -> Result<Contribution, Cause> {
    let computed = fs::read(output.join("computed.json"))
        .map_err(|_| Cause::PostComputeSendComputedFileFailed)?;
    let computed: Value =
        serde_json::from_slice(&computed).map_err(|_| Cause::PostComputeComputedFileNotFound)?;
    let field = |name: &str| computed.get(name).and_then(Value::as_str);
    if !callback && field("callback-data").is_some_and(|data| !data.is_empty()) {
        return Err(Cause::FinalizeReverted);
    }
    let digest = if callback {
        field("callback-data").and_then(digest::of_callback)
    } else {
        // The worker puts its own folder before the path as it stands.
        let folder = output.parent().unwrap().to_str().unwrap();
        let path = field("deterministic-output-path").filter(|path| !path.is_empty());
        let path = path
            .map(|path| PathBuf::from(format!("{folder}{path}")))
            .filter(|path| path.exists());
        path.map(|path| digest::of_path(&path))
    };
    let digest = digest.ok_or(Cause::PostComputeResultDigestComputationFailed)?;
    Ok(Contribution { digest, computed })
}

/// Adds the files in `folder` and its folders to `files`.
fn list(folder: &Path, files: &mut Vec<PathBuf>) {
    let mut entries: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            list(&path, files)
        } else {
            files.push(path)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What becomes of these files of /iexec_out.
    fn judge(files: &[(&str, &str)], callback: bool) -> Result<Contribution, Cause> {
        let base = tempfile::tempdir().unwrap();
        let output = base.path().join("iexec_out");
        for (name, content) in files {
            let path = output.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        pack(&output).and_then(|_| contribution(&output, callback))
    }

    #[test]
    fn results_are_refused_for_the_reasons_that_a_worker_has() {
        let result = ("r.json", "A result");
        let good = (
            "computed.json",
            r#"{"deterministic-output-path": "/iexec_out/r.json"}"#,
        );
        let contributed = judge(&[result, good], false).unwrap();
        assert_eq!(
            contributed.digest,
            "0xd885f429a59e0816822fc0927be6a6af20ade2c79db49df6c6022f79cb27ac16"
        );
        let long = "a-name-that-has-32-characters.txt";
        assert_eq!(long.len(), 33);
        let too_long = judge(
            &[result, good, (&format!("folder/{}", &long[1..]), "")],
            false,
        );
        assert_eq!(too_long, Err(Cause::PostComputeTooLongResultFileName));
        assert!(judge(&[result, good, (&long[2..], "")], false).is_ok());
        assert_eq!(
            judge(&[result], false),
            Err(Cause::PostComputeSendComputedFileFailed)
        );
        assert_eq!(
            judge(&[result, ("computed.json", "{")], false),
            Err(Cause::PostComputeComputedFileNotFound)
        );
        for computed in [
            "{}",
            r#"{"deterministic-output-path": ""}"#,
            r#"{"deterministic-output-path": "/iexec_out/absent"}"#,
            r#"{"deterministic-output-path": "r.json"}"#,
        ] {
            let cause = judge(&[result, ("computed.json", computed)], false);
            assert_eq!(
                cause,
                Err(Cause::PostComputeResultDigestComputationFailed),
                "{computed}"
            );
        }
        assert_eq!(
            judge(&[result, good], true),
            Err(Cause::PostComputeResultDigestComputationFailed)
        );
        let called = judge(&[("computed.json", r#"{"callback-data": "0xab"}"#)], true).unwrap();
        assert_eq!(called.digest, keccak(&[0xab]));
        let both = r#"{"deterministic-output-path": "/iexec_out/r.json", "callback-data": "0xab"}"#;
        assert_eq!(
            judge(&[result, ("computed.json", both)], false),
            Err(Cause::FinalizeReverted)
        );
        assert_eq!(
            judge(&[result, ("computed.json", both)], true)
                .unwrap()
                .digest,
            keccak(&[0xab])
        );
    }
}
