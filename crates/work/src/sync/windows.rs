//! Windows of one part side by side, each from its own place on.
//!
//! In: a part with its state. Out: pages of several windows, each with the state of the part after
//! it: up to where everything has landed, and of every window beyond that whether it is done or
//! after which page it stands. The cursor moves only over windows that are whole, in their order.
//! A window that was begun keeps its bounds, whatever the definition says by then, so that no time
//! is read twice and none is left out.
//!
//! A page and the state after it go to the lander under one lock: a state is never ahead of the
//! pages that it covers. Windows near now are not read here but one after the other: how far they
//! reach depends on the api's clock, which is known only from its answers. A state has room for so
//! many windows beyond the cursor; when it is full, the lines that have nothing to read wait until
//! the cursor has moved.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use futures::future::join_all;
use restway_model::Cursor;
use restway_model::definition::Incremental;
use serde::{Deserialize, Serialize};
use tokio::sync::{Mutex, Notify};

use super::reader::{Part, ReadPart, Reader, WINDOWS_MAX};
use super::sieve::Highest;
use super::state::{HalfWalk, Kept, Leg, PartState};
use crate::WorkError;

/// Windows beyond the cursor that a state has room for; more are begun when it has moved.
const AHEAD_MAX: usize = 256;
/// How far from the api's clock ours may be where windows are read side by side.
const CLOCKS_APART: TimeDelta = TimeDelta::days(1);

/// A window beyond the cursor.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Ahead {
    pub(super) leg: Leg,
    /// The walk that did not end.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(super) walk: Option<HalfWalk>,
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub(super) is_done: bool,
}

/// The windows of a part.
#[derive(Debug)]
pub(super) struct Windows {
    state: PartState,
    /// Where the next window begins.
    edge: Highest,
    /// When the reading began.
    now: DateTime<Utc>,
    begun: usize,
    /// One of them failed: no other is begun.
    is_failed: bool,
    /// Told when a window has ended.
    ended: Arc<Notify>,
}

/// What there is for a line to do.
enum Turn {
    Read(Box<Next>),
    /// The state is full: a window that is being read must end first.
    Wait,
    /// What follows is not for here.
    End,
}

/// A window that is to be read.
struct Next {
    start: DateTime<Utc>,
    leg: Leg,
    walk: Option<HalfWalk>,
    /// What lies before has landed.
    low: Highest,
}

impl Windows {
    /// The state of the part now.
    pub(super) fn state(&self) -> PartState {
        self.state.clone()
    }

    /// A window's walk stands between two pages.
    pub(super) fn stands(&mut self, start: DateTime<Utc>, walk: HalfWalk) {
        if let Some(window) = self.state.ahead.get_mut(&start) {
            window.walk = Some(walk);
        }
    }

    /// A window is whole; the cursor moves over all that are, up to the first that is not.
    pub(super) fn ends(&mut self, start: DateTime<Utc>) {
        if let Some(window) = self.state.ahead.get_mut(&start) {
            window.is_done = true;
            window.walk = None;
        }
        self.ended.notify_waiters();
        while let Some(first) = self.state.ahead.first_entry() {
            let Some(to) = first.get().leg.to.filter(|_| first.get().is_done) else { break };
            first.remove();
            let reached = self.at(to);
            self.state.reached = Kept::of(&reached);
            // What an earlier process read beyond it is not begun again.
            if self.edge.cursor.as_ref().and_then(Cursor::instant).is_none_or(|edge| edge < to) {
                self.edge = reached;
            }
        }
    }

    /// Where everything before an instant has landed, and what landed from beyond the present.
    fn at(&self, instant: DateTime<Utc>) -> Highest {
        let (cursor, ahead) = (Some(Cursor::Instant(instant)), self.edge.ahead.clone());
        Highest { cursor, ahead, ..Highest::default() }
    }

    /// The next window that is to be read.
    fn next(&mut self, incremental: &Incremental) -> Turn {
        while !self.is_failed && self.begun < WINDOWS_MAX {
            let Some(start) = self.edge.cursor.as_ref().and_then(Cursor::instant) else { break };
            let known = self.state.ahead.get(&start).cloned();
            let Some(window) = known.or_else(|| self.following(incremental, start)) else { break };
            let Some(to) = window.leg.to else { break };
            let is_behind = self.state.ahead.range(start..).next().is_some();
            if !is_behind && self.state.ahead.len() >= AHEAD_MAX {
                return Turn::Wait;
            }
            self.state.ahead.entry(start).or_insert_with(|| window.clone());
            let edge = self.at(to);
            let low = std::mem::replace(&mut self.edge, edge);
            if !window.is_done {
                self.begun += 1;
                let (leg, walk) = (window.leg, window.walk);
                return Turn::Read(Box::new(Next { start, leg, walk, low }));
            }
        }
        Turn::End
    }

