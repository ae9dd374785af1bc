//! From a host's name to its addresses, through the system.

use std::net::{IpAddr, SocketAddr};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use dns_lookup::{AddrInfoHints, LookupError, LookupErrorKind, SockType, getaddrinfo};

use super::error::Problem;

/// The addresses of `host`, an IP address or a name, in the order in which they are to be tried;
/// none when the system has not answered within `timeout`.
pub fn addresses(
    host: &str,
    port: u16,
    timeout: Duration,
) -> Result<Option<Vec<SocketAddr>>, Problem> {
    if let Ok(address) = host
        .trim_start_matches('[')
        .trim_end_matches(']')
        .parse::<IpAddr>()
    {
        return Ok(Some(vec![SocketAddr::new(address, port)]));
    }
    let name = host.to_owned();
    let Some(found) = within(timeout, move || look_up(&name))? else {
        return Ok(None);
    };
    Ok(Some(
        found?
            .into_iter()
            .map(|address| SocketAddr::new(address, port))
            .collect(),
    ))
}

/// What `work` returns; none after `timeout`. The system's look-up cannot be interrupted, so its
/// thread is left behind.
fn within<T: Send + 'static>(
    timeout: Duration,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<Option<T>, Problem> {
    let (sender, receiver) = mpsc::sync_channel(1);
    let spawned = thread::Builder::new().spawn(move || sender.send(work()).ok());
    spawned.map_err(|error| Problem::Lookup(error.to_string()))?;
    match receiver.recv_timeout(timeout) {
        Ok(done) => Ok(Some(done)),
        Err(RecvTimeoutError::Timeout) => Ok(None),
        Err(RecvTimeoutError::Disconnected) => {
            Err(Problem::Lookup("it ended without an answer".to_owned()))
        }
    }
}

fn look_up(name: &str) -> Result<Vec<IpAddr>, Problem> {
    let hints = AddrInfoHints {
        socktype: SockType::Stream.into(),
        ..AddrInfoHints::default()
    };
    let found = getaddrinfo(Some(name), None, Some(hints)).map_err(problem)?;
    Ok(found.flatten().map(|entry| entry.sockaddr.ip()).collect())
}

/// Tells a name that does not exist, which is the fault of whoever wrote it, from a look-up that
/// failed, which is not. The standard library's look-up hides the difference.
fn problem(error: LookupError) -> Problem {
    match error.kind() {
        LookupErrorKind::NoName | LookupErrorKind::NoData => Problem::UnknownHost,
        _ => {
            let error = std::io::Error::from(error).to_string();
            Problem::Lookup(
                error
                    .trim_start_matches("failed to lookup address information: ")
                    .to_owned(),
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_taken_as_they_are() {
        for (host, address) in [
            ("192.0.2.7", "192.0.2.7:80"),
            ("[2001:db8::7]", "[2001:db8::7]:80"),
        ] {
            let found = addresses(host, 80, Duration::ZERO).unwrap();
            assert_eq!(found, Some(vec![address.parse().unwrap()]), "{host}");
        }
        let local = addresses("localhost", 8080, Duration::from_secs(20))
            .unwrap()
            .unwrap();
        assert!(
            !local.is_empty()
                && local
                    .iter()
                    .all(|a| a.ip().is_loopback() && a.port() == 8080),
            "{local:?}"
        );
    }

    #[test]
    fn a_look_up_that_takes_too_long_is_left() {
        let slow = || thread::sleep(Duration::from_secs(5));
        assert!(within(Duration::from_millis(10), slow).unwrap().is_none());
        assert_eq!(within(Duration::from_secs(20), || 7).unwrap(), Some(7));
    }

    #[test]
    fn a_name_that_does_not_exist_is_told_from_a_failed_look_up() {
        // The numbers of glibc's <netdb.h>.
        for unknown in [-2, -5] {
            assert!(
                matches!(problem(LookupError::new(unknown)), Problem::UnknownHost),
                "{unknown}"
            );
        }
        for (failed, words) in [
            (-3, "Temporary failure in name resolution"),
            (-4, "Non-recoverable failure in name resolution"),
            (-10, "Memory allocation failure"),
        ] {
            let found = problem(LookupError::new(failed));
            assert!(
                matches!(found, Problem::Lookup(found) if found == words),
                "{failed}"
            );
        }
    }
}
