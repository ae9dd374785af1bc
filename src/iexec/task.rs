//! What a worker says about a task in the environment, and where that has the program run.
//!
//! The worker's side is iexec-common, `IexecEnvUtils.java`.

use std::env;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};

use anyhow::{Context, Result, bail};
use intake::{Address, DEFAULT_MAX_PIXELS, MAX_FILE_BYTES, Proxies};

use crate::cli::Args;
use crate::errors::Code;
use crate::options::{Limits, Naming, Options, Place, check_standard_input};
use crate::weights::Source;

/// What the environment names when the task has no dataset.
pub(super) const NO_DATASET: &str = "0x0000000000000000000000000000000000000000";

/// Largest weights that a task fetches, in bytes: the addresses are the requester's, the disk is
/// the worker's. The largest checkpoint of the known families has 0.2 GB.
const MAX_WEIGHTS_BYTES: u64 = 2 << 30;

/// What a worker says about the task that it runs this program for. The program reads nothing else
/// of the environment in a task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Task {
    /// Where the results go: `IEXEC_OUT`.
    pub(super) output: PathBuf,
    /// The input files that the worker has fetched, in the requester's order.
    pub(super) inputs: Vec<PathBuf>,
    /// The dataset's file, when the task has one. It may not be there.
    pub(super) dataset: Option<PathBuf>,
    /// The task's number in its bag, from 0.
    pub(super) index: usize,
    /// Tasks in the bag; 1 for a task alone.
    pub(super) bag: usize,
}

/// What a task's arguments and its worker name, each address parsed once.
#[derive(Clone, Debug, PartialEq)]
pub struct Named {
    /// All images, those of the arguments before the worker's.
    pub images: Vec<Address>,
    /// The weights of the arguments.
    pub weights: Option<Source>,
}

/// Asks the environment for a variable.
pub type Variable<'a> = &'a dyn Fn(&str) -> Option<OsString>;

impl Task {
    /// The task that this process runs for; none outside of iExec, where `IEXEC_OUT` is not set.
    ///
    /// # Errors
    ///
    /// When the environment contradicts itself: the worker's fault, not the requester's.
    #[expect(clippy::disallowed_methods, reason = "a task is told by it")]
    pub fn from_environment() -> Result<Option<Self>> {
        Self::from_variables(&|name| env::var_os(name).filter(|value| !value.is_empty()))
    }

    /// The same of any environment.
    ///
    /// # Errors
    ///
    /// As [`from_environment`](Self::from_environment).
    pub fn from_variables(variable: Variable) -> Result<Option<Self>> {
        let Some(output) = variable("IEXEC_OUT") else {
            return Ok(None);
        };
        let output = PathBuf::from(output);
        if !output.is_absolute() {
            bail!(
                "expected an absolute path in IEXEC_OUT, found `{}`",
                output.display()
            );
        }
        let folder = variable("IEXEC_IN").map(PathBuf::from);
        let file = |name: &OsStr| {
            let folder = folder
                .as_ref()
                .context("the task has files, but IEXEC_IN does not say where they are")?;
            inside(folder, name)
        };
        let inputs = (1..=number(variable, "IEXEC_INPUT_FILES_NUMBER", 0)?).map(|n| {
            let name = format!("IEXEC_INPUT_FILE_NAME_{n}");
            file(&variable(&name).with_context(|| format!("the task's environment lacks {name}"))?)
        });
        let inputs = inputs.collect::<Result<_>>()?;
        let dataset = match variable("IEXEC_DATASET_FILENAME").filter(|name| name != NO_DATASET) {
            Some(name) => Some(file(&name)?),
            None => None,
        };
        let index = number(variable, "IEXEC_BOT_TASK_INDEX", 0)?;
        Ok(Some(Self {
            output,
            inputs,
            dataset,
            index,
            bag: number(variable, "IEXEC_BOT_SIZE", 1)?,
        }))
    }

    /// The task's own among `images`: its positions, from 0.
    ///
    /// In a bag of tasks all have the same images, and each does one: task 0 the first, task 1 the
    /// second, and on from the first again when there are more tasks than images. The index counts
    /// through the requester's order, which may be matched in several deals, each with its own bag;
    /// so the bag's size cannot tell which images are left, and does not count but for being a bag.
    pub(super) fn own(&self, images: usize) -> Vec<usize> {
        if (self.bag > 1 || self.index > 0) && images > 1 {
            vec![self.index % images]
        } else {
            (0..images).collect()
        }
    }

    /// Where the results go.
    pub fn output(&self) -> &Path {
        &self.output
    }

    /// The files that the worker gives, whether they are there or not.
    pub fn given(&self) -> impl Iterator<Item = &Path> {
        self.inputs
            .iter()
            .chain(&self.dataset)
            .map(PathBuf::as_path)
    }

