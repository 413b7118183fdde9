//! The script that shows a connection to its observer. What comes by the packet is told where it happens. All else
//! is compared with what was shown last, once in each call of the driver, and only if somebody watches.

use super::{
    Connection,
    seen::{Seen, SeenPath},
};
use crate::{
    base::Timestamp,
    congestion::Controller as _,
    event::{EarlyData, Event},
    frame::Ack,
    ids::{Level, PathId, Side, Space, StreamId},
    path::Path,
    recovery::TimerKind,
    trace::{
        ConnectionStart, ConnectionState, KeyUpdate, LayerEvent, LossTrigger, MigrationState, Observer,
        PathMetrics, RecoveryTimer, StreamChange, TimerChange, TraceEvent,
    },
};

/// The levels, in the order of their numbers.
const LEVELS: [Level; 4] = [Level::Initial, Level::ZeroRtt, Level::Handshake, Level::OneRtt];

impl SeenPath {
    fn of(path: &Path) -> Self {
        let route = &path.route;
        Self { id: path.id, remote: route.remote, local_ip: route.local_ip, validated: route.is_validated() }
    }
}

impl From<TimerKind> for RecoveryTimer {
    fn from(kind: TimerKind) -> Self {
        match kind {
            TimerKind::LossTime => Self::LossTime,
            TimerKind::Pto => Self::Pto,
        }
    }
}

/// Observers.
impl Connection {
    /// Reports everything that happens from now on to `observer`, besides the one from
    /// [`TransportConfig::observers`](crate::TransportConfig::observers). It is first shown what the connection began
    /// with, and the first of several observers also how things stand.
    pub fn add_observer(&mut self, observer: Box<dyn Observer>) {
        self.watch(observer);
    }

    /// Whether somebody observes the connection.
    #[must_use]
    pub fn is_observed(&self) -> bool {
        self.out.trace.is_on()
    }

    /// Shows the observer, if there is one, an event of a layer above.
    pub fn trace(&mut self, now: Timestamp, event: &LayerEvent<'_>) {
        if self.out.trace.is_on() {
            let now = self.clock.read(now);
            self.out.trace.emit(now, || TraceEvent::Layer(event));
        }
    }

    /// What is known when the observer comes.
    pub(super) fn start_of_trace(&self) -> ConnectionStart {
        let route = &self.paths.active.route;
        ConnectionStart {
            side: self.side,
            original_destination: self.first_flight.expected_ids().original_destination,
            local_cid: self.cids.local.handshake(),
            remote_cid: self.cids.remote.current(),
            remote: route.remote,
            local_ip: route.local_ip,
            version: self.first_flight.version(),
        }
    }

    /// The observer sees the connection from now on.
    pub(super) fn watch(&mut self, mut observer: Box<dyn Observer>) {
        let (now, side, start) = (self.clock.last(), self.side, self.start_of_trace());
        observer.on_event(now, &TraceEvent::Started(&start));
        if self.out.seen.as_ref().is_some_and(|seen| seen.local_parameters) {
            let parameters = &self.parameters_as_told();
            observer.on_event(now, &TraceEvent::ParametersSet { owner: side, observer: side, parameters });
        }
        self.out.trace.add(observer);
        if self.out.seen.is_some() {
            return;
        }
        self.recovery.note_losses();
        let cids = self.cids.local.active().collect();
        let seen = Seen::new(cids, self.cids.remote.current(), self.limited.by());
        self.out.seen = Some(Box::new(seen));
        if self.handshake.has_parameters() {
            self.trace_peer_parameters(now);
        }
        self.trace_changes(now);
    }

    /// The peer's parameters apply.
    pub(super) fn trace_peer_parameters(&mut self, now: Timestamp) {
        if !self.out.trace.is_on() {
            return;
        }
        let accepted = self.config.versions.accepted().iter();
        let local: Vec<u32> = accepted.map(|version| version.number()).collect();
        let chosen = self.first_flight.version().number();
        let told = self.peer.version_information.as_ref().map_or(&[][..], |info| &info.available);
        self.out.trace.emit(now, || TraceEvent::VersionChosen { chosen, local: &local, peer: told });
        let (observer, parameters) = (self.side, &self.peer);
        let owner = observer.peer();
        self.out.trace.emit(now, || TraceEvent::ParametersSet { owner, observer, parameters });
    }

