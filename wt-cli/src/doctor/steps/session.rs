//! The steps for the dialect, the response to the request, and the application protocol.

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use wt_session::{Dialect, Refusal};

use super::{
    super::{
        facts::{Attempt, Session},
        step::Step,
    },
    Wanted, settings,
};

const SESSION: &str = "session";

pub(super) fn judge(attempt: &Attempt, wanted: &Wanted) -> Vec<Step> {
    let mut steps: Vec<Step> = dialect(attempt).into_iter().collect();
    steps.extend(answer(&attempt.session));
    if let Session::Established { protocol, .. } = &attempt.session {
        steps.extend(protocol_step(protocol.as_deref(), &wanted.protocols));
    }
    steps
}

fn dialect(attempt: &Attempt) -> Option<Step> {
    const NAME: &str = "dialect";
    if let Session::Established { why, .. } = &attempt.session {
        return Some(Step::ok(NAME, why.clone()));
    }
    let settings = attempt.settings.as_ref()?;
    Some(match settings::newest(settings) {
        Some(newest) => {
            let (name, id) = newest.setting();
            Step::ok(
                NAME,
                format!("{newest} would be spoken: both sides sent {name} ({id:#x}), and none that is newer"),
            )
        }
        None => {
            let (_, old) = Dialect::Draft02.setting();
            let (_, new) = Dialect::Draft16.setting();
            let remedy = format!(
                "enable WebTransport on the server: it has to send {old:#x} = 1 for browsers and {new:#x} = 1 for draft 16"
            );
            Step::failed(NAME, "the server offers none: this is HTTP/3 without WebTransport", remedy)
        }
    })
}

fn answer(session: &Session) -> Option<Step> {
    Some(match session {
        Session::NotAsked => return None,
        Session::Unanswered => Step::failed(
            SESSION,
            "the server did not answer the request in time",
            "see that the application accepts or rejects requests; or raise --timeout",
        ),
        Session::Established { status, headers, .. } => {
            let fields = fields(headers, |_| true).unwrap_or_else(|| "no fields".to_owned());
            Step::ok(SESSION, format!("CONNECT was answered {} with {fields}", status.as_u16()))
        }
        Session::Refused(refusal @ Refusal::Status { headers, .. }) => {
            let told = fields(headers, explains).map_or_else(String::new, |fields| format!(" ({fields})"));
            Step::failed(SESSION, format!("{refusal}{told}"), remedy(refusal))
        }
        Session::Refused(refusal) => Step::failed(SESSION, refusal.to_string(), remedy(refusal)),
        Session::Lost(why) => Step::failed(SESSION, why.clone(), "see the server's log for this connection"),
    })
}

/// What a page of the server's own origin would get where a program without an origin gets a session.
pub(in super::super) fn pages(origin: &str, session: &Session) -> Option<Step> {
    const NAME: &str = "pages";
    match session {
        Session::Established { .. } => Some(Step::ok(NAME, format!("a page of {origin} has a session, too"))),
        Session::Refused(Refusal::Status { status: 403, .. }) => Some(Step::warning(
            NAME,
            format!(
                "a page of {origin} is answered 403, as is every page whose origin the server does not permit"
            ),
            "permit the origin of the page on the server (weft serve --origin ORIGIN), and ask for it here with --origin",
        )),
        _ => None,
    }
}

/// The fields that `wanted` selects, in one line; `None` if there are none.
fn fields(headers: &HeaderMap, wanted: impl Fn(&HeaderName) -> bool) -> Option<String> {
    let text = |(name, value): (&HeaderName, &HeaderValue)| {
        format!("{name}: {}", String::from_utf8_lossy(value.as_bytes()))
    };
    let fields: Vec<String> = headers.iter().filter(|(name, _)| wanted(name)).map(text).collect();
    (!fields.is_empty()).then(|| fields.join("; "))
}

