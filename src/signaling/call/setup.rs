//! Setting a call up, from the first message to the first RTP packet.
//!
//! Each step waits with a deadline of its own and names itself in the failure. A set-up that is dropped on the way drops its
//! [`Hold`], which says `Bye` and closes the session in the background.
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::sync::{mpsc, watch};
use tokio::time::{timeout, timeout_at};

use super::trouble::{Fact, Trouble};
use super::{Call, CallConfig};
use crate::diagnosis::facts::SessionFacts;
use crate::peer::{PeerError, Session};
use crate::signaling::dialog::{CallTap, Dialog, Ending, Event, Hold, View, call_message, micros};
use crate::signaling::json::Message;
use crate::signaling::outcome::{CallCode, CallFailure, Course};
use crate::socket::{Frame, Opcode, Sent, Socket, Tap};

/// How long telling the caller that it cannot be answered may take.
const REFUSAL_DEADLINE: Duration = Duration::from_secs(1);

/// A call being set up, and what is known of it so far.
pub(super) struct SetUp {
    started: Instant,
    call: String,
    hold: Option<Hold>,
    offer: Option<String>,
    answer: Option<String>,
    signaling_us: Option<u64>,
    /// Our offer or answer was with the kernel.
    described: Option<Instant>,
    /// The answer was applied (calling) or sent (answering).
    checks_began: Option<Instant>,
}

impl SetUp {
    pub(super) fn new() -> Self {
        Self {
            started: Instant::now(),
            call: String::new(),
            hold: None,
            offer: None,
            answer: None,
            signaling_us: None,
            described: None,
            checks_began: None,
        }
    }

    /// A session for this call, whose local address is the one that reaches the signaling server unless configured.
    async fn session(&mut self, socket: &Socket, config: &CallConfig) -> Result<Arc<Dialog>, Trouble> {
        if let Some(cause) = socket.close_cause() {
            return Err(Trouble::closed("starting the call", &cause));
        }
        let mut session_config = config.session.clone();
        session_config.route_hint.get_or_insert_with(|| socket.opened().peer.ip());
        let session = Session::new(session_config).await.map_err(|error| Trouble::session(&error))?;
        let dialog = Dialog::new(self.call.clone(), socket.clone(), session);
        self.hold = Some(Hold::new(Arc::clone(&dialog)));
        Ok(dialog)
    }

    fn offered(&self) {
        if let Some(hold) = &self.hold {
            hold.offered();
        }
    }

    pub(super) async fn place(
        &mut self,
        socket: Socket,
        config: &CallConfig,
        handshaken: impl FnOnce() + Send,
    ) -> Result<(), Trouble> {
        config.check().map_err(|error| Trouble::config(&error))?;
        self.call = format!("{:032x}", rand::random::<u128>());
        let dialog = self.session(&socket, config).await?;
        let offer = dialog.session.create_offer().await.map_err(|error| Trouble::session(&error))?;
        self.offer = Some(offer.clone());

        let (tap, events) = CallTap::call(&self.call);
        let guard = socket.tap(tap);
        tokio::spawn(Arc::clone(&dialog).run(events, guard, config.session.trickle));
        self.offered();
        let message = Message::Offer { call: self.call.clone(), to: config.to.clone(), from: None, sdp: offer };
        let sent = say(&dialog, &message, "sending the offer", config).await?;
        dialog.note(sent.at, "offer sent");
        self.described = Some(sent.at);
        dialog.described();

        let answered = self.answered(&dialog, sent.at, Duration::from_millis(config.answer_timeout_ms)).await?;
        self.signaling_us = Some(micros(answered.0.saturating_duration_since(sent.at)));
        self.checks_began = Some(answered.1);
        self.await_up(&dialog, sent.at, config, handshaken).await
    }

