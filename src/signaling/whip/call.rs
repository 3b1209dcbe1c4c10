//! One call: a PeerConnection here and a session at the server.
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, watch};
use url::Url;

use super::desk::{Shared, is_media};
use super::service::{self, Ask};
use super::{FRAGMENT, Fragment, SDP, link, restarted};
use crate::net::http::{HttpError, Response};
use crate::net::resolver::{self, ResolveOptions};
use crate::peer::{IceCandidateInit, MediaDirection, MediaLine, SessionConfig};
use crate::signaling::profile::fragment::ice_credentials;
use crate::signaling::profile::{CallKey, Command, EndedBy, PeerEvent};
use crate::signaling::softphone::actor::PEER_COMMANDS;
use crate::signaling::softphone::talk::{PeerCommand, Talk};
use crate::signaling::softphone::{CallView, Described, Refusal};

/// Candidates that may wait for a request.
const MAX_CANDIDATES: usize = 64;
/// How much of a refusal's body is told.
const MAX_DETAIL: usize = 200;

/// What reaches a call.
pub(super) enum Event {
    Command(Command),
    Abandon,
    Peer(PeerEvent),
}

/// What a request is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Purpose {
    Offer,
    /// The answer to the server's own offer.
    Answer,
    Trickle,
    Restart,
}

type Exchange = Pin<Box<dyn Future<Output = Result<(Url, Response), HttpError>> + Send>>;

/// How it ended.
struct Ended {
    by: EndedBy,
    reason: Option<String>,
    /// The user does not wait for the server.
    abandoned: bool,
}

impl Ended {
    fn new(by: EndedBy, reason: impl Into<String>) -> Self {
        Self { by, reason: Some(reason.into()), abandoned: false }
    }
}

pub(super) struct Call {
    shared: Arc<Shared>,
    key: CallKey,
    target: Url,
    view: watch::Sender<CallView>,
    /// The session at the server, once there is one.
    session: Option<Url>,
    /// Of the server's ICE session; without it there is no restart.
    etag: Option<String>,
    trickle: bool,
    restart_ice: bool,
    /// What is to be sent next.
    offer: Option<String>,
    answer: Option<String>,
    restart: Option<String>,
    candidates: Vec<IceCandidateInit>,
    gathered: bool,
    /// The end of candidates was told.
    told_end: bool,
    /// The latest descriptions of both sides.
    local: String,
    remote: String,
    hung_up: bool,
    restarting: bool,
}

impl Call {
    pub(super) fn new(shared: Arc<Shared>, key: CallKey, target: Url, view: watch::Sender<CallView>) -> Self {
        let (trickle, restart_ice) = (shared.trickle, shared.restart_ice);
        Self {
            shared,
            key,
            target,
            view,
            session: None,
            etag: None,
            trickle,
            restart_ice,
            offer: None,
            answer: None,
            restart: None,
            candidates: Vec::new(),
            gathered: false,
            told_end: false,
            local: String::new(),
            remote: String::new(),
            hung_up: false,
            restarting: false,
        }
    }

    /// Carries the call from its offer to its end.
    pub(super) async fn run(mut self, mut events: mpsc::Receiver<Event>) {
        let ended = self.carry(&mut events).await;
        let Ended { by, reason, mut abandoned } = ended;
        if let Some(url) = self.session.take() {
            let shared = Arc::clone(&self.shared);
            let mut deleting = tokio::spawn(async move { delete(&shared, url).await });
            // Past the user's patience it goes on alone, as long as a request may take.
            while !abandoned {
                tokio::select! {
                    _done = &mut deleting => break,
                    event = events.recv() => abandoned = matches!(event, Some(Event::Abandon) | None),
                }
            }
        }
        self.view.send_modify(|view| view.end(Instant::now(), by, reason));
    }

