//! The connection of an ear to its broker: made, lost, and made again; and what the broker refuses on
//! it, asked for again: a rule that is mended there ends no connection.
//!
//! **Never true:** the same fault is told twice in a row, or the same refusal twice on a connection.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use mqtt_client::{Address, Client, Event, NotConnected, Options};
use tokio::time::{self, Instant};

use crate::port::{PortFault, PortSettings};

/// What the ear at a broker has to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MqttSettings {
    /// As the configuration has it, for messages.
    pub port: PortSettings,
    /// Where that is.
    pub address: Address,
    /// What the gateway calls itself there. Two connections of one name end each other.
    pub client_id: String,
    /// Its name on the broker, if it has one.
    pub user: Option<String>,
    /// The file with the password, which is read at each connecting.
    pub password_file: Option<PathBuf>,
}

/// The connection to one broker.
pub(crate) struct BrokerLink {
    settings: MqttSettings,
    state: State,
    /// How long it waits before it connects again.
    pause: Duration,
    /// Whether it was told that the broker cannot be used.
    is_down: bool,
    /// What the broker does not give on this connection, of what it was asked for.
    refused: BTreeSet<String>,
    /// When it is asked for that again.
    ask_at: Instant,
}

enum State {
    Waiting(Instant),
    /// Boxed, so that a listener that has something else to do meanwhile does not begin anew.
    Connecting(Pin<Box<dyn Future<Output = Result<Client, Fault>> + Send + Sync>>),
    Up(Box<Client>),
}

/// Why it does not connect.
enum Fault {
    Password(std::io::Error),
    Broker(NotConnected),
}

/// What happened at the connection.
pub(crate) enum Linked {
    /// It is there, and nothing is subscribed to on it.
    Up,
    /// It is not. Told once, until it is again.
    Down(PortFault),
    /// The broker said something.
    Event(Event),
}

impl BrokerLink {
    pub(crate) fn new(settings: MqttSettings) -> Self {
        let now = Instant::now();
        Self {
            settings,
            state: State::Waiting(now),
            pause: FIRST_PAUSE,
            is_down: false,
            refused: BTreeSet::new(),
            ask_at: now,
        }
    }

    pub(crate) const fn settings(&self) -> &MqttSettings {
        &self.settings
    }

    pub(crate) const fn is_up(&self) -> bool {
        matches!(self.state, State::Up(_))
    }

    /// The connection, if there is one.
    pub(crate) fn client(&mut self) -> Option<&mut Client> {
        match &mut self.state {
            State::Up(client) => Some(client),
            State::Waiting(_) | State::Connecting(_) => None,
        }
    }

    /// Waits for what happens next.
    ///
    /// # Cancellation
    ///
    /// Safe: what has begun goes on.
    pub(crate) async fn next(&mut self) -> Linked {
        loop {
            let fault = match &mut self.state {
                State::Waiting(until) => {
                    time::sleep_until(*until).await;
                    let settings = self.settings.clone();
                    self.state = State::Connecting(Box::pin(connect(settings)));
                    continue;
                }
                State::Connecting(connecting) => match connecting.await {
                    Ok(client) => {
                        self.state = State::Up(Box::new(client));
                        (self.pause, self.is_down) = (FIRST_PAUSE, false);
                        self.refused.clear();
                        return Linked::Up;
                    }
                    Err(fault) => fault_of(fault),
                },
                State::Up(client) => tokio::select! {
                    event = client.next() => match event {
                        Ok(event) => {
                            if self.is_new(&event) {
                                return Linked::Event(event);
                            }
                            continue;
                        }
                        Err(_lost) => PortFault::Lost(None),
                    },
                    () = time::sleep_until(self.ask_at), if !self.refused.is_empty() => {
                        client.subscribe(self.refused.iter().cloned());
                        self.ask_at = Instant::now() + ASK_AGAIN;
                        continue;
                    }
                },
            };
            self.state = State::Waiting(Instant::now() + self.pause);
            self.pause = (self.pause * 2).min(LAST_PAUSE);
            if !std::mem::replace(&mut self.is_down, true) {
                return Linked::Down(fault);
            }
        }
    }

