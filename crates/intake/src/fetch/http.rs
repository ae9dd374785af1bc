//! One resource over HTTP: redirects, time-outs, a retry, and nothing kept that its recipient does
//! not want.

use std::fmt;
use std::fs;
use std::io::{self, Read};
use std::time::Instant;

use data_encoding::BASE64;
use percent_encoding::percent_decode_str;
use rustls::CertificateError;
use rustls::pki_types::CertificateDer;
use rustls_native_certs::load_native_certs;
use ureq::http::{Response, StatusCode, header};
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};
use ureq::unversioned::transport::DefaultConnector;
use ureq::{Agent, Body, Proxy, Timeout};
use url::{Origin, Url};

use super::error::{FetchError, Problem};
use super::guard::{Guard, GuardedResolver};
use super::limits::Limits;
use super::options::{FetchOptions, Proxies};
use super::sink::Sink;

/// Most redirects in a row: more than honest chains have (http to https to a host with www to a new
/// path to a storage server).
const MAX_REDIRECTS: usize = 5;

/// Bytes read at a time: few enough to notice limits early, enough for fast networks.
const CHUNK: usize = 64 << 10;

/// What the server is told of us.
const USER_AGENT: &str = concat!("maskrcnn/", env!("CARGO_PKG_VERSION"));

/// An HTTP client.
pub struct Client {
    agent: Agent,
    proxies: Proxies,
}

/// Where an attempt is: the server being talked to, and how we came to it.
struct Place {
    url: Url,
    from: Option<String>,
}

impl Place {
    fn first(url: &Url) -> Self {
        Self {
            url: url.clone(),
            from: None,
        }
    }
}

impl Client {
    /// A client that connects only to what `guard` lets pass, and trusts the system's roots,
    /// Mozilla's behind them, and those of the options.
    pub fn new(options: &FetchOptions, guard: Guard) -> Result<Self, FetchError> {
        let provider = rustls::crypto::ring::default_provider();
        let tls = TlsConfig::builder()
            .root_certs(RootCerts::from(roots(options)?))
            .unversioned_rustls_crypto_provider(provider.into())
            .build();
        let config = Agent::config_builder()
            .tls_config(tls)
            // The client would read the environment.
            .proxy(None)
            .user_agent(USER_AGENT)
            .accept_encoding("identity")
            .http_status_as_error(false)
            .max_redirects(0)
            .build();
        let agent = Agent::with_parts(
            config,
            DefaultConnector::default(),
            GuardedResolver::new(guard),
        );
        Ok(Self {
            agent,
            proxies: options.proxies.clone(),
        })
    }

    /// Fetches `url` into `sink`, which holds the whole of it in the end; what it holds after an
    /// error is of no use. A connection that breaks is tried once more.
    pub fn get(
        &self,
        url: &Url,
        accept: &str,
        limits: &Limits,
        sink: &mut dyn Sink,
    ) -> Result<(), FetchError> {
        let mut place = Place::first(url);
        let mut done = self.follow(&mut place, accept, limits, sink);
        if done.as_ref().is_err_and(Problem::is_break) {
            place = Place::first(url);
            done = self.follow(&mut place, accept, limits, sink);
        }
        done.map_err(|problem| FetchError::Server {
            place: place.to_string(),
            problem,
        })
    }

    /// Goes from `place` to where redirects lead, and leaves there what it came to.
    fn follow(
        &self,
        place: &mut Place,
        accept: &str,
        limits: &Limits,
        sink: &mut dyn Sink,
    ) -> Result<(), Problem> {
        let first = place.url.clone();
        let mut visited = Vec::new();
        while let Some(next) = self.step(&place.url, &first.origin(), accept, limits, sink)? {
            visited.push(place.url.clone());
            if visited.contains(&next) {
                return Err(Problem::RedirectLoop);
            }
            if visited.len() > MAX_REDIRECTS {
                return Err(Problem::TooManyRedirects(MAX_REDIRECTS));
            }
            *place = Place {
                from: Some(host(&first)),
                url: next,
            };
        }
        Ok(())
    }

