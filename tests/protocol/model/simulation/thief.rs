//! A victim and a thief who copied its cookies and keeps pace, for 120 hours.
//!
//! The thief presents the victim's refresh token when the victim has refreshed, and gets the victim's own successor. To
//! know when, it reads what changes with a refresh, or presents the token again and again, and discards the responses.
//! A careful thief stops where one more would be detected, and then has no access.

use super::*;

/// How the victim spends its days.
#[derive(Clone, Copy, Debug)]
enum Victim {
    /// Wants a page every so often, day and night.
    Busy(u64),
    /// The same for fourteen hours of each day, and away for ten.
    AwayTenHours(u64),
    /// Refreshes by a timer, ten minutes before its access token expires, and uses it.
    Timer,
}

/// What the thief sees of the victim's refreshes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sees {
    /// The time of the last refresh, to the minute or not: the change is enough. A page of the application that shows
    /// what its user does has the same effect.
    Refreshes,
    /// Nothing, as with `GET /auth/sessions`. The thief knows when the victim's access token expires.
    Nothing,
}

/// The outcome for the thief.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// The session ended for both.
    Found(u64),
    /// The victim continues, and the thief has no valid token.
    Out(u64),
    Unseen,
}

#[derive(Clone, Copy, Debug)]
struct Plan {
    victim: Victim,
    sees: Sees,
    careful: bool,
}

/// The rules of the server.
#[derive(Clone, Copy, Debug)]
struct Rules {
    table: Table,
    /// Whether access tokens of superseded generations are short.
    short: bool,
}

const REAL: Rules = Rules { table: Table::Real, short: true };

struct Scene {
    server: Server,
    chance: Chance,
    plan: Plan,
    /// The victim's cookies, and the time of its next action.
    refresh: u32,
    access: Access,
    wants_at: u64,
    /// The thief's cookies of the victim's generation, and what it has seen of the last refresh.
    stolen: Option<u32>,
    stolen_access: Access,
    seen: u32,
    /// When the thief presents the token again, and how many responses it discarded.
    presents_at: u64,
    discarded: u32,
    served: u64,
}

const END: u64 = 120 * HOUR;
/// The thief's steps; it polls in each.
const STEP: u64 = 5 * SECOND;

impl Scene {
    fn new(rules: Rules, plan: Plan, seed: u64) -> Self {
        let mut server = Server::new(rules.table);
        server.short = rules.short;
        let access = Access { generation: 1, expires_at: BEGIN + LONG };
        let mut scene = Self {
            server,
            chance: Chance(seed),
            plan,
            refresh: 1,
            access,
            wants_at: 0,
            stolen: Some(1),
            stolen_access: access,
            seen: 1,
            presents_at: 0,
            discarded: 0,
            served: 0,
        };
        scene.wants_at = scene.next_want(BEGIN);
        scene.presents_at = scene.guess(BEGIN);
        scene
    }

    /// Returns when the victim requests a page after `now`.
    fn next_want(&mut self, now: u64) -> u64 {
        match self.plan.victim {
            Victim::Busy(mean) => now + self.chance.wait(mean),
            Victim::AwayTenHours(mean) => {
                let at = now + self.chance.wait(mean);
                let hour = (at - BEGIN) / HOUR % 24;
                if hour < 14 { at } else { at + (24 - hour) * HOUR }
            }
            Victim::Timer => self.access.expires_at - 10 * MINUTE,
        }
    }

    /// Returns when the thief presents a token next, having got the victim's successor at `now`.
    fn guess(&self, now: u64) -> u64 {
        match (self.plan.victim, self.plan.sees) {
            // As late as the thief's own access token allows.
            (Victim::Busy(_) | Victim::AwayTenHours(_), Sees::Refreshes) => now + LONG - WINDOW - 2 * STEP,
            // The victim refreshes with its first request after this.
            (Victim::Busy(_) | Victim::AwayTenHours(_), Sees::Nothing) => now + LONG,
            (Victim::Timer, _) => now + LONG - 10 * MINUTE,
        }
    }

    fn victim_acts(&mut self, now: u64) {
        if now >= self.access.expires_at || matches!(self.plan.victim, Victim::Timer) {
            let Some(response) = self.server.refresh(self.refresh, now) else { return };
            self.refresh = response.refresh.unwrap_or(self.refresh);
            self.access = response.access;
        }
        self.server.note(self.access, now);
        self.wants_at = self.next_want(now);
    }

    /// Presents this token of the victim. Returns whether the thief gets the victim's current token.
    fn thief_presents(&mut self, token: u32, now: u64) -> bool {
        let Some(Response { refresh, access }) = self.server.refresh(token, now) else { return false };
        let is_victims = refresh.is_some_and(|refresh| refresh == self.refresh);
        match refresh {
            // Its age shows that it is no repeat of the thief's own.
            Some(refresh) if is_victims => {
                (self.stolen, self.seen) = (Some(refresh), refresh);
                self.stolen_access = access;
                self.discarded = 0;
                self.presents_at = self.guess(now);
            }
            Some(refresh) => {
                self.discarded = refresh - token;
                self.seen = refresh;
                self.presents_at = now + WINDOW;
            }
            None => {
                self.stolen_access = access;
                // In time for the next one, if the thief needs it.
                let apart = if self.plan.sees == Sees::Refreshes { SHORT - WINDOW - STEP } else { WINDOW };
                self.presents_at = now + apart;
            }
        }
        is_victims
    }

