//! A web server that does as it is told, however wrong, on this machine only.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use rcgen::{
    BasicConstraints, Certificate, CertificateParams, DnType, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, date_time_ymd,
};
use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// What is read from and written to: a TCP connection, perhaps in TLS.
pub trait Connection: Read + Write {}
impl<T: Read + Write> Connection for T {}

/// A server on a free port. It gives each connection to its handler, with the head of the request
/// and how many came before; the connection is closed afterwards.
pub struct Server {
    /// Where it listens.
    pub address: SocketAddr,
    scheme: &'static str,
    heads: Arc<Mutex<Vec<String>>>,
}

impl Server {
    /// Plain HTTP on 127.0.0.1.
    pub fn new(handler: impl Fn(usize, &str, &mut dyn Connection) + Send + Sync + 'static) -> Self {
        Self::on(Ipv4Addr::LOCALHOST.into(), None, handler).unwrap()
    }

    /// HTTPS on 127.0.0.1.
    pub fn with_tls(
        tls: Arc<ServerConfig>,
        handler: impl Fn(usize, &str, &mut dyn Connection) + Send + Sync + 'static,
    ) -> Self {
        Self::on(Ipv4Addr::LOCALHOST.into(), Some(tls), handler).unwrap()
    }

    /// Any of both, on the address `ip` of this machine.
    pub fn on(
        ip: IpAddr,
        tls: Option<Arc<ServerConfig>>,
        handler: impl Fn(usize, &str, &mut dyn Connection) + Send + Sync + 'static,
    ) -> io::Result<Self> {
        let listener = TcpListener::bind((ip, 0))?;
        let address = listener.local_addr()?;
        let scheme = if tls.is_some() { "https" } else { "http" };
        let heads = Arc::new(Mutex::new(Vec::new()));
        let (seen, handler) = (Arc::clone(&heads), Arc::new(handler));
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (tls, seen, handler) = (tls.clone(), Arc::clone(&seen), Arc::clone(&handler));
                thread::spawn(move || serve(stream, tls, &seen, &*handler));
            }
        });
        Ok(Self {
            address,
            scheme,
            heads,
        })
    }

    /// The address of `path`, which begins with a slash.
    pub fn url(&self, path: &str) -> String {
        format!("{}://{}{path}", self.scheme, self.address)
    }

    /// The heads of all requests so far.
    pub fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap().clone()
    }
}

fn serve(
    stream: TcpStream,
    tls: Option<Arc<ServerConfig>>,
    seen: &Mutex<Vec<String>>,
    handler: &dyn Fn(usize, &str, &mut dyn Connection),
) {
    // Nothing here may outlive its test for long, nor a client that hangs.
    stream
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    stream
        .set_write_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    let mut connection: Box<dyn Connection> = match tls {
        None => Box::new(stream),
        Some(tls) => Box::new(StreamOwned::new(
            ServerConnection::new(tls).unwrap(),
            stream,
        )),
    };
    let Some(head) = read_head(&mut *connection) else {
        return;
    };
    let before = {
        let mut seen = seen.lock().unwrap();
        seen.push(head.clone());
        seen.len() - 1
    };
    handler(before, &head, &mut *connection);
    connection.flush().ok();
}

/// Reads up to the empty line; none when none comes.
pub fn read_head(connection: &mut dyn Connection) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        if head.len() > 1 << 16 || connection.read(&mut byte).ok()? == 0 {
            return None;
        }
        head.push(byte[0]);
    }
    String::from_utf8(head).ok()
}

/// Writes a whole answer: status line, headers (each with its `\r\n`), the right length, the body.
pub fn answer(connection: &mut dyn Connection, status: &str, headers: &str, body: &[u8]) {
    let head = format!(
        "HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: {}\r\n{headers}\r\n",
        body.len()
    );
    // The client may have left already, which is its right.
    connection
        .write_all(head.as_bytes())
        .and_then(|()| connection.write_all(body))
        .ok();
}

/// A certificate authority that nobody trusts.
pub struct Authority {
    certificate: Certificate,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    /// A new one.
    pub fn new() -> Self {
        let mut params = CertificateParams::new([]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let key = KeyPair::generate().unwrap();
        // Two authorities of one name would be told apart only by their signatures.
        params
            .distinguished_name
            .push(DnType::CommonName, format!("{:?}", key.public_key_raw()));
        let certificate = params.self_signed(&key).unwrap();
        Self {
            certificate,
            issuer: Issuer::new(params, key),
        }
    }

    /// Its own certificate.
    pub fn pem(&self) -> String {
        self.certificate.pem()
    }

    /// What a server for `name` needs, with a certificate that is valid to the end of `last_year`.
    pub fn server(&self, name: &str, last_year: i32) -> Arc<ServerConfig> {
        let mut params = CertificateParams::new([name.to_owned()]).unwrap();
        params.not_before = date_time_ymd(2000, 1, 1);
        params.not_after = date_time_ymd(last_year, 12, 31);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let provider = rustls::crypto::ring::default_provider();
        let config = ServerConfig::builder_with_provider(provider.into())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(
                vec![certificate.der().clone()],
                PrivateKeyDer::Pkcs8(key.serialize_der().into()),
            );
        Arc::new(config.unwrap())
    }
}