    /// Waits for the answer and its application: when it was received and when it was applied.
    async fn answered(
        &mut self,
        dialog: &Dialog,
        sent: Instant,
        within: Duration,
    ) -> Result<(Instant, Instant), Trouble> {
        let mut views = dialog.view.subscribe();
        let known = views.wait_for(|view| {
            view.answered.is_some()
                || view.refused.is_some()
                || view.ending == Ending::Peers
                || view.socket_closed.is_some()
        });
        let Ok(Ok(view)) = timeout_at((sent + within).into(), known).await else {
            return Err(Trouble::new(
                CallCode::SignalingTimeout,
                format!("no answer to the offer within {} ms; the signaling WebSocket is open", within.as_millis()),
                json!({"waitedMs": u64::try_from(within.as_millis()).unwrap_or(u64::MAX), "phase": "answer"}),
            )
            .with(Fact::Waited(micros(within))));
        };
        let Some(answered) = view.answered.clone() else {
            return Err(Trouble::other_side(&view, "the answer was awaited"));
        };
        drop(view);
        self.answer = Some(answered.sdp);
        match answered.result {
            Ok(()) => Ok((answered.received, answered.applied)),
            Err(error) => {
                let mut trouble = Trouble::session(&error);
                if trouble.code != CallCode::SdpRejected {
                    trouble.message = format!("the answer could not be applied: {}", trouble.message);
                }
                Err(trouble)
            }
        }
    }

    pub(super) async fn answer(
        &mut self,
        socket: Socket,
        config: &CallConfig,
        deadline: Duration,
    ) -> Result<(), Trouble> {
        config.check().map_err(|error| Trouble::config(&error))?;
        let (tap, mut events) = CallTap::next_offer();
        let guard = socket.tap(Arc::clone(&tap) as Arc<dyn Tap>);
        let offer = next_offer(&socket, &tap, &mut events, deadline).await?;
        self.started = offer.at;
        self.call = offer.call;
        self.offer = Some(offer.sdp.clone());
        let dialog = match self.session(&socket, config).await {
            Ok(dialog) => dialog,
            Err(trouble) => {
                let code = "ANSWER_FAILED".to_owned();
                let refusal = Message::Error { call: Some(self.call.clone()), code, message: trouble.message.clone() };
                let text = refusal.encode();
                match timeout(REFUSAL_DEADLINE, socket.send(Opcode::Text, true, text.as_bytes())).await {
                    Ok(Ok(_)) => {}
                    Ok(Err(error)) => log::debug!("call {}: the refusal was not sent: {error}", self.call),
                    Err(_) => log::debug!("call {}: the refusal was not sent in time", self.call),
                }
                return Err(trouble);
            }
        };
        dialog.note(offer.at, "offer received");
        tokio::spawn(Arc::clone(&dialog).run(events, guard, config.session.trickle));
        self.offered();
        let answer = dialog.session.create_answer(&offer.sdp).await.map_err(|error| Trouble::session(&error))?;
        self.answer = Some(answer.clone());
        let message = Message::Answer { call: self.call.clone(), sdp: answer };
        let sent = say(&dialog, &message, "sending the answer", config).await?;
        dialog.note(sent.at, "answer sent");
        self.described = Some(sent.at);
        self.signaling_us = Some(micros(sent.at.saturating_duration_since(offer.at)));
        self.checks_began = Some(sent.at);
        dialog.described();
        if offer.queued {
            take_queued(&socket, &dialog).await;
        }
        self.await_up(&dialog, sent.at, config, || ()).await
    }

    /// Waits until ICE and DTLS are connected and, if wanted, the first RTP packet is in.
    async fn await_up(
        &self,
        dialog: &Dialog,
        since: Instant,
        config: &CallConfig,
        handshaken: impl FnOnce() + Send,
    ) -> Result<(), Trouble> {
        let connect = Duration::from_millis(config.session.connect_timeout_ms);
        let by = since + connect;
        match or_other_side(dialog, dialog.session.connected(), by, "connecting").await {
            // A generator that was held back may see both at once; what counts is when it was connected.
            Waited::Done(Ok(())) if is_after(dialog, dialog.session.phases().dtls_connected_us, by) => {
                return Err(self.not_connected(dialog, None, connect));
            }
            Waited::Done(Ok(())) => {}
            Waited::Done(Err(error)) => return Err(self.not_connected(dialog, Some(&error), connect)),
            Waited::OtherSide(trouble) => return Err(trouble),
            Waited::Late => return Err(self.not_connected(dialog, None, connect)),
        }
        handshaken();
        if !config.await_media {
            return Ok(());
        }
        let first_rtp = Duration::from_millis(config.first_rtp_timeout_ms);
        let up = Instant::now();
        match or_other_side(dialog, dialog.session.first_rtp(), up + first_rtp, "the first RTP packet was awaited")
            .await
        {
            Waited::Done(Ok(())) => Ok(()),
            Waited::Done(Err(error)) => Err(Trouble::lost_before_media(&dialog.session, &error)),
            Waited::OtherSide(trouble) => Err(trouble),
            Waited::Late => Err(Trouble::no_media(&dialog.session, first_rtp)),
        }
    }