    /// The window at `start`, up to the one that was begun behind it; none that is not for here.
    fn following(&self, incremental: &Incremental, start: DateTime<Utc>) -> Option<Ahead> {
        let is_first = self.begun == 0;
        let mut leg = Leg::next(incremental, self.edge.cursor.as_ref(), is_first, self.now)?;
        let follows = self.state.ahead.range(start..).next().map(|(start, _)| *start);
        if let (Some(follows), Some(to)) = (follows, leg.to) {
            let to = Some(to.min(follows));
            leg = Leg { to, is_bounded: true, is_last: false, ..leg };
        }
        let settle = incremental.settle.and_then(|it| TimeDelta::from_std(it.0).ok());
        let latest = self.now - CLOCKS_APART - settle.unwrap_or_default();
        let is_past = follows.is_some() || leg.to.is_some_and(|to| to <= latest);
        let is_for_here = is_past && !leg.is_last;
        is_for_here.then_some(Ahead { leg, walk: None, is_done: false })
    }
}

impl Reader<'_> {
    /// Reads the windows that lie well in the past side by side; answers with where the part
    /// stands then.
    pub(super) async fn side_by_side(
        &mut self,
        incremental: &Incremental,
        state: PartState,
        reached: Highest,
    ) -> Result<Highest, WorkError> {
        let format = &incremental.send.format;
        let of = format!("{} as {format}", incremental.cursor);
        let state = PartState { reached: Kept::of(&reached), of: Some(of), walk: None, ..state };
        let (edge, now) = (reached.clone(), self.workspace.clock.now());
        let ended = Arc::default();
        let windows = Windows { state, edge, now, begun: 0, is_failed: false, ended };
        let windows = Arc::new(Mutex::new(windows));
        let lines = (0..self.at_once.max(1)).map(|_| self.line(incremental, &windows));
        let mut failed = None;
        for (read, done) in join_all(lines).await {
            self.done.counts.add(&done.counts);
            self.done.spent.add(done.spent);
            self.done.sifted.add(done.sifted);
            self.done.windows += done.windows;
            self.done.is_open |= done.is_open;
            failed = failed.or(read.err());
        }
        let windows = windows.lock().await;
        if windows.begun > 0 {
            self.done.after.clone_from(&windows.state.reached.cursor);
            self.done.state = Some(windows.state());
        }
        match failed {
            Some(error) => Err(error),
            // All that was begun is whole.
            None => Ok(windows.edge.clone()),
        }
    }

    /// One window after the other, while there are any.
    async fn line(
        &self,
        incremental: &Incremental,
        windows: &Arc<Mutex<Windows>>,
    ) -> (Result<(), WorkError>, ReadPart) {
        let mut done = ReadPart::default();
        let ended = Arc::clone(&windows.lock().await.ended);
        loop {
            // Who asks to be told before it looks misses no end.
            let mut told = std::pin::pin!(ended.notified());
            told.as_mut().enable();
            let turn = windows.lock().await.next(incremental);
            let next = match turn {
                Turn::Read(next) => *next,
                Turn::Wait => {
                    told.await;
                    continue;
                }
                Turn::End => return (Ok(()), done),
            };
            let mut reader = self.of_window(next.start, Arc::clone(windows));
            let half = next.walk.filter(|half| reader.is_current(half));
            let read = reader.leg(incremental, next.leg, next.low, half).await;
            done.counts.add(&reader.done.counts);
            done.spent.add(reader.done.spent);
            done.sifted.add(reader.done.sifted);
            done.is_open |= reader.done.is_open;
            if let Err(error) = read {
                // The others go on to their ends: what they read is theirs.
                windows.lock().await.is_failed = true;
                ended.notify_waiters();
                return (Err(error), done);
            }
            done.windows += 1;
        }
    }

    fn of_window(&self, start: DateTime<Utc>, windows: Arc<Mutex<Windows>>) -> Self {
        Self {
            workspace: self.workspace,
            chosen: self.chosen,
            way: self.way,
            part: Part {
                name: Arc::clone(&self.part.name),
                parent: Arc::clone(&self.part.parent),
                carried: Arc::clone(&self.part.carried),
                file: None,
            },
            sender: self.sender,
            stop: self.stop.clone(),
            at_once: 1,
            window: Some((start, windows)),
            done: ReadPart::default(),
            raw: self.raw.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use restway_model::Timespan;
    use restway_model::definition::{SendCursor, StartValue};

    use super::*;

    fn instant(text: &str) -> DateTime<Utc> {
        text.parse().expect(text)
    }

    fn daily(days: u64) -> Incremental {
        Incremental {
            cursor: "at".parse().expect("a path"),
            send: SendCursor::default(),
            start: Some(StartValue::Text("2026-01-01".into())),
            lookback: None,
            settle: None,
            future: false,
            window: Some(Timespan(Duration::from_secs(days * 86_400))),
            scope: None,
        }
    }

    /// A reading that begins at noon of January 6th.
    fn windows(state: PartState, incremental: &Incremental) -> Windows {
        let edge = Highest { cursor: incremental.first(), ..Highest::default() };
        let (now, ended) = (instant("2026-01-06T12:00:00Z"), Arc::default());
        Windows { state, edge, now, begun: 0, is_failed: false, ended }
    }

    fn begun(windows: &mut Windows, incremental: &Incremental) -> Vec<String> {
        let mut said = Vec::new();
        while let Turn::Read(next) = windows.next(incremental) {
            let to = next.leg.to.expect("an end");
            said.push(format!("{} {}", next.start.format("%d"), to.format("%d")));
        }
        said
    }

    #[test]
    fn the_cursor_moves_over_whole_windows_only_and_none_is_near_now() {
        let incremental = daily(1);
        let mut windows = windows(PartState::default(), &incremental);
        assert_eq!(begun(&mut windows, &incremental), ["01 02", "02 03", "03 04", "04 05"]);
        let start = |day| instant(&format!("2026-01-{day:02}T00:00:00Z"));
        windows.ends(start(2));
        assert_eq!(windows.state().reached, Kept::default());
        windows.ends(start(1));
        assert_eq!(windows.state().reached.cursor.as_deref(), Some("2026-01-03T00:00:00Z"));
        assert_eq!(windows.state().ahead.len(), 2);
    }

    #[test]
    fn windows_that_were_begun_keep_their_bounds_and_gaps_are_filled() {
        let incremental = daily(1);
        let mut before = windows(PartState::default(), &incremental);
        begun(&mut before, &incremental);
        before.ends(instant("2026-01-03T00:00:00Z"));
        let mut state = before.state();
        state.ahead.remove(&instant("2026-01-02T00:00:00Z"));
        let text = serde_json::to_string(&state).expect("JSON");
        for incremental in [daily(30), Incremental { window: None, ..daily(1) }] {
            let state = serde_json::from_str(&text).expect("a state");
            let mut again = windows(state, &incremental);
            assert_eq!(begun(&mut again, &incremental), ["01 02", "02 03", "04 05"]);
        }
        // The window before those that are done ends before another is begun.
        let mut again = windows(before.state(), &incremental);
        assert!(matches!(again.next(&incremental), Turn::Read(_)), "the first");
        again.ends(instant("2026-01-01T00:00:00Z"));
        assert_eq!(begun(&mut again, &incremental), ["02 03", "04 05"]);
        again.ends(instant("2026-01-02T00:00:00Z"));
        let mut last = windows(again.state(), &incremental);
        last.edge = Highest::default();
        last.state.ahead.entry(instant("2026-01-04T00:00:00Z")).and_modify(|it| it.is_done = true);
        last.ends(instant("2026-01-04T00:00:00Z"));
        assert_eq!(last.edge.cursor, Some(Cursor::Instant(instant("2026-01-05T00:00:00Z"))));
    }

    #[test]
    fn a_full_state_is_waited_for_and_gaps_in_it_are_filled() {
        let incremental =
            Incremental { start: Some(StartValue::Text("2024-01-01".into())), ..daily(1) };
        let mut full = windows(PartState::default(), &incremental);
        assert_eq!(begun(&mut full, &incremental).len(), AHEAD_MAX);
        assert!(matches!(full.next(&incremental), Turn::Wait), "there are 477 days more");
        full.ends(instant("2024-01-02T00:00:00Z"));
        assert!(matches!(full.next(&incremental), Turn::Wait), "the cursor did not move");
        let mut state = full.state();
        full.ends(instant("2024-01-01T00:00:00Z"));
        assert_eq!(begun(&mut full, &incremental).len(), 2);
        // A window that is missing in front of full ones is not left out.
        let first = state.ahead.remove(&instant("2024-01-01T00:00:00Z")).expect("the first");
        state.ahead.insert(instant("2025-06-01T00:00:00Z"), Ahead { is_done: true, ..first });
        let mut again = windows(state, &incremental);
        let Turn::Read(next) = again.next(&incremental) else { panic!("a gap is filled") };
        assert_eq!(next.start, instant("2024-01-01T00:00:00Z"));
        again.is_failed = true;
        assert!(matches!(again.next(&incremental), Turn::End));
    }
}
