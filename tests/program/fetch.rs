//! Images and weights from addresses, through the built binary, from a server that misbehaves in
//! every way that has a name. Everything happens on this machine.

use std::fs;
use std::io::Read;
use std::net::{Ipv6Addr, TcpListener};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::server::{Authority, Connection, Server, answer, read_head};
use cid::Cid;
use cid::multihash::Multihash;
use data_encoding::BASE64;
use serde_json::Value;
use sha2::{Digest, Sha256};
use tempfile::TempDir;

use crate::repository::{PROGRAM, repository};

/// What a failing fetch may take beyond its time-out: the model is loaded meanwhile, and the
/// machine may be busy.
const SLACK: Duration = Duration::from_secs(10);

/// An image of 46×29 pixels.
fn image() -> Vec<u8> {
    fs::read(repository("tests/fixtures/images/png-rgb.png")).unwrap()
}

/// How a run of the program ended.
struct Run {
    folder: TempDir,
    code: Option<i32>,
    stdout: String,
    stderr: String,
    took: Duration,
    /// In bytes, as the system saw it last.
    peak_memory: u64,
}

impl Run {
    fn report(&self, name: &str) -> Value {
        let path = self.folder.path().join("out").join(name);
        let text =
            fs::read_to_string(&path).unwrap_or_else(|_| panic!("no {name}: {}", self.stderr));
        serde_json::from_str(&text).unwrap()
    }
}

/// Runs the program in a folder of its own, without the proxies of whoever runs the tests.
fn run(args: &[&str]) -> Run {
    run_with(args, &[])
}

fn run_with(args: &[&str], environment: &[(&str, &str)]) -> Run {
    let folder = tempfile::tempdir().unwrap();
    let start = Instant::now();
    let mut command = Command::new(PROGRAM);
    for name in ["http_proxy", "https_proxy", "all_proxy", "no_proxy"] {
        command.env_remove(name).env_remove(name.to_uppercase());
    }
    command
        .current_dir(&folder)
        .arg("--json-only")
        .args(args)
        .envs(environment.iter().copied());
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut pipes = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
    let mut peak_memory = 0;
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        peak_memory = peak_memory.max(peak(child.id()));
        if start.elapsed() > Duration::from_secs(60) {
            child.kill().unwrap();
        }
        thread::sleep(Duration::from_millis(5));
    };
    let (mut stdout, mut stderr) = (String::new(), String::new());
    pipes.0.read_to_string(&mut stdout).unwrap();
    pipes.1.read_to_string(&mut stderr).unwrap();
    Run {
        folder,
        code: status.code(),
        stdout,
        stderr,
        took: start.elapsed(),
        peak_memory,
    }
}

/// The most memory that a process has had at once, in bytes; 0 where the system does not say.
fn peak(process: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kib.unwrap_or(0) * 1024
}

/// The image at `url` is fetched and segmented.
fn succeeds(args: &[&str]) -> Run {
    let run = run(args);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    run
}

/// Fetching `url` fails in time, in one line that begins with `message` behind the address and the
/// host.
fn fails(url: &str, options: &[&str], message: &str) -> Run {
    let host = url.split('/').nth(2).unwrap().rsplit('@').next().unwrap();
    fails_with(
        url,
        options,
        &format!("cannot fetch it from {host}: {message}"),
    )
}

fn fails_with(url: &str, options: &[&str], message: &str) -> Run {
    let time: &[&str] = if options.contains(&"--timeout") {
        &[]
    } else {
        &["--timeout", "2"]
    };
    let run = run(&[time, options, &[url]].concat());
    let credentials = url
        .find("://")
        .map(|at| at + 3)
        .zip(url.find('@').map(|at| at + 1));
    let shown = credentials.map_or_else(
        || url.to_owned(),
        |(from, to)| format!("{}{}", &url[..from], &url[to..]),
    );
    let expected = format!("error: {shown}: {message}");
    assert!(
        run.stderr.starts_with(&expected),
        "expected {expected}\n   found {}",
        run.stderr
    );
    assert_eq!(run.stderr.lines().count(), 1, "{}", run.stderr);
    assert_eq!(run.code, Some(1));
    assert_eq!(run.stdout, "");
    assert!(run.took < Duration::from_secs(2) + SLACK, "{:?}", run.took);
    assert_eq!(
        fs::read_dir(run.folder.path().join("out")).unwrap().count(),
        0
    );
    run
}

/// Answers every request with the image.
fn well(_: usize, _: &str, connection: &mut dyn Connection) {
    answer(
        connection,
        "200 OK",
        "content-type: image/png\r\n",
        &image(),
    );
}

fn redirects_to(location: &str) -> Server {
    let header = format!("location: {location}\r\n");
    Server::new(move |_, _, connection| answer(connection, "302 Found", &header, b""))
}