    /// What the task's arguments and its worker name.
    pub fn named(&self, args: &Args) -> Named {
        let images = args.images.iter().map(|name| Address::new(name));
        let brought = self.inputs.iter().cloned().map(Address::File);
        Named {
            images: images.chain(brought).collect(),
            weights: args
                .weights
                .as_deref()
                .map(|word| Source::new(word, None, None)),
        }
    }

    /// Where the program runs: what the arguments say, within what a task may, and what is worth
    /// knowing of it, each note in one line. Only public addresses are fetched from, and no proxy
    /// of the environment is used.
    ///
    /// `named`: what [`named`](Self::named) gave for the same arguments.
    ///
    /// # Errors
    ///
    /// When there is no image to work on, when one is not there that the worker was to bring, or
    /// when there is more than one to report to a contract.
    pub fn place(&self, args: &Args, named: Named) -> Result<(Place, Vec<String>)> {
        let Named {
            images: all,
            weights,
        } = named;
        let own = self.own(all.len());
        if own.is_empty() {
            let message = "the task has no image: name one in iexec_args, by its address, or in \
                           iexec_input_files";
            return Err(Code::CommandLine.error(message));
        }
        check_standard_input(&all).map_err(|message| Code::CommandLine.error(message))?;
        if args.callback && own.len() > 1 {
            let message = format!(
                "--callback reports one image, and the task has {}; give each its own task",
                own.len()
            );
            return Err(Code::ManyImages.error(message));
        }
        let mut notes = Vec::new();
        if args.output != Options::default_output() && args.output != self.output {
            let (here, there) = (self.output.display(), args.output.display());
            notes.push(format!(
                "in a task the results go to `{here}`, and not to `{there}`"
            ));
        }
        if own.len() < all.len() {
            let (index, image, count) = (self.index, own[0] + 1, all.len());
            notes.push(format!(
                "task {index} of the bag does image {image} of {count}"
            ));
        }
        let images: Vec<_> = own.iter().map(|&position| all[position].clone()).collect();
        images
            .iter()
            .try_for_each(|image| self.check_brought(image))?;
        let weights = weights.or_else(|| self.dataset(&mut notes).map(Source::At));
        let place = Place {
            images,
            naming: Naming::ByNumber(own.into_iter().map(|position| position + 1).collect()),
            output: self.output.clone(),
            weights,
            temporary: self.output.clone(),
            proxies: Proxies::default(),
            public_only: true,
            deterministic: true,
            // The requester names the addresses, and the worker's owner has the network and the
            // memory.
            limits: Limits {
                image_bytes: MAX_FILE_BYTES,
                weights_bytes: Some(MAX_WEIGHTS_BYTES),
                pixels: DEFAULT_MAX_PIXELS,
            },
        };
        Ok((place, notes))
    }

    /// Refuses an input file that the worker was to bring and that is not there.
    fn check_brought(&self, image: &Address) -> Result<()> {
        let is_given = |path: &&Path| self.inputs.iter().any(|input| input == path);
        let is_missing = |path: &&Path| {
            let metadata = fs::symlink_metadata(path);
            metadata.is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
        };
        match image.path().filter(is_given).filter(is_missing) {
            Some(path) => Err(Code::InputFile.error(format!(
                "the worker did not bring the input file `{}`; is its address right?",
                path.display()
            ))),
            None => Ok(()),
        }
    }

    /// The dataset when it is there; a note says so when the task has one that is not.
    fn dataset(&self, notes: &mut Vec<String>) -> Option<Address> {
        let dataset = self.dataset.as_ref()?;
        if dataset.is_file() {
            return Some(Address::File(dataset.clone()));
        }
        notes.push(format!(
            "the dataset is not at `{}`: the weights are those that the program brings itself",
            dataset.display()
        ));
        None
    }
}

/// The file `name` in `folder`.
///
/// # Errors
///
/// When the name leads out of the folder. Workers before 2025 took it from the requester's URL.
fn inside(folder: &Path, name: &OsStr) -> Result<PathBuf> {
    let path = Path::new(name);
    let mut components = path.components();
    match (components.next(), components.next()) {
        (Some(Component::Normal(only)), None) if only == name => Ok(folder.join(path)),
        _ => bail!(
            "expected the name of a file in `{}`, found `{}`",
            folder.display(),
            path.display()
        ),
    }
}

/// The number that a variable of the environment holds.
fn number(variable: Variable, name: &str, default: usize) -> Result<usize> {
    let Some(value) = variable(name) else {
        return Ok(default);
    };
    let number = value.to_str().and_then(|text| text.parse().ok());
    number.with_context(|| {
        format!(
            "expected a whole number in {name}, found `{}`",
            value.display()
        )
    })
}
