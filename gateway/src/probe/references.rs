//! Is it our own link? What else can be reached while the portfolio cannot.
//!
//! What `site.toml` names, or else the default router and the name servers of this machine: a TCP
//! connection to each, all at once. One that is refused has answered too. Nothing is sent over any.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use futures_util::future::join_all;
use ledger::References;
use tokio::net::TcpStream;
use tokio::time;

/// Asks those that are `named`, or else the machine's own.
pub(super) async fn ask(named: &[String]) -> References {
    let mut link_down = false;
    let mut places = named.to_vec();
    if places.is_empty() {
        let router = fs::read_to_string("/proc/net/route").ok().and_then(|table| router(&table));
        let servers = fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
        link_down = router.is_none();
        places.extend(router.map(|router| SocketAddr::from((router, 80)).to_string()));
        let servers = name_servers(&servers).map(|server| SocketAddr::from((server, 53)));
        places.extend(servers.map(|server| server.to_string()));
    }
    let answered = join_all(places.iter().map(|place| answers(place))).await;
    let count = |count: usize| u8::try_from(count).unwrap_or(u8::MAX);
    References {
        asked: count(places.len()),
        answered: count(answered.into_iter().filter(|it| *it).count()),
        link_down,
    }
}

async fn answers(place: &str) -> bool {
    match time::timeout(WITHIN, TcpStream::connect(place)).await {
        Ok(Ok(_open)) => true,
        Ok(Err(error)) => error.kind() == std::io::ErrorKind::ConnectionRefused,
        Err(_elapsed) => false,
    }
}

/// The gateway of the default route, out of the kernel's table: address and flags in hexadecimal,
/// the address in the machine's own byte order.
fn router(table: &str) -> Option<Ipv4Addr> {
    table.lines().skip(1).find_map(|line| {
        let columns: Vec<&str> = line.split_whitespace().collect();
        let [_interface, "00000000", gateway, flags, ..] = columns.as_slice() else { return None };
        // Up, and through a gateway.
        let up = u16::from_str_radix(flags, 16).ok()? & 0b11 == 0b11;
        let address = u32::from_str_radix(gateway, 16).ok()?;
        up.then(|| Ipv4Addr::from(address.to_ne_bytes()))
    })
}

/// Those of this machine itself only pass questions on, so they prove nothing.
fn name_servers(file: &str) -> impl Iterator<Item = IpAddr> {
    let servers = file.lines().filter_map(|line| line.trim().strip_prefix("nameserver"));
    let addresses = servers.filter_map(|server| server.trim().parse::<IpAddr>().ok());
    addresses.filter(|address| !address.is_loopback()).take(3)
}

/// A router in the same building answers at once, a name server across a mobile line within one.
const WITHIN: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_endian = "little")]
    fn the_default_route_leads_over_the_router() {
        let table = "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\n\
                     eth0\t0000A8C0\t00000000\t0001\t0\t0\n\
                     eth0\t00000000\t0100A8C0\t0003\t0\t0\n";
        assert_eq!(router(table), Some(Ipv4Addr::new(192, 168, 0, 1)));
        assert_eq!(router("Iface\tDestination\n"), None);
        assert_eq!(router(""), None);
    }

    #[test]
    fn a_name_server_on_this_machine_proves_nothing() {
        let file = "# made by hand\nnameserver 127.0.0.53\nnameserver 192.168.0.1\nsearch lan\n";
        let servers: Vec<_> = name_servers(file).map(|it| it.to_string()).collect();
        assert_eq!(servers, ["192.168.0.1"]);
    }

    #[tokio::test]
    async fn a_refusal_is_an_answer() {
        let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap();
        let named = vec![address.to_string(); 2];
        let both = References { asked: 2, answered: 2, link_down: false };
        assert_eq!(ask(&named).await, both);
        drop(taken);
        assert_eq!(ask(&named).await, both);
    }
}