    async fn carry(&mut self, events: &mut mpsc::Receiver<Event>) -> Ended {
        let config = match self.session_config().await {
            Ok(config) => config,
            Err(why) => return Ended::new(EndedBy::Failure, why),
        };
        let (peer, commands) = mpsc::channel(PEER_COMMANDS);
        let talk = Talk { call: self.key, peer: 1, notes: self.shared.notes.clone(), view: self.view.clone() };
        tokio::spawn(talk.run(config, commands));
        if self.tell(&peer, PeerCommand::Offer).is_err() {
            return Ended::new(EndedBy::Failure, "its PeerConnection takes no commands");
        }
        let mut under_way: Option<(Purpose, Exchange)> = None;
        loop {
            if under_way.is_none() {
                if self.hung_up {
                    return Ended { by: EndedBy::Us, reason: None, abandoned: false };
                }
                under_way = self.next_request();
            }
            let step = tokio::select! {
                event = events.recv() => match event {
                    Some(event) => self.event(event, &peer, under_way.is_some()),
                    None => Err(Ended { by: EndedBy::Us, reason: None, abandoned: true }),
                },
                (purpose, done) = finished(&mut under_way) => {
                    under_way = None;
                    self.done(purpose, done, &peer)
                }
            };
            if let Err(mut ended) = step {
                // A session that the server is about to make has to be deleted, too.
                if let Some((Purpose::Offer, exchange)) = under_way {
                    let left = self.outlive(exchange, events).await;
                    ended.abandoned |= left;
                }
                return ended;
            }
        }
    }

    /// Waits for the offer's response only to know the session; whether the user has left meanwhile.
    async fn outlive(&mut self, exchange: Exchange, events: &mut mpsc::Receiver<Event>) -> bool {
        let shared = Arc::clone(&self.shared);
        let mut finding = tokio::spawn(async move {
            match exchange.await {
                Ok((url, response)) if matches!(response.status, 201 | 406) => located(&url, &response),
                _ => None,
            }
        });
        loop {
            tokio::select! {
                found = &mut finding => {
                    self.session = found.ok().flatten();
                    return false;
                }
                event = events.recv() => if matches!(event, Some(Event::Abandon) | None) {
                    tokio::spawn(async move {
                        if let Ok(Some(url)) = finding.await {
                            delete(&shared, url).await;
                        }
                    });
                    return true;
                },
            }
        }
    }

    /// The configuration of its session: the direction is the protocol's, ICE servers are the user's or the endpoint's.
    async fn session_config(&self) -> Result<SessionConfig, String> {
        let mut config = self.shared.config.session.clone();
        if config.media.is_empty() {
            config.media = vec![MediaLine { direction: self.direction(), ..MediaLine::audio(&config.codecs) }];
        }
        config.send_audio &= self.shared.is_ingestion();
        config.trickle = self.trickle;
        if config.ice_servers.is_empty() {
            config.ice_servers.clone_from(&self.shared.servers.lock());
        }
        if config.route_hint.is_none() && config.source_address.is_none() {
            let host = self.target.host_str().unwrap_or_default().trim_matches(['[', ']']);
            let options = ResolveOptions { mode: self.shared.service.reach.dns, ..ResolveOptions::default() };
            let resolved = resolver::resolve_with(host, self.shared.service.within, options).await;
            let resolved = resolved.map_err(|error| error.to_string())?;
            config.route_hint = resolved.addresses.first().copied();
        }
        Ok(config)
    }

    fn direction(&self) -> MediaDirection {
        if self.shared.is_ingestion() { MediaDirection::Sendonly } else { MediaDirection::Recvonly }
    }

    fn tell(&self, peer: &mpsc::Sender<PeerCommand>, command: PeerCommand) -> Result<(), Ended> {
        let told = peer.try_send(command);
        told.map_err(|_| Ended::new(EndedBy::Failure, "its PeerConnection takes no more commands"))
    }

    // --- What happens ------------------------------------------------------------------------------------------