#[test]
fn an_image_is_fetched_and_the_server_learns_who_we_are() {
    let server = Server::new(well);
    let url = server.url("/album/My%20Dog.png?size=large#top");
    let run = succeeds(&[&url]);
    let report = run.report("My_Dog.json");
    assert_eq!(report["image"]["source"], *url);
    assert_eq!(
        (&report["image"]["width"], &report["image"]["height"]),
        (&46.into(), &29.into())
    );
    assert_eq!(run.stderr, "", "no progress bar where there is no terminal");

    let heads = server.heads();
    assert_eq!(heads.len(), 1);
    let head = heads[0].to_lowercase();
    assert!(
        head.starts_with("get /album/my%20dog.png?size=large http/1.1\r\n"),
        "{head}"
    );
    for header in [
        concat!("user-agent: maskrcnn/", env!("CARGO_PKG_VERSION")),
        "accept-encoding: identity",
    ] {
        assert!(head.contains(&format!("\r\n{header}\r\n")), "{head}");
    }
}

#[test]
fn a_password_goes_to_its_server_only_and_into_no_output() {
    let other = Server::new(well);
    let header = format!("location: {}\r\n", other.url("/dog.png"));
    let server = Server::new(move |_, _, connection| {
        answer(connection, "307 Temporary Redirect", &header, b"")
    });
    let url = server
        .url("/x")
        .replace("http://", "http://us%40er:secret@");
    let run = succeeds(&["-v", &url]);
    // `printf 'us@er:secret' | base64`
    assert!(
        server.heads()[0]
            .to_lowercase()
            .contains("authorization: basic dxnazxi6c2vjcmv0\r\n")
    );
    assert!(!other.heads()[0].to_lowercase().contains("authorization"));
    assert!(
        !(run.stdout.clone() + &run.stderr + &run.report("x.json").to_string()).contains("secret")
    );
}

#[test]
fn a_wrong_content_type_or_a_missing_length_does_not_matter() {
    let server = Server::new(|_, _, connection| {
        answer(
            connection,
            "200 OK",
            "content-type: text/html\r\n",
            &image(),
        )
    });
    succeeds(&[&server.url("/dog")]).report("dog.json");
    let server = Server::new(|_, _, connection| {
        connection
            .write_all(b"HTTP/1.0 200 OK\r\n\r\n")
            .and_then(|()| connection.write_all(&image()))
            .ok();
    });
    succeeds(&[&server.url("/dog.png")]).report("dog.json");
    let server = Server::new(|_, _, connection| {
        connection
            .write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
            .ok();
        for chunk in image().chunks(100) {
            write!(connection, "{:x}\r\n", chunk.len()).ok();
            connection
                .write_all(chunk)
                .and_then(|()| connection.write_all(b"\r\n"))
                .ok();
        }
        connection.write_all(b"0\r\n\r\n").ok();
    });
    succeeds(&[&server.url("/dog.png")]).report("dog.json");
}

#[test]
fn a_server_that_does_not_answer_in_time_is_left() {
    let message = "the server was silent for 0.5 s; allow more with --timeout";
    let mute = Server::new(|_, _, _| thread::sleep(Duration::from_secs(15)));
    fails(&mute.url("/a.png"), &[], message);
    let drops_headers = Server::new(|_, _, connection| {
        connection.write_all(b"HTTP/1.1 200 OK\r\n").ok();
        for n in 0..150 {
            thread::sleep(Duration::from_millis(100));
            if write!(connection, "x-{n}: y\r\n").is_err() {
                break;
            }
        }
    });
    fails(&drops_headers.url("/a.png"), &[], message);
    // The system accepts connections for a listener that nobody serves.
    let deaf = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}/a.png", deaf.local_addr().unwrap());
    fails(&url, &[], "no connection within 0.5 s");
}

#[test]
fn a_body_that_stops_or_drips_is_left_in_time() {
    let stops = Server::new(|_, _, connection| {
        connection
            .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\nabc")
            .ok();
        thread::sleep(Duration::from_secs(15));
    });
    fails(
        &stops.url("/a.png"),
        &[],
        "the server was silent for 0.5 s; allow more with --timeout",
    );
    let drips = Server::new(|_, _, connection| {
        connection
            .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n")
            .ok();
        for _ in 0..150 {
            thread::sleep(Duration::from_millis(100));
            if connection.write_all(b"x").is_err() {
                break;
            }
        }
    });
    fails(
        &drips.url("/a.png"),
        &[],
        "it was not complete after 2 s; allow more with --timeout",
    );
}

