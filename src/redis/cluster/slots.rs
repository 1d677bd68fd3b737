//! Maps slots to servers, and reads redirections.

use fred::{
    error::Error as FredError,
    types::{Value, config::Server},
    util::redis_keyslot,
};

use super::super::reply::Unreadable;

const SLOTS: usize = 16_384;

/// Returns the slot of a key: of its part in braces, or of all of it.
pub(super) fn slot(key: &str) -> u16 {
    redis_keyslot(key.as_bytes())
}

/// The owner of each slot, as far as it is known.
#[derive(Default)]
pub(super) struct Slots {
    owners: Vec<Server>,
    /// For each slot one more than its place in `owners`.
    places: Vec<u16>,
}

impl Slots {
    /// Reads the answer of `from` to `CLUSTER SLOTS`.
    pub(super) fn read(answer: Value, from: &Server) -> Result<Self, Unreadable> {
        let unreadable = || Unreadable("invalid cluster slots");
        let mut slots = Self::default();
        for range in answer.into_array() {
            let range = range.into_array();
            let [first, last, primary, ..] = range.as_slice() else { return Err(unreadable()) };
            let number = |value: &Value| value.as_u64().and_then(|slot| u16::try_from(slot).ok());
            let (Some(first), Some(last)) = (number(first), number(last)) else { return Err(unreadable()) };
            let primary = primary.clone().into_array();
            let [host, port, ..] = primary.as_slice() else { return Err(unreadable()) };
            let port = number(port).ok_or_else(unreadable)?;
            let host = match host.as_string() {
                // The server does not know its own name.
                None => from.host.to_string(),
                Some(host) => named(&host, from),
            };
            let owner = Server::new(host, port);
            for slot in first..=last {
                slots.set(slot, &owner);
            }
        }
        Ok(slots)
    }

    pub(super) fn owner(&self, slot: u16) -> Option<&Server> {
        let place = usize::from(*self.places.get(usize::from(slot))?);
        self.owners.get(place.checked_sub(1)?)
    }

    pub(super) fn set(&mut self, slot: u16, owner: &Server) {
        let place = self.owners.iter().position(|known| known == owner).unwrap_or_else(|| {
            self.owners.push(owner.clone());
            self.owners.len() - 1
        });
        self.places.resize(SLOTS, 0);
        if let (Some(entry), Ok(place)) = (self.places.get_mut(usize::from(slot)), u16::try_from(place + 1)) {
            *entry = place;
        }
    }

    pub(super) fn owners(&self) -> &[Server] {
        &self.owners
    }

    pub(super) fn is_empty(&self) -> bool {
        self.owners.is_empty()
    }
}

/// Returns the host that `from` named. A server names itself in two ways.
fn named(host: &str, from: &Server) -> String {
    if matches!(host, "" | "?") { from.host.to_string() } else { host.to_owned() }
}

/// The answer of a server that does not have the keys, or not all of them.
#[derive(Debug, PartialEq)]
pub(super) enum Redirection {
    /// The slot has another owner.
    Moved(u16, Server),
    /// The slot is being moved, and these keys have arrived.
    Ask(Server),
    /// The slot is being moved, and only some of these keys have arrived.
    TryAgain,
}

impl Redirection {
    /// Reads an error that `from` answered.
    pub(super) fn of(error: &FredError, from: &Server) -> Option<Self> {
        let mut words = error.details().split(' ');
        let kind = words.next()?;
        if kind == "TRYAGAIN" {
            return Some(Self::TryAgain);
        }
        let slot = words.next()?.parse().ok()?;
        let (host, port) = words.next()?.rsplit_once(':')?;
        let server = Server::new(named(host, from), port.parse().ok()?);
        match kind {
            "MOVED" => Some(Self::Moved(slot, server)),
            "ASK" => Some(Self::Ask(server)),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use fred::error::ErrorKind;

    use super::*;

    fn here() -> Server {
        Server::new("10.0.0.1", 7000)
    }

    fn redirection(error: &'static str) -> Option<Redirection> {
        Redirection::of(&FredError::new(ErrorKind::Cluster, error), &here())
    }

    fn range(first: i64, last: i64, host: Value, port: i64) -> Value {
        Value::Array(vec![first.into(), last.into(), Value::Array(vec![host, port.into(), "id".into()])])
    }

    #[test]
    fn redirections_are_read() {
        assert_eq!(
            redirection("MOVED 3999 10.0.0.2:6381"),
            Some(Redirection::Moved(3999, Server::new("10.0.0.2", 6381)))
        );
        assert_eq!(
            redirection("ASK 3999 redis.example:6381"),
            Some(Redirection::Ask(Server::new("redis.example", 6381)))
        );
        assert_eq!(redirection("MOVED 1 ::1:6381"), Some(Redirection::Moved(1, Server::new("::1", 6381))));
        assert_eq!(redirection("MOVED 1 :6381"), Some(Redirection::Moved(1, Server::new("10.0.0.1", 6381))));
        // "Unknown", where the server prefers names and has none: as CLUSTER SLOTS says it.
        assert_eq!(redirection("MOVED 1 ?:6381"), Some(Redirection::Moved(1, Server::new("10.0.0.1", 6381))));
        assert_eq!(redirection("TRYAGAIN Multiple keys request during rehashing of slot"), Some(Redirection::TryAgain));
        for other in ["", "ERR unknown", "MOVED", "MOVED 1", "MOVED x y:1", "MOVED 1 y", "MOVED 1 y:x", "ASK 99999 y:1"]
        {
            assert_eq!(redirection(other), None, "{other}");
        }
    }

    #[test]
    fn slots_are_read() {
        let answer = Value::Array(vec![
            range(0, 9, "a".into(), 1),
            range(10, 10, Value::Null, 2),
            range(12, 16383, "a".into(), 1),
        ]);
        let mut slots = Slots::read(answer, &here()).unwrap_or_default();
        assert_eq!(slots.owner(9), Some(&Server::new("a", 1)));
        assert_eq!(slots.owner(10), Some(&Server::new("10.0.0.1", 2)));
        assert_eq!(slots.owner(11), None);
        assert_eq!(slots.owner(16383), Some(&Server::new("a", 1)));
        assert_eq!(slots.owners().len(), 2);
        slots.set(11, &Server::new("b", 3));
        assert_eq!(slots.owner(11), Some(&Server::new("b", 3)));
        assert_eq!(slots.owner(12), Some(&Server::new("a", 1)));
        slots.set(u16::MAX, &Server::new("b", 3));
    }

    #[test]
    fn other_answers_are_refused() {
        for wrong in [
            Value::Array(vec!["x".into()]),
            Value::Array(vec![range(0, 70_000, "a".into(), 1)]),
            Value::Array(vec![range(0, 1, "a".into(), 70_000)]),
        ] {
            assert!(Slots::read(wrong, &here()).is_err());
        }
    }
}
