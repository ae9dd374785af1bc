//! What goes wrong when something is fetched, in words.

use std::fmt;
use std::io;
use std::net::IpAddr;
use std::time::Duration;

use thiserror::Error;
use unit_prefix::NumberPrefix;

use crate::allocation::OutOfMemory;
use crate::code::Code;

/// Why an address could not be fetched.
#[derive(Debug, Error)]
pub enum FetchError {
    /// A file, or standard input, cannot be opened or read.
    #[error("{doing}")]
    File {
        /// What was being done.
        doing: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// What was named is no file with an image in it.
    #[error("{0}")]
    Unreadable(String),
    /// The address itself makes no sense.
    #[error("{0}")]
    Address(String),
    /// A server, or the way to it, failed.
    #[error("cannot fetch it from {place}: {problem}")]
    Server {
        /// The host, and how we came to it.
        place: String,
        /// What is wrong there.
        problem: Problem,
    },
    /// No gateway gave what was asked for: each with its problem.
    #[error("none of the IPFS gateways gave it ({}); name another with --ipfs-gateway", join(.0))]
    Gateways(Vec<(String, Problem)>),
    /// What was fetched and checked is not what it has to be.
    #[error("{0}")]
    Content(String),
    /// It is too large, or there is no room for it.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The client could not be set up.
    #[error("{0}")]
    Setup(String),
}

/// Why what was fetched could not be kept.
#[derive(Debug, Error)]
pub enum StorageError {
    /// It is larger than the limit, in bytes.
    #[error("it is larger than the limit of {}; allow more with --max-bytes", Bytes(*.0))]
    TooLarge(u64),
    /// Weights are larger than the limit, in bytes, that a task has for them.
    #[error("it is larger than {}, the limit for weights in a task", Bytes(*.0))]
    TooLargeWeights(u64),
    /// There is no memory for it.
    #[error(transparent)]
    NoMemory(#[from] OutOfMemory),
    /// The file system has no room for it.
    #[error(
        "there is no room for it in `{directory}`: {} more are needed and {} are free; name another directory in TMPDIR",
        Bytes(*.needed),
        Bytes(*.free)
    )]
    NoRoom {
        /// Where temporary files go.
        directory: String,
        /// Bytes still to come, and the reserve.
        needed: u64,
        /// Bytes that are free.
        free: u64,
    },
    /// The file system failed.
    #[error(
        "cannot write a temporary file in `{directory}`: {cause}; name another directory in TMPDIR"
    )]
    Write {
        /// Where temporary files go.
        directory: String,
        /// The system's words.
        cause: io::Error,
    },
}

/// What can be wrong with a server, or with the way to it.
#[derive(Debug, Error)]
pub enum Problem {
    /// The name of the host leads nowhere.
    #[error("there is no host of this name, or it has no address; is it spelled right?")]
    UnknownHost,
    /// Nobody could say where the name leads.
    #[error("its address cannot be looked up: {0}; is there a network? try again later")]
    Lookup(String),
    /// The guard does not let this address pass.
    #[error(
        "{address} is no public address ({class}), and only public ones may be fetched from (--public-only)"
    )]
    NotPublic {
        /// What the host stands for.
        address: IpAddr,
        /// The class of the address.
        class: &'static str,
    },
    /// Nobody listens, or there is no way there.
    #[error("cannot connect: {0}; is the address right, and is there a network?")]
    Connect(String),
    /// The proxy is of no use.
    #[error("the proxy does not help: {0}; see HTTPS_PROXY, HTTP_PROXY and NO_PROXY")]
    Proxy(String),
    /// No connection in time.
    #[error("no connection within {} s", .0.as_secs_f64())]
    ConnectTimeout(Duration),
    /// The server stopped talking.
    #[error("the server was silent for {} s; allow more with --timeout", .0.as_secs_f64())]
    Silent(Duration),
    /// All in all it took too long.
    #[error("it was not complete after {} s; allow more with --timeout", .0.as_secs_f64())]
    TotalTimeout(Duration),
    /// The connection broke, also the second time.
    #[error("the connection broke {0}; try again later")]
    Broken(String),
    /// The certificate is not to be trusted.
    #[error("its certificate is not valid: {0}")]
    Certificate(String),
    /// The certificate is not valid now, by this machine's clock.
    #[error("its certificate is not valid: {0}; is the clock right?")]
    CertificateDates(&'static str),
    /// The handshake failed.
    #[error("no secure connection came about: {0}; does the server speak https on that port?")]
    Tls(String),
    /// The server does not speak HTTP.
    #[error("its answer is no valid HTTP: {0}; does the server speak http on that port?")]
    Protocol(String),
    /// The server has something else to say.
    #[error("the server answered {0}; is the address right, and public?")]
    Status(String),
    /// The server has trouble of its own, or too much to do.
    #[error("the server answered {0}; try again later")]
    ServerError(String),
    /// Redirects without an end.
    #[error("it redirects more than {0} times")]
    TooManyRedirects(usize),
    /// Redirects in a circle.
    #[error("it redirects in a circle")]
    RedirectLoop,
    /// A redirect to where we do not go.
    #[error("it redirects {0}, which is not followed")]
    Redirect(String),
    /// Compressed although we did not ask for it.
    #[error(
        "the server sends it with the content encoding `{0}`, which was not asked for and is not decoded"
    )]
    Encoding(String),
    /// What the server sent cannot be kept.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// What came is not what the CID stands for.
    #[error("what it gave does not match the CID {0}")]
    WrongContent(String),
    /// An IPFS block beyond what gateways and nodes carry, in bytes.
    #[error("the IPFS block is larger than {}", Bytes(*.0))]
    LargeBlock(u64),
}