#[test]
fn an_endless_body_is_left_at_the_limit_and_memory_stays_flat() {
    let server = Server::new(|_, _, connection| {
        connection.write_all(b"HTTP/1.1 200 OK\r\n\r\n").ok();
        // 2 GiB are as good as no end.
        for _ in 0..1 << 15 {
            if connection.write_all(&[0x55; 1 << 16]).is_err() {
                break;
            }
        }
    });
    let message = "it is larger than the limit of 64.00 MiB; allow more with --max-bytes";
    let endless = fails(&server.url("/a.png"), &["--timeout", "20"], message);
    // The same run with nothing to fetch; a growing vector may hold its old and its new copy for a
    // moment.
    let nothing = fails(
        &Server::new(|_, _, c| answer(c, "404 Not Found", "", b"")).url("/a"),
        &[],
        "the server answered",
    );
    let more = endless.peak_memory.saturating_sub(nothing.peak_memory);
    println!(
        "{} MiB, {} MiB without",
        endless.peak_memory >> 20,
        nothing.peak_memory >> 20
    );
    assert!(more < 128 << 20, "{} MiB more than without", more >> 20);

    let small = fails(
        &server.url("/a.png"),
        &["--max-bytes", "100k"],
        "it is larger than the limit of 100.00 KiB;",
    );
    assert!(small.peak_memory < nothing.peak_memory + (32 << 20));
}

#[test]
fn a_declared_length_beyond_the_limit_is_refused_unread() {
    let server = Server::new(|_, _, connection| {
        connection
            .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 70000000\r\n\r\n")
            .ok();
        thread::sleep(Duration::from_secs(15));
    });
    fails(
        &server.url("/a.png"),
        &[],
        "it is larger than the limit of 64.00 MiB; allow more with --max-bytes",
    );
}

#[test]
fn a_short_body_is_an_error_and_a_long_one_is_cut() {
    let short = Server::new(|_, _, connection| {
        connection
            .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n0123456789")
            .ok();
    });
    fails(
        &short.url("/a.png"),
        &[],
        "the connection broke after 10 of 1000 bytes; try again later",
    );
    assert_eq!(short.heads().len(), 2, "one retry");
    // What follows the declared length is another message (RFC 9112, section 6.3), which nobody
    // asked for.
    let long = Server::new(|_, _, connection| {
        let head = format!(
            "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n",
            image().len()
        );
        connection
            .write_all(&[head.as_bytes(), &image(), b"more"].concat())
            .ok();
    });
    let run = succeeds(&[&long.url("/a.png")]);
    let sha256: String = Sha256::digest(image())
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    assert_eq!(run.report("a.json")["image"]["sha256"], *sha256);
    let chunked = Server::new(|_, _, connection| {
        connection
            .write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nff\r\nabc")
            .ok();
    });
    fails(
        &chunked.url("/a.png"),
        &[],
        "the connection broke after 3 bytes; try again later",
    );
}

#[test]
fn a_connection_that_breaks_is_tried_once_more_and_no_more() {
    let once = Server::new(|before, head, connection| {
        if before > 0 {
            well(before, head, connection);
        }
    });
    succeeds(&[&once.url("/a.png")]);
    assert_eq!(once.heads().len(), 2);
    let half = Server::new(|before, head, connection| {
        if before > 0 {
            return well(before, head, connection);
        }
        let image = image();
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", image.len());
        connection
            .write_all(&[head.as_bytes(), &image[..image.len() / 2]].concat())
            .ok();
    });
    succeeds(&[&half.url("/a.png")]);
    let never = Server::new(|_, _, _| {});
    fails(
        &never.url("/a.png"),
        &[],
        "the connection broke before the server answered; try again later",
    );
    assert_eq!(never.heads().len(), 2);
}

#[test]
fn what_is_compressed_on_the_way_is_refused_as_are_bombs() {
    // 2 GiB of zeros, but nobody will know: the first kilobyte of `head -c 2G /dev/zero | gzip`.
    let bomb = [
        &b"\x1f\x8b\x08\0\0\0\0\0\0\x03\xec\xc1\x01\x0d\0\0\0\xc2\xa0"[..],
        &[0; 1000],
    ]
    .concat();
    let server = Server::new(move |_, _, connection| {
        answer(connection, "200 OK", "content-encoding: gzip\r\n", &bomb)
    });
    let run = fails(
        &server.url("/a.png"),
        &[],
        "the server sends it with the content encoding `gzip`, which was not",
    );
    assert!(run.peak_memory < 1 << 30);
    let plain = Server::new(|_, _, connection| {
        answer(
            connection,
            "200 OK",
            "content-encoding: identity\r\n",
            &image(),
        )
    });
    succeeds(&[&plain.url("/a.png")]);
}

#[test]
fn an_error_is_an_error_even_with_an_image() {
    for (status, shown) in [
        ("404 Not Found", "404 Not Found"),
        ("410 x", "410 Gone"),
        ("299 x", "299"),
    ] {
        let server = Server::new(move |_, _, connection| answer(connection, status, "", &image()));
        fails(
            &server.url("/a.png"),
            &[],
            &format!("the server answered {shown}; is the address right, and public?"),
        );
        assert_eq!(server.heads().len(), 1);
    }
    for (status, headers) in [("204 No Content", ""), ("302 Found", "")] {
        let server = Server::new(move |_, _, connection| answer(connection, status, headers, &[]));
        fails(
            &server.url("/a.png"),
            &[],
            &format!("the server answered {status};"),
        );
    }
}

