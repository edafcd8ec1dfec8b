//! Sensors on MQTT, in the words of `Zigbee2MQTT`. They are clients of a broker, which is not here:
//! the gateway's own, as a rule.
//!
//! ```text
//! zigbee2mqtt/NAME                {"temperature":21.50,"humidity":40.10,"battery":87,…}
//! zigbee2mqtt/NAME/availability   {"state":"online"}       retained
//! ```
//!
//! What does not change is said every ten seconds. Faults: `silence` says nothing, `refuse` is
//! offline, `noise` sends bytes that are no text, `half` breaks off in the middle, `duplicate` says
//! it twice, `foreign` speaks as another sensor.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use metering::Clock;
use rumqttc::{AsyncClient, MqttOptions, QoS};
use tokio::time::{self, Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use crate::meter::Meter;
use crate::place::Measure;

/// What the sensors log in as.
pub(crate) const USER: &str = "sensors";

/// The sensors of one bus.
#[derive(Debug)]
pub(crate) struct Sensors {
    /// The broker's, on loopback.
    pub(crate) port: u16,
    pub(crate) password: String,
    pub(crate) meters: Vec<Arc<Meter>>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) stop: CancellationToken,
}

impl Sensors {
    /// Says what the sensors measure, until the stop; a broker that is not there is tried again.
    pub(crate) async fn serve(self) {
        let mut options = MqttOptions::new("zigbee2mqtt", "127.0.0.1", self.port);
        options.set_credentials(USER, self.password.as_str());
        let (client, mut connection) = AsyncClient::new(options, 500);
        let mut every = time::interval(Duration::from_millis(500));
        every.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut said = HashMap::new();
        loop {
            tokio::select! {
                () = self.stop.cancelled() => return,
                event = connection.poll() => match event {
                    Ok(rumqttc::Event::Incoming(rumqttc::Packet::ConnAck(_))) => said.clear(),
                    Ok(_) => {}
                    Err(error) => {
                        tracing::debug!(%error, "no broker");
                        time::sleep(Duration::from_millis(500)).await;
                    }
                },
                _ = every.tick() => self.say(&client, &mut said),
            }
        }
    }

    fn say(&self, client: &AsyncClient, said: &mut HashMap<String, (Vec<u8>, Instant)>) {
        let at = self.clock.now().wall;
        for meter in &self.meters {
            let name = &meter.plan.name;
            let faults = meter.faults();
            let there = if faults.refusal { "offline" } else { "online" };
            let topic = format!("zigbee2mqtt/{name}/availability");
            let state = format!("{{\"state\":\"{there}\"}}").into_bytes();
            if said.get(&topic).is_none_or(|(before, _)| *before != state) {
                let sent = client.try_publish(&topic, QoS::AtLeastOnce, true, state.clone());
                if sent.is_ok() {
                    said.insert(topic, (state, Instant::now()));
                }
            }
            if faults.silence || faults.refusal {
                continue;
            }
            let sight = meter.sight(at);
            let value = |key: &str, measure| {
                meter.shows(&sight, measure).map(|it| format!("\"{key}\":{},", it.decimal()))
            };
            let values = [
                value("temperature", Measure::Temperature),
                value("humidity", Measure::Humidity),
                value("co2", Measure::Co2),
            ];
            let values: String = values.into_iter().flatten().collect();
            let mut payload =
                format!("{{{values}\"battery\":87,\"linkquality\":120}}").into_bytes();
            if faults.noise {
                payload = vec![0xFF, 0xFE, b'{', 0];
            }
            if faults.half {
                payload.truncate(payload.len() / 2);
            }
            let name = if faults.foreign { "stranger" } else { name };
            let topic = format!("zigbee2mqtt/{name}");
            let again = Duration::from_secs(10);
            let is_said =
                |(before, when): &(Vec<u8>, Instant)| *before == payload && when.elapsed() < again;
            if said.get(&topic).is_some_and(is_said) {
                continue;
            }
            for _ in 0..=u8::from(faults.duplicate) {
                // What does not fit into its queue is said the next time.
                if client.try_publish(&topic, QoS::AtMostOnce, false, payload.clone()).is_ok() {
                    meter.handle.answered();
                    said.insert(topic.clone(), (payload.clone(), Instant::now()));
                }
            }
        }
    }
}