    /// One request: the body goes to `sink`, or where the server redirects to is returned.
    fn step(
        &self,
        url: &Url,
        trusted: &Origin,
        accept: &str,
        limits: &Limits,
        sink: &mut dyn Sink,
    ) -> Result<Option<Url>, Problem> {
        let mut held = sink.held();
        let mut response = self.send(url, trusted, accept, held, limits)?;
        if held > 0 && response.status() == StatusCode::RANGE_NOT_SATISFIABLE {
            // What is held is no beginning of it.
            held = 0;
            response = self.send(url, trusted, accept, held, limits)?;
        }
        let status = response.status();
        let rest = held > 0 && status == StatusCode::PARTIAL_CONTENT;
        let is_redirect = matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308);
        if let Some(location) = response
            .headers()
            .get(header::LOCATION)
            .filter(|_| is_redirect)
        {
            return redirect(url, location.as_bytes()).map(Some);
        }
        if status != StatusCode::OK && !rest {
            let shown = status
                .to_string()
                .trim_end_matches(" <unknown status code>")
                .to_owned();
            let passing = status.is_server_error()
                || matches!(
                    status,
                    StatusCode::TOO_MANY_REQUESTS
                        | StatusCode::REQUEST_TIMEOUT
                        | StatusCode::TOO_EARLY
                );
            return Err(if passing {
                Problem::ServerError(shown)
            } else {
                Problem::Status(shown)
            });
        }
        if let Some(encoding) = response.headers().get(header::CONTENT_ENCODING) {
            let encoding = String::from_utf8_lossy(encoding.as_bytes())
                .trim()
                .to_ascii_lowercase();
            if !matches!(&*encoding, "" | "identity") {
                return Err(Problem::Encoding(
                    encoding.escape_debug().take(40).collect(),
                ));
            }
        }
        let held = if rest { held } else { 0 };
        receive(&mut response, held, limits, sink)?;
        Ok(None)
    }

    fn send(
        &self,
        url: &Url,
        trusted: &Origin,
        accept: &str,
        held: u64,
        limits: &Limits,
    ) -> Result<Response<Body>, Problem> {
        let remaining = limits.end.saturating_duration_since(Instant::now());
        if remaining.is_zero() {
            return Err(Problem::TotalTimeout(limits.total));
        }
        let mut request = self
            .agent
            .get(bare(url).as_str())
            .config()
            .proxy(self.proxies.choose(url)?)
            .timeout_resolve(Some(limits.connect))
            .timeout_connect(Some(limits.connect))
            .timeout_send_request(Some(limits.idle))
            .timeout_recv_response(Some(limits.idle))
            .timeout_per_read(Some(limits.idle))
            .timeout_per_write(Some(limits.idle))
            .timeout_global(Some(remaining))
            .build()
            .header(header::ACCEPT, accept);
        if held > 0 {
            request = request.header(header::RANGE, format!("bytes={held}-"));
        }
        // Only where the user sent us: a redirect to somebody else must not carry the password
        // there.
        if !(url.username().is_empty() && url.password().is_none()) && url.origin() == *trusted {
            request = request.header(header::AUTHORIZATION, basic(url));
        }
        request
            .call()
            .map_err(|error| problem(error, limits, "before the server answered"))
    }
}

/// Reads the body to its end; it is what follows the `held` bytes that the sink has.
fn receive(
    response: &mut Response<Body>,
    held: u64,
    limits: &Limits,
    sink: &mut dyn Sink,
) -> Result<(), Problem> {
    let declared = response.body().content_length();
    if held == 0 {
        sink.begin(declared)?;
    } else {
        sink.resume(total(response, held)?)?;
    }
    let mut reader = response.body_mut().as_reader();
    let mut chunk = vec![0; CHUNK];
    let mut received = 0;
    loop {
        let read = reader.read(&mut chunk).map_err(|error| {
            let progress = match declared {
                Some(declared) => format!("after {received} of {declared} bytes"),
                None => format!("after {received} bytes"),
            };
            problem(error.into(), limits, &progress)
        })?;
        if read == 0 {
            return match declared {
                // The client finds this out itself; what is kept must be whole whatever it does.
                Some(declared) if declared != received => Err(Problem::Broken(format!(
                    "after {received} of {declared} bytes"
                ))),
                _ => Ok(()),
            };
        }
        received += read as u64;
        sink.write(&chunk[..read])?;
    }
}