#[test]
fn the_trouble_of_a_server_is_told_from_what_it_does_not_give() {
    for (status, code, shown) in [
        (
            "400 x",
            "http-status",
            "400 Bad Request; is the address right, and public?",
        ),
        (
            "404 x",
            "http-status",
            "404 Not Found; is the address right, and public?",
        ),
        (
            "499 x",
            "http-status",
            "499; is the address right, and public?",
        ),
        (
            "429 x",
            "server-error",
            "429 Too Many Requests; try again later",
        ),
        (
            "408 x",
            "server-error",
            "408 Request Timeout; try again later",
        ),
        (
            "500 x",
            "server-error",
            "500 Internal Server Error; try again later",
        ),
        ("599 x", "server-error", "599; try again later"),
    ] {
        let server = Server::new(move |_, _, connection| answer(connection, status, "", &image()));
        let run = run(&["-v", &server.url("/a.png")]);
        let line = run
            .stderr
            .lines()
            .find(|line| line.starts_with("error"))
            .unwrap_or_default();
        let words = format!("the server answered {shown}");
        assert!(
            line.starts_with(&format!("error[{code}]: ")) && line.ends_with(&words),
            "{}",
            run.stderr
        );
    }
}

#[test]
fn what_is_no_http_is_said_to_be_none() {
    let chatter = Server::new(|_, _, connection| {
        connection
            .write_all(b"SSH-2.0-OpenSSH_9.6\r\n\r\n")
            .unwrap()
    });
    fails(&chatter.url("/a.png"), &[], "its answer is no valid HTTP: ");
    let endless = Server::new(|_, _, connection| {
        connection.write_all(b"HTTP/1.1 200 OK\r\n").ok();
        for n in 0..1 << 20 {
            if write!(connection, "x-{n}: {n}\r\n").is_err() {
                break;
            }
        }
    });
    fails(&endless.url("/a.png"), &[], "its answer is no valid HTTP: ");
}

#[test]
fn five_redirects_are_followed_and_six_are_not() {
    let chain = |length: usize| {
        Server::new(move |_, head, connection| {
            let step: usize = head.split(['/', ' ']).nth(2).unwrap().parse().unwrap();
            if step == length {
                return answer(connection, "200 OK", "", &image());
            }
            let location = format!("location: ../{}\r\n", step + 1); // relative, as many are
            answer(
                connection,
                ["301 x", "302 x", "303 x", "307 x", "308 x"][step % 5],
                &location,
                b"moved",
            );
        })
    };
    let five = chain(5);
    succeeds(&[&five.url("/0")]).report("0.json");
    assert_eq!(five.heads().len(), 6);
    let six = chain(6);
    let host = six.address;
    let message = format!(
        "cannot fetch it from {host} (redirected from {host}): it redirects more than 5 times"
    );
    fails_with(&six.url("/0"), &[], &message);
    assert_eq!(six.heads().len(), 6);
}

#[test]
fn a_circle_of_redirects_is_noticed() {
    let server = Server::new(|_, head, connection| {
        let location = if head.contains("/a ") {
            "location: /b\r\n"
        } else {
            "location: /a\r\n"
        };
        answer(connection, "302 Found", location, b"");
    });
    let host = server.address;
    let message =
        format!("cannot fetch it from {host} (redirected from {host}): it redirects in a circle");
    fails_with(&server.url("/a"), &[], &message);
    assert_eq!(server.heads().len(), 2);
}

#[test]
fn redirects_to_files_and_other_schemes_are_not_followed() {
    for (location, shown) in [
        ("file:///etc/passwd", "to a `file:` address"),
        ("data:image/png;base64,AAAA", "to a `data:` address"),
        ("ftp://127.0.0.1/a.png", "to a `ftp:` address"),
        (
            "http://[::1",
            "to an invalid address (invalid IPv6 address)",
        ),
    ] {
        let server = redirects_to(location);
        fails(
            &server.url("/a.png"),
            &[],
            &format!("it redirects {shown}, which is not followed"),
        );
    }
}

/// A folder with the certificate of `authority` in `ca.pem`.
fn trusted(authority: &Authority) -> (TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ca.pem");
    fs::write(&path, authority.pem()).unwrap();
    (folder, path.to_str().unwrap().to_owned())
}

#[test]
fn https_works_with_an_authority_of_ones_own_and_only_with_it() {
    let authority = Authority::new();
    let (_folder, file) = trusted(&authority);
    let server = Server::with_tls(authority.server("127.0.0.1", 2100), well);
    succeeds(&["--ca-file", &file, &server.url("/a.png")]).report("a.json");
    let message = "its certificate is not valid: nobody whom this machine trusts has signed it; name the authority's";
    fails(&server.url("/a.png"), &[], message);
    // The system's own, as OpenSSL's programs are told where they are.
    let run = run_with(&[&server.url("/a.png")], &[("SSL_CERT_FILE", &file)]);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    let (_folder, other) = trusted(&Authority::new());
    fails(&server.url("/a.png"), &["--ca-file", &other], message);
    let missing = "cannot read the certificates in `missing.pem`: No such file or directory";
    fails_with(
        &server.url("/a.png"),
        &["--ca-file", "missing.pem"],
        missing,
    );
    let image = repository("tests/fixtures/images/png-rgb.png");
    let image = image.to_str().unwrap();
    let none =
        format!("`{image}` holds no certificate; expected PEM, with -----BEGIN CERTIFICATE-----");
    fails_with(&server.url("/a.png"), &["--ca-file", image], &none);
}