fn only_look_ups(failures: &[(String, Problem)]) -> bool {
    !failures.is_empty()
        && failures
            .iter()
            .all(|(_, problem)| matches!(problem, Problem::Lookup(_)))
}

fn join(failures: &[(String, Problem)]) -> String {
    let shown: Vec<_> = failures
        .iter()
        .map(|(place, problem)| format!("{place}: {problem}"))
        .collect();
    shown.join("; ")
}

impl FetchError {
    /// The stable word for this kind of error.
    pub fn code(&self) -> Code {
        match self {
            Self::File { .. } | Self::Unreadable(_) => Code::ImageFile,
            Self::Address(_) => Code::BadAddress,
            Self::Server { problem, .. } => problem.code(),
            // Then it is the network that is missing, not what was asked for.
            Self::Gateways(failures) if only_look_ups(failures) => Code::LookUpFailed,
            Self::Gateways(_) => Code::IpfsGateways,
            Self::Content(_) => Code::WrongContent,
            Self::Storage(error) => error.code(),
            Self::Setup(_) => Code::FetchSetup,
        }
    }
}

impl StorageError {
    fn code(&self) -> Code {
        match self {
            Self::TooLarge(_) | Self::TooLargeWeights(_) => Code::TooLarge,
            Self::NoMemory(_) => Code::OutOfMemory,
            Self::NoRoom { .. } | Self::Write { .. } => Code::TemporaryFile,
        }
    }
}

impl Problem {
    fn code(&self) -> Code {
        match self {
            Self::UnknownHost => Code::HostNotFound,
            Self::Lookup(_) => Code::LookUpFailed,
            Self::NotPublic { .. } => Code::NotPublic,
            Self::Connect(_) | Self::Broken(_) | Self::Protocol(_) | Self::Encoding(_) => {
                Code::Connection
            }
            Self::Proxy(_) => Code::Proxy,
            Self::ConnectTimeout(_) | Self::Silent(_) | Self::TotalTimeout(_) => Code::Timeout,
            Self::Certificate(_) => Code::Certificate,
            Self::CertificateDates(_) => Code::CertificateDates,
            Self::Tls(_) => Code::Tls,
            Self::Status(_) => Code::HttpStatus,
            Self::ServerError(_) => Code::ServerError,
            Self::TooManyRedirects(_) | Self::RedirectLoop | Self::Redirect(_) => Code::Redirect,
            Self::Storage(error) => error.code(),
            Self::WrongContent(_) => Code::WrongContent,
            Self::LargeBlock(_) => Code::TooLarge,
        }
    }

    /// Whether the connection broke, so that another may do better.
    pub(super) fn is_break(&self) -> bool {
        matches!(self, Self::Broken(_))
    }
}

/// A number of bytes as people read it: `64.00 MiB`.
struct Bytes(u64);

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match NumberPrefix::binary(self.0 as f64) {
            NumberPrefix::Standalone(bytes) => write!(f, "{bytes:.0} B"),
            NumberPrefix::Prefixed(prefix, number) => write!(f, "{number:.2} {prefix}B"),
        }
    }
}
