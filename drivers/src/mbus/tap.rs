//! Listening to an M-Bus on which another master talks, without a byte of ours.
//!
//! It takes a way to the wire that only listens: a second level converter, or a TCP converter that
//! gives what it hears to several.

use std::time::Duration;

use ::mbus::{Overhear, Overheard, Settings};
use tokio::time::{self, Instant};

use crate::error::ReadError;
use crate::port::{Port, PortFault};
use crate::{BusSettings, PortSettings};

/// An ear on a wire.
///
/// **Never true:** it sends anything.
#[derive(Debug)]
pub struct Tap {
    port: Port,
    ear: Overhear,
    /// Longer than a meter pauses within a frame.
    silence: Duration,
    /// When the last byte came.
    last: Instant,
}

impl Tap {
    /// A tap that is opened when it first listens.
    pub fn new(settings: &BusSettings) -> Self {
        let port = Port::new(settings.port.clone(), settings.baud, settings.parity);
        let on_the_way = match settings.port {
            PortSettings::Serial(_) => Duration::from_millis(30),
            // A converter sends what it has once in a while.
            _ => Duration::from_millis(150),
        };
        let silence = Settings::new(settings.baud).characters(3) + on_the_way;
        Self { port, ear: Overhear::new(), silence, last: Instant::now() }
    }

    /// Opens the port.
    ///
    /// # Errors
    ///
    /// [`ReadError::Port`].
    pub async fn open(&mut self) -> Result<(), ReadError> {
        match self.port.open().await {
            Ok(_) => Ok(()),
            Err(cause) => Err(self.out_of_reach(cause)),
        }
    }

    /// Waits for bytes, or for the silence behind them, and gives away what they are.
    ///
    /// # Errors
    ///
    /// [`ReadError::Port`], also if the other end closes the connection.
    ///
    /// # Cancellation
    ///
    /// Safe: no byte is lost when the future is dropped.
    pub async fn listen(&mut self, each: &mut dyn FnMut(Overheard<'_>)) -> Result<(), ReadError> {
        self.open().await?;
        let mut buffer = [0; 512];
        let heard = if self.ear.is_waiting() {
            let until = self.last + self.silence;
            time::timeout_at(until, self.port.read(&mut buffer)).await.ok()
        } else {
            Some(self.port.read(&mut buffer).await)
        };
        match heard {
            Some(Ok(count)) => {
                self.last = Instant::now();
                self.ear.heard(buffer.get(..count).unwrap_or_default(), each);
                Ok(())
            }
            Some(Err(cause)) => {
                self.ear.silence(each);
                Err(self.out_of_reach(cause))
            }
            None => {
                self.ear.silence(each);
                Ok(())
            }
        }
    }

    fn out_of_reach(&self, cause: PortFault) -> ReadError {
        ReadError::Port { port: self.port.settings().clone(), cause }
    }
}