#[test]
fn expired_and_foreign_certificates_are_refused() {
    let authority = Authority::new();
    let (_folder, file) = trusted(&authority);
    let expired = Server::with_tls(authority.server("127.0.0.1", 2020), well);
    fails(
        &expired.url("/a.png"),
        &["--ca-file", &file],
        "its certificate is not valid: it has expired; is the clock right?",
    );
    let other = Server::with_tls(authority.server("example.org", 2100), well);
    fails(
        &other.url("/a.png"),
        &["--ca-file", &file],
        "its certificate is not valid: it is made out to another host",
    );
    assert_eq!(
        (expired.heads().len(), other.heads().len()),
        (0, 0),
        "nothing is asked of a server that is not trusted"
    );
}

#[test]
fn http_on_the_port_for_https_and_the_reverse_are_told() {
    // A server that answers whatever comes, at once.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}/a.png", listener.local_addr().unwrap());
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            answer(&mut stream, "400 Bad Request", "", b"");
            thread::sleep(Duration::from_secs(5));
        }
    });
    fails(&url, &[], "no secure connection came about: ");
    let tls = Server::with_tls(Authority::new().server("127.0.0.1", 2100), well);
    let run = run(&[
        "--timeout",
        "2",
        &tls.url("/a.png").replace("https:", "http:"),
    ]);
    assert!(
        run.stderr
            .contains("does the server speak http on that port?"),
        "{}",
        run.stderr
    );
}

#[test]
fn a_redirect_from_https_down_to_http_is_not_followed() {
    let authority = Authority::new();
    let (_folder, file) = trusted(&authority);
    let down = Server::new(well);
    let header = format!("location: {}\r\n", down.url("/a.png"));
    let server = Server::with_tls(
        authority.server("127.0.0.1", 2100),
        move |_, _, connection| {
            answer(connection, "302 Found", &header, b"");
        },
    );
    let message = "it redirects from https down to http, which is not followed";
    fails(&server.url("/a.png"), &["--ca-file", &file], message);
    assert_eq!(down.heads().len(), 0);
    // Up is fine.
    let up = Server::with_tls(authority.server("127.0.0.1", 2100), well);
    succeeds(&[
        "--ca-file",
        &file,
        &redirects_to(&up.url("/a.png")).url("/b.png"),
    ])
    .report("b.json");
}

#[test]
fn ipv6_works() {
    match Server::on(Ipv6Addr::LOCALHOST.into(), None, well) {
        Ok(server) => {
            succeeds(&[&server.url("/a.png")]);
            let message =
                "::1 is no public address (loopback), and only public ones may be fetched from";
            fails(&server.url("/a.png"), &["--public-only"], message);
        }
        Err(error) => eprintln!("SKIPPED: this machine has no ::1: {error}"),
    }
}

#[test]
fn no_spelling_of_this_machine_passes_for_public() {
    let server = Server::new(well);
    let port = server.address.port();
    for host in [
        "127.0.0.1",
        "127.1",
        "2130706433",
        "0x7f.1",
        "017700000001",
        "127.0.0.1.",
        "localhost",
        "LOCALHOST",
        "0",
        "user:secret@127.0.0.1",
        "example.org@127.0.0.1",
        "%31%32%37.0.0.1",
        "１２７.0.0.1",
        "[::ffff:127.0.0.1]",
        "[::127.0.0.1]",
        "[64:ff9b::7f00:1]",
        "[2002:7f00:1::]",
        "169.254.169.254",
        "[fd00:ec2::254]",
    ] {
        let run = run(&[
            "--public-only",
            "--timeout",
            "2",
            &format!("http://{host}:{port}/a.png"),
        ]);
        assert_eq!(run.code, Some(1), "{host}");
        assert!(
            run.stderr.contains("is no public address ("),
            "{host}: {}",
            run.stderr
        );
        assert!(!run.stderr.contains("secret"));
    }
    assert_eq!(server.heads().len(), 0);
    succeeds(&[&format!("http://2130706433:{port}/a.png")]);
}

/// A proxy that says yes to every CONNECT and then plays the server itself.
fn proxy() -> Server {
    Server::new(|_, head, connection| {
        if head.starts_with("CONNECT ") {
            connection.write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
            read_head(connection).unwrap();
        }
        answer(connection, "200 OK", "", &image());
    })
}