    /// Why a session did not connect: which of ICE and DTLS, and whether it gave up or ran out of time.
    fn not_connected(&self, dialog: &Dialog, error: Option<&PeerError>, within: Duration) -> Trouble {
        let mut trouble = Trouble::not_connected(&dialog.session, error, within, self.signaling_us);
        let view = dialog.view.borrow().clone();
        if let Some((count, last)) = &view.refused_candidates {
            trouble.message.push_str(&format!("; {count} remote candidates were not usable ({last})"));
        }
        if let Some(cause) = &view.socket_closed {
            trouble.message.push_str(&format!(
                "; the signaling WebSocket closed meanwhile ({cause}), so candidates may be missing"
            ));
        }
        if let Value::Object(details) = &mut trouble.details {
            let refused = view.refused_candidates.as_ref().map_or(0, |(count, _)| *count);
            details.insert("candidatesTrickledOut".to_owned(), json!(view.local_candidates));
            details.insert("candidatesTrickledIn".to_owned(), json!(view.remote_candidates));
            details.insert("candidatesRefused".to_owned(), json!(refused));
            details.insert("signalingClosed".to_owned(), json!(view.socket_closed));
        }
        trouble
    }

    /// The call, or the failure whose session and signaling end in the background.
    pub(super) fn finish(mut self, result: Result<(), Trouble>, config: &CallConfig) -> Result<Call, CallFailure> {
        match (result, self.hold.take()) {
            (Ok(()), Some(hold)) => {
                let outcome = self.course(Some(&hold.dialog)).outcome(Ok(()));
                Ok(Call {
                    hold,
                    outcome,
                    bye_timeout: Duration::from_millis(config.bye_timeout_ms),
                    started: self.started,
                    report: tokio::sync::Mutex::new(None),
                })
            }
            (Err(trouble), Some(hold)) => {
                hold.set_reason(trouble.code.as_str());
                Err(self.failure(Some(&hold.dialog), trouble))
            }
            (result, None) => {
                let trouble = result
                    .err()
                    .unwrap_or_else(|| Trouble::new(CallCode::SessionClosed, "the call has no session", Value::Null));
                Err(self.failure(None, trouble))
            }
        }
    }

    /// The failure, with the verdict that the facts of this call alone give.
    pub(super) fn failure(&self, dialog: Option<&Dialog>, trouble: Trouble) -> CallFailure {
        let facts = self.facts(dialog, &trouble);
        self.course(dialog).failure(trouble, facts)
    }

    fn facts(&self, dialog: Option<&Dialog>, trouble: &Trouble) -> SessionFacts {
        let mut facts = dialog.map_or_else(
            || SessionFacts { now_us: micros(self.started.elapsed()), ..SessionFacts::default() },
            Dialog::facts,
        );
        if let Some(dialog) = dialog {
            let began = dialog.session.started();
            facts.signaling.sent_us = self.described.map(|at| micros(at.saturating_duration_since(began)));
        }
        trouble.tell(&mut facts);
        facts
    }

    fn course<'a>(&self, dialog: Option<&'a Dialog>) -> Course<'a> {
        Course {
            started: self.started,
            call: self.call.clone(),
            session: dialog.map(|dialog| &dialog.session),
            is_new: true,
            timeline: dialog.map(|dialog| dialog.timeline(self.started)).unwrap_or_default(),
            offer: self.offer.clone(),
            answer: self.answer.clone(),
            signaling_us: self.signaling_us,
            checks_began: self.checks_began,
        }
    }
}

/// How a wait for the session ended.
enum Waited {
    Done(Result<(), PeerError>),
    OtherSide(Trouble),
    Late,
}

/// Waits for `work` until `deadline`, or until the other side refuses or hangs up. A closed socket does not matter here.
async fn or_other_side(
    dialog: &Dialog,
    work: impl Future<Output = Result<(), PeerError>>,
    deadline: Instant,
    doing: &str,
) -> Waited {
    let mut views: watch::Receiver<View> = dialog.view.subscribe();
    let other_side = views.wait_for(|view| view.refused.is_some() || view.ending == Ending::Peers);
    tokio::select! {
        biased;
        done = work => {
            let view = dialog.view.borrow();
            // A session is closed when the other side has gone; then it was that, and not we.
            match done {
                Err(PeerError::Closed) if view.refused.is_some() || view.ending == Ending::Peers => {
                    Waited::OtherSide(Trouble::other_side(&view, doing))
                }
                done => Waited::Done(done),
            }
        }
        view = other_side => match view {
            Ok(view) => Waited::OtherSide(Trouble::other_side(&view, doing)),
            Err(_) => Waited::Late,
        },
        () = tokio::time::sleep_until(deadline.into()) => Waited::Late,
    }
}