    /// The numbers that an ACK frame acknowledges for the first time; none if nobody watches.
    #[inline]
    pub(super) fn newly_acked(&mut self, space: Space, ack: &Ack<'_>) -> Vec<u64> {
        if self.out.trace.is_on() { self.unacknowledged(space, ack) } else { Vec::new() }
    }

    #[cold]
    fn unacknowledged(&mut self, space: Space, ack: &Ack<'_>) -> Vec<u64> {
        let mut numbers = Vec::new();
        for range in ack.ranges() {
            self.recovery.unacknowledged(space, *range.start(), *range.end(), &mut numbers);
        }
        numbers
    }

    /// An ACK frame or a timer was handled, which declared `count` packets of `bytes` on the path in use lost.
    pub(super) fn trace_recovery(&mut self, now: Timestamp, count: u64, bytes: u64) {
        if !self.out.trace.is_on() {
            return;
        }
        for lost in self.recovery.take_noted() {
            let trigger = if lost.by_time { LossTrigger::Time } else { LossTrigger::Reordering };
            self.out.trace.emit(now, || TraceEvent::PacketLost {
                level: lost.level,
                number: lost.number,
                size: usize::from(lost.bytes),
                trigger,
                mtu_probe: lost.mtu_probe,
            });
        }
        if count > 0 {
            self.out.trace.emit(now, || TraceEvent::PacketsLost { count, bytes });
        }
        self.trace_changes(now);
    }

    /// The recovery timer fired.
    pub(super) fn trace_expiry(&mut self, now: Timestamp, kind: TimerKind) {
        let timer = kind.into();
        self.out.trace.emit(now, || TraceEvent::TimerChanged { timer, change: TimerChange::Expired });
        if let Some(seen) = &mut self.out.seen {
            seen.timer = None;
        }
    }

    /// A stream of this end was opened.
    pub(super) fn trace_opened(&mut self, id: StreamId) {
        if self.out.trace.is_on() {
            let now = self.clock.last();
            let change = StreamChange::OpenedHere;
            self.out.trace.emit(now, || TraceEvent::StreamChanged { id, change });
        }
    }

    /// The driver has taken an event.
    #[inline]
    pub(super) fn on_event_taken(&mut self) {
        if let Some(seen) = &mut self.out.seen {
            seen.events = seen.events.saturating_sub(1);
        }
    }

    /// Tells what has changed since this was called last.
    #[inline]
    pub(super) fn trace_changes(&mut self, now: Timestamp) {
        if self.out.trace.is_on() {
            self.compare(now);
        }
    }

    #[cold]
    fn compare(&mut self, now: Timestamp) {
        let Some(mut seen) = self.out.seen.take() else { return };
        self.compare_handshake(&mut seen, now);
        self.compare_keys(&mut seen, now);
        self.compare_ids(&mut seen, now);
        self.compare_paths(&mut seen, now);
        self.compare_path(&mut seen, now);
        self.compare_timer(&mut seen, now);
        self.show_events(&mut seen, now);
        let limit = self.limited.by();
        let old = std::mem::replace(&mut seen.limit, limit);
        if old != limit {
            self.out.trace.emit(now, || TraceEvent::LimitChanged { old, new: limit });
        }
        self.out.seen = Some(seen);
    }

    fn state_now(&self) -> ConnectionState {
        if self.life.is_closed() {
            ConnectionState::Closed
        } else if self.life.is_closing() {
            ConnectionState::Closing
        } else if !self.life.is_open() {
            ConnectionState::Draining
        } else if self.handshake.is_confirmed() {
            ConnectionState::HandshakeConfirmed
        } else if self.handshake.is_complete() {
            ConnectionState::HandshakeComplete
        } else if self.keyring.has(Level::Handshake) {
            ConnectionState::HandshakeStarted
        } else {
            ConnectionState::Attempted
        }
    }