#[test]
fn the_proxy_of_the_environment_is_used_with_its_exceptions() {
    for name in ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"] {
        let proxy = proxy();
        let run = run_with(&["http://images.invalid/a.png"], &[(name, &proxy.url(""))]);
        assert_eq!(run.code, Some(0), "{name}: {}", run.stderr);
        assert!(
            proxy.heads()[0].starts_with("CONNECT images.invalid:80 "),
            "{:?}",
            proxy.heads()
        );
    }
    let (proxy, server) = (proxy(), Server::new(well));
    for exceptions in ["127.0.0.1", "a.example, 127.0.0.1", "*"] {
        let environment = [
            ("http_proxy", &*proxy.url("")),
            ("https_proxy", &proxy.url("")),
            ("no_proxy", exceptions),
        ];
        assert_eq!(
            run_with(&[&server.url("/a.png")], &environment).code,
            Some(0)
        );
    }
    assert_eq!(
        run_with(&[&server.url("/a.png")], &[("https_proxy", &proxy.url(""))]).code,
        Some(0)
    );
    assert_eq!(proxy.heads().len(), 0);
    let refusing = Server::new(|_, _, connection| answer(connection, "403 Forbidden", "", b""));
    let run = run_with(
        &["http://images.invalid/a.png"],
        &[("http_proxy", &refusing.url(""))],
    );
    assert!(
        run.stderr
            .contains("the proxy does not help: proxy server responded 403"),
        "{}",
        run.stderr
    );
}

#[test]
fn no_proxy_is_used_where_only_public_addresses_are_allowed() {
    let (proxy, server) = (proxy(), Server::new(well));
    for name in ["http_proxy", "HTTP_PROXY", "all_proxy"] {
        let run = run_with(
            &["--public-only", &server.url("/a.png")],
            &[(name, &proxy.url(""))],
        );
        assert!(
            run.stderr.contains("is no public address (loopback)"),
            "{}",
            run.stderr
        );
    }
    assert_eq!((proxy.heads().len(), server.heads().len()), (0, 0));
}

#[test]
fn a_missing_host_and_a_port_without_listener_are_told_apart() {
    let run = run(&["--timeout", "20", "http://images.invalid/a.png"]);
    let message = "error: http://images.invalid/a.png: cannot fetch it from images.invalid: ";
    assert!(run.stderr.starts_with(message), "{}", run.stderr);
    // Without a network nobody knows whether it exists.
    let unknown = "there is no host of this name, or it has no address; is it spelled right?";
    assert!(
        run.stderr.contains(unknown) || run.stderr.contains("its address cannot be looked up: "),
        "{}",
        run.stderr
    );
    let port = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    fails(
        &format!("http://127.0.0.1:{port}/a.png"),
        &[],
        "cannot connect: Connection refused",
    );
}

#[test]
fn data_urls_are_images_too() {
    let url = format!("data:image/png;base64,{}", BASE64.encode(&image()));
    let run = succeeds(&[&url, &url]);
    assert_eq!(
        run.report("image.json")["image"]["source"],
        "data:image/png;base64,…"
    );
    assert_eq!(run.report("image-2.json")["image"]["width"], 46);
    let percent: String = image().iter().map(|byte| format!("%{byte:02x}")).collect();
    succeeds(&[&format!("data:,{percent}")]).report("image.json");
    for (bad, message) in [
        (
            "data:image/png;base64,AAAAA",
            "data:image/png;base64,…: its data is no valid base64; was it cut short?",
        ),
        (
            "data:image/png;base64",
            "data:image/png;base64,…: it is no data URL: expected `data:`, the type, a comma",
        ),
        ("data:,", "data:,…: it is empty"),
        ("data:,hello", "data:,…: it is no image of a known format"),
    ] {
        let run = self::run(&[bad]);
        assert!(
            run.stderr.starts_with(&format!("error: {message}")),
            "{}",
            run.stderr
        );
    }
    let limited = self::run(&["--max-bytes", "100", &url]);
    assert!(
        limited
            .stderr
            .contains("it is larger than the limit of 100 B; allow more with --max-bytes"),
        "{}",
        limited.stderr
    );
}

#[test]
fn addresses_that_make_no_sense_are_refused() {
    for (url, message) in [
        ("http://", "it is no valid address: empty host"),
        (
            "http://[::1/a.png",
            "it is no valid address: invalid IPv6 address",
        ),
        (
            "http://a:99999/",
            "it is no valid address: invalid port number",
        ),
        (
            "ftp://a/b.png",
            "`ftp` addresses are not fetched, only http, https, data and ipfs;",
        ),
        (
            "file:///etc/passwd",
            "file addresses are not fetched; give the path itself",
        ),
    ] {
        fails_with(url, &[], message);
    }
}

const RAW: u64 = 0x55;
const DAG_PB: u64 = 0x70;
const DAG_CBOR: u64 = 0x71;