    fn thief_acts(&mut self, now: u64) -> Option<Fate> {
        let elapsed = now - BEGIN;
        let has_access = self.server.serves(self.stolen_access, now);
        self.served += u64::from(has_access);
        let Some(token) = self.stolen else {
            return (!has_access).then_some(Fate::Out(elapsed));
        };
        let sees = self.plan.sees == Sees::Refreshes && has_access && self.server.record.generation != self.seen;
        if sees {
            self.thief_presents(token, now);
        } else if now >= self.presents_at {
            // One more, and the victim's next refresh ends the session.
            let rotates = self
                .server
                .record
                .rotated_at
                .is_none_or(|at| Timestamp::from_millis(now).since(at) >= Duration::from_millis(2 * WINDOW));
            let is_last = rotates && self.discarded >= SessionRecord::MAX_LOST_ANSWERS;
            if is_last && self.plan.careful && self.server.table == Table::Real {
                self.stolen = None;
            } else {
                self.thief_presents(token, now);
            }
        }
        None
    }

    fn run(mut self) -> (Fate, u64) {
        let mut now = BEGIN;
        while now < BEGIN + END {
            now += STEP;
            while self.wants_at <= now {
                self.victim_acts(self.wants_at);
                if self.server.over {
                    return (Fate::Found(now - BEGIN), self.served);
                }
            }
            if let Some(fate) = self.thief_acts(now) {
                return (fate, self.served);
            }
            if self.server.over {
                return (Fate::Found(now - BEGIN), self.served);
            }
        }
        (Fate::Unseen, self.served)
    }
}

/// Returns how many of so many thieves, each with another victim, are undetected.
fn unseen(rules: Rules, plan: Plan, runs: u64) -> usize {
    let (mut found, mut out, mut unseen, mut served) = (Vec::new(), Vec::new(), 0, Vec::new());
    for seed in 0..runs {
        let (fate, requests) = Scene::new(rules, plan, seed).run();
        match fate {
            Fate::Found(at) => found.push(at),
            Fate::Out(at) => out.push(at),
            Fate::Unseen => unseen += 1,
        }
        served.push(requests);
    }
    let (found, out, served) = (spread(found, HOUR), spread(out, HOUR), spread(served, 1));
    print(&format!(
        "{runs} thieves, {plan:?}, {rules:?}: found {found}; out {out}; unseen for 120 hours: {unseen}; requests \
         served {served}\n"
    ));
    unseen
}

/// Formats the number of values and their 10th, 50th and 90th percentiles.
fn spread(mut values: Vec<u64>, unit: u64) -> String {
    values.sort_unstable();
    let Some(last) = values.len().checked_sub(1) else { return "0".to_owned() };
    let [few, half, most] = [10, 50, 90].map(|percent| values[last * percent / 100] as f64 / unit as f64);
    format!("{} ({few:.1} {half:.1} {most:.1})", values.len())
}

const EVERY_MINUTE: Victim = Victim::Busy(MINUTE);
const AWAY: Victim = Victim::AwayTenHours(MINUTE);

#[test]
fn thief_keeping_pace_is_detected_or_out() {
    let runs = runs("THEFT_RUNS", 40);
    for careful in [false, true] {
        for victim in [EVERY_MINUTE, Victim::Busy(10 * MINUTE), AWAY] {
            let plan = Plan { victim, sees: Sees::Nothing, careful };
            assert_eq!(unseen(REAL, plan, runs), 0);
        }
        // Where a page shows what the victim does, its first long pause ends the theft.
        for victim in [Victim::Busy(10 * MINUTE), AWAY] {
            let plan = Plan { victim, sees: Sees::Refreshes, careful };
            assert_eq!(unseen(REAL, plan, runs), 0);
        }
    }
}

/// A limit that only a binding to the device would remove: the thief knows when the victim refreshes.
#[test]
fn thief_knowing_refresh_times_is_not_detected() {
    let runs = runs("THEFT_RUNS", 40);
    let timer = Plan { victim: Victim::Timer, sees: Sees::Nothing, careful: true };
    assert_eq!(unseen(REAL, timer, runs), runs as usize);
    let shown = Plan { victim: EVERY_MINUTE, sees: Sees::Refreshes, careful: true };
    assert!(unseen(REAL, shown, runs) > 0);
}

#[test]
fn broken_rules_violate_properties() {
    let runs = runs("THEFT_RUNS", 40);
    for victim in [EVERY_MINUTE, AWAY] {
        for (sees, careful) in [(Sees::Refreshes, true), (Sees::Nothing, true), (Sees::Nothing, false)] {
            let plan = Plan { victim, sees, careful };
            let before = Rules { table: Table::LosesWithoutEnd, short: false };
            assert_eq!(unseen(before, plan, runs), runs as usize);
            assert_eq!(unseen(Rules { short: true, ..before }, plan, runs), runs as usize);
        }
    }
}