/// Whether something that was reached so many µs after the session's start was reached after a deadline.
fn is_after(dialog: &Dialog, reached_us: Option<u64>, deadline: Instant) -> bool {
    reached_us.is_some_and(|reached| dialog.session.started() + Duration::from_micros(reached) > deadline)
}

/// Sends a description; a socket whose TCP takes no more is not waited for longer than an answer would be.
async fn say(dialog: &Dialog, message: &Message, doing: &str, config: &CallConfig) -> Result<Sent, Trouble> {
    match timeout(Duration::from_millis(config.answer_timeout_ms), dialog.say(message)).await {
        Ok(sent) => sent.map_err(|error| Trouble::socket(doing, &error)),
        Err(_) => Err(Trouble::new(
            CallCode::SignalingTimeout,
            format!("{doing} was not done within {} ms: the server's TCP takes no more", config.answer_timeout_ms),
            json!({"waitedMs": config.answer_timeout_ms, "phase": "send"}),
        )
        .with(Fact::Waited(config.answer_timeout_ms.saturating_mul(1000)))),
    }
}

/// An offer to be answered.
struct NextOffer {
    call: String,
    sdp: String,
    at: Instant,
    /// It was found in the socket's queue, so more messages of its call may be there.
    queued: bool,
}

/// The next offer: one that waits in the socket's queue, or one that the tap takes.
async fn next_offer(
    socket: &Socket,
    tap: &CallTap,
    events: &mut mpsc::Receiver<Event>,
    deadline: Duration,
) -> Result<NextOffer, Trouble> {
    let queued = socket.receive_matching(&|frame| matches!(call_message(frame), Some(Message::Offer { .. })));
    let found = async {
        tokio::select! {
            biased;
            frame = queued => match frame {
                Ok(frame) => match call_message(&frame) {
                    Some(Message::Offer { call, sdp, .. }) if tap.bind(&call) => {
                        Ok(NextOffer { call, sdp, at: frame.at, queued: true })
                    }
                    other => Err(Trouble::new(
                        CallCode::SignalingRefused,
                        format!("two offers arrived at once; this one was not answered: {:?}", other.and_then(|message| message.call().map(str::to_owned))),
                        Value::Null,
                    )),
                },
                Err(error) => Err(Trouble::socket("an offer was awaited", &error)),
            },
            event = events.recv() => match event {
                Some(Event::Message(Message::Offer { call, sdp, .. }, at)) => Ok(NextOffer { call, sdp, at, queued: false }),
                Some(Event::Closed(cause)) => Err(Trouble::closed("an offer was awaited", &cause)),
                Some(Event::Message(..)) | None => {
                    Err(Trouble::new(CallCode::SignalingRefused, "a call began without an offer", Value::Null))
                }
            },
        }
    };
    timeout(deadline, found).await.unwrap_or_else(|_| {
        Err(Trouble::new(
            CallCode::SignalingTimeout,
            format!("no offer arrived within {} ms; the signaling WebSocket is open", deadline.as_millis()),
            json!({"waitedMs": u64::try_from(deadline.as_millis()).unwrap_or(u64::MAX), "phase": "offer"}),
        )
        .with(Fact::Waited(micros(deadline))))
    })
}

/// Messages of the call that came between its offer and the tap, and lie in the socket's queue.
async fn take_queued(socket: &Socket, dialog: &Dialog) {
    // The reader may be about to queue one more that it looked at before the tap was there; a moment is enough for it.
    const MOMENT: Duration = Duration::from_millis(20);
    let ours = |frame: &Frame| call_message(frame).is_some_and(|message| message.call() == Some(&*dialog.call));
    while let Ok(Ok(frame)) = timeout(MOMENT, socket.receive_matching(&ours)).await {
        if let Some(message) = call_message(&frame)
            && dialog.take(message, frame.at).await
        {
            return;
        }
    }
}
