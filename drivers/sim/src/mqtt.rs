//! Sensors on MQTT, each in the words of its maker. They are clients of a broker, which is not here:
//! the gateway's own, as a rule. So are receivers of radio that say what they hear there.
//!
//! What does not change is said every ten seconds, and at once when a fault comes or goes. Faults:
//! `silence` says nothing, `refuse` is offline (a sensor without a word for that is silent), `noise`
//! sends bytes that are no text, `half` breaks off in the middle, `duplicate` says it twice,
//! `foreign` speaks as another sensor.

mod words;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use metering::Clock;
use rumqttc::{AsyncClient, EventLoop, MqttOptions, QoS};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{self, Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use crate::meter::Meter;
use crate::outlet::Said;

pub(crate) use words::name;

/// What the sensors log in as.
pub(crate) const USER: &str = "sensors";

/// What they may say.
pub(crate) const TOPICS: [&str; 8] = [
    "zigbee2mqtt/#",
    "shellies/#",
    "tele/#",
    "sensors/#",
    "homeassistant/#",
    "wmbus/#",
    "+/online",
    "+/events/rpc",
];

/// Where the broker is, and how it is logged in to.
#[derive(Clone, Debug)]
pub(crate) struct Broker {
    /// On loopback.
    pub(crate) port: u16,
    pub(crate) password: String,
}

impl Broker {
    fn client(&self, id: &str) -> (AsyncClient, EventLoop) {
        let mut options = MqttOptions::new(id, "127.0.0.1", self.port);
        options.set_credentials(USER, self.password.as_str());
        AsyncClient::new(options, 500)
    }
}

/// Keeps a connection up and tells each time that it is new, for ever.
async fn keep_up(mut connection: EventLoop, connected: watch::Sender<u32>) {
    loop {
        match connection.poll().await {
            Ok(rumqttc::Event::Incoming(rumqttc::Packet::ConnAck(_))) => {
                connected.send_modify(|times| *times = times.wrapping_add(1));
            }
            Ok(_) => {}
            Err(error) => {
                tracing::debug!(%error, "no broker");
                time::sleep(Duration::from_millis(500)).await;
            }
        }
    }
}

/// The sensors of one bus.
#[derive(Debug)]
pub(crate) struct Sensors {
    pub(crate) bus: String,
    pub(crate) broker: Broker,
    pub(crate) meters: Vec<Arc<Meter>>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) stop: CancellationToken,
}

impl Sensors {
    /// Says what the sensors measure, until the stop; a broker that is not there is tried again.
    pub(crate) async fn serve(self) {
        let (client, connection) = self.broker.client(&self.bus);
        let connected = watch::Sender::default();
        // They end with this set.
        let mut speaking = JoinSet::new();
        for meter in self.meters {
            let speaker = Speaker {
                meter,
                client: client.clone(),
                clock: Arc::clone(&self.clock),
                said: HashMap::new(),
            };
            speaking.spawn(speaker.serve(connected.subscribe()));
        }
        self.stop.run_until_cancelled(keep_up(connection, connected)).await;
    }
}

/// One sensor.
struct Speaker {
    meter: Arc<Meter>,
    client: AsyncClient,
    clock: Arc<dyn Clock>,
    /// What it said last on each topic, and when.
    said: HashMap<String, (Vec<u8>, Instant)>,
}

impl Speaker {
    async fn serve(mut self, mut connected: watch::Receiver<u32>) {
        let mut faults = self.meter.handle.changes();
        let mut every = time::interval(Duration::from_millis(500));
        every.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = every.tick() => {}
                Ok(()) = faults.changed() => self.said.clear(),
                Ok(()) = connected.changed() => self.said.clear(),
            }
            self.say();
        }
    }

    fn say(&mut self) {
        let faults = self.meter.faults();
        for word in words::there(&self.meter, !faults.refusal) {
            self.tell(word.topic, word.payload.into_bytes(), true, Duration::MAX);
        }
        if faults.silence || faults.refusal {
            return;
        }
        let mut told = false;
        for word in words::measured(&self.meter, self.clock.now().wall, faults.foreign) {
            let mut payload = word.payload.into_bytes();
            if faults.noise {
                payload = vec![0xFF, 0xFE, b'{', 0];
            }
            if faults.half {
                payload.truncate(payload.len() / 2);
            }
            let times = 1 + u8::from(faults.duplicate);
            for _ in 0..times {
                let again = if told { Duration::ZERO } else { Duration::from_secs(10) };
                told |= self.tell(word.topic.clone(), payload.clone(), false, again);
            }
        }
        if told {
            self.meter.handle.answered_with(faults);
        }
    }

    /// Whether it was said: what is new, and what was not said for as long as `again`.
    fn tell(&mut self, topic: String, payload: Vec<u8>, retain: bool, again: Duration) -> bool {
        let is_said =
            |(before, when): &(Vec<u8>, Instant)| *before == payload && when.elapsed() < again;
        if self.said.get(&topic).is_some_and(is_said) {
            return false;
        }
        let quality = if retain { QoS::AtLeastOnce } else { QoS::AtMostOnce };
        // What does not fit into the queue is said the next time.
        let sent = self.client.try_publish(&topic, quality, retain, payload.clone()).is_ok();
        if sent {
            self.said.insert(topic, (payload, Instant::now()));
        }
        sent
    }
}

/// A receiver of radio that says each line on a topic.
#[derive(Debug)]
pub(crate) struct Relay {
    pub(crate) bus: String,
    pub(crate) broker: Broker,
    pub(crate) said: Said,
    pub(crate) stop: CancellationToken,
}

impl Relay {
    /// Says what comes, until the stop.
    pub(crate) async fn serve(self) {
        let (client, connection) = self.broker.client(&self.bus);
        let topic = format!("wmbus/{}", self.bus);
        let mut said = self.said.subscribe();
        let saying = async {
            loop {
                match said.recv().await {
                    Ok(line) => {
                        let line = line.strip_suffix(b"\n").unwrap_or(&line).to_vec();
                        // What the broker does not take is lost, as is what nobody hears.
                        drop(client.try_publish(&topic, QoS::AtMostOnce, false, line));
                    }
                    Err(RecvError::Lagged(_)) => {}
                    Err(RecvError::Closed) => return,
                }
            }
        };
        tokio::select! {
            () = self.stop.cancelled() => {}
            () = saying => {}
            () = keep_up(connection, watch::Sender::default()) => {}
        }
    }
}