    /// Notes what is refused and what is given, and says whether that is news.
    fn is_new(&mut self, event: &Event) -> bool {
        match event {
            Event::NotAllowed(filter) => {
                if self.refused.is_empty() {
                    self.ask_at = Instant::now() + ASK_AGAIN;
                }
                self.refused.insert(filter.clone())
            }
            Event::Subscribed(filter) => {
                self.refused.remove(filter);
                true
            }
            Event::Message { .. } | Event::AllTaken => true,
        }
    }
}

async fn connect(settings: MqttSettings) -> Result<Client, Fault> {
    let MqttSettings { address, client_id, user, password_file, .. } = settings;
    let password = match password_file {
        None => String::new(),
        Some(file) => tokio::fs::read_to_string(file).await.map_err(Fault::Password)?,
    };
    let login = user.map(|user| (user, password.trim_end_matches(['\n', '\r']).to_owned()));
    let options = Options { address, client_id, login, will: None };
    Client::connect(&options).await.map_err(Fault::Broker)
}

fn fault_of(fault: Fault) -> PortFault {
    let fault = match fault {
        Fault::Password(error) => return PortFault::NoPassword(Arc::new(error)),
        Fault::Broker(fault) => fault,
    };
    match fault {
        NotConnected::Certificate | NotConnected::Trust(_) => PortFault::Untrusted,
        NotConnected::Host => {
            let cause = std::io::Error::new(std::io::ErrorKind::NotFound, "it has no address");
            PortFault::HostUnknown(Arc::new(cause))
        }
        NotConnected::Io(error) => PortFault::Lost(Some(Arc::new(error))),
        NotConnected::Login => PortFault::Login,
        NotConnected::NotListening => PortFault::NotListening,
        NotConnected::NoMqtt | NotConnected::NotNow => PortFault::NoBroker,
        NotConnected::Silent(waited) => PortFault::Unreachable(waited),
    }
}

const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LAST_PAUSE: Duration = Duration::from_secs(30);

/// Soon enough for whoever mends a rule, and a line in the broker's log that is no flood.
const ASK_AGAIN: Duration = Duration::from_mins(5);

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;
    use crate::port::BrokerAt;

    /// Answers each SUBSCRIBE, of one filter, with the next of `codes`.
    async fn serve(listener: TcpListener, codes: [u8; 2]) {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut codes = codes.into_iter();
        let mut head = [0; 2];
        while stream.read_exact(&mut head).await.is_ok() {
            let mut body = vec![0; head[1].into()];
            stream.read_exact(&mut body).await.unwrap();
            let answer = match head[0] {
                0x10 => vec![0x20, 2, 0, 0],
                0x82 => vec![0x90, 3, body[0], body[1], codes.next().unwrap()],
                _ => vec![0xD0, 0],
            };
            stream.write_all(&answer).await.unwrap();
        }
    }

    #[tokio::test]
    async fn what_a_broker_refuses_is_asked_for_again_on_the_same_connection() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let broker = tokio::spawn(serve(listener, [0x80, 0x01]));
        let mut link = BrokerLink::new(MqttSettings {
            port: PortSettings::Broker(BrokerAt::Plain(address.clone())),
            address: Address::Tcp(address),
            client_id: "fyrhus-test".into(),
            user: None,
            password_file: None,
        });
        assert!(matches!(link.next().await, Linked::Up));
        link.client().unwrap().subscribe(["wmbus/#".to_owned()]);
        let Linked::Event(Event::NotAllowed(filter)) = link.next().await else {
            panic!("it refuses first")
        };
        assert_eq!(filter, "wmbus/#");

        time::pause();
        time::advance(ASK_AGAIN).await;
        time::resume();
        let Linked::Event(Event::Subscribed(filter)) = link.next().await else {
            panic!("it gives it then")
        };
        assert_eq!(filter, "wmbus/#");
        assert!(link.refused.is_empty());
        broker.abort();
    }
}
