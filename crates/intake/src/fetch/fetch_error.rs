//! What goes wrong when something is fetched, in words.

use std::io;
use std::net::IpAddr;
use std::time::Duration;

use rustls::CertificateError;
use thiserror::Error;
use ureq::Timeout;

use super::http::Limits;
use crate::memory::OutOfMemory;

/// Why an address could not be fetched.
#[derive(Debug, Error)]
pub enum FetchError {
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
    #[error("it is larger than the limit of {}; allow more with --max-bytes", indicatif::BinaryBytes(*.0))]
    TooLarge(u64),
    /// Weights are larger than the limit, in bytes, that a task has for them.
    #[error("it is larger than {}, the limit for weights in a task", indicatif::BinaryBytes(*.0))]
    TooLargeWeights(u64),
    /// There is no memory for it.
    #[error(transparent)]
    NoMemory(#[from] OutOfMemory),
    /// The file system has no room for it.
    #[error(
        "there is no room for it in `{directory}`: {} more are needed and {} are free; name another directory in TMPDIR",
        indicatif::BinaryBytes(*.needed),
        indicatif::BinaryBytes(*.free)
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
    #[error("the IPFS block is larger than {}", indicatif::BinaryBytes(*.0))]
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
    /// The stable word for this kind of error: see docs/errors.md.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Address(_) => "bad-address",
            Self::Server { problem, .. } => problem.code(),
            // Then it is the network that is missing, not what was asked for.
            Self::Gateways(failures) if only_look_ups(failures) => "look-up-failed",
            Self::Gateways(_) => "ipfs-gateways",
            Self::Content(_) => "wrong-content",
            Self::Storage(error) => error.code(),
            Self::Setup(_) => "fetch-setup",
        }
    }
}

impl StorageError {
    fn code(&self) -> &'static str {
        match self {
            Self::TooLarge(_) | Self::TooLargeWeights(_) => "too-large",
            Self::NoMemory(_) => "out-of-memory",
            Self::NoRoom { .. } | Self::Write { .. } => "temporary-file",
        }
    }
}

impl Problem {
    fn code(&self) -> &'static str {
        match self {
            Self::UnknownHost => "host-not-found",
            Self::Lookup(_) => "look-up-failed",
            Self::NotPublic { .. } => "not-public",
            Self::Connect(_) | Self::Broken(_) | Self::Protocol(_) | Self::Encoding(_) => {
                "connection"
            }
            Self::Proxy(_) => "proxy",
            Self::ConnectTimeout(_) | Self::Silent(_) | Self::TotalTimeout(_) => "timeout",
            Self::Certificate(_) => "certificate",
            Self::CertificateDates(_) => "certificate-dates",
            Self::Tls(_) => "tls",
            Self::Status(_) => "http-status",
            Self::ServerError(_) => "server-error",
            Self::TooManyRedirects(_) | Self::RedirectLoop | Self::Redirect(_) => "redirect",
            Self::Storage(error) => error.code(),
            Self::WrongContent(_) => "wrong-content",
            Self::LargeBlock(_) => "too-large",
        }
    }

    /// What the client's `error` means to somebody who does not know the client. `progress` says
    /// how far it came.
    pub fn new(error: ureq::Error, limits: &Limits, progress: &str) -> Self {
        let broken = || Self::Broken(progress.to_owned());
        match error {
            ureq::Error::Timeout(Timeout::Resolve | Timeout::Connect) => {
                Self::ConnectTimeout(limits.connect)
            }
            ureq::Error::Timeout(Timeout::Global | Timeout::PerCall) => {
                Self::TotalTimeout(limits.total)
            }
            ureq::Error::Timeout(_) => Self::Silent(limits.idle),
            ureq::Error::Rustls(error) => Self::tls(&error),
            ureq::Error::Io(error) => match error
                .get_ref()
                .and_then(|cause| cause.downcast_ref::<rustls::Error>())
            {
                Some(error) => Self::tls(error),
                None if is_break(error.kind()) => broken(),
                None => Self::Connect(error.to_string()),
            },
            ureq::Error::Other(error) => match error.downcast::<Self>() {
                Ok(problem) => *problem,
                Err(error) => Self::Protocol(error.to_string()),
            },
            ureq::Error::ConnectProxyFailed(reason) => Self::Proxy(reason),
            ureq::Error::InvalidProxyUrl => Self::Proxy("its address is no valid URL".to_owned()),
            ureq::Error::Tls(reason) => Self::Tls(reason.to_owned()),
            ureq::Error::ConnectionFailed => Self::Connect("no reason is known".to_owned()),
            ureq::Error::Protocol(error) => Self::Protocol(error.to_string()),
            error => Self::Protocol(error.to_string()),
        }
    }

    fn tls(error: &rustls::Error) -> Self {
        use CertificateError as Certificate;
        let rustls::Error::InvalidCertificate(certificate) = error else {
            return Self::Tls(error.to_string());
        };
        Self::Certificate(match certificate {
            Certificate::Expired | Certificate::ExpiredContext { .. } => {
                return Self::CertificateDates("it has expired");
            }
            Certificate::NotValidYet | Certificate::NotValidYetContext { .. } => {
                return Self::CertificateDates("it is not valid yet");
            }
            Certificate::UnknownIssuer => {
                "nobody whom this machine trusts has signed it; name the authority's certificate with --ca-file if you \
                 trust it"
                    .to_owned()
            }
            Certificate::NotValidForName | Certificate::NotValidForNameContext { .. } => {
                "it is made out to another host".to_owned()
            }
            Certificate::BadSignature => "its signature is wrong".to_owned(),
            other => other.to_string(),
        })
    }

    /// Whether the connection broke, so that another may do better.
    pub fn is_break(&self) -> bool {
        matches!(self, Self::Broken(_))
    }
}

/// The kinds of error of a connection that was there and is gone.
fn is_break(kind: io::ErrorKind) -> bool {
    use io::ErrorKind as Kind;
    matches!(
        kind,
        Kind::UnexpectedEof | Kind::ConnectionReset | Kind::ConnectionAborted | Kind::BrokenPipe
    )
}