/// The CID of a block, by sha2-256.
fn cid_of(codec: u64, block: &[u8]) -> Cid {
    Cid::new_v1(
        codec,
        Multihash::wrap(0x12, &Sha256::digest(block)).unwrap(),
    )
}

/// A gateway that has these blocks and files, by their paths.
fn gateway(content: Vec<(String, Vec<u8>)>) -> Server {
    Server::new(move |_, head, connection| {
        let path = head.split(' ').nth(1).unwrap().trim_start_matches("/ipfs/");
        match content.iter().find(|(name, _)| name == path) {
            Some((_, block)) => answer(connection, "200 OK", "", block),
            None => answer(connection, "404 Not Found", "", b""),
        }
    })
}

/// The blocks that a peer made (see tests/fixtures/ipfs), as a gateway gives them.
fn peer_blocks() -> Vec<(String, Vec<u8>)> {
    let files = fs::read_dir(repository("tests/fixtures/ipfs/blocks")).unwrap();
    let block = |entry: fs::DirEntry| {
        let name = entry.file_name().into_string().unwrap();
        (
            format!("{name}?format=raw"),
            fs::read(entry.path()).unwrap(),
        )
    };
    files.map(|entry| block(entry.unwrap())).collect()
}

/// The root directory among them that holds `dog/my image.png` in the way that `what` names.
fn peer_root(what: &str) -> String {
    let text = fs::read_to_string(repository("tests/fixtures/ipfs/roots.txt")).unwrap();
    let root = text
        .lines()
        .find_map(|line| line.split_once(' ').filter(|(_, named)| *named == what));
    root.unwrap().0.to_owned()
}

#[test]
fn files_of_an_ipfs_peer_are_fetched_by_block_and_checked() {
    let server = gateway(peer_blocks());
    let gateway = ["--ipfs-gateway", &server.url("")];
    let sha256: String = Sha256::digest(image())
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    // Root, directory and file: the blocks of a file are its pieces and, where there are several,
    // what joins them.
    for (what, blocks) in [
        ("one block", 2 + 1),
        ("several blocks", 2 + 1 + 3),
        ("one old block", 2 + 1),
        ("several old blocks", 2 + 1 + 3),
        ("a deep tree", 2 + 1 + 2 + 5 + 14),
    ] {
        let url = format!("ipfs://{}/dog/my%20image.png", peer_root(what));
        let run = succeeds(&[&["-v"], &gateway[..], &[&url]].concat());
        assert_eq!(
            run.report("my_image.json")["image"]["sha256"],
            *sha256,
            "{url}"
        );
        assert_eq!(run.report("my_image.json")["image"]["source"], *url);
        assert!(
            run.stderr
                .contains(&format!("{url}: all {blocks} blocks match their CIDs\n")),
            "{what}: {}",
            run.stderr
        );
    }
    assert!(server.heads().iter().all(|head| {
        head.to_lowercase()
            .contains("\r\naccept: application/vnd.ipld.raw\r\n")
    }));

    let root = peer_root("one block");
    fails_with(
        &format!("ipfs://{root}/cat.png"),
        &gateway,
        &format!("there is no `cat.png` in the directory `{root}`"),
    );
    let directory =
        format!("`{root}` is a directory; name a file in it, for example ipfs://{root}/dog\n");
    fails_with(&format!("ipfs://{root}"), &gateway, &directory);
    let below = format!("ipfs://{root}/dog/other.txt/x");
    let run = run(&[&gateway[..], &[&below]].concat());
    assert!(
        run.stderr.contains("is no directory, so no `x` is in it"),
        "{}",
        run.stderr
    );
}

#[test]
fn a_file_in_a_sharded_directory_is_fetched_unchecked() {
    let root = peer_root("a sharded directory");
    let mut content = peer_blocks();
    content.push((format!("{root}/dog/my%20image.png"), image()));
    let server = gateway(content);
    let run = succeeds(&[
        "-v",
        "--ipfs-gateway",
        &server.url(""),
        &format!("ipfs://{root}/dog/my image.png"),
    ]);
    let note = "the content was not checked against its CID: it lies in a sharded directory\n";
    assert!(run.stderr.contains(note), "{}", run.stderr);
}

