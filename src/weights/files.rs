//! `maskrcnn inspect` and `maskrcnn convert`: what a file of weights is, and the same written so that
//! it says so itself.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs::File;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use intake::Address;
use maskrcnn::blueprint::{BackboneBlueprint, Block};
use maskrcnn::checkpoint::{Checkpoint, StateDict};
use maskrcnn::{Device, Fit, MaskRcnn, Precision, ReadOptions, Weights};

use super::destination::Destination;
use super::{Cache, Named, Source, cannot_load};
use crate::cli::{Convert, Inspect};
use crate::errors::Code;

/// How many tensors of an unfamiliar file are shown.
const SHOWN: usize = 12;

/// How many tensors of each kind that does not fit.
const MISFITS: usize = 5;

/// What a checkpoint is, in lines, and why it is no network, when it is none.
///
/// # Errors
///
/// When there is no such file.
pub fn inspect(args: &Inspect) -> Result<(String, Result<()>)> {
    let mut text = String::new();
    let weights = match open(args) {
        Ok(weights) => weights,
        Err(error) => {
            if let Some(path) = path(args)?
                && let Ok(tensors) = Checkpoint::open(&path)
            {
                unfamiliar(&mut text, &tensors);
                let nearest = Fit::nearest(&path, &options(args));
                if let Some(fit) = nearest.ok().flatten() {
                    misfits(&mut text, &fit);
                }
            }
            return Ok((text, Err(error)));
        }
    };
    let weights = adapted(weights, args)?;
    let mut line = |name: &str, value: &str| {
        writeln!(text, "{name:<11} {value}").expect("text takes text");
    };
    line("family", weights.family());
    line("backbone", &backbone(&weights.blueprint().backbone));
    let labels: Vec<_> = weights.labels().collect();
    line(
        "classes",
        &format!("{}: {}", labels.len(), labels.join(", ")),
    );
    line("tensors", &sizes(weights.tensors()));
    line("format", &weights.format().to_string());
    line("sha256", &weights.sha256());
    line("found", &weights.wrapper().to_string());
    weights.notes().for_each(|note| line("note", note));
    let blueprint = serde_json::to_string_pretty(weights.blueprint())
        .expect("plain data with string keys always serializes");
    writeln!(text, "blueprint\n{blueprint}").expect("text takes text");
    let fit = Fit::of(&weights)?;
    if !fit.is_whole() {
        misfits(&mut text, &fit);
    }
    let built = MaskRcnn::new(weights, Device::Cpu).map(drop);
    Ok((text, built.context("it cannot be set up")))
}

/// Writes a checkpoint under canonical names; the line that says so.
///
/// # Errors
///
/// When the checkpoint cannot be read or is no network, or the file cannot be written.
pub fn convert(args: &Convert) -> Result<String> {
    let destination = Destination::new(&args.to, path(&args.from)?.as_deref())?;
    let weights = adapted(open(&args.from)?, &args.from)?;
    let (family, classes) = (weights.family().to_owned(), weights.labels().count());
    let precision = if args.half {
        Precision::Half
    } else {
        Precision::Single
    };
    let sha256 = destination.write(|path| {
        weights.save(path, precision).map_err(|error| match error {
            maskrcnn::Error::WriteFile { source, .. } => maskrcnn::Error::WriteFile {
                path: args.to.clone(),
                source,
            },
            other => other,
        })?;
        // What cannot be built would be no checkpoint: it shows here and not at the user's.
        let written = Weights::open(path)?;
        let sha256 = written.sha256();
        MaskRcnn::new(written, Device::Cpu).context("it is no whole network")?;
        Ok(sha256)
    })?;
    let to = args.to.display();
    Ok(format!(
        "{to}: {family}, {classes} classes, sha256 {sha256}"
    ))
}

/// The weights with the blueprint and the names of classes that the words name.
fn adapted(mut weights: Weights, args: &Inspect) -> Result<Weights> {
    if let Some(path) = &args.blueprint {
        let with_blueprint = document(path).and_then(|json| Ok(weights.with_blueprint(json)?));
        weights = with_blueprint
            .with_context(|| format!("cannot use the blueprint `{}`", path.display()))?;
    }
    if let Some(path) = &args.labels {
        let with_labels = document(path).and_then(|labels| Ok(weights.with_labels(labels)?));
        weights =
            with_labels.with_context(|| format!("cannot use the labels `{}`", path.display()))?;
    }
    Ok(weights)
}

/// A file that is given beside the weights, opened.
fn document(path: &Path) -> Result<File> {
    let opened = File::open(path).map_err(|source| maskrcnn::Error::ReadFile {
        path: path.to_owned(),
        source,
    });
    Ok(opened?)
}

fn options(args: &Inspect) -> ReadOptions {
    let mut read = ReadOptions::default();
    read.key.clone_from(&args.checkpoint_key);
    read
}

/// Which weights are meant.
enum Meant {
    /// Those that are part of the program.
    Embedded,
    /// Those in a file.
    File(Address, PathBuf),
    /// Those that are kept, under their name.
    Kept(Named, Cache),
}

fn open(args: &Inspect) -> Result<Weights> {
    match meant(args)? {
        Meant::Embedded => Ok(Weights::embedded()?),
        Meant::File(address, path) => {
            Weights::open_with(&path, &options(args)).with_context(|| cannot_load(&address))
        }
        Meant::Kept(named, cache) => {
            let opened = named.open_kept(&cache, &options(args));
            let checked = opened.and_then(|weights| {
                named.check(&weights.sha256())?;
                Ok(weights)
            });
            checked.with_context(|| format!("cannot load the weights {}", named.entry.name))
        }
    }
}

