//! One call with an answering peer of the lab, answered or placed: a dialog, a real session, and what the configuration says of
//! its life.
//!
//! Guarantees: a call that was opened in the ledger is closed in it; nothing waits without a deadline but a ringing call for its
//! caller, and a connected one for its end. Dropping the future closes the session in the background.
use std::sync::Arc;
use std::time::Duration;

use rsipstack::sip::Method;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout};

use super::{Binding, Exchange, MAILBOX};
use crate::peer::{PeerError, Session, SessionConfig};
use crate::signaling::sip::dialog::Dialog;
use crate::signaling::sip::message::Message;
use crate::signaling::sip::session_timer::SessionTimer;

/// How long the client may take for each step.
const STEP_DEADLINE: Duration = Duration::from_secs(30);
/// How long closing the session may take.
const CLOSE_DEADLINE: Duration = Duration::from_secs(2);
/// How long the answer to a BYE of the lab is waited for.
const BYE_DEADLINE: Duration = Duration::from_secs(1);
/// How often a 200 is repeated until its ACK comes.
const REPEAT: Duration = Duration::from_secs(1);
/// What the lab takes.
const ALLOW: &str = "INVITE,ACK,CANCEL,BYE,UPDATE,OPTIONS,INFO,REFER";

/// Answers an INVITE to `tone` or `echo`.
pub(super) fn answer(exchange: Arc<Exchange>, client: u64, invite: Message, echo: bool) {
    let tag = format!("lab{}", exchange.number());
    let Some(dialog) = Dialog::taken(&invite, tag, 1) else {
        exchange.say(client, &Message::response(&invite, 400, "lab"));
        return;
    };
    let (events, inbox) = mpsc::channel(MAILBOX);
    exchange.calls.lock().insert(dialog.id.call_id.clone(), events);
    let call = Call { exchange: Arc::clone(&exchange), client, dialog, echo, timer: None, tones: String::new() };
    let lab = Arc::clone(&exchange.lab);
    lab.spawn(call.run(Begin::Answer(invite), inbox));
}

/// Calls a registered user.
pub(super) fn place(exchange: Arc<Exchange>, user: String, binding: Binding) {
    let number = exchange.number();
    let (call_id, tag) = (format!("lab-call-{number}"), format!("lab{number}"));
    let local = format!("\"Lab\" <sip:tone@lab>;tag={tag}");
    let mut dialog = Dialog::placed(call_id.clone(), local, tag, &binding.contact, 100);
    dialog.remote = format!("<sip:{user}@lab>");
    let (events, inbox) = mpsc::channel(MAILBOX);
    exchange.calls.lock().insert(call_id, events);
    let client = binding.client;
    let call = Call { exchange: Arc::clone(&exchange), client, dialog, echo: false, timer: None, tones: String::new() };
    let lab = Arc::clone(&exchange.lab);
    lab.spawn(call.run(Begin::Place(user), inbox));
}

enum Begin {
    Answer(Message),
    Place(String),
}

/// How a call ended.
enum Ended {
    /// The client has ended it.
    ByClient,
    /// It was refused, cancelled or never came to be; nothing is left to say.
    Never,
    /// The lab ends it by BYE.
    ByLab,
    /// The lab ends it by BYE, and it counts as failed.
    Failed(String),
}

struct Call {
    exchange: Arc<Exchange>,
    client: u64,
    dialog: Dialog,
    echo: bool,
    timer: Option<SessionTimer>,
    tones: String,
}

