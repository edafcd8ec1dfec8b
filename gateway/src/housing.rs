//! In which machine the store is: a disk may be moved to another, or copied.
//!
//! What is compared is the machine's own number: of the board where it has one, or the first built-in
//! network address, or a PC's firmware's. Not `/etc/machine-id`, which is on the disk and goes with it.
//!
//! Two machines that go on from one copy would give the same numbers to different readings. So a store that
//! wakes up in another machine begins a new epoch; see `store::Stands`.

use std::fs;
use std::path::Path;

use data_encoding::HEXLOWER;
use sha2::{Digest as _, Sha256};
use store::{Core, Stands};

/// Tells the store where it is, and whoever reads the log and the audit when that is elsewhere.
pub(crate) async fn settle(core: &Core) {
    let Some(machine) = machine(Path::new("/")) else { return };
    let stands = core.stands_in(machine).await;
    if let Err(error) = &stands {
        tracing::error!(error = crate::chain(error), "the machine is not kept");
    }
    if let Ok(Stands::Elsewhere) = stands {
        tracing::warn!("{ELSEWHERE}");
        let kept = core.audit("gateway".into(), "moved".into(), ELSEWHERE.into()).await;
        if let Err(error) = kept {
            tracing::error!(error = crate::chain(&error), "the move is not written down");
        }
    }
}

const ELSEWHERE: &str = "this disk was in another machine before: the portfolio gets its readings \
                         under new numbers; if the other machine still runs with a copy of it, give \
                         one of the two a disk of its own";

/// The machine's number, hashed: it is nobody's business. `None` if the machine has none.
fn machine(root: &Path) -> Option<String> {
    // A PC's own number only root may read, and who runs the daemon may change.
    let number = said(&root.join("proc/device-tree/serial-number"))
        .or_else(|| first_address(&root.join("sys/class/net")))
        .or_else(|| said(&root.join("sys/class/dmi/id/product_uuid")))?;
    let hash = Sha256::digest(format!("fyrhus machine {number}"));
    HEXLOWER.encode(&hash).get(..32).map(str::to_owned)
}

fn said(file: &Path) -> Option<String> {
    let text = fs::read_to_string(file).ok()?;
    let text = text.trim_matches(|it: char| it.is_whitespace() || it == '\0');
    (!text.is_empty()).then(|| text.to_lowercase())
}

/// The lowest address that was built into a network card of this machine; bridges and tunnels have none.
fn first_address(net: &Path) -> Option<String> {
    let cards = fs::read_dir(net).ok()?.flatten().map(|it| it.path());
    let built_in = cards.filter(|card| {
        // 0: not made up by software.
        card.join("device").exists()
            && said(&card.join("addr_assign_type")).is_none_or(|it| it == "0")
    });
    built_in.filter_map(|card| said(&card.join("address"))).min()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(root: &Path, file: &str, text: &str) {
        let file = root.join(file);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, text).unwrap();
    }

    #[test]
    fn a_machine_has_one_number_whatever_is_plugged_in() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path();
        assert_eq!(machine(root), None);
        put(root, "sys/class/net/tun0/address", "00:00:00:00:00:01\n");
        assert_eq!(machine(root), None, "a tunnel is no card");
        put(root, "sys/class/net/eth0/address", "02:11:22:33:44:55\n");
        put(root, "sys/class/net/eth0/device/vendor", "");
        let by_card = machine(root).unwrap();
        assert_eq!(by_card.len(), 32);
        put(root, "sys/class/net/wwan0/address", "02:00:00:00:00:01\n");
        put(root, "sys/class/net/wwan0/device/vendor", "");
        put(root, "sys/class/net/wwan0/addr_assign_type", "1\n");
        assert_eq!(machine(root).as_ref(), Some(&by_card), "an address of chance is none");
        put(root, "proc/device-tree/serial-number", "10000000ABCDEF01\0");
        let by_board = machine(root).unwrap();
        assert_ne!(by_board, by_card);
        put(root, "sys/class/dmi/id/product_uuid", "another");
        assert_eq!(machine(root), Some(by_board));
    }
}
