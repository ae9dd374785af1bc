//! How an image without a system underneath finds hosts and trusts them.

use std::fs;
use std::net::{Ipv4Addr, UdpSocket};
use std::thread;

use crate::engine::{GATEWAY, network};
use crate::fault::{assert_not_contributed, assert_reported};
use crate::server::{Authority, Server, answer};
use crate::task::assert_done;
use crate::worker::{Task, Worker};
use crate::{photo, web};

/// A host that only this machine knows.
const HOST: &str = "photos.example";

/// Where DNS servers listen.
const DNS: u16 = 53;

#[test]
fn hosts_are_found_in_the_hosts_file() {
    let web = web();
    let task = Task::new(format!("http://{HOST}:{}/dog1.jpg", web.address.port()));
    let task = task.under("--add-host", &format!("{HOST}:{GATEWAY}"));
    assert_done(&Worker::new().run(&task), &[1]);
}

/// Answers questions for the address of [`HOST`]; of all others it says that there is no such host.
fn serve_names(socket: &UdpSocket) {
    let mut buffer = [0; 512];
    while let Ok((length, asker)) = socket.recv_from(&mut buffer) {
        // RFC 1035, 4.1: a header of 12 bytes, the name in labels that end with an empty one, type,
        // class.
        let question = &buffer[12..length];
        let end = question.iter().position(|&byte| byte == 0).unwrap();
        let labels: String = question[..end]
            .iter()
            .map(|&b| if b < 32 { '.' } else { b.into() })
            .collect();
        let known = labels == format!(".{HOST}");
        let asks_for_ipv4 = question[end + 1..end + 3] == [0, 1];
        let answers = u8::from(known && asks_for_ipv4);
        let mut reply = buffer[..2].to_vec();
        reply.extend([
            0x81,
            if known { 0x80 } else { 0x83 },
            0,
            1,
            0,
            answers,
            0,
            0,
            0,
            0,
        ]);
        reply.extend(&question[..end + 5]);
        if answers == 1 {
            // The name is that of the question; an IPv4 address, good for no time.
            reply.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4]);
            reply.extend(GATEWAY.octets());
        }
        socket.send_to(&reply, asker).ok();
    }
}

#[test]
fn a_host_that_does_not_exist_is_told_from_a_failed_look_up() {
    let web = web();
    let port = web.address.port();
    let names =
        UdpSocket::bind((GATEWAY, DNS)).expect("no other DNS server is at the tests' own address");
    thread::spawn(move || serve_names(&names));
    let folder = tempfile::tempdir().unwrap();
    let asking = |server: Ipv4Addr, host: &str| {
        let configuration = folder.path().join(server.to_string());
        fs::write(
            &configuration,
            format!("nameserver {server}\noptions timeout:1 attempts:1\n"),
        )
        .unwrap();
        let mount = format!("{}:/etc/resolv.conf:ro", configuration.display());
        Worker::new()
            .run(&Task::new(format!("http://{host}:{port}/dog1.jpg")).under("--volume", &mount))
    };
    assert_done(&asking(GATEWAY, HOST), &[1]);
    assert_reported(&asking(GATEWAY, "nobody.example"), "host-not-found");
    // There is nobody at the next address of the network.
    assert_not_contributed(&asking(
        Ipv4Addr::from_bits(GATEWAY.to_bits() + 1 + 8),
        HOST,
    ));
}

#[test]
fn certificates_are_checked() {
    network();
    let authority = Authority::new();
    let tls = authority.server(HOST, 2099);
    let web = Server::on(GATEWAY.into(), Some(tls), |_, _, connection| {
        answer(connection, "200 OK", "", &photo("dog1.jpg"));
    });
    let url = format!("https://{HOST}:{}/dog1.jpg", web.unwrap().address.port());
    let folder = tempfile::tempdir().unwrap();
    let certificate = folder.path().join("authority.pem");
    fs::write(&certificate, authority.pem()).unwrap();
    let run = |args: String| {
        let task = Task::new(args).under("--add-host", &format!("{HOST}:{GATEWAY}"));
        Worker::new().run(&task.under(
            "--volume",
            &format!("{}:/iexec_in/authority.pem", certificate.display()),
        ))
    };
    assert_reported(&run(url.clone()), "certificate");
    assert_done(&run(format!("--ca-file authority.pem {url}")), &[1]);
}
