//! Which addresses of the Internet Protocol are public, and a resolver that gives a connection no
//! other.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use ureq::Timeout;
use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::NextTimeout;

use super::error::Problem;
use super::lookup::addresses;

/// Why an address must not be connected to; none when it may.
pub type Guard = fn(IpAddr) -> Option<&'static str>;

/// Lets every address pass.
pub fn anything(_: IpAddr) -> Option<&'static str> {
    None
}

/// Where cloud machines find their secrets, beyond 169.254.169.254, as the providers document them:
/// Azure's host, Alibaba's metadata, Oracle's.
const METADATA_V4: [Ipv4Addr; 4] = [
    Ipv4Addr::new(169, 254, 169, 254),
    Ipv4Addr::new(168, 63, 129, 16),
    Ipv4Addr::new(100, 100, 100, 200),
    Ipv4Addr::new(192, 0, 0, 192),
];

/// The same in IPv6: Amazon's and Google's.
const METADATA_V6: [Ipv6Addr; 2] = [
    Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254),
    Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254),
];

/// Prefixes that are not globally reachable (IANA IPv4 Special-Purpose Address Registry; RFC 5771
/// and 1112 for the last two). The first that fits names the class.
const SPECIAL_V4: [(Ipv4Addr, u32, &str); 16] = [
    (Ipv4Addr::new(0, 0, 0, 0), 8, "unspecified"),
    (Ipv4Addr::new(10, 0, 0, 0), 8, "private"),
    (Ipv4Addr::new(100, 64, 0, 0), 10, "carrier-grade NAT"),
    (Ipv4Addr::new(127, 0, 0, 0), 8, "loopback"),
    (Ipv4Addr::new(169, 254, 0, 0), 16, "link-local"),
    (Ipv4Addr::new(172, 16, 0, 0), 12, "private"),
    (Ipv4Addr::new(192, 0, 0, 0), 24, "reserved"),
    (Ipv4Addr::new(192, 0, 2, 0), 24, "documentation"),
    (Ipv4Addr::new(192, 88, 99, 0), 24, "6to4 relay"),
    (Ipv4Addr::new(192, 168, 0, 0), 16, "private"),
    (Ipv4Addr::new(198, 18, 0, 0), 15, "benchmarking"),
    (Ipv4Addr::new(198, 51, 100, 0), 24, "documentation"),
    (Ipv4Addr::new(203, 0, 113, 0), 24, "documentation"),
    (Ipv4Addr::new(255, 255, 255, 255), 32, "broadcast"),
    (Ipv4Addr::new(224, 0, 0, 0), 4, "multicast"),
    (Ipv4Addr::new(240, 0, 0, 0), 4, "reserved"),
];

/// The same for IPv6, first the forms that carry an IPv4 address: they are refused whatever they
/// carry, since no public server is reached by them alone. Only 2000::/3 is given out for global
/// unicast, so the rest of the space follows in the three entries that begin with 0, 4000 and 8000.
const SPECIAL_V6: [(Ipv6Addr, u32, &str); 21] = [
    (Ipv6Addr::UNSPECIFIED, 128, "unspecified"),
    (Ipv6Addr::LOCALHOST, 128, "loopback"),
    (
        Ipv6Addr::new(0, 0, 0, 0, 0, 0xffff, 0, 0),
        96,
        "IPv4-mapped",
    ),
    (
        Ipv6Addr::new(0, 0, 0, 0, 0xffff, 0, 0, 0),
        96,
        "IPv4-translated",
    ),
    (Ipv6Addr::UNSPECIFIED, 96, "IPv4-compatible"),
    (Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, 0, 0), 96, "NAT64"),
    (Ipv6Addr::new(0x64, 0xff9b, 1, 0, 0, 0, 0, 0), 48, "NAT64"),
    (Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0), 16, "6to4"),
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 32, "Teredo"),
    (
        Ipv6Addr::new(0x100, 0, 0, 0, 0, 0, 0, 0),
        64,
        "discard-only",
    ),
    (
        Ipv6Addr::new(0x2001, 2, 0, 0, 0, 0, 0, 0),
        48,
        "benchmarking",
    ),
    (
        Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0),
        32,
        "documentation",
    ),
    (
        Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0),
        20,
        "documentation",
    ),
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 23, "reserved"),
    (
        Ipv6Addr::new(0xfc00, 0, 0, 0, 0, 0, 0, 0),
        7,
        "unique local",
    ),
    (Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0), 10, "link-local"),
    (Ipv6Addr::new(0xfec0, 0, 0, 0, 0, 0, 0, 0), 10, "site-local"),
    (Ipv6Addr::new(0xff00, 0, 0, 0, 0, 0, 0, 0), 8, "multicast"),
    (Ipv6Addr::UNSPECIFIED, 3, "reserved"),
    (Ipv6Addr::new(0x4000, 0, 0, 0, 0, 0, 0, 0), 2, "reserved"),
    (Ipv6Addr::new(0x8000, 0, 0, 0, 0, 0, 0, 0), 1, "reserved"),
];