impl Call {
    async fn run(mut self, begin: Begin, mut events: mpsc::Receiver<Message>) {
        let open = self.exchange.lab.ledger.call_opened();
        let placed = match &begin {
            Begin::Place(user) => Some(user.clone()),
            Begin::Answer(_) => None,
        };
        let session = match self.session().await {
            Ok(session) => session,
            Err(error) => {
                self.exchange.lab.ledger.calls_failed.add(1);
                self.exchange.calls.lock().remove(&self.dialog.id.call_id);
                if let Begin::Answer(invite) = &begin {
                    self.respond(invite, 500);
                }
                return log::debug!("lab sip: no session: {error}");
            }
        };
        open.attach(session.clone());
        let ended = match begin {
            Begin::Answer(invite) => self.answered(&session, invite, &mut events).await,
            Begin::Place(user) => self.placed(&session, &user, &mut events).await,
        };
        let ended = match ended {
            Ok(()) => self.carry(&session, &mut events).await,
            Err(ended) => ended,
        };
        if let Ended::Failed(why) = &ended {
            log::debug!("lab sip: call {}: {why}", self.dialog.id.call_id);
            self.exchange.lab.ledger.calls_failed.add(1);
        }
        if matches!(ended, Ended::ByLab | Ended::Failed(_)) {
            self.bye(&mut events).await;
        }
        let tones = std::mem::take(&mut self.tones);
        self.exchange.heard(tones);
        session.close(CLOSE_DEADLINE).await;
        self.exchange.calls.lock().remove(&self.dialog.id.call_id);
        drop(open);
        let every = self.exchange.config.call_every_ms;
        if let Some(user) = placed.filter(|_| every > 0) {
            self.exchange.call_after(user, every);
        }
    }

    async fn session(&self) -> Result<Session, PeerError> {
        let config = SessionConfig {
            source_address: Some(self.exchange.address.ip()),
            trickle: false,
            send_audio: !self.echo,
            ..SessionConfig::default()
        };
        let session = Session::new(config).await?;
        if self.echo {
            session.echo_audio();
        }
        Ok(session)
    }

    fn contact(&self) -> String {
        format!("<sip:{}@lab.invalid;transport=ws>", if self.echo { "echo" } else { "tone" })
    }

    fn say(&self, message: &Message) {
        if !self.exchange.say(self.client, message) {
            log::debug!("lab sip: call {} has no WebSocket that takes a message now", self.dialog.id.call_id);
        }
    }

    fn respond(&self, request: &Message, status: u16) {
        self.say(&Message::response(request, status, &self.dialog.id.local_tag));
    }

    /// The next message of the client; the call's end when the lab stops or nobody sends any more.
    async fn next(&self, events: &mut mpsc::Receiver<Message>) -> Result<Message, Ended> {
        tokio::select! {
            () = self.exchange.lab.end_calls.cancelled() => Err(Ended::ByLab),
            event = events.recv() => event.ok_or(Ended::ByLab),
        }
    }

    /// Answers the INVITE, rings as long as it is to, and waits for the ACK.
    async fn answered(
        &mut self,
        session: &Session,
        invite: Message,
        events: &mut mpsc::Receiver<Message>,
    ) -> Result<(), Ended> {
        let contact = self.contact();
        self.say(&Message::response(&invite, 100, ""));
        self.say(&Message::response(&invite, 180, &self.dialog.id.local_tag).with("Contact", &contact));
        let made = match invite.sdp() {
            Some(offer) => timeout(STEP_DEADLINE, session.create_answer(offer)).await,
            None => timeout(STEP_DEADLINE, session.create_offer()).await,
        };
        let Ok(Ok(sdp)) = made else {
            self.respond(&invite, 488);
            self.exchange.lab.ledger.calls_failed.add(1);
            return Err(Ended::Never);
        };
        let never = self.exchange.config.faults.no_answer;
        let delay = Duration::from_millis(self.exchange.config.answer_delay_ms);
        let answer_at = (!never).then(|| Instant::now() + delay);
        loop {
            tokio::select! {
                () = at(answer_at) => break,
                event = self.next(events) => match event {
                    Ok(message) if message.method() == Some(Method::Cancel) => {
                        self.respond(&message, 200);
                        self.respond(&invite, 487);
                        return Err(Ended::Never);
                    }
                    Ok(_) => {}
                    Err(_) => {
                        self.respond(&invite, 480);
                        return Err(Ended::Never);
                    }
                },
            }
        }
        self.exchange.lab.ledger.calls_answered.add(1);
        self.accept(&invite, &sdp);
        let ack = self.acknowledged(&invite, &sdp, events).await?;
        if let (None, Some(answer)) = (invite.sdp(), ack.sdp())
            && let Err(error) = session.set_remote_answer(answer).await
        {
            return Err(Ended::Failed(error.to_string()));
        }
        Ok(())
    }