    fn compare_handshake(&mut self, seen: &mut Seen, now: Timestamp) {
        let early = std::mem::replace(&mut seen.early, self.early_data);
        if early != self.early_data {
            if self.early_data == EarlyData::Offered {
                self.out.trace.emit(now, || TraceEvent::ParametersRestored(&self.peer));
            }
            self.out.trace.emit(now, || TraceEvent::EarlyData(self.early_data));
        }
        // A server has parameters once it has chosen a version (RFC 9368 §4).
        if !seen.local_parameters && self.handshake.tls().is_some() {
            seen.local_parameters = true;
            let (owner, parameters) = (self.side, self.parameters_as_told());
            self.out.trace.emit(now, || TraceEvent::ParametersSet {
                owner,
                observer: owner,
                parameters: &parameters,
            });
        }
        if !seen.alpn
            && let Some(chosen) = self.handshake.tls().and_then(|tls| tls.alpn_protocol())
        {
            seen.alpn = true;
            self.out.trace.emit(now, || TraceEvent::AlpnChosen(chosen));
        }
        let new = self.state_now();
        let old = seen.state.replace(new);
        if old != Some(new) {
            self.out.trace.emit(now, || TraceEvent::StateChanged { old, new });
        }
    }

    fn compare_keys(&mut self, seen: &mut Seen, now: Timestamp) {
        for level in LEVELS {
            let has = self.keyring.has(level);
            if std::mem::replace(&mut seen.keys[level as usize], has) == has {
                continue;
            }
            self.out.trace.emit(now, || match has {
                true => TraceEvent::KeyUpdated { level, phase: 0, trigger: KeyUpdate::Tls },
                false => TraceEvent::KeyDiscarded { level },
            });
        }
        let phase = self.keyring.updates();
        if std::mem::replace(&mut seen.updates, phase) < phase {
            // A packet with the new keys arrives at the earliest a round trip after this end's update was shown.
            let trigger =
                if self.keyring.has_opened_in_phase() { KeyUpdate::Remote } else { KeyUpdate::Local };
            self.out.trace.emit(now, || TraceEvent::KeyUpdated { level: Level::OneRtt, phase, trigger });
        }
    }

    fn compare_ids(&mut self, seen: &mut Seen, now: Timestamp) {
        let side = self.side;
        let mut tell = |owner: Side, old, new| {
            self.out.trace.emit(now, || TraceEvent::CidChanged { owner, observer: side, old, new });
        };
        let current = self.cids.remote.current();
        let old = std::mem::replace(&mut seen.remote_cid, current);
        if old != current {
            tell(side.peer(), Some(old), Some(current));
        }
        if self.cids.local.active().eq(seen.local_cids.iter().copied()) {
            return;
        }
        let ids: Vec<_> = self.cids.local.active().collect();
        ids.iter().filter(|id| !seen.local_cids.contains(id)).for_each(|id| tell(side, None, Some(*id)));
        seen.local_cids.iter().filter(|id| !ids.contains(id)).for_each(|id| tell(side, Some(*id), None));
        seen.local_cids = ids;
    }

    /// The paths: which is in use, and how attempts to move go on.
    fn compare_paths(&mut self, seen: &mut Seen, now: Timestamp) {
        let active = SeenPath::of(&self.paths.active);
        let before = seen.active.replace(active);
        let trace = &mut self.out.trace;
        let mut tell = |path: SeenPath, state| {
            let SeenPath { id: PathId(path), remote, local_ip, .. } = path;
            trace.emit(now, || TraceEvent::Migration { path, state, remote, local_ip });
        };
        let moved =
            before.is_some_and(|before| (before.remote, before.local_ip) != (active.remote, active.local_ip));
        if moved {
            tell(active, MigrationState::MigrationStarted);
        }
        let validated = before.is_some_and(|before| !before.validated);
        if active.validated && (moved || validated && active.id != PathId::FIRST) {
            tell(active, MigrationState::MigrationComplete);
        }
        let others: Vec<_> = self.paths.iter().skip(1).map(SeenPath::of).collect();
        if others != seen.others {
            for path in others.iter().filter(|path| before.is_none_or(|before| before.id != path.id)) {
                match seen.others.iter().find(|known| known.id == path.id) {
                    None => tell(*path, MigrationState::ProbingStarted),
                    Some(known) if path.validated && !known.validated => {
                        tell(*path, MigrationState::ProbingSucceeded);
                    }
                    Some(_) => {}
                }
            }
            let is_kept =
                |gone: &&SeenPath| active.id == gone.id || others.iter().any(|path| path.id == gone.id);
            let gone = seen.others.iter().filter(|path| !is_kept(path) && !path.validated);
            gone.for_each(|path| tell(*path, MigrationState::ProbingAbandoned));
            seen.others = others;
        }
        if moved || before.is_none() {
            let SeenPath { id: PathId(path), remote, local_ip, .. } = active;
            self.out.trace.emit(now, || TraceEvent::PathInUse { path, remote, local_ip });
        }
    }

