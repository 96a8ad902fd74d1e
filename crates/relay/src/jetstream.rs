//! The stream in JetStream: reached, made where it is missing, and asked where it stands.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::time::Duration;

use async_nats::jetstream::context::{Context, GetStreamErrorKind};
use async_nats::jetstream::stream::{
    Config, DiscardPolicy, Info, LastRawMessageErrorKind, RetentionPolicy, StorageType, Stream,
};
use async_nats::jetstream::{self, ErrorCode};
use async_nats::{ConnectOptions, Event, HeaderMap};
use bincard_ledger::{LedgerId, Position};
use percent_encoding::percent_decode_str;
use tokio::sync::watch;

use crate::error::RelayError;
use crate::followed::Followed;
use crate::message;
use crate::{Options, carry};

/// The stream's name.
pub const STREAM: &str = "BINCARD_EVENTS";
/// What it takes.
pub const SUBJECTS: &str = "bincard.events.>";

/// How long NATS remembers ids. A message that is sent again comes within seconds.
const DUPLICATE_WINDOW: Duration = Duration::from_secs(120);
/// How long an answer may take.
const ANSWER_MAX: Duration = Duration::from_secs(5);
const CONNECT_MAX: Duration = Duration::from_secs(5);
/// How far back the last message of ours is looked for behind foreign ones.
const LOOK_BACK_MAX: u64 = 1_000;

/// What was warned of already.
#[derive(Default)]
pub(crate) struct Warned(HashSet<String>);

impl Warned {
    /// Whether this was not warned of before.
    pub(crate) fn is_news(&mut self, what: String) -> bool {
        // Whoever writes into the stream by mistake may do so often.
        if self.0.len() > 1_000 {
            self.0.clear();
        }
        self.0.insert(what)
    }
}

/// A connection to NATS, and the stream there.
pub(crate) struct Carrier {
    pub(crate) context: Context,
    stream: Stream<Info>,
    /// Whether the stream was made just now.
    pub(crate) is_new: bool,
    /// Becomes true when the connection breaks.
    pub(crate) lost: watch::Receiver<bool>,
}

/// A part of an address without its percent signs.
fn decoded(part: &str) -> String {
    percent_decode_str(part).decode_utf8_lossy().into_owned()
}

impl Carrier {
    /// Connects, and makes the stream where there is none.
    pub(crate) async fn open(options: &Options, warned: &mut Warned) -> Result<Carrier, RelayError> {
        let (lose, lost) = watch::channel(false);
        let addresses = options.servers.addresses();
        // When it is lost, a run ends and the next makes another. What this one still sends when it comes back by itself is
        // refused like everything that is late.
        let mut connecting = ConnectOptions::new()
            .name("bincard relay")
            .connection_timeout(CONNECT_MAX)
            .ping_interval(ANSWER_MAX)
            .event_callback(move |event| {
                if matches!(event, Event::Disconnected | Event::Closed) {
                    lose.send_replace(true);
                }
                std::future::ready(())
            });
        // The library leaves alone what stands in front of an address. All servers of a cluster know the same users.
        let known = addresses
            .iter()
            .find_map(|address| Some((address.username()?, address.password())));
        connecting = match known {
            Some((user, Some(password))) => connecting.user_and_password(decoded(user), decoded(password)),
            // A word by itself is a token.
            Some((token, None)) => connecting.token(decoded(token)),
            None => connecting,
        };
        if let Some(path) = &options.credentials_file {
            connecting =
                connecting
                    .credentials_file(path)
                    .await
                    .map_err(|source| RelayError::Credentials {
                        path: path.display().to_string(),
                        source,
                    })?;
        }
        let client = connecting.connect(addresses).await.map_err(RelayError::Connect)?;
        let context = jetstream::context::ContextBuilder::new()
            .timeout(ANSWER_MAX)
            .max_ack_inflight(2 * carry::WINDOW)
            .build(client);
        let (stream, is_new) = open_stream(&context, options, warned).await?;
        Ok(Carrier {
            context,
            stream,
            is_new,
            lost,
        })
    }

    /// The sequence of the stream's last message. Warns when that is not one of ours.
    pub(crate) async fn last_sequence(&self, warned: &mut Warned) -> Result<u64, RelayError> {
        let info = self.stream.get_info().await.map_err(RelayError::Info)?;
        let sequence = info.state.last_sequence;
        if sequence == 0 {
            return Ok(sequence);
        }
        let found = self.stream.get_raw_message(sequence).await;
        if let Ok(message) = found
            && id_of(&message.headers).is_none()
            && warned.is_news(format!("foreign {sequence}"))
        {
            tracing::warn!(
                sequence,
                subject = message.subject.as_str(),
                "the last message in {STREAM} is not of this relay: somebody else publishes under {SUBJECTS}. Let only the \
                 relay's user publish there"
            );
        }
        Ok(sequence)
    }

    /// The position of a ledger's last event in the stream, if it has any.
    pub(crate) async fn position_of(
        &self,
        ledger: &Followed,
        warned: &mut Warned,
    ) -> Result<Option<Position>, RelayError> {
        let subjects = message::subjects(&ledger.tenant);
        let found = self.stream.get_last_raw_message_by_subject(&subjects).await;
        let last = match found {
            Ok(last) => last,
            Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => return Ok(None),
            Err(error) => return Err(RelayError::Look(error)),
        };
        let of = ledger.reader.ledger();
        if let Some(position) = position_in(&last.headers, of) {
            return Ok(Some(position));
        }
        if warned.is_news(format!("foreign {} of {}", last.sequence, ledger.tenant)) {
            tracing::warn!(
                sequence = last.sequence,
                subject = last.subject.as_str(),
                tenant = ledger.tenant,
                "a message in {STREAM} under this tenant's subjects is not of its ledger: another program publishes there, \
                 or another installation, which needs a NATS account of its own"
            );
        }
        let oldest = last.sequence.saturating_sub(LOOK_BACK_MAX).max(1);
        for sequence in (oldest..last.sequence).rev() {
            match self.stream.get_raw_message(sequence).await {
                Ok(message) => {
                    if let Some(position) = position_in(&message.headers, of) {
                        return Ok(Some(position));
                    }
                }
                Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => {}
                Err(error) => return Err(RelayError::Look(error)),
            }
        }
        Ok(None)
    }
}