    /// Sends a 200 with our description.
    fn accept(&mut self, request: &Message, sdp: &str) {
        let response = Message::response(request, 200, &self.dialog.id.local_tag)
            .with("Contact", self.contact())
            .with("Allow", ALLOW)
            .with("Supported", "timer");
        let response = self.with_timer(response, request);
        self.say(&response.with_body("application/sdp", sdp));
    }

    /// Session timers as the configuration says.
    fn with_timer(&mut self, response: Message, request: &Message) -> Message {
        let config = &self.exchange.config;
        let Some((asked, _)) = SessionTimer::asked(request, std::time::Instant::now()) else { return response };
        let interval = if config.session_expires_s > 0 { config.session_expires_s } else { asked.interval };
        let ours = config.refreshes || config.faults.no_refresh;
        let field = format!("{interval};refresher={}", if ours { "uas" } else { "uac" });
        let response = response.with("Require", "timer").with("Session-Expires", field);
        self.timer = Some(SessionTimer::new(interval, ours, std::time::Instant::now()));
        response
    }

    /// Waits for the ACK and says the 200 again meanwhile.
    async fn acknowledged(
        &mut self,
        request: &Message,
        sdp: &str,
        events: &mut mpsc::Receiver<Message>,
    ) -> Result<Message, Ended> {
        let until = Instant::now() + STEP_DEADLINE;
        let mut again = Instant::now() + REPEAT;
        let number = request.cseq().map(|(number, _)| number);
        loop {
            tokio::select! {
                () = sleep_until(until) => return Err(Ended::Failed("there was no ACK".to_owned())),
                () = sleep_until(again) => {
                    again = Instant::now() + REPEAT;
                    self.accept(request, sdp);
                }
                event = self.next(events) => {
                    let message = event?;
                    match message.method() {
                        Some(Method::Ack) if message.cseq().map(|(number, _)| number) == number => return Ok(message),
                        Some(Method::Bye) => {
                            self.respond(&message, 200);
                            return Err(Ended::ByClient);
                        }
                        Some(Method::Cancel) => self.respond(&message, 200),
                        _ => {}
                    }
                }
            }
        }
    }

    async fn placed(
        &mut self,
        session: &Session,
        user: &str,
        events: &mut mpsc::Receiver<Message>,
    ) -> Result<(), Ended> {
        let offer = match timeout(STEP_DEADLINE, session.create_offer()).await {
            Ok(Ok(offer)) => offer,
            Ok(Err(error)) => {
                log::debug!("lab sip: no offer for {user}: {error}");
                self.exchange.lab.ledger.calls_failed.add(1);
                return Err(Ended::Never);
            }
            Err(_) => return Err(Ended::Never),
        };
        let invite = self.invite(&offer);
        self.say(&invite);
        let cancel = self.exchange.config.faults.cancel_after_ms;
        let mut cancel_at = None;
        let until = Instant::now() + STEP_DEADLINE;
        loop {
            tokio::select! {
                () = at(cancel_at) => {
                    cancel_at = None;
                    self.cancel(&invite);
                }
                () = sleep_until(until) => {
                    self.cancel(&invite);
                    self.exchange.lab.ledger.calls_failed.add(1);
                    return Err(Ended::Never);
                }
                event = self.next(events) => {
                    let Ok(response) = event else {
                        self.cancel(&invite);
                        return Err(Ended::Never);
                    };
                    let of_invite = response.cseq().is_some_and(|(_, method)| method == "INVITE");
                    match response.status().filter(|_| of_invite) {
                        None => {}
                        Some(..180) => {}
                        Some(180..200) => {
                            cancel_at = (cancel > 0).then(|| Instant::now() + Duration::from_millis(cancel));
                        }
                        Some(200..300) => {
                            self.dialog.established(&response);
                            self.timer = SessionTimer::answered(&response, std::time::Instant::now());
                            self.acknowledge(&response);
                            let answer = response.sdp().unwrap_or_default();
                            return match session.set_remote_answer(answer).await {
                                Ok(()) => {
                                    self.exchange.lab.ledger.calls_answered.add(1);
                                    Ok(())
                                }
                                Err(error) => Err(Ended::Failed(error.to_string())),
                            };
                        }
                        Some(_) => {
                            self.acknowledge_refusal(&invite, &response);
                            return Err(Ended::Never);
                        }
                    }
                }
            }
        }
    }

