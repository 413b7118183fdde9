//! A client, which requests sessions and pages.

use std::{sync::Arc, time::Duration};

use wt_api::{Client, WebTransport};

use crate::{
    constructors::{self, options},
    course,
    end::End,
    pages::{self, PAGE},
    pair::Role,
    place::Place,
    spin::Spin,
};

/// Requests sessions and pages, one after the other.
pub(crate) async fn ask(spin: Arc<Spin>, place: Place) {
    let mut random = spin.random();
    let client = constructors::client(&spin, &mut random);
    let between = spin.plan.length / (2 * spin.plan.sessions as u32).max(1);
    for _ in 0..spin.plan.sessions {
        if spin.stopped() {
            return;
        }
        if random.chance(0.2) {
            page(&spin, &place, client.as_ref()).await;
        }
        session(&spin, &place, client.as_ref()).await;
        let pause = between.mul_f64(2.0 * random.unit());
        tokio::select! { () = place.sleep(pause) => {}, () = spin.until_stopped() => {} }
    }
}

async fn session(spin: &Arc<Spin>, place: &Place, client: Option<&Client>) {
    let Some(address) = spin.address().await else { return };
    let mut random = spin.random();
    let pooled = random.chance(0.5);
    let pair = spin.new_pair(pooled);
    let url = format!("{}/s/{}", address.base, pair.number);
    let options = options(spin, &mut random, address.hash, pooled);
    let asked = match client {
        Some(client) => {
            spin.book.count("Client::connect_with");
            client.connect_with(&url, options)
        }
        None => {
            spin.book.count("WebTransport::new");
            WebTransport::new(&url, options)
        }
    };
    match asked {
        Ok(session) => {
            let end = End::new(spin, pair, Role::Client, place.clone());
            end.start(|end| course::run(end, session));
        }
        Err(error) => spin.book.fail(format!("no session can be asked for: {error}")),
    }
}

async fn page(spin: &Arc<Spin>, place: &Place, client: Option<&Client>) {
    let Some(address) = spin.address().await else { return };
    let mut random = spin.random();
    let path = ["/page", "/pieces", "/none", "/echo"][random.below(4) as usize];
    let url = format!("{}{path}", address.base);
    let options = options(spin, &mut random, address.hash, false);
    let echoes = client.filter(|_| path == "/echo");
    let name = match (echoes, client) {
        (Some(_), _) => "Client::request",
        (None, Some(_)) => "Client::get_with",
        (None, None) => "http3::get",
    };
    let expected = if path == "/echo" && echoes.is_none() { 0 } else { PAGE };
    let _ticket = spin.book.enter(name, None, place.now());
    let limit =
        if random.chance(0.5) { Duration::from_millis(random.below(1_000)) } else { spin.plan.patience() };
    let patient = limit >= spin.plan.patience();
    let whole = async {
        match echoes {
            Some(client) => pages::echo(&spin.book, client, &address.base).await,
            None => pages::ask(&spin.book, &mut random, client, &url, options).await,
        }
    };
    match place.within(limit, whole).await {
        Some(Ok((status, size))) if status.is_success() && size != expected => {
            spin.book.fail(format!("the page {path} has {size} bytes, not {expected}"));
        }
        Some(Err(error)) => {
            spin.book.count("HttpError::may_be_repeated");
            let _ = error.may_be_repeated();
        }
        None if patient => spin.book.fail(format!("the page {path} does not settle within {limit:?}")),
        _ => {}
    }
}
