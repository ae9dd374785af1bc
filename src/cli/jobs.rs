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
        let far = names.iter().filter_map(|name| distance(name)).min()?;
        Some((far, *job))
    });
    near.min_by_key(|(far, _)| *far).map(|(_, job)| job)
}

/// `error` of clap, with the job that was meant, where it stumbled over what is none. `first` is the
/// first word behind the program's name.
pub(super) fn explained(mut error: clap::Error, first: Option<&str>) -> clap::Error {
    match error.kind() {
        // Behind `weights`; clap itself knows what is mistyped.
        ErrorKind::InvalidSubcommand if error.get(ContextKind::SuggestedSubcommand).is_none() => {
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
        // An option of the job, which images do not have.
        ErrorKind::UnknownArgument => match first.and_then(|first| Some((first, meant(first)?))) {
            Some((first, job)) if job.split(' ').nth(1) != Some(first) => super::usage_error(
                format!("there is no job called `{first}`; did you mean `{job}`?"),
            ),
            _ => error,
        },
        _ => error,
    }
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
