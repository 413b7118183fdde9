//! The course of one end of a session: it starts its tasks, waits, checks the balance, and leaves.

use std::{sync::Arc, time::Duration};

use netsim::Random;
use wt_api::{CloseInfo, ErrorCause, SendStreamOptions, WebTransport};

use crate::{
    actor::Actor,
    datagrams,
    end::End,
    openers,
    pair::{Phase, Role},
    session,
};

/// The most streams that are opened at once to count the credit.
const MOST: usize = 24;
/// A slow link with full queues takes at most this many times [`SETTLED`].
const TRIES: usize = 6;
/// After this time nothing is in flight any more on a network without loss.
const SETTLED: Duration = Duration::from_secs(5);

/// How an end leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    /// It closes, and awaits all its calls.
    Closes,
    /// It drops all its handles.
    Drops,
    /// It waits for the other end to leave, which must be reported.
    Waits,
}

/// Runs an end of a session until it has left.
pub(crate) async fn run(end: Arc<End>, session: WebTransport) {
    let mut random = end.spin.random();
    session::start(&end, &session);
    let ready = {
        let mut actor = Actor::new(&end, Phase::Leaving);
        actor.wait("WebTransport::ready", session.ready()).await
    };
    if matches!(ready, Some(Ok(()))) {
        end.pair.established();
        let counted = can_be_reckoned(&end);
        let could = if counted { count_streams(&session).await.0 } else { [0; 2] };
        openers::start(&end, &session);
        datagrams::start(&end, &session);
        live(&end, &mut random).await;
        if counted {
            reckon(&end, &session, could).await;
        }
    }
    leave(&end, session, &mut random).await;
}

/// Credit that sessions share cannot be checked for one of them.
fn can_be_reckoned(end: &End) -> bool {
    end.spin.plan.healthy && !end.pair.pooled && end.place.is_virtual()
}

async fn live(end: &Arc<End>, random: &mut Random) {
    let most = end.spin.plan.length.mul_f64(random.unit());
    let mut winding = end.pair.winding();
    tokio::select! {
        () = end.place.sleep(most) => {}
        () = end.spin.until_stopped() => {}
        _ = winding.wait_for(|winding| *winding) => {}
    }
}

/// Counts how many streams of each kind can be opened now, and why not more. It resets them.
async fn count_streams(session: &WebTransport) -> ([usize; 2], Vec<ErrorCause>) {
    let options = || SendStreamOptions::new().wait_until_available(false);
    let (mut bidi, mut uni, mut why) = (Vec::new(), Vec::new(), Vec::new());
    while bidi.len() < MOST {
        match session.create_bidirectional_stream(options()).await {
            Ok(stream) => bidi.push(stream),
            Err(error) => {
                why.push(error.cause().clone());
                break;
            }
        }
    }
    while uni.len() < MOST {
        match session.create_unidirectional_stream(options()).await {
            Ok(stream) => uni.push(stream),
            Err(error) => {
                why.push(error.cause().clone());
                break;
            }
        }
    }
    ([bidi.len(), uni.len()], why)
}

/// Checks on a network without loss that the credit is what it was at first, and that all datagrams are
/// accounted for.
async fn reckon(end: &Arc<End>, session: &WebTransport, could: [usize; 2]) {
    let patience = end.spin.plan.patience();
    end.pair.wind_up();
    end.enter(Phase::Winding);
    let quiet = async {
        while !end.pair.is_quiet() {
            end.place.sleep(Duration::from_millis(100)).await;
        }
    };
    let alive = end.place.within(patience, quiet).await;
    let problem = if alive.is_none() { Some("streams are busy for ever".to_owned()) } else { None };
    let problem = problem.or(missing_credit(end, session, could).await);
    end.place.sleep(SETTLED).await;
    if let Ok(stats) = session.get_stats().await
        && let Some(datagrams) = stats.datagrams
    {
        end.pair.tell_datagrams(end.role, datagrams);
    }
    end.pair.reckoned();
    if end.pair.both_established() {
        if end.place.within(patience, end.pair.until_reckoned()).await.is_none() {
            end.spin.book.fail(format!("end {} waits for the other one, which never reckons up", end.number));
        }
        if end.role == Role::Client
            && let Err(fact) = end.pair.check_counts()
        {
            end.spin.book.fail(fact);
        }
    }
    // A client that gave up before its session was established has closed it.
    if let Some(problem) = problem
        && end.pair.both_established()
    {
        end.spin.book.fail(format!("end {}: {problem}", end.number));
    }
}

/// Whether fewer streams can be opened than at first, although everything in flight had time to arrive.
async fn missing_credit(end: &Arc<End>, session: &WebTransport, could: [usize; 2]) -> Option<String> {
    let plan = &end.spin.plan;
    let peer = if end.role == Role::Client { &plan.server } else { &plan.client };
    // Credit returns in steps of an eighth of the limit (RFC 9000 §4.6 leaves that open).
    let held = [peer.max_streams_bidi, peer.max_streams_uni].map(|limit| (limit / 8) as usize);
    let mut problem = None;
    for _ in 0..TRIES {
        end.place.sleep(SETTLED).await;
        let (can, why) = count_streams(session).await;
        if (0..2).all(|dir| can[dir] + held[dir] >= could[dir]) {
            return None;
        }
        let limits = (peer.max_streams_bidi, peer.max_streams_uni);
        let text = format!(
            "{could:?} streams could be opened at first, {can:?} at last ({why:?}); the peer has {limits:?}"
        );
        problem = Some(text);
    }
    problem
}

async fn leave(end: &Arc<End>, session: WebTransport, random: &mut Random) {
    // One of the two ends must leave first.
    let first = end.pair.number.is_multiple_of(2) == (end.role == Role::Client);
    let ending = match random.below(3) {
        0 if !first => Ending::Waits,
        1 => Ending::Drops,
        _ => Ending::Closes,
    };
    match ending {
        Ending::Waits => {}
        Ending::Drops => end.enter(Phase::Leaving),
        Ending::Closes => {
            end.spin.book.count("WebTransport::close");
            let reason = "r".repeat(random.below(1_100) as usize);
            session.close(CloseInfo::new(random.next_u64() as u32, reason));
        }
    }
    if ending != Ending::Drops {
        let mut actor = Actor::new(end, Phase::Leaving);
        let _ = actor.wait("WebTransport::closed", session.closed()).await;
        end.spin.book.closed(end.number, end.place.now());
    }
}