/// Lets only public addresses pass; of the others it names the class.
pub fn public_only(address: IpAddr) -> Option<&'static str> {
    const METADATA: &str = "cloud metadata";
    match address {
        IpAddr::V4(address) if METADATA_V4.contains(&address) => Some(METADATA),
        IpAddr::V6(address) if METADATA_V6.contains(&address) => Some(METADATA),
        IpAddr::V4(address) => {
            let fits = |prefix: Ipv4Addr, length: u32| {
                (address.to_bits() ^ prefix.to_bits()) >> (32 - length) == 0
            };
            SPECIAL_V4
                .iter()
                .find(|(prefix, length, _)| fits(*prefix, *length))
                .map(|(_, _, class)| *class)
        }
        IpAddr::V6(address) => {
            let fits = |prefix: Ipv6Addr, length: u32| {
                (address.to_bits() ^ prefix.to_bits()) >> (128 - length) == 0
            };
            SPECIAL_V6
                .iter()
                .find(|(prefix, length, _)| fits(*prefix, *length))
                .map(|(_, _, class)| *class)
        }
    }
}

/// As many as [`ResolvedSocketAddrs`] holds.
const MAX_ADDRESSES: usize = 16;

/// Looks hosts up and hands on only what the guard lets pass. The client connects to these very
/// addresses and asks for them again at every redirect, so no spelling of a host and no second
/// answer of a name server gets around the guard.
pub struct GuardedResolver {
    guard: Guard,
}

impl GuardedResolver {
    /// A resolver that asks the system and then `guard`.
    pub fn new(guard: Guard) -> Self {
        Self { guard }
    }
}

impl Resolver for GuardedResolver {
    fn resolve(
        &self,
        uri: &Uri,
        _: &Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let other = |problem: Problem| ureq::Error::Other(Box::new(problem));
        let place = uri.scheme().zip(uri.authority());
        let place =
            place.and_then(|(scheme, authority)| DefaultResolver::host_and_port(scheme, authority));
        let place = place.as_deref().and_then(|place| place.rsplit_once(':'));
        let Some((host, port)) = place.and_then(|(host, port)| Some((host, port.parse().ok()?)))
        else {
            return Err(ureq::Error::HostNotFound);
        };
        let Some(found) = addresses(host, port, *timeout.after).map_err(other)? else {
            return Err(late(timeout.reason, *timeout.after));
        };
        let mut public = self.empty();
        let mut refused = None;
        for address in found {
            match (self.guard)(address.ip()) {
                None if public.len() < MAX_ADDRESSES => public.push(address),
                None => break,
                Some(class) => {
                    refused = Some(Problem::NotPublic {
                        address: address.ip(),
                        class,
                    })
                }
            }
        }
        if public.is_empty() {
            Err(other(refused.unwrap_or(Problem::UnknownHost)))
        } else {
            Ok(public)
        }
    }
}

/// No answer came within `after`. Only where that is the look-up's own time-out is it the look-up
/// that failed.
fn late(reason: Timeout, after: Duration) -> ureq::Error {
    match reason {
        Timeout::Resolve => ureq::Error::Other(Box::new(Problem::Lookup(format!(
            "no answer within {} s",
            after.as_secs_f64()
        )))),
        reason => ureq::Error::Timeout(reason),
    }
}

