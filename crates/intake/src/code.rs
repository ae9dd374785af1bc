//! A word for each kind of error, for programs that read them. docs/errors.md lists all.

use strum::{IntoStaticStr, VariantNames};

/// A kind of error. The words stay the same in later versions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, IntoStaticStr, VariantNames)]
#[strum(serialize_all = "kebab-case")]
#[non_exhaustive]
pub enum Code {
    /// An image cannot be opened or read.
    ImageFile,
    /// It is empty, or of a format that is not read.
    NotAnImage,
    /// It is an image that cannot be decoded.
    BadImage,
    /// The address makes no sense, or is of a kind that is not fetched.
    BadAddress,
    /// The host's name leads nowhere: a name server said so.
    HostNotFound,
    /// No name server gave an answer.
    LookUpFailed,
    /// The host is not public, and only public ones are allowed.
    NotPublic,
    /// Nobody listens, the connection broke, or the server does not speak HTTP.
    Connection,
    /// The proxy refuses.
    Proxy,
    /// The server took too long.
    Timeout,
    /// The host's certificate is not to be trusted.
    Certificate,
    /// The host's certificate is not valid now, by this machine's clock.
    CertificateDates,
    /// No secure connection could be established for another reason.
    Tls,
    /// The server does not have it, or does not give it to everybody.
    HttpStatus,
    /// The server has trouble itself, or no time for us.
    ServerError,
    /// The server redirects too often, in a circle, or to an address that is not followed.
    Redirect,
    /// What is fetched is larger than the limit.
    TooLarge,
    /// There is no room for what is fetched, or no permission.
    TemporaryFile,
    /// What was fetched is not what the CID stands for.
    WrongContent,
    /// No IPFS gateway had it.
    IpfsGateways,
    /// Certificates or proxies that were named cannot be used.
    FetchSetup,
    /// There is not enough memory.
    OutOfMemory,
}

impl Code {
    /// Every word, in the order of the variants.
    pub const ALL: &[&str] = Self::VARIANTS;

    /// The word, such as `not-an-image`.
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}