/// How long the whole is whose part behind `held` bytes a server answers with. RFC 9110, section
/// 14.4.
fn total(response: &Response<Body>, held: u64) -> Result<u64, Problem> {
    let range = response.headers().get(header::CONTENT_RANGE);
    let text = range.map_or("", |range| range.to_str().unwrap_or_default());
    let parsed = text
        .strip_prefix("bytes ")
        .and_then(|range| range.split_once('/'))
        .and_then(|(part, total)| Some((part.split_once('-')?, total.parse::<u64>().ok()?)))
        .filter(|((first, last), total)| {
            first.parse() == Ok(held)
                && last.parse::<u64>().ok().and_then(|n| n.checked_add(1)) == Some(*total)
        });
    parsed.map(|(_, total)| total).ok_or_else(|| {
        Problem::Protocol(format!(
            "asked for what follows {held} bytes, the server answers with another part (`{}`)",
            text.escape_debug().take(60).collect::<String>()
        ))
    })
}

/// What the client's `error` means to somebody who does not know the client. `progress` says
/// how far it came.
fn problem(error: ureq::Error, limits: &Limits, progress: &str) -> Problem {
    let broken = || Problem::Broken(progress.to_owned());
    match error {
        ureq::Error::Timeout(Timeout::Resolve | Timeout::Connect) => {
            Problem::ConnectTimeout(limits.connect)
        }
        ureq::Error::Timeout(Timeout::Global | Timeout::PerCall) => {
            Problem::TotalTimeout(limits.total)
        }
        ureq::Error::Timeout(_) => Problem::Silent(limits.idle),
        ureq::Error::Rustls(error) => tls(&error),
        ureq::Error::Io(error) => match error
            .get_ref()
            .and_then(|cause| cause.downcast_ref::<rustls::Error>())
        {
            Some(error) => tls(error),
            None if is_break(error.kind()) => broken(),
            None => Problem::Connect(error.to_string()),
        },
        ureq::Error::Other(error) => match error.downcast::<Problem>() {
            Ok(problem) => *problem,
            Err(error) => Problem::Protocol(error.to_string()),
        },
        ureq::Error::ConnectProxyFailed(reason) => Problem::Proxy(reason),
        ureq::Error::InvalidProxyUrl => Problem::Proxy("its address is no valid URL".to_owned()),
        ureq::Error::Tls(reason) => Problem::Tls(reason.to_owned()),
        ureq::Error::ConnectionFailed => Problem::Connect("no reason is known".to_owned()),
        ureq::Error::Protocol(error) => Problem::Protocol(error.to_string()),
        error => Problem::Protocol(error.to_string()),
    }
}