    fn event(&mut self, event: Event, peer: &mpsc::Sender<PeerCommand>, busy: bool) -> Result<(), Ended> {
        match event {
            Event::Abandon => {
                let reason = "hung up without the other side's consent".to_owned();
                Err(Ended { by: EndedBy::Us, reason: Some(reason), abandoned: true })
            }
            Event::Command(Command::HangUp | Command::Reject) => {
                self.hung_up = true;
                // What is under way is bounded, and may bring the session that has to be deleted.
                if busy { Ok(()) } else { Err(Ended { by: EndedBy::Us, reason: None, abandoned: false }) }
            }
            Event::Command(Command::RestartIce) => self.restart(peer),
            Event::Command(command) if is_media(&command) => Ok(()),
            Event::Command(_) => {
                self.shared.problem(format!("a command was not done: {} has nothing like it", self.shared.name()));
                Ok(())
            }
            Event::Peer(event) => self.peer_event(event, peer),
        }
    }

    fn peer_event(&mut self, event: PeerEvent, peer: &mpsc::Sender<PeerCommand>) -> Result<(), Ended> {
        match event {
            PeerEvent::LocalOffer(offer) => {
                self.local.clone_from(&offer);
                if self.restarting {
                    self.candidates.clear();
                    self.restart = Some(offer);
                } else {
                    self.offer = Some(offer);
                }
            }
            PeerEvent::LocalAnswer(answer) => {
                self.local.clone_from(&answer);
                self.answer = Some(answer);
            }
            PeerEvent::LocalCandidate(candidate) => {
                if self.trickle && self.candidates.len() < MAX_CANDIDATES {
                    self.candidates.push(candidate);
                }
            }
            PeerEvent::EndOfCandidates => self.gathered = true,
            PeerEvent::Connected | PeerEvent::Rested(_) => {}
            PeerEvent::Disconnected if self.restart_ice && self.etag.is_some() => return self.restart(peer),
            PeerEvent::Disconnected => {}
            PeerEvent::Failed { detail } => return Err(Ended::new(EndedBy::Failure, detail)),
        }
        Ok(())
    }

    fn restart(&mut self, peer: &mpsc::Sender<PeerCommand>) -> Result<(), Ended> {
        if self.session.is_none() || self.etag.is_none() {
            let why = "ICE was not restarted: the server gave no ETag, so it does not support that (RFC 9725 §4.3.2)";
            self.shared.problem(why.to_owned());
            return Ok(());
        }
        if std::mem::replace(&mut self.restarting, true) {
            return Ok(());
        }
        self.tell(peer, PeerCommand::Renegotiate { direction: self.direction(), restart_ice: true })
    }

    // --- Requests ----------------------------------------------------------------------------------------------

    fn next_request(&mut self) -> Option<(Purpose, Exchange)> {
        if let Some(offer) = self.offer.take() {
            let headers = vec![("content-type", SDP.to_owned()), ("accept", SDP.to_owned())];
            self.view.send_modify(|view| view.sent(Instant::now()));
            return Some(self.ask(Purpose::Offer, "POST", self.target.clone(), headers, offer));
        }
        let session = self.session.clone()?;
        if let Some(answer) = self.answer.take() {
            let mut headers = vec![("content-type", SDP.to_owned())];
            headers.extend(self.etag.clone().map(|etag| ("if-match", etag)));
            return Some(self.ask(Purpose::Answer, "PATCH", session, headers, answer));
        }
        if self.remote.is_empty() {
            return None;
        }
        if let Some(offer) = self.restart.take() {
            let fragment = Fragment { of: &offer, candidates: &[], ends: false };
            if let Some(body) = fragment.write(true) {
                let headers = vec![("content-type", FRAGMENT.to_owned()), ("if-match", "\"*\"".to_owned())];
                return Some(self.ask(Purpose::Restart, "PATCH", session, headers, body));
            }
        }
        let ends = self.gathered && !self.told_end;
        if self.trickle && !self.restarting && (!self.candidates.is_empty() || ends) {
            let candidates = std::mem::take(&mut self.candidates);
            self.told_end |= ends;
            let fragment = Fragment { of: &self.local, candidates: &candidates, ends };
            if let Some(body) = fragment.write(false) {
                let mut headers = vec![("content-type", FRAGMENT.to_owned())];
                headers.extend(self.etag.clone().map(|etag| ("if-match", etag)));
                return Some(self.ask(Purpose::Trickle, "PATCH", session, headers, body));
            }
        }
        None
    }

