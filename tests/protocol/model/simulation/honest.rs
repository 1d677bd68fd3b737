//! Browsers with three busy tabs on a network that loses one response in ten, and half of them in bad minutes.

use super::*;

/// An event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    /// A tab wants a page.
    Want,
    /// The response to a refresh that reached the server arrives or is lost.
    Reach {
        generation: u32,
    },
    Land {
        refresh: Option<u32>,
        generation: u32,
        expires_at: u64,
    },
    /// A node notes the use of this generation.
    Note {
        generation: u32,
    },
    BadMinutes,
}

struct Network {
    loses: f64,
    loses_in_bad_minutes: f64,
}

struct Browser<'n> {
    network: &'n Network,
    chance: Chance,
    server: Server,
    refresh: u32,
    access: Access,
    /// Coming events, soonest first.
    events: BinaryHeap<std::cmp::Reverse<(u64, u64, Event)>>,
    scheduled: u64,
    bad_until: u64,
    /// The largest distance that was met.
    furthest: usize,
    refreshes: u64,
}

const TABS: u64 = 3;
/// How often each of them requests a page.
const BUSY: u64 = 2 * MINUTE;
/// A working day.
const DAY: u64 = 12 * HOUR;
/// The longest round trip: half a window, as the models assume.
const ONE_WAY: u64 = WINDOW / 4;

impl<'n> Browser<'n> {
    fn new(network: &'n Network, table: Table, seed: u64) -> Self {
        let access = Access { generation: 1, expires_at: BEGIN + LONG };
        let mut browser = Self {
            network,
            chance: Chance(seed),
            server: Server::new(table),
            refresh: 1,
            access,
            events: BinaryHeap::new(),
            scheduled: 0,
            bad_until: 0,
            furthest: 0,
            refreshes: 0,
        };
        for _ in 0..TABS {
            let wait = browser.chance.wait(BUSY);
            browser.schedule(BEGIN + wait, Event::Want);
        }
        let bad = browser.chance.wait(4 * HOUR);
        browser.schedule(BEGIN + bad, Event::BadMinutes);
        browser
    }

    fn schedule(&mut self, at: u64, event: Event) {
        self.scheduled += 1;
        self.events.push(std::cmp::Reverse((at, self.scheduled, event)));
    }

    fn loses(&mut self, now: u64) -> bool {
        let bad = now < self.bad_until;
        self.chance.happens(if bad { self.network.loses_in_bad_minutes } else { self.network.loses })
    }

    /// Returns whether the session stayed for the day.
    fn day(&mut self) -> bool {
        while let Some(std::cmp::Reverse((now, _, event))) = self.events.pop() {
            if now > BEGIN + DAY || self.server.over {
                break;
            }
            self.take(now, event);
        }
        !self.server.over
    }

    fn take(&mut self, now: u64, event: Event) {
        let one_way = self.chance.between(20, ONE_WAY);
        match event {
            Event::Want if now < self.access.expires_at => {
                if !self.loses(now) && !self.chance.happens(0.01) {
                    self.schedule(now + one_way, Event::Note { generation: self.access.generation });
                }
                let wait = self.chance.wait(BUSY);
                self.schedule(now + wait, Event::Want);
            }
            Event::Want => {
                if !self.loses(now) {
                    self.schedule(now + one_way, Event::Reach { generation: self.refresh });
                }
                // Lost or not, the tab checks again: the user reloads, or it waits for the response.
                let wait = self.chance.between(WINDOW / 2, 4 * WINDOW);
                self.schedule(now + wait, Event::Want);
            }
            Event::Reach { generation } => {
                let Some(Response { refresh, access }) = self.server.refresh(generation, now) else { return };
                self.refreshes += 1;
                self.furthest = self.furthest.max(self.server.distance());
                let Access { generation, expires_at } = access;
                if !self.loses(now) {
                    self.schedule(now + one_way, Event::Land { refresh, generation, expires_at });
                }
            }
            Event::Land { refresh, generation, expires_at } => {
                self.access = Access { generation, expires_at };
                self.refresh = refresh.unwrap_or(self.refresh);
            }
            Event::Note { generation } => self.server.note(Access { generation, expires_at: 0 }, now),
            Event::BadMinutes => {
                self.bad_until = now + self.chance.wait(3 * MINUTE);
                let wait = self.chance.wait(4 * HOUR);
                self.schedule(now + wait, Event::BadMinutes);
            }
        }
    }
}

/// Returns how many browsers are logged out, and how often the newest generation got how far ahead.
fn days(network: &Network, table: Table, runs: u64) -> (u64, Vec<u64>) {
    let threads = 2;
    let parts: Vec<(u64, Vec<u64>, u64)> = std::thread::scope(|scope| {
        let part = |thread| {
            move || {
                let (mut out, mut furthest, mut refreshes) = (0, vec![0; 32], 0);
                for run in (thread..runs).step_by(threads as usize) {
                    let mut browser = Browser::new(network, table, run);
                    out += u64::from(!browser.day());
                    furthest[browser.furthest.min(31)] += 1;
                    refreshes += browser.refreshes;
                }
                (out, furthest, refreshes)
            }
        };
        let threads: Vec<_> = (0..threads).map(|thread| scope.spawn(part(thread))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let mut furthest = vec![0; 32];
    let (mut out, mut refreshes) = (0, 0);
    for (ended, ahead, asked) in parts {
        out += ended;
        refreshes += asked;
        furthest.iter_mut().zip(ahead).for_each(|(sum, ahead)| *sum += ahead);
    }
    while furthest.last() == Some(&0) {
        furthest.pop();
    }
    print(&format!(
        "{runs} honest browsers, {:.0} % of what they send or get is lost, {:.0} % in bad minutes, {table:?}: {out} logged \
         out in {refreshes} refreshes; responses lost in a row at most, by browsers: {furthest:?}\n",
        network.loses * 100.0,
        network.loses_in_bad_minutes * 100.0,
    ));
    (out, furthest)
}

const BAD_NETWORK: Network = Network { loses: 0.1, loses_in_bad_minutes: 0.5 };

#[test]
fn honest_browsers_on_bad_network_keep_sessions() {
    let (out, _) = days(&BAD_NETWORK, Table::Real, runs("HONEST_RUNS", 2_000));
    assert_eq!(out, 0);
}

#[test]
fn too_small_bound_of_losses_is_detected() {
    let (out, _) = days(&BAD_NETWORK, Table::LosesOnce, 500);
    assert!(out > 0);
}