#[test]
fn a_gateway_that_lies_is_refused_and_the_next_one_is_asked() {
    let cid = cid_of(RAW, &image());
    let honest = gateway(vec![(format!("{cid}?format=raw"), image())]);
    let mut wrong = image();
    *wrong.last_mut().unwrap() ^= 1;
    let liar = gateway(vec![(format!("{cid}?format=raw"), wrong)]);
    let dead = format!(
        "http://{}",
        TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
    );
    let url = format!("ipfs://{cid}");
    let run = run(&[
        "--ipfs-gateway",
        &liar.url(""),
        "--ipfs-gateway",
        &dead,
        &url,
    ]);
    assert_eq!(run.code, Some(1));
    let message = format!(
        "error: {url}: none of the IPFS gateways gave it (127.0.0.1: what it gave does not match the CID"
    );
    assert!(run.stderr.starts_with(&message), "{}", run.stderr);
    assert!(
        run.stderr.contains("; 127.0.0.1:")
            && run.stderr.contains(": cannot connect: Connection refused")
    );
    let (liar, honest) = (liar.url(""), honest.url("/"));
    succeeds(&[
        "--ipfs-gateway",
        &dead,
        "--ipfs-gateway",
        &liar,
        "--ipfs-gateway",
        &honest,
        &url,
    ]);
    // Endless blocks are no blocks.
    let endless = Server::new(|_, _, connection| {
        connection.write_all(b"HTTP/1.1 200 OK\r\n\r\n").ok();
        (0..1 << 10)
            .try_for_each(|_| connection.write_all(&[0; 1 << 16]))
            .ok();
    });
    let message = "none of the IPFS gateways gave it (127.0.0.1:";
    let run = fails_with(&url, &["--ipfs-gateway", &endless.url("")], message);
    assert!(
        run.stderr
            .contains("the IPFS block is larger than 4.00 MiB"),
        "{}",
        run.stderr
    );
}

#[test]
fn what_cannot_be_checked_is_fetched_and_said_with_v() {
    let cid = cid_of(DAG_CBOR, b"\xa0");
    let server = gateway(vec![(format!("{cid}/a%20b.png"), image())]);
    let url = format!("ipfs://{cid}/a%20b.png");
    let args = ["--ipfs-gateway", &server.url(""), &url];
    assert_eq!(succeeds(&args).stderr, "");
    let run = succeeds(&[&["-v"], &args[..]].concat());
    let note = format!(
        "{url}: the content was not checked against its CID: the codec 0x71 is not known\n"
    );
    assert!(run.stderr.contains(&note), "{}", run.stderr);
}

#[test]
fn a_cid_that_holds_its_content_needs_no_gateway() {
    let content = b"no image";
    let cid = Cid::new_v1(RAW, Multihash::wrap(0, content).unwrap());
    fails_with(
        &format!("ipfs://{cid}"),
        &["--ipfs-gateway", "http://127.0.0.1:1"],
        "it is no image of a known format",
    );
}

#[test]
fn a_file_of_endlessly_many_blocks_ends() {
    // A file whose two parts are the same file of two parts …: 2^30 blocks out of 31.
    let mut blocks = vec![];
    let mut part = cid_of(RAW, b"");
    blocks.push((format!("{part}?format=raw"), vec![]));
    for _ in 0..30 {
        let hash = part.to_bytes();
        let link = [&[0x0a, hash.len() as u8][..], &hash].concat();
        let link = [&[0x12, link.len() as u8][..], &link].concat();
        let block = [&link[..], &link, &[0x0a, 2, 0x08, 2]].concat();
        part = cid_of(DAG_PB, &block);
        blocks.push((format!("{part}?format=raw"), block));
    }
    let server = gateway(blocks);
    fails_with(
        &format!("ipfs://{part}"),
        &["--ipfs-gateway", &server.url("")],
        "its blocks are nested more than 8 deep",
    );
}

#[test]
fn weights_come_from_an_address_too() {
    let weights = fs::read(repository("weights/compact.safetensors")).unwrap();
    let expected: String = Sha256::digest(&weights)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let server = Server::new(move |_, _, connection| answer(connection, "200 OK", "", &weights));
    let folder = tempfile::tempdir().unwrap();
    let temporary = folder.path().to_str().unwrap();
    let image = repository("tests/fixtures/images/png-rgb.png");
    let image = image.to_str().unwrap();
    let url = server.url("/models/mine.safetensors?download=true");
    // The limit is for images.
    let run = run_with(
        &["--max-bytes", "1k", "-w", &url, image],
        &[("TMPDIR", temporary)],
    );
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    let report = run.report("png-rgb.json");
    assert_eq!(
        (&report["model"]["file"], &report["model"]["sha256"]),
        (&"mine.safetensors".into(), &(*expected).into())
    );
    assert_eq!(
        fs::read_dir(&folder).unwrap().count(),
        0,
        "nothing is left behind"
    );

    let run = run_with(&["-w", &url, image], &[("TMPDIR", "/nowhere")]);
    let message = format!(
        "error: cannot load the weights `{url}`: cannot write a temporary file in `/nowhere`: "
    );
    assert!(run.stderr.starts_with(&message), "{}", run.stderr);
}

#[test]
fn weights_for_which_there_is_no_room_are_refused_unread() {
    let server = Server::new(|_, _, connection| {
        connection
            .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1000000000000000000\r\n\r\n")
            .ok();
        thread::sleep(Duration::from_secs(15));
    });
    let image = repository("tests/fixtures/images/png-rgb.png");
    let run = run(&["-w", &server.url("/w.pth"), image.to_str().unwrap()]);
    assert_eq!(run.code, Some(1));
    assert!(
        run.stderr.contains(": there is no room for it in `"),
        "{}",
        run.stderr
    );
    assert!(run.took < SLACK);
}