    /// What is known of the path in use.
    fn compare_path(&mut self, seen: &mut Seen, now: Timestamp) {
        let path = &self.paths.active;
        let snapshot = path.controller().snapshot();
        let new = PathMetrics {
            congestion_window: path.window(),
            bytes_in_flight: path.in_flight,
            smoothed_rtt: path.rtt.smoothed(),
            min_rtt: path.rtt.first_sample().map(|_| path.rtt.min()),
            latest_rtt: path.rtt.latest(),
            rtt_variation: path.rtt.variation(),
            pto_count: self.recovery.pto_count(),
            ssthresh: snapshot.ssthresh,
            pacing_rate: path.pacing_rate(),
        };
        let trace = &mut self.out.trace;
        let old = std::mem::replace(&mut seen.metrics, new);
        if old != new {
            trace.emit(now, || TraceEvent::MetricsChanged { old, new });
        }
        let old = seen.phase.replace(snapshot.phase);
        if old != Some(snapshot.phase) {
            let controller = snapshot.name;
            trace.emit(now, || TraceEvent::CongestionChanged { old, new: snapshot.phase, controller });
        }
        let ecn = path.ecn_state();
        let old = seen.ecn.replace(ecn);
        if old != Some(ecn) {
            trace.emit(now, || TraceEvent::EcnChanged { old, new: ecn });
        }
        let mtu = path.datagram_size() as u16;
        let old = seen.mtu.replace(mtu);
        if old != Some(mtu) {
            trace.emit(now, || TraceEvent::MtuChanged { old, new: mtu });
        }
    }

    fn compare_timer(&mut self, seen: &mut Seen, now: Timestamp) {
        let open = self.life.is_open();
        let due = open.then(|| self.recovery.deadline(&self.paths.active.rtt, &self.conditions())).flatten();
        let due = due.map(|(at, kind)| (RecoveryTimer::from(kind), at));
        let old = std::mem::replace(&mut seen.timer, due);
        if old == due {
            return;
        }
        if let Some((timer, _)) = old.filter(|(timer, _)| due.is_none_or(|(new, _)| new != *timer)) {
            self.out.trace.emit(now, || TraceEvent::TimerChanged { timer, change: TimerChange::Cancelled });
        }
        if let Some((timer, at)) = due {
            let change = TimerChange::Set(at.saturating_since(now));
            self.out.trace.emit(now, || TraceEvent::TimerChanged { timer, change });
        }
    }

    /// Shows what the application will learn of streams.
    fn show_events(&mut self, seen: &mut Seen, now: Timestamp) {
        for event in self.out.events.iter().skip(seen.events) {
            let (id, change) = match *event {
                Event::StreamOpened(id) => (id, StreamChange::OpenedByPeer),
                Event::StreamSent(id, _) => (id, StreamChange::AllAcknowledged),
                Event::StreamStopped(id, ..) => (id, StreamChange::Stopped),
                Event::StreamDiscarded(id, ..) => (id, StreamChange::Discarded),
                _ => continue,
            };
            self.out.trace.emit(now, || TraceEvent::StreamChanged { id, change });
        }
        seen.events = self.out.events.len();
    }
}
