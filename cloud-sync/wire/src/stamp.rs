//! Who speaks and how far its stream is, before packed content that travels beside the stream.
//!
//! ```text
//!  message = [version, gateway, epoch, highest number, length, packed content]
//! ```

use metering::GatewayId;

use crate::cbor::{Malformed, Pen, Reader};
use crate::pack::{self, Packed, TooLarge};

/// What stands before the content.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stamp {
    pub(crate) gateway: GatewayId,
    pub(crate) epoch: u64,
    pub(crate) head: u64,
}

impl Stamp {
    /// What is posted.
    pub(crate) fn write(self, content: &[u8]) -> Result<Vec<u8>, TooLarge> {
        let mut pen = Pen::new();
        pen.list(6)
            .unsigned(crate::VERSION)
            .id(self.gateway.uuid())
            .unsigned(self.epoch)
            .unsigned(self.head);
        pack::pack(&mut pen, content)?;
        Ok(pen.finish())
    }

    /// Reads what [`write`](Self::write) wrote; `what` names the message where it is wrong.
    pub(crate) fn read(what: &'static str, message: &[u8]) -> Result<(Self, Vec<u8>), Malformed> {
        let mut r = Reader::new(message);
        r.fields(what, 6)?;
        r.version()?;
        let gateway = GatewayId::from_uuid(r.id("gateway")?);
        let epoch = r.unsigned("epoch")?;
        let head = r.unsigned("highest number")?;
        let content = Packed::read(&mut r)?.unpack()?;
        r.end()?;
        Ok((Self { gateway, epoch, head }, content))
    }
}