/// The file that is meant; none for the weights that are part of the program.
fn path(args: &Inspect) -> Result<Option<PathBuf>> {
    Ok(match meant(args)? {
        Meant::Embedded => None,
        Meant::File(_, path) => Some(path),
        Meant::Kept(named, cache) => Some(cache.path(named.entry)),
    })
}

fn meant(args: &Inspect) -> Result<Meant> {
    match Source::new(&args.file, None, Cache::of_user()) {
        Source::Embedded => Ok(Meant::Embedded),
        Source::At(address) => match address.path().map(Path::to_owned) {
            Some(path) => Ok(Meant::File(address, path)),
            None => Err(Code::CommandLine.error(format!(
                "expected a file, found the address `{address}`; fetch it first"
            ))),
        },
        Source::Named(named) => {
            let kept = named.cache.clone();
            match kept.filter(|cache| cache.holds(named.entry)) {
                Some(cache) => Ok(Meant::Kept(named, cache)),
                None => {
                    let name = named.entry.name;
                    Err(Code::UnknownWeights.error(format!(
                        "the weights {name} are not kept here; `maskrcnn weights fetch {name}` \
                         fetches them"
                    )))
                }
            }
        }
    }
}

/// Format, sizes and the first tensors of a file that is no network that is known.
fn unfamiliar(text: &mut String, checkpoint: &Checkpoint) {
    let tensors = &checkpoint.tensors;
    writeln!(text, "format      {}", checkpoint.format).expect("text takes text");
    writeln!(text, "tensors     {}", sizes(tensors)).expect("text takes text");
    for (name, parameter) in tensors.iter().take(SHOWN) {
        let name = name.escape_debug();
        writeln!(text, "            {name} {:?}", parameter.shape()).expect("text takes text");
    }
    if tensors.iter().nth(SHOWN).is_some() {
        writeln!(text, "            …").expect("text takes text");
    }
}

/// The network that is nearest to a file, the first tensors of each kind that do not fit, and what
/// would make it fit.
fn misfits(text: &mut String, fit: &Fit) {
    let mut line = |name: &str, value: &str| {
        writeln!(text, "{name:<11} {value}").expect("text takes text");
    };
    let (fitting, wanted) = (fit.fitting(), fit.wanted);
    let of = format!("{}, {fitting} of {wanted} tensors fit", fit.family);
    line("nearest", &of);
    let mut list = |name: &str, tensors: &mut dyn ExactSizeIterator<Item = String>| {
        let count = tensors.len();
        for (place, tensor) in tensors.take(MISFITS).enumerate() {
            line(if place == 0 { name } else { "" }, &tensor);
        }
        if count > MISFITS {
            line("", &format!("… {} more", count - MISFITS));
        }
    };
    let tensor = |(name, shape): &(String, Vec<i64>)| format!("{} {shape:?}", name.escape_debug());
    list("missing", &mut fit.missing.iter().map(tensor));
    let other = |(name, expected, found): &(String, Vec<i64>, Vec<i64>)| {
        format!("{name}: expected {expected:?}, found {found:?}")
    };
    list("other shape", &mut fit.reshaped.iter().map(other));
    list("left over", &mut fit.left_over.iter().map(tensor));
    if let Some(remedy) = fit.remedy() {
        line("to fit", &remedy);
    }
}

/// How many tensors, numbers and types: `307, 44,401,393 parameters, float32`.
fn sizes(tensors: &StateDict) -> String {
    let (mut count, mut parameters, mut types) = (0, 0, BTreeMap::<String, usize>::new());
    for (_, tensor) in tensors.iter() {
        count += 1;
        // A tensor without elements may have any sides.
        let sides = tensor.shape().iter();
        parameters += sides.fold(1, |elements: i64, side| elements.saturating_mul(*side));
        *types.entry(tensor.dtype().to_string()).or_default() += 1;
    }
    let types: Vec<_> = types.into_keys().collect();
    format!(
        "{count}, {} parameters, {}",
        grouped(parameters),
        types.join(" and ")
    )
}

/// A number with commas between thousands.
fn grouped(number: i64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// The backbone in words, by the name under which people know it where it has one.
fn backbone(blueprint: &BackboneBlueprint) -> String {
    let BackboneBlueprint::ResNet(resnet) = blueprint else {
        return "EfficientNet-Lite0".to_owned();
    };
    let per_block = match resnet.block {
        Block::Basic => 2,
        _ => 3,
    };
    let depth = 2 + per_block * resnet.blocks.iter().sum::<usize>();
    let name = match (resnet.groups, resnet.width_per_group) {
        (1, 64) => format!("ResNet-{depth}"),
        (1, width) => format!("wide ResNet-{depth}, {}-fold", width as f64 / 64.0),
        (groups, width) => format!("ResNeXt-{depth} {groups}x{width}d"),
    };
    format!("{name}, norm epsilon {}", resnet.norm_epsilon)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_grouped() {
        let grouped = [0, 999, 1000, 44_401_393].map(grouped);
        assert_eq!(grouped, ["0", "999", "1,000", "44,401,393"]);
    }
}
