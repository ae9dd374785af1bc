//! Whose fault an error is. For the requester's there is a result: every worker comes to the same
//! one, and the requester learns why. Others, such as a full disk or a network that is down, may be
//! this worker's alone.

use std::io;

use anyhow::Error;
use serde::Serialize;

use crate::errors;

/// An error that is the requester's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Blame {
    /// The stable word for it: docs/errors.md.
    pub code: &'static str,
    /// Its number in callback data, never 0.
    #[serde(skip)]
    pub status: u8,
    /// What is wrong, in the same words on every worker: the full error may quote a system's own.
    pub message: &'static str,
}

/// Numbers are for contracts: they stay, and new codes get new ones. docs/iexec.md lists them.
const REQUESTER: [Blame; 34] = {
    const fn blame(status: u8, code: &'static str, message: &'static str) -> Blame {
        Blame {
            code,
            status,
            message,
        }
    }
    [
        blame(
            1,
            "command-line",
            "the arguments make no sense, or name no image",
        ),
        blame(
            2,
            "image-file",
            "there is no such image file, or it cannot be read",
        ),
        blame(
            3,
            "not-an-image",
            "the file is empty, or no image of a known format",
        ),
        blame(
            4,
            "bad-image",
            "the image is damaged, cut short, too large, or of a variant that is not read",
        ),
        blame(5, "image-size", "the image cannot be given to the network"),
        blame(
            6,
            "bad-address",
            "the address makes no sense, or is of a kind that is not fetched",
        ),
        blame(7, "host-not-found", "there is no host of that name"),
        blame(8, "not-public", "the host is not public"),
        blame(
            9,
            "certificate",
            "the host's certificate is not to be trusted",
        ),
        blame(10, "http-status", "the server does not give the file"),
        blame(
            11,
            "redirect",
            "the server redirects too often, in a circle, or to an address that is not followed",
        ),
        blame(12, "too-large", "the file is larger than the limit"),
        blame(
            13,
            "wrong-content",
            "the file is not what its CID stands for",
        ),
        blame(
            14,
            "fetch-setup",
            "the certificates that were named cannot be used",
        ),
        blame(
            15,
            "unknown-class",
            "the model does not know a class that was asked for",
        ),
        blame(16, "device", "the device cannot be used"),
        blame(
            17,
            "replaces-input",
            "a result would replace an image of the same task",
        ),
        blame(18, "read-file", "the weights cannot be read"),
        blame(19, "not-a-checkpoint", "the weights are in no known format"),
        blame(
            20,
            "damaged-checkpoint",
            "the weights break the rules of their format",
        ),
        blame(
            21,
            "forbidden-pickle",
            "the weights name what only files made to run code do",
        ),
        blame(
            22,
            "unsupported-checkpoint",
            "the weights use something that is not read",
        ),
        blame(
            23,
            "duplicate-tensor",
            "a tensor stands twice in the weights",
        ),
        blame(24, "missing-tensor", "the weights lack a tensor"),
        blame(
            25,
            "unexpected-tensors",
            "the weights hold tensors that the network has no place for",
        ),
        blame(
            26,
            "tensor-shape",
            "a tensor of the weights has another shape than the network needs",
        ),
        blame(
            27,
            "unknown-family",
            "the weights belong to no known network",
        ),
        blame(
            28,
            "checkpoint-metadata",
            "the weights describe their network in a way that makes no sense",
        ),
        blame(
            29,
            "many-images",
            "a callback reports one image, and the task has several",
        ),
        blame(
            30,
            "not-finite",
            "a tensor of the weights holds NaN or infinity",
        ),
        blame(
            31,
            "not-finite-output",
            "with these weights the network computes NaN or infinity",
        ),
        blame(
            32,
            "blueprint",
            "the blueprint makes no sense, or is not that of the weights",
        ),
        blame(
            33,
            "labels",
            "the names of the classes cannot be read, or are too many or too few",
        ),
        blame(
            34,
            "checkpoint-key",
            "the weights have no network under the key that was asked for",
        ),
    ]
};

/// What to tell the requester about this error; none when it is not theirs.
pub fn of(error: &Error) -> Option<Blame> {
    // A file that was named and is not there is the requester's fault, a disk that does not give it
    // is not.
    let misnamed = |error: &io::Error| {
        use io::ErrorKind::{InvalidFilename, InvalidInput, IsADirectory, NotADirectory, NotFound};
        matches!(
            error.kind(),
            NotFound | NotADirectory | IsADirectory | InvalidFilename | InvalidInput
        )
    };
    let blame = requester(errors::of(error))?;
    let file = matches!(blame.code, "image-file" | "read-file");
    (!file || errors::system(error).is_none_or(misnamed)).then_some(blame)
}

fn requester(code: &str) -> Option<Blame> {
    REQUESTER.into_iter().find(|blame| blame.code == code)
}

#[cfg(test)]
mod tests {
    use intake::FetchError;

    use super::*;

    #[test]
    fn each_code_is_listed_once_with_the_number_of_its_place() {
        for (place, blame) in (1..).zip(REQUESTER) {
            assert_eq!(blame.status, place, "{}", blame.code);
            assert_eq!(requester(blame.code), Some(blame));
        }
    }

    #[test]
    fn the_documentation_lists_the_same_numbers_and_all_codes() {
        let documented = include_str!("../../docs/iexec.md");
        let errors = include_str!("../../docs/errors.md");
        for Blame { code, status, .. } in REQUESTER {
            assert!(
                documented.contains(&format!("\n| {status} | `{code}` |")),
                "docs/iexec.md lacks {status} {code}"
            );
            assert!(
                errors.contains(&format!("\n| `{code}` |")),
                "docs/errors.md lacks {code}"
            );
        }
        assert!(!documented.contains(&format!("\n| {} | `", REQUESTER.len() + 1)));
    }

    #[test]
    fn a_missing_file_is_the_requesters_fault_but_no_bad_disk() {
        let read = |source: io::Error| {
            of(&FetchError::File {
                doing: "cannot open it",
                source,
            }
            .into())
        };
        assert_eq!(
            read(io::ErrorKind::NotFound.into()),
            requester("image-file")
        );
        const EIO: i32 = 5;
        assert_eq!(read(io::Error::from_raw_os_error(EIO)), None);
        let weights = |source| {
            of(&maskrcnn::Error::ReadFile {
                path: "weights.pth".into(),
                source,
            }
            .into())
        };
        assert_eq!(
            weights(io::ErrorKind::NotFound.into()),
            requester("read-file")
        );
        assert_eq!(weights(io::Error::from_raw_os_error(EIO)), None);
    }

    #[test]
    fn what_may_be_the_workers_own_trouble_is_not_the_requesters() {
        for code in [
            "out-of-memory",
            "output-file",
            "connection",
            "timeout",
            "temporary-file",
            "internal",
            "libtorch",
            "processor",
            "look-up-failed",
            "input-file",
            "certificate-dates",
            "tls",
            "server-error",
        ] {
            assert_eq!(requester(code), None, "{code}");
        }
    }
}