fn tls(error: &rustls::Error) -> Problem {
    use CertificateError as Certificate;
    let rustls::Error::InvalidCertificate(certificate) = error else {
        return Problem::Tls(error.to_string());
    };
    Problem::Certificate(match certificate {
        Certificate::Expired | Certificate::ExpiredContext { .. } => {
            return Problem::CertificateDates("it has expired");
        }
        Certificate::NotValidYet | Certificate::NotValidYetContext { .. } => {
            return Problem::CertificateDates("it is not valid yet");
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

/// The kinds of error of a connection that was there and is gone.
fn is_break(kind: io::ErrorKind) -> bool {
    use io::ErrorKind as Kind;
    matches!(
        kind,
        Kind::UnexpectedEof | Kind::ConnectionReset | Kind::ConnectionAborted | Kind::BrokenPipe
    )
}

/// Where `location` leads from `from`: any http or https address, but never from https to http.
fn redirect(from: &Url, location: &[u8]) -> Result<Url, Problem> {
    let location = String::from_utf8_lossy(location);
    let to = from
        .join(&location)
        .map_err(|error| Problem::Redirect(format!("to an invalid address ({error})")))?;
    match (from.scheme(), to.scheme()) {
        ("https", "http") => Err(Problem::Redirect("from https down to http".to_owned())),
        (_, "http" | "https") => Ok(to),
        (_, scheme) => Err(Problem::Redirect(format!("to a `{scheme}:` address"))),
    }
}

/// The address without user name, password and fragment, none of which stands in a request line.
fn bare(url: &Url) -> Url {
    let mut bare = url.clone();
    bare.set_fragment(None);
    // Neither fails where there is a host, and http and https addresses have one.
    bare.set_username("").ok();
    bare.set_password(None).ok();
    bare
}

fn basic(url: &Url) -> String {
    let decoded = |text| percent_decode_str(text).collect::<Vec<u8>>();
    let credentials = [
        decoded(url.username()),
        decoded(url.password().unwrap_or_default()),
    ]
    .join(&b':');
    format!("Basic {}", BASE64.encode(&credentials))
}

/// Host and port as they stand in an address.
fn host(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port()
        .map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", host(&self.url))?;
        match &self.from {
            Some(from) => write!(f, " (redirected from {from})"),
            None => Ok(()),
        }
    }
}

/// `system`'s roots, and behind them Mozilla's that are not among them: images of systems have old
/// ones, or none.
fn with_built_in(system: Vec<CertificateDer<'static>>) -> Vec<Certificate<'static>> {
    let missing: Vec<_> = webpki_root_certs::TLS_SERVER_ROOT_CERTS
        .iter()
        .filter(|root| !system.contains(root))
        .collect();
    system
        .iter()
        .chain(missing)
        .map(|root| Certificate::from_der(root).to_owned())
        .collect()
}

/// Whom to trust: the system's roots, the built-in ones, and those that the options name.
fn roots(options: &FetchOptions) -> Result<Vec<Certificate<'static>>, FetchError> {
    // Whatever cannot be read is left out, as other programs do; a server that needs it is then not
    // trusted.
    let mut roots = with_built_in(load_native_certs().certs);
    if let Some(path) = &options.ca_file {
        let shown = path.display();
        let pem = fs::read(path).map_err(|error| {
            FetchError::Setup(format!(
                "cannot read the certificates in `{shown}`: {error}"
            ))
        })?;
        let before = roots.len();
        roots.extend(parse_pem(&pem).filter_map(|item| match item {
            Ok(PemItem::Certificate(certificate)) => Some(certificate),
            _ => None,
        }));
        if roots.len() == before {
            return Err(FetchError::Setup(format!(
                "`{shown}` holds no certificate; expected PEM, with -----BEGIN CERTIFICATE-----"
            )));
        }
    }
    Ok(roots)
}

impl Proxies {
    /// The proxy for `url`; none when it is to be fetched directly.
    fn choose(&self, url: &Url) -> Result<Option<Proxy>, Problem> {
        let proxy = if url.scheme() == "https" {
            &self.https
        } else {
            &self.http
        };
        let host = url
            .host_str()
            .unwrap_or_default()
            .trim_matches(['[', ']', '.']);
        match proxy {
            Some(proxy) if !self.excepts(host) => Proxy::new(proxy)
                .map(Some)
                .map_err(|_| Problem::Proxy("its address is no valid URL".to_owned())),
            _ => Ok(None),
        }
    }

    /// Whether `host`, in lower case, is one of the exceptions: itself, under a domain among them,
    /// or all are.
    fn excepts(&self, host: &str) -> bool {
        self.except
            .split(',')
            .map(|entry| entry.trim().to_ascii_lowercase())
            .any(|entry| {
                let domain = entry
                    .trim_start_matches('*')
                    .trim_start_matches('.')
                    .trim_matches(['[', ']']);
                entry == "*"
                    || !domain.is_empty()
                        && host
                            .strip_suffix(domain)
                            .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
            })
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::net::{IpAddr, TcpListener};
    use std::thread;
    use std::time::Duration;

    use super::super::sink::Buffer;
    use super::*;
    use crate::progress::Silent;

    /// Answers each of `answers` to one connection and returns the port.
    fn serve(answers: Vec<String>) -> u16 {
        let listener = TcpListener::bind("0.0.0.0:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        thread::spawn(move || {
            for answer in answers {
                let (mut stream, _) = listener.accept().unwrap();
                // One read holds a head this short, or enough of it.
                assert_ne!(stream.read(&mut [0; 4096]).unwrap(), 0);
                stream.write_all(answer.as_bytes()).unwrap();
            }
        });
        port
    }

    fn get(client: &Client, url: &str) -> Result<Vec<u8>, String> {
        let mut buffer = Buffer::new(1000, Box::new(Silent));
        let limits = Limits::start(Duration::from_secs(8));
        let done = client.get(&Url::parse(url).unwrap(), "*/*", &limits, &mut buffer);
        done.map(|()| buffer.bytes)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn the_guard_is_asked_again_after_a_redirect_and_for_names() {
        // The tests have only this machine, so here 127.0.0.1 is public and the rest of it is not.
        fn guard(address: IpAddr) -> Option<&'static str> {
            (address != IpAddr::from([127, 0, 0, 1])).then_some("private")
        }
        let client = Client::new(&FetchOptions::for_tests(), guard).unwrap();
        for host in [
            "127.0.0.2",
            "2130706434",
            "0x7f.2",
            "[::1]",
            "[::ffff:127.0.0.1]",
        ] {
            let next = format!(
                "HTTP/1.1 302 Found\r\nlocation: http://{host}:1/\r\ncontent-length: 0\r\n\r\n"
            );
            let port = serve(vec![next]);
            let error = get(&client, &format!("http://127.0.0.1:{port}/")).unwrap_err();
            let expected = "is no public address (private), and only public ones may be fetched from (--public-only)";
            assert!(
                error.contains(&format!("(redirected from 127.0.0.1:{port}): ")),
                "{error}"
            );
            assert!(error.ends_with(expected), "{error}");
        }
        let port = serve(vec![
            "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok".to_owned(),
        ]);
        assert_eq!(
            get(&client, &format!("http://2130706433:{port}/")).as_deref(),
            Ok(&b"ok"[..])
        );
    }

    #[test]
    fn the_roots_of_the_system_come_before_the_built_in_ones() {
        let built_in = webpki_root_certs::TLS_SERVER_ROOT_CERTS;
        let own = CertificateDer::from(vec![1, 2, 3]);
        let system = vec![own.clone(), built_in[1].clone()];
        let roots: Vec<_> = with_built_in(system.clone())
            .iter()
            .map(|root| root.der().to_vec())
            .collect();
        assert_eq!(roots[..2], [own.to_vec(), built_in[1].to_vec()]);
        assert_eq!(roots.len(), built_in.len() + 1);
        assert!(
            built_in
                .iter()
                .all(|root| roots.iter().filter(|other| other[..] == root[..]).count() == 1)
        );
        assert_eq!(with_built_in(Vec::new()).len(), built_in.len());
    }

    #[test]
    fn exceptions_from_the_proxy_are_hosts_domains_and_all() {
        let excepts = |except: &str, host| {
            Proxies {
                except: except.into(),
                ..Proxies::default()
            }
            .excepts(host)
        };
        for (except, host) in [
            ("a.example", "a.example"),
            ("a.example", "b.a.example"),
            (".a.example", "b.a.example"),
            ("*.a.example", "b.a.example"),
            ("x, A.Example ,y", "a.example"),
            ("*", "a.example"),
            ("[::1]", "::1"),
        ] {
            assert!(excepts(except, host), "{except} {host}");
        }
        for (except, host) in [
            ("", "a.example"),
            (",", "a"),
            ("a.example", "ba.example"),
            ("b.a.example", "a.example"),
        ] {
            assert!(!excepts(except, host), "{except} {host}");
        }
    }
}
