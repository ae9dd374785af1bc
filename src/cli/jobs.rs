//! Words that were meant to start a job, and are none: mistyped, or another program's for it.

use clap::error::{ContextKind, ContextValue, ErrorKind};

/// What starts a job, and what is typed for it elsewhere.
const JOBS: [(&str, &[&str]); 8] = [
    ("maskrcnn weights", &["weights", "models"]),
    ("maskrcnn weights list", &["list", "ls"]),
    (
        "maskrcnn weights fetch",
        &["fetch", "download", "get", "pull"],
    ),
    ("maskrcnn weights remove", &["remove", "rm", "delete"]),
    ("maskrcnn inspect", &["inspect", "info", "show"]),
    ("maskrcnn convert", &["convert", "export"]),
    ("maskrcnn --help", &["help"]),
    ("maskrcnn --version", &["version"]),
];

/// The words that start the job which `word` looks like, when it looks like one: short words only
/// when they are one, whatever their case.
pub(super) fn meant(word: &str) -> Option<&'static str> {
    /// Below it, many words look alike.
    const SHORTEST: usize = 6;
    /// Letters that may be wrong.
    const MOST: usize = 2;
    let word = word.to_lowercase();
    let may_be_mistyped = word.chars().count() >= SHORTEST;
    let distance = |name: &&str| match strsim::osa_distance(&word, name) {
        0 => Some(0),
        // A name that is short itself is not what a long word was meant to be.
        far if may_be_mistyped && far <= MOST && name.len() >= SHORTEST => Some(far),
        _ => None,
    };
    let near = JOBS.iter().filter_map(|(job, names)| {
        let far = names.iter().filter_map(&distance).min()?;
        Some((far, *job))
    });
    near.min_by_key(|(far, _)| *far).map(|(_, job)| job)
}

/// `error` of clap, with the job that was meant, where it stumbled over a word behind `weights` that is
/// none, and does not know itself what was mistyped.
pub(super) fn explained(mut error: clap::Error) -> clap::Error {
    if error.kind() != ErrorKind::InvalidSubcommand
        || error.get(ContextKind::SuggestedSubcommand).is_some()
    {
        return error;
    }
    let Some(ContextValue::String(word)) = error.get(ContextKind::InvalidSubcommand) else {
        return error;
    };
    let job = meant(word).and_then(|job| job.strip_prefix("maskrcnn weights "));
    if let Some(job) = job {
        let job = ContextValue::Strings(vec![job.to_owned()]);
        error.insert(ContextKind::SuggestedSubcommand, job);
    }
    error
}

/// What to say when an option is not one of the main job, and `first`, the first word behind the
/// program's name, looks like the job that has it.
pub(super) fn mistyped(first: &str) -> Option<String> {
    let job = meant(first)?;
    let is_it = job.split(' ').nth(1) == Some(first);
    (!is_it).then(|| format!("there is no job called `{first}`; did you mean `{job}`?"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_that_look_like_a_job_start_it() {
        for (word, job) in [
            ("weight", "maskrcnn weights"),
            ("Wieghts", "maskrcnn weights"),
            ("inspekt", "maskrcnn inspect"),
            ("convret", "maskrcnn convert"),
            ("fetch", "maskrcnn weights fetch"),
            ("download", "maskrcnn weights fetch"),
            ("list", "maskrcnn weights list"),
            ("remove", "maskrcnn weights remove"),
            ("help", "maskrcnn --help"),
        ] {
            assert_eq!(meant(word), Some(job), "{word}");
        }
        for word in [
            "photo",
            "a.png",
            "lost",
            "perch",
            "segment",
            "./weight",
            "concert.jpg",
            "",
        ] {
            assert_eq!(meant(word), None, "{word}");
        }
    }
}