    fn ask(
        &self,
        purpose: Purpose,
        method: &'static str,
        url: Url,
        headers: Vec<(&'static str, String)>,
        body: String,
    ) -> (Purpose, Exchange) {
        let shared = Arc::clone(&self.shared);
        let exchange = async move { shared.service.ask(Ask { method, url, headers, body }).await };
        (purpose, Box::pin(exchange))
    }

    fn done(
        &mut self,
        purpose: Purpose,
        done: Result<(Url, Response), HttpError>,
        peer: &mpsc::Sender<PeerCommand>,
    ) -> Result<(), Ended> {
        let (url, response) = match done {
            Ok(done) => done,
            Err(error) if matches!(purpose, Purpose::Offer | Purpose::Answer) => {
                return Err(Ended::new(EndedBy::Failure, error.to_string()));
            }
            Err(error) => {
                self.restarting &= purpose != Purpose::Restart;
                self.shared.problem(format!("{}: {error}", what(purpose)));
                return Ok(());
            }
        };
        match purpose {
            Purpose::Offer => self.offered(&url, &response, peer),
            Purpose::Answer if (200..300).contains(&response.status) => {
                self.remember_etag(&response);
                Ok(())
            }
            Purpose::Answer => Err(self.refused(&response)),
            Purpose::Trickle => self.trickled(&response),
            Purpose::Restart => self.restarted(&response, peer),
        }
    }

    fn offered(&mut self, url: &Url, response: &Response, peer: &mpsc::Sender<PeerCommand>) -> Result<(), Ended> {
        let counters = response.status == 406 && !self.shared.is_ingestion() && is_sdp(response);
        if response.status != 201 && !counters {
            return Err(self.refused(response));
        }
        self.session = located(url, response);
        match &self.session {
            Some(session) => self.view.send_modify(|view| view.name = Some(session.path().to_owned())),
            None if counters => {
                return Err(Ended::new(EndedBy::Failure, "the server's offer came without a usable Location"));
            }
            None => self.shared.problem(
                "the server's 201 has no usable Location: candidates cannot follow, and the session cannot be deleted"
                    .to_owned(),
            ),
        }
        self.remember_etag(response);
        self.remember_servers(response);
        if !is_sdp(response) {
            let kind = response.header("content-type").unwrap_or("none");
            let why = format!("the server's {} has no {SDP} but {kind}", response.status);
            return Err(Ended::new(EndedBy::Failure, why));
        }
        self.remote.clone_from(&response.body);
        if self.hung_up {
            return Ok(());
        }
        if counters {
            self.candidates.clear();
            self.described(&response.body, true);
            return self.tell(peer, PeerCommand::Answer(response.body.clone()));
        }
        self.described(&response.body, false);
        self.tell(peer, PeerCommand::Apply(response.body.clone()))
    }

    /// Notes the server's description for whoever sets the call up.
    fn described(&self, sdp: &str, is_offer: bool) {
        let described = Some(Described::new(sdp.to_owned(), false, Instant::now()));
        self.view.send_modify(|view| {
            if is_offer {
                view.offer = described;
            } else {
                view.answer = described;
            }
        });
    }

    fn trickled(&mut self, response: &Response) -> Result<(), Ended> {
        match response.status {
            200..300 => self.remember_etag(response),
            404 | 410 => return Err(gone(response.status)),
            405 | 415 | 422 | 501 => {
                self.trickle = false;
                self.shared.problem(format!(
                    "the server takes no candidates by PATCH ({}): it finds ours by our checks only; the parameter trickle=false \
                     puts them into the offer",
                    told(response)
                ));
            }
            _ => self.shared.problem(format!("candidates were refused: {}", told(response))),
        }
        Ok(())
    }

    fn restarted(&mut self, response: &Response, peer: &mpsc::Sender<PeerCommand>) -> Result<(), Ended> {
        self.restarting = false;
        self.told_end = false;
        match response.status {
            200 => match restarted(&self.remote, &response.body) {
                Some(answer) if ice_credentials(&answer) != ice_credentials(&self.remote) => {
                    self.remember_etag(response);
                    self.remote.clone_from(&answer);
                    self.described(&answer, false);
                    return self.tell(peer, PeerCommand::Apply(answer));
                }
                _ => self.shared.problem("ICE was not restarted: the server's 200 has no new credentials".to_owned()),
            },
            404 | 410 => return Err(gone(response.status)),
            405 | 415 | 422 | 501 => {
                self.restart_ice = false;
                self.shared.problem(format!("the server does not restart ICE: {}", told(response)));
            }
            _ => self.shared.problem(format!("ICE was not restarted: {}", told(response))),
        }
        Ok(())
    }

    fn remember_etag(&mut self, response: &Response) {
        if let Some(etag) = response.header("etag").filter(|etag| !etag.is_empty()) {
            self.etag = Some(etag.to_owned());
        }
    }

    fn remember_servers(&self, response: &Response) {
        let servers = link::ice_servers(&response.headers);
        if servers.is_empty() {
            return;
        }
        let mut known = self.shared.servers.lock();
        let came_late = known.is_empty() && self.shared.config.session.ice_servers.is_empty();
        *known = servers;
        drop(known);
        if came_late {
            let what = "the server named ICE servers with its answer only: they are used from the next call on";
            self.shared.problem(what.to_owned());
        }
    }

    fn refused(&self, response: &Response) -> Ended {
        let refusal = Refusal { status: response.status, retry_after: response.retry_after };
        self.view.send_modify(|view| view.refusal = Some(refusal));
        Ended::new(EndedBy::Refusal, told(response))
    }
}

async fn finished(under_way: &mut Option<(Purpose, Exchange)>) -> (Purpose, Result<(Url, Response), HttpError>) {
    match under_way {
        Some((purpose, exchange)) => (*purpose, exchange.await),
        None => std::future::pending().await,
    }
}

async fn delete(shared: &Shared, url: Url) {
    let ask = Ask { method: "DELETE", url, headers: Vec::new(), body: String::new() };
    match shared.service.ask(ask).await {
        // One that is gone need not be deleted.
        Ok((_, response)) if (200..300).contains(&response.status) || matches!(response.status, 404 | 410) => {}
        Ok((_, response)) => shared.problem(format!("the session was not deleted: {}", told(&response))),
        Err(error) => shared.problem(format!("the session was not deleted: {error}")),
    }
}

/// The session's URL; `Location` may be relative to what answered.
fn located(url: &Url, response: &Response) -> Option<Url> {
    service::resolve(url, response.header("location")?).ok()
}

/// Some servers do not say that it is a session description, or say that it is plain text.
fn is_sdp(response: &Response) -> bool {
    let kind = response.header("content-type").unwrap_or_default();
    let essence = kind.split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case(SDP) || response.body.starts_with("v=0")
}

fn gone(status: u16) -> Ended {
    Ended::new(EndedBy::Peer, format!("HTTP status {status}: the server has ended the session"))
}

const fn what(purpose: Purpose) -> &'static str {
    match purpose {
        Purpose::Offer => "the offer was not answered",
        Purpose::Answer => "the answer was not taken",
        Purpose::Trickle => "candidates were not told",
        Purpose::Restart => "ICE was not restarted",
    }
}

/// A refusal in a line: status, `Retry-After`, and what the body begins with.
fn told(response: &Response) -> String {
    let mut text = format!("HTTP status {}", response.status);
    if let Some(wait) = response.retry_after {
        text.push_str(&format!(", Retry-After {} s", wait.max(Duration::ZERO).as_secs()));
    }
    let body = response.body.lines().next().unwrap_or_default().trim();
    if !body.is_empty() && body.chars().all(|character| !character.is_control()) {
        text.push_str(": ");
        text.extend(body.chars().take(MAX_DETAIL));
    }
    text
}