fn id_of(headers: &HeaderMap) -> Option<(LedgerId, Position)> {
    message::parse_id(headers.get(async_nats::header::NATS_MESSAGE_ID)?.as_str())
}

fn position_in(headers: &HeaderMap, of: LedgerId) -> Option<Position> {
    id_of(headers)
        .filter(|(ledger, _)| *ledger == of)
        .map(|(_, position)| position)
}

/// The stream, and whether it was made just now.
async fn open_stream(
    context: &Context,
    options: &Options,
    warned: &mut Warned,
) -> Result<(Stream<Info>, bool), RelayError> {
    let wanted = config(options);
    match context.get_stream(STREAM).await {
        Ok(stream) => {
            let what = differences(&wanted, &stream.cached_info().config);
            if !what.is_empty() && warned.is_news(what.clone()) {
                tracing::warn!(
                    "the stream {STREAM} is not as configured, and is left as it is:{what}. Change it with \
                     `nats stream edit {STREAM}`, or the settings nats_…"
                );
            }
            Ok((stream, false))
        }
        Err(error) if is_missing(&error.kind()) => {
            let made = context.create_stream(wanted).await.map_err(RelayError::Make)?;
            tracing::info!(replicas = options.replicas, "the stream {STREAM} was made");
            Ok((made, true))
        }
        Err(error) => Err(RelayError::Stream(error)),
    }
}

fn is_missing(kind: &GetStreamErrorKind) -> bool {
    matches!(kind, GetStreamErrorKind::JetStream(error) if error.error_code() == ErrorCode::STREAM_NOT_FOUND)
}

fn config(options: &Options) -> Config {
    Config {
        name: STREAM.to_owned(),
        description: Some(
            "Events of Bincard's ledgers. The record is the ledger, not this stream.".to_owned(),
        ),
        subjects: vec![SUBJECTS.to_owned()],
        retention: RetentionPolicy::Limits,
        discard: DiscardPolicy::Old,
        storage: StorageType::File,
        num_replicas: options.replicas,
        max_age: options.age_max,
        max_bytes: match options.bytes_max {
            0 => -1,
            bytes => i64::try_from(bytes).unwrap_or(i64::MAX),
        },
        max_messages: -1,
        max_messages_per_subject: -1,
        max_consumers: -1,
        // NATS wants it no longer than messages are kept.
        duplicate_window: match options.age_max {
            Duration::ZERO => DUPLICATE_WINDOW,
            age => DUPLICATE_WINDOW.min(age),
        },
        ..Config::default()
    }
}

/// What is not as wanted, each begun by a space.
fn differences(wanted: &Config, found: &Config) -> String {
    let mut what = String::new();
    let mut differs = |line: std::fmt::Arguments<'_>| {
        let written = what.write_fmt(line);
        debug_assert!(written.is_ok(), "writing to a string cannot fail");
    };
    if found.num_replicas < wanted.num_replicas {
        let (has, wants) = (found.num_replicas, wanted.num_replicas);
        differs(format_args!(
            " it has {has} replicas instead of {wants}, so what it acknowledged may be lost with a server;"
        ));
    }
    if found.storage != wanted.storage {
        differs(format_args!(" it is kept in memory;"));
    }
    if found.subjects != wanted.subjects {
        let (has, wants) = (&found.subjects, &wanted.subjects);
        differs(format_args!(" its subjects are {has:?} instead of {wants:?};"));
    }
    if found.retention != wanted.retention {
        differs(format_args!(" its retention is not by limits;"));
    }
    if found.max_age != wanted.max_age {
        let (has, wants) = (found.max_age.as_secs(), wanted.max_age.as_secs());
        differs(format_args!(" it keeps messages {has} s instead of {wants};"));
    }
    if found.max_bytes.max(-1) != wanted.max_bytes {
        let (has, wants) = (found.max_bytes, wanted.max_bytes);
        differs(format_args!(" it keeps {has} bytes instead of {wants};"));
    }
    if found.sealed {
        differs(format_args!(" it is sealed, so that nothing can be sent;"));
    }
    if what.ends_with(';') {
        what.pop();
    }
    what
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options() -> Options {
        Options {
            servers: "nats://127.0.0.1:4222".parse().expect("an address"),
            credentials_file: None,
            replicas: 3,
            age_max: Duration::from_secs(60),
            bytes_max: 0,
            render: |_, _, _| Vec::new(),
        }
    }

    #[test]
    fn what_is_not_as_configured_is_named() {
        let wanted = config(&options());
        assert_eq!(differences(&wanted, &wanted), "");
        let found = Config {
            num_replicas: 1,
            max_bytes: 5,
            ..wanted.clone()
        };
        let what = differences(&wanted, &found);
        assert!(
            what.contains("1 replicas instead of 3") && what.ends_with("5 bytes instead of -1"),
            "{what}"
        );
        let more = Config {
            num_replicas: 5,
            ..wanted.clone()
        };
        assert_eq!(
            differences(&wanted, &more),
            "",
            "more replicas than asked are no loss"
        );
    }
}