impl fmt::Debug for GuardedResolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GuardedResolver").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_class_of_address_that_is_not_public_is_refused_whole() {
        for (class, addresses) in [
            ("unspecified", &["0.0.0.0", "0.255.255.255", "::"][..]),
            (
                "private",
                &[
                    "10.0.0.0",
                    "10.255.255.255",
                    "172.16.0.0",
                    "172.31.255.255",
                    "192.168.0.0",
                    "192.168.255.255",
                ],
            ),
            ("carrier-grade NAT", &["100.64.0.0", "100.127.255.255"]),
            (
                "loopback",
                &["127.0.0.0", "127.0.0.1", "127.255.255.255", "::1"],
            ),
            (
                "link-local",
                &[
                    "169.254.0.0",
                    "169.254.255.255",
                    "fe80::",
                    "fe80::1",
                    "febf:ffff::1",
                ],
            ),
            (
                "reserved",
                &["192.0.0.0", "192.0.0.255", "240.0.0.0", "255.255.255.254"],
            ),
            (
                "documentation",
                &["192.0.2.0", "192.0.2.255", "198.51.100.7", "203.0.113.255"],
            ),
            (
                "documentation",
                &[
                    "2001:db8::",
                    "2001:db8:ffff::1",
                    "3fff::",
                    "3fff:fff:ffff::",
                ],
            ),
            ("6to4 relay", &["192.88.99.1"]),
            (
                "benchmarking",
                &["198.18.0.0", "198.19.255.255", "2001:2::1"],
            ),
            (
                "multicast",
                &[
                    "224.0.0.0",
                    "239.255.255.255",
                    "ff00::",
                    "ff02::1",
                    "ffff::",
                ],
            ),
            ("broadcast", &["255.255.255.255"]),
            (
                "cloud metadata",
                &[
                    "169.254.169.254",
                    "100.100.100.200",
                    "168.63.129.16",
                    "192.0.0.192",
                ],
            ),
            ("cloud metadata", &["fd00:ec2::254", "fd20:ce::254"]),
            (
                "IPv4-mapped",
                &[
                    "::ffff:127.0.0.1",
                    "::ffff:10.0.0.1",
                    "::ffff:169.254.169.254",
                    "::ffff:8.8.8.8",
                ],
            ),
            ("IPv4-translated", &["::ffff:0:127.0.0.1"]),
            ("IPv4-compatible", &["::127.0.0.1", "::2", "::10.0.0.1"]),
            (
                "NAT64",
                &[
                    "64:ff9b::127.0.0.1",
                    "64:ff9b::8.8.8.8",
                    "64:ff9b:1::1",
                    "64:ff9b:1:ffff::10.0.0.1",
                ],
            ),
            (
                "6to4",
                &[
                    "2002:7f00:1::1",
                    "2002:a00:1::",
                    "2002:808:808::1",
                    "2002:ffff::",
                ],
            ),
            ("Teredo", &["2001::1", "2001:0:ffff:ffff::1"]),
            (
                "reserved",
                &["2001:10::1", "2001:20::1", "2001:1ff:ffff::1"],
            ),
            ("discard-only", &["100::", "100::ffff"]),
            ("unique local", &["fc00::", "fdff:ffff::1"]),
            ("site-local", &["fec0::", "feff:ffff::1"]),
            (
                "reserved",
                &[
                    "64:ff9b:2::1",
                    "100:1::",
                    "200::1",
                    "1fff::",
                    "4000::",
                    "5f00::1",
                    "8000::",
                    "fe00::",
                    "e000::",
                ],
            ),
        ] {
            for address in addresses {
                assert_eq!(
                    public_only(address.parse().unwrap()),
                    Some(class),
                    "{address}"
                );
            }
        }
    }

    #[test]
    fn public_addresses_pass_also_right_beside_the_others() {
        for address in [
            "1.0.0.0",
            "1.1.1.1",
            "8.8.8.8",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "126.255.255.255",
            "128.0.0.0",
            "169.253.255.255",
            "169.255.0.0",
            "172.15.255.255",
            "172.32.0.0",
            "191.255.255.255",
            "192.0.1.0",
            "192.0.3.0",
            "192.88.98.255",
            "192.88.100.0",
            "192.167.255.255",
            "192.169.0.0",
            "198.17.255.255",
            "198.20.0.0",
            "198.51.99.255",
            "198.51.101.0",
            "203.0.112.255",
            "203.0.114.0",
            "223.255.255.255",
            "168.63.129.15",
            "2000::1",
            "2001:200::1",
            "2001:db7::1",
            "2001:db9::1",
            "2003::1",
            "2606:4700::1111",
            "2a00:1450::1",
            "3ffe::1",
            "3fff:1000::1",
        ] {
            assert_eq!(public_only(address.parse().unwrap()), None, "{address}");
        }
    }

    #[test]
    fn a_name_server_that_does_not_answer_is_no_slow_web_server() {
        let error = late(Timeout::Resolve, Duration::from_millis(500));
        assert_eq!(
            error.into_io().to_string(),
            "other: its address cannot be looked up: no answer within 0.5 s; is there a network? try again later"
        );
        assert!(matches!(
            late(Timeout::Global, Duration::ZERO),
            ureq::Error::Timeout(Timeout::Global)
        ));
    }
}