/// Whether a field of a refusal explains who refused, why, or what to do.
fn explains(name: &HeaderName) -> bool {
    [header::ALLOW, header::RETRY_AFTER, header::SERVER, header::LOCATION, header::WWW_AUTHENTICATE]
        .contains(name)
        || name.as_str().starts_with("wt-")
        || name.as_str().starts_with("sec-webtransport-")
}

fn remedy(refusal: &Refusal) -> &'static str {
    match refusal {
        Refusal::Status { status, .. } => match StatusCode::from_u16(*status).ok() {
            Some(StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED) => {
                "correct the path of the URL, or let the server accept sessions there"
            }
            Some(StatusCode::FORBIDDEN) => "allow the origin on the server; try another one with --origin",
            Some(StatusCode::UNAUTHORIZED) => {
                "the server wants credentials, which browsers cannot send with a session: use the path or query"
            }
            Some(StatusCode::TOO_MANY_REQUESTS) => "wait, or raise the server's limit of sessions",
            Some(status) if status.is_redirection() => "use the URL that the server redirects to",
            Some(status) if status.is_server_error() => "see the server's log for this request",
            _ => "let the server answer 2xx to accept a session",
        },
        Refusal::MissingSetting { .. } | Refusal::SettingValue { .. } | Refusal::MissingParameter { .. } => {
            "see the failed steps above"
        }
        Refusal::Protocol(_) => "let the server choose one of the offered protocols, or none",
        Refusal::GoingAway => "the server is shutting down: try again when it has restarted",
        _ => "see the server's log for this request",
    }
}

fn protocol_step(chosen: Option<&str>, offered: &[String]) -> Option<Step> {
    const NAME: &str = "protocol";
    match chosen {
        Some(chosen) => Some(Step::ok(NAME, format!("the server chose {chosen:?}"))),
        None if offered.is_empty() => None,
        None => Some(Step::warning(
            NAME,
            format!("the server chose none of {}", offered.join(", ")),
            "let the application accept with one of them; transport.protocol is empty in a page otherwise",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::Verdict;

    fn attempt(session: Session) -> Attempt {
        let mut attempt = Attempt::new("127.0.0.1:1".parse().unwrap());
        attempt.settings = Some(wt_session::Sessions::settings(&wt_session::Config::default()));
        attempt.session = session;
        attempt
    }

    fn status(status: u16) -> Session {
        Session::Refused(Refusal::Status { status, headers: Box::default() })
    }

    #[test]
    fn without_a_session_the_dialect_is_derived_from_the_settings() {
        let step = dialect(&attempt(status(404))).unwrap();
        assert!(step.fact.starts_with("draft 16 would be spoken"), "{step:?}");
        let mut plain = attempt(Session::NotAsked);
        plain.settings = Some(h3_core::Settings::default());
        let step = dialect(&plain).unwrap();
        assert_eq!(step.verdict, Verdict::Failed);
        assert!(step.remedy.unwrap().contains("0x2b603742 = 1"));
    }

    #[test]
    fn statuses_have_their_own_remedies() {
        for (code, words) in
            [(404, "path"), (403, "--origin"), (302, "redirects"), (500, "log"), (429, "limit"), (418, "2xx")]
        {
            let step = answer(&status(code)).unwrap();
            assert_eq!(step.verdict, Verdict::Failed);
            assert!(step.fact.contains(&code.to_string()) && step.remedy.unwrap().contains(words), "{code}");
        }
    }

    #[test]
    fn pages_are_told_apart_from_programs() {
        let step = pages("https://a", &status(403)).unwrap();
        assert_eq!(step.verdict, Verdict::Warning);
        assert!(step.remedy.unwrap().contains("weft serve --origin"));
        assert_eq!(pages("https://a", &Session::Unanswered), None);
    }

    #[test]
    fn an_offer_without_a_choice_is_a_warning() {
        let offered = ["chat".to_owned()];
        assert_eq!(protocol_step(Some("chat"), &offered).unwrap().verdict, Verdict::Ok);
        assert_eq!(protocol_step(None, &offered).unwrap().verdict, Verdict::Warning);
        assert_eq!(protocol_step(None, &[]), None);
    }
}