    fn invite(&mut self, offer: &str) -> Message {
        let via = self.exchange.via();
        let contact = self.contact();
        let seconds = self.exchange.config.session_expires_s;
        let mut invite = self.dialog.request(Method::Invite, &via).with("Contact", contact).with("Allow", ALLOW);
        invite.add("Supported", "timer");
        if seconds > 0 {
            let ours = self.exchange.config.refreshes || self.exchange.config.faults.no_refresh;
            invite.add("Session-Expires", format!("{seconds};refresher={}", if ours { "uac" } else { "uas" }));
        }
        invite.with_body("application/sdp", offer)
    }

    fn acknowledge(&self, response: &Message) {
        let number = response.cseq().map_or(0, |(number, _)| number);
        self.say(&self.dialog.ack(number, &self.exchange.via()));
    }

    fn acknowledge_refusal(&self, invite: &Message, response: &Message) {
        let number = invite.cseq().map_or(0, |(number, _)| number);
        let mut ack = self.dialog.ack(number, invite.header("Via").unwrap_or_default());
        ack.replace("To", response.header("To").unwrap_or_default());
        self.say(&ack);
    }

    fn cancel(&self, invite: &Message) {
        let uri = invite.uri();
        let mut cancel = Message::request(Method::Cancel, &uri);
        for name in ["Via", "Max-Forwards", "To", "From", "Call-ID"] {
            cancel.add(name, invite.header(name).unwrap_or_default());
        }
        let number = invite.cseq().map_or(0, |(number, _)| number);
        self.say(&cancel.with("CSeq", format!("{number} CANCEL")));
    }

    async fn bye(&mut self, events: &mut mpsc::Receiver<Message>) {
        let bye = self.dialog.request(Method::Bye, &self.exchange.via());
        self.say(&bye);
        let answered = async {
            while let Some(message) = events.recv().await {
                if message.status().is_some() && message.cseq().is_some_and(|(_, method)| method == "BYE") {
                    return;
                }
            }
        };
        if timeout(BYE_DEADLINE, answered).await.is_err() {
            log::debug!("lab sip: call {}: no answer to BYE", self.dialog.id.call_id);
        }
    }

    /// Carries an accepted call to its end.
    async fn carry(&mut self, session: &Session, events: &mut mpsc::Receiver<Message>) -> Ended {
        let faults = self.exchange.config.faults.clone();
        let after = |ms: u64| (ms > 0).then(|| Instant::now() + Duration::from_millis(ms));
        let (mut hang_up_at, mut reinvite_at) = (None, None);
        let mut connected = false;
        let mut connect_by = Some(Instant::now() + STEP_DEADLINE);
        loop {
            let until_connected = session.clone();
            let refresh_at = self.timer.map(|timer| Instant::from_std(timer.at));
            tokio::select! {
                done = async move { until_connected.connected().await }, if !connected => match done {
                    Ok(()) => {
                        connected = true;
                        connect_by = None;
                        hang_up_at = after(self.exchange.config.call_hold_ms);
                        reinvite_at = after(faults.reinvite_after_ms);
                    }
                    Err(error) => return Ended::Failed(error.to_string()),
                },
                () = at(connect_by) => return Ended::Failed("it did not connect".to_owned()),
                () = at(hang_up_at) => return Ended::ByLab,
                () = at(reinvite_at) => {
                    reinvite_at = None;
                    if faults.restart_ice {
                        session.restart_ice();
                    }
                    match session.create_offer().await {
                        Ok(offer) => {
                            let invite = self.invite(&offer);
                            self.say(&invite);
                        }
                        Err(error) => return Ended::Failed(error.to_string()),
                    }
                }
                () = at(refresh_at) => {
                    let Some(timer) = self.timer else { continue };
                    self.timer = Some(timer.again(std::time::Instant::now()));
                    if !timer.ours {
                        return Ended::Failed("the client did not refresh the session".to_owned());
                    }
                    if !faults.no_refresh {
                        let via = self.exchange.via();
                        let update = self.dialog.request(Method::Update, &via).with("Contact", self.contact());
                        self.say(&update.with("Supported", "timer").with("Session-Expires", timer.field()));
                    }
                }
                event = self.next(events) => {
                    let ended = match event {
                        Ok(message) => self.take(session, message, events).await,
                        Err(ended) => Some(ended),
                    };
                    if let Some(ended) = ended {
                        return ended;
                    }
                }
            }
        }
    }

    /// Takes a message within the dialog; how the call ended, if it did.
    async fn take(
        &mut self,
        session: &Session,
        message: Message,
        events: &mut mpsc::Receiver<Message>,
    ) -> Option<Ended> {
        if let Some(status) = message.status() {
            let (number, method) = message.cseq()?;
            if method == "INVITE" && (200..300).contains(&status) {
                self.acknowledge(&message);
                // A repetition has been applied already.
                if number == self.dialog.local_seq
                    && let Some(answer) = message.sdp()
                    && let Err(error) = session.set_remote_answer(answer).await
                {
                    return Some(Ended::Failed(error.to_string()));
                }
            }
            return None;
        }
        // A client whose WebSocket was lost goes on from another one.
        if let Some(binding) = self.exchange.binding(&self.dialog.target) {
            self.client = binding.client;
        }
        self.dialog.refreshed(&message);
        match message.method() {
            Some(Method::Bye) => {
                self.respond(&message, 200);
                return Some(Ended::ByClient);
            }
            Some(Method::Invite | Method::Update) => {
                let Some(offer) = message.sdp().map(ToOwned::to_owned) else {
                    let response = Message::response(&message, 200, &self.dialog.id.local_tag);
                    let response = response.with("Contact", self.contact());
                    let response = self.with_timer(response, &message);
                    self.say(&response);
                    return None;
                };
                match session.create_answer(&offer).await {
                    Ok(answer) => {
                        self.accept(&message, &answer);
                        if message.method() == Some(Method::Invite)
                            && let Err(ended) = self.acknowledged(&message, &answer, events).await
                        {
                            return Some(ended);
                        }
                    }
                    Err(error) => {
                        log::debug!("lab sip: an offer is not usable: {error}");
                        self.respond(&message, 488);
                    }
                }
            }
            Some(Method::Info) => {
                let signal = message.body().lines().find_map(|line| line.strip_prefix("Signal="));
                if let Some(tone) = signal.and_then(|signal| signal.trim().chars().next()) {
                    self.tones.push(tone);
                }
                self.respond(&message, 200);
            }
            Some(Method::Refer) => {
                self.respond(&message, 202);
                let via = self.exchange.via();
                let notify = self.dialog.request(Method::Notify, &via).with("Contact", self.contact());
                let notify = notify.with("Event", "refer").with("Subscription-State", "terminated;reason=noresource");
                self.say(&notify.with_body("message/sipfrag;version=2.0", "SIP/2.0 200 OK\r\n"));
            }
            Some(Method::Ack) => {}
            Some(Method::Cancel) => self.respond(&message, 481),
            Some(Method::Options) => self.respond(&message, 200),
            _ => self.respond(&message, 405),
        }
        None
    }
}

async fn at(moment: Option<Instant>) {
    match moment {
        Some(moment) => sleep_until(moment).await,
        None => std::future::pending().await,
    }
}
