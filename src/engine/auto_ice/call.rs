//! One live call in the place of a canned description: its session, its task, and how it ends.
//!
//! The task works off what signaling brings, in order; decides the outcome once; and then waits for a loss or the end. It
//! lives as long as the call. A call is judged by the time since its last signaling message, so that a late answer is no
//! failure of ICE. Dropping the last [`LiveCall`] before it was sent ends the task, which closes the session in the
//! background; nothing here waits for a caller.
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime};

use parking_lot::Mutex;
use serde_json::json;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot, watch};

use crate::autoice::Mids;
use crate::autoice::dialogs::{CallNumber, Role};
use crate::peer::{IceCandidateInit, PeerError, Session};
use crate::signaling::outcome::CallCode;
use crate::socket::CloseCause;

use super::super::State;
use super::super::scopes::HANG_UP;
use super::super::sessions::Softphone;
use super::super::tables::SessionKey;
use super::config::AutoIceConfig;
use super::outcome::{Failure, Moments, Story};
use super::place::Place;
use super::results::{ScopeIce, Told};

/// Messages of one call that may wait for its task; more at once are dropped and told.
const COMMANDS: usize = 256;
/// A connection that the other side closes is no loss when its hang-up follows within this.
const FAREWELL: Duration = Duration::from_secs(2);

/// Why a call ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// The plan hung up.
    Plan,
    /// The other side hung up.
    Peer,
    /// A new call takes its place.
    Replaced,
    /// The plan closed the socket that carried it.
    SocketClosed,
    /// Its thread or test ended.
    Scope,
}

impl Ending {
    fn words(self) -> &'static str {
        match self {
            Self::Plan => "the plan hung up",
            Self::Peer => "the other side hung up",
            Self::Replaced => "a new call took its place",
            Self::SocketClosed => "the plan closed the socket",
            Self::Scope => "the thread ended",
        }
    }
}

/// What the task of a call is told.
pub(super) enum Command {
    /// The message with our description is with the kernel.
    Sent(Instant),
    /// Another message of the call went out or came in.
    Signaling(Instant),
    /// A description of the other side answers ours.
    Answer { sdp: String, at: Instant },
    /// A candidate of the other side, as the plan's side names media lines.
    Candidate(IceCandidateInit),
    /// Something the user should read in the outcome.
    Note(String),
    /// The socket that carried it is gone.
    SocketLost(CloseCause, Instant),
    /// It ends; answered when its outcome is decided.
    End(Ending, Option<oneshot::Sender<()>>),
}

/// What our side says of itself, as the plan's messages carry it.
pub(super) struct Described {
    /// The description on the wire.
    pub(super) sdp: String,
    /// User fragment and password in it.
    pub(super) credentials: (String, String),
    /// The plan's names of media lines and ours.
    pub(super) mids: Option<Mids>,
    /// Candidates found so far.
    pub(super) candidates: Vec<IceCandidateInit>,
    /// It has a video line that receives.
    pub(super) receives_video: bool,
}

/// A call as its place knows it.
pub(super) struct LiveCall {
    pub(super) number: CallNumber,
    pub(super) role: Role,
    /// Its name in the scope.
    pub(super) name: String,
    pub(super) session: Session,
    pub(super) described: Mutex<Described>,
    commands: mpsc::Sender<Command>,
    runtime: Handle,
    /// Candidates that functions have taken.
    taken: AtomicUsize,
    /// What its task was told to apply so far.
    told: AtomicU64,
    applied: watch::Sender<Applied>,
}

/// What the task of a call has applied so far.
#[derive(Clone, Debug, Default)]
struct Applied {
    count: u64,
    /// The last that could not be applied, by its number.
    failed: Option<(u64, PeerError)>,
}

impl LiveCall {
    /// A call, and what its task is to hear. Has to be made on the runtime.
    pub(super) fn new(
        (number, role): (CallNumber, Role),
        name: String,
        session: Session,
        described: Described,
    ) -> (Arc<Self>, mpsc::Receiver<Command>) {
        let (commands, heard) = mpsc::channel(COMMANDS);
        let described = Mutex::new(described);
        let runtime = Handle::current();
        let (taken, told, applied) = (AtomicUsize::new(0), AtomicU64::new(0), watch::Sender::default());
        (Arc::new(Self { number, role, name, session, described, commands, runtime, taken, told, applied }), heard)
    }

    /// Tells its task; never waits.
    pub(super) fn tell(&self, command: Command) {
        let applies = matches!(command, Command::Answer { .. } | Command::Candidate(_));
        match self.commands.try_send(command) {
            Ok(()) if applies => {
                self.told.fetch_add(1, Ordering::AcqRel);
            }
            Ok(()) | Err(mpsc::error::TrySendError::Closed(_)) => {}
            Err(mpsc::error::TrySendError::Full(_)) => {
                log::warn!("call '{}': a signaling message was dropped, {COMMANDS} of it already wait", self.name);
            }
        }
    }

    /// Ends it; resolves when its outcome is decided.
    pub(super) fn end(&self, ending: Ending) -> oneshot::Receiver<()> {
        let (decided, heard) = oneshot::channel();
        let command = Command::End(ending, Some(decided));
        if let Err(mpsc::error::TrySendError::Full(command)) = self.commands.try_send(command) {
            // An end is never dropped.
            let commands = self.commands.clone();
            self.runtime.spawn(async move { commands.send(command).await });
        }
        heard
    }

    /// The plan's side of the candidate of that index: the last one if there are fewer, `None` if there is none.
    pub(super) fn candidate(&self, index: usize) -> Option<IceCandidateInit> {
        let described = self.described.lock();
        described.candidates.get(index).or_else(|| described.candidates.last()).cloned()
    }

    /// The index of the next candidate for a function: each is given once.
    pub(super) fn next_candidate(&self) -> usize {
        self.taken.fetch_add(1, Ordering::Relaxed)
    }

    /// How much its task has applied.
    pub(super) fn applied(&self) -> u64 {
        self.applied.borrow().count
    }

    /// Resolves when its task has applied what it was told until now; what it could not apply since `before` is the error.
    pub(super) async fn until_applied(&self, before: u64) -> Result<(), PeerError> {
        let told = self.told.load(Ordering::Acquire);
        let mut applied = self.applied.subscribe();
        // Its sender lives as long as the call.
        let Ok(applied) = applied.wait_for(|applied| applied.count >= told).await else { return Ok(()) };
        match &applied.failed {
            Some((number, error)) if *number > before => Err(error.clone()),
            _ => Ok(()),
        }
    }

    fn note_applied(&self, result: Result<(), PeerError>) {
        self.applied.send_modify(|applied| {
            applied.count += 1;
            if let Err(error) = result {
                applied.failed = Some((applied.count, error));
            }
        });
    }

    /// Takes in candidates that were found since.
    pub(super) fn refresh(&self) {
        use futures_util::FutureExt as _;
        while let Some(Some(candidate)) = self.session.next_local_candidate().now_or_never() {
            self.described.lock().candidates.push(candidate);
        }
    }

    /// A candidate or description of the other side, in our names of media lines.
    fn to_live<T>(&self, theirs: T, rename: impl FnOnce(&Mids, T) -> T) -> T {
        match &self.described.lock().mids {
            Some(mids) => rename(mids, theirs),
            None => theirs,
        }
    }
}

/// What a call's task works with.
pub(super) struct Task {
    pub(super) state: Arc<State>,
    pub(super) ice: Arc<ScopeIce>,
    pub(super) place: Arc<Place>,
    pub(super) config: Arc<AutoIceConfig>,
    pub(super) call: Arc<LiveCall>,
    pub(super) softphone: Arc<Softphone>,
    pub(super) key: SessionKey,
    pub(super) dialog: Option<String>,
    pub(super) moments: Moments,
    pub(super) notes: Vec<String>,
}

/// How far a call has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Our description is not with the kernel yet.
    Unsent,
    /// It is being set up.
    SettingUp,
    /// ICE and DTLS are up since then; media is awaited.
    Connected(Instant),
    /// It is up.
    Up,
    /// It was lost; the session stays until the call is hung up.
    Lost,
}

impl Task {
    /// Carries the call to its end.
    pub(super) async fn run(mut self, mut heard: mpsc::Receiver<Command>) {
        let mut stage = Stage::Unsent;
        loop {
            let deadline = self.deadline(stage);
            let session = self.call.session.clone();
            let connecting = stage == Stage::SettingUp;
            let awaiting = matches!(stage, Stage::Connected(_));
            tokio::select! {
                biased;
                command = heard.recv() => match command {
                    None => break,
                    Some(Command::Sent(at)) => {
                        self.sent(at);
                        if stage == Stage::Unsent {
                            stage = Stage::SettingUp;
                        }
                    }
                    Some(Command::End(ending, decided)) => {
                        let stage = self.caught_up(stage);
                        self.ended(stage, ending);
                        drop(decided);
                        break;
                    }
                    Some(command) => match self.command(command).await {
                        Ok(()) => {}
                        Err(failure) if matches!(stage, Stage::Up | Stage::Lost) => {
                            self.notes.push(failure.message.clone());
                            log::warn!("call '{}': {}", self.call.name, failure.message);
                        }
                        Err(failure) => {
                            self.failed(failure);
                            break;
                        }
                    },
                },
                connected = session.connected(), if connecting => match connected {
                    Ok(()) if self.expects_media() => stage = Stage::Connected(Instant::now()),
                    Ok(()) => stage = self.up(),
                    Err(error) => {
                        self.broke(&error);
                        break;
                    }
                },
                media = session.first_rtp(), if awaiting => match media {
                    Ok(()) => stage = self.up(),
                    Err(error) => {
                        self.broke(&error);
                        break;
                    }
                },
                error = session.ended(), if stage == Stage::Up => match error {
                    PeerError::Closed => break,
                    error => {
                        if self.lost(&error, &mut heard).await {
                            stage = Stage::Lost;
                        } else {
                            break;
                        }
                    }
                },
                () = session.closing(), if stage == Stage::Lost => break,
                () = sleep_until(deadline) => {
                    if stage == Stage::Unsent {
                        break;
                    }
                    self.late(stage);
                    break;
                }
            }
        }
        heard.close();
        // Who waits for something to be applied waits no longer.
        self.call.applied.send_modify(|applied| applied.count = u64::MAX);
        self.place.over(self.call.number);
        if self.call.role == Role::Offerer {
            self.place.make_ahead(&self.state);
        }
        if let Some(softphone) = self.state.start_leaving(self.key) {
            self.state.end_session(self.key, softphone, HANG_UP).await;
        }
    }

    /// When the call is given up if nothing happens.
    fn deadline(&self, stage: Stage) -> Option<Instant> {
        match stage {
            Stage::Unsent | Stage::SettingUp => Some(self.moments.last_signaling + self.config.connect_timeout()),
            Stage::Connected(since) => Some(since.max(self.moments.last_signaling) + self.config.first_rtp_timeout()),
            Stage::Up | Stage::Lost => None,
        }
    }

    fn sent(&mut self, at: Instant) {
        if self.moments.sent.is_none() {
            self.moments.sent =
                Some((at, SystemTime::now().checked_sub(at.elapsed()).unwrap_or(SystemTime::UNIX_EPOCH)));
            let what = if self.call.role == Role::Offerer { "offer sent" } else { "answer sent" };
            self.moments.note(at, what);
        } else {
            self.moments.note(at, "next description sent");
        }
        self.moments.signaling(at);
    }

    async fn command(&mut self, command: Command) -> Result<(), Failure> {
        match command {
            Command::Signaling(at) => self.moments.signaling(at),
            Command::Note(note) => self.notes.push(note),
            Command::SocketLost(cause, at) => {
                self.moments.note(at, format!("socket closed: {cause}"));
                self.moments.socket_closed.get_or_insert((cause, at));
            }
            Command::Candidate(candidate) => {
                self.moments.signaling(Instant::now());
                let candidate = self.call.to_live(candidate, |mids, candidate| mids.to_live_candidate(&candidate));
                let added = self.call.session.add_ice_candidate(candidate).await;
                self.call.note_applied(added.clone());
                if let Err(error) = added {
                    let (count, last) = self.moments.refused_candidates.get_or_insert_with(|| (0, String::new()));
                    (*count, *last) = (*count + 1, error.to_string());
                }
            }
            Command::Answer { sdp, at } => {
                self.moments.signaling(at);
                self.moments.note(at, "answer received");
                let live = self.call.to_live(sdp.clone(), |mids, sdp| mids.to_live_description(&sdp));
                self.moments.remote.get_or_insert(sdp);
                self.moments.answered.get_or_insert(at);
                let applied = self.call.session.set_remote_answer(&live).await;
                let now = Instant::now();
                self.moments.note(now, if applied.is_ok() { "answer applied" } else { "answer rejected" });
                self.moments.checks_began.get_or_insert(now);
                self.call.note_applied(applied.clone());
                applied.map_err(|error| Failure::of_session(&error, "the answer could not be applied"))?;
            }
            Command::Sent(_) | Command::End(..) => {}
        }
        Ok(())
    }

    /// Whether the other side is to send media: not to an audio line that only sends or does nothing; without audio where
    /// video is to come.
    fn expects_media(&self) -> bool {
        match self.call.session.current_direction() {
            Some(audio) => audio.receives(),
            None => self.call.described.lock().receives_video,
        }
    }

    fn story(&self) -> Story<'_> {
        Story {
            role: self.call.role,
            call: &self.call.name,
            session: &self.call.session,
            ours: self.call.described.lock().sdp.clone(),
            moments: &self.moments,
            config: &self.config,
        }
    }

    fn up(&mut self) -> Stage {
        let mut outcome = self.story().success();
        let (started, up) = (self.moments.started(), Instant::now());
        outcome.starved_reasons = self.state.starved_reasons(started, up);
        outcome.starved = !outcome.starved_reasons.is_empty();
        self.state.auto_ice.count(|counts| counts.connected += 1);
        self.tell("connect", json!(outcome), None);
        Stage::Up
    }

    /// Tells why the call did not come up.
    fn failed(&mut self, failure: Failure) {
        let mut told = self.story().failure(failure);
        let identity = self.place.identity(&self.state);
        self.state.explain_call(&mut told, identity, self.softphone.same_turn_account());
        self.state.auto_ice.count(|counts| counts.failed += 1);
        self.tell("connect", json!(told.outcome), None);
    }

    fn broke(&mut self, error: &PeerError) {
        let failure = self.story().broke(error);
        self.failed(failure);
    }

    fn late(&mut self, stage: Stage) {
        let failure = match stage {
            Stage::Connected(_) => self.story().no_media(),
            _ => self.story().late(),
        };
        self.failed(failure);
    }

    /// The stage that the session has reached when its call ends. On a generator that is short of CPU this task may not have seen it
    /// yet, and the first packet may lie in the socket unread: a call that was up is told as one.
    fn caught_up(&mut self, seen: Stage) -> Stage {
        use futures_util::FutureExt as _;
        let session = self.call.session.clone();
        match seen {
            Stage::SettingUp if !matches!(session.connected().now_or_never(), Some(Ok(()))) => return seen,
            Stage::SettingUp | Stage::Connected(_) => {}
            Stage::Unsent | Stage::Up | Stage::Lost => return seen,
        }
        if self.expects_media() {
            session.take_in_unread();
            if !matches!(session.first_rtp().now_or_never(), Some(Ok(()))) {
                return seen;
            }
        }
        self.up()
    }

    /// The call ends; one that is not decided yet is decided now.
    fn ended(&mut self, stage: Stage, ending: Ending) {
        match ending {
            Ending::Replaced => self.state.auto_ice.count(|counts| counts.replaced += 1),
            Ending::Scope => self.state.auto_ice.count(|counts| counts.leaked += 1),
            Ending::Plan | Ending::Peer | Ending::SocketClosed => {}
        }
        match stage {
            Stage::Unsent | Stage::Up | Stage::Lost => {}
            Stage::SettingUp | Stage::Connected(_) => {
                let code = if ending == Ending::Peer { CallCode::EndedByPeer } else { CallCode::Cancelled };
                let failure = self.story().ended_early(code, ending.words());
                self.failed(failure);
            }
        }
    }

    /// Tells of a loss, unless the other side's hang-up explains it; whether it was one.
    async fn lost(&mut self, error: &PeerError, heard: &mut mpsc::Receiver<Command>) -> bool {
        let by_peer = matches!(error, PeerError::Failed { state: crate::peer::ConnectionState::Closed, .. });
        if by_peer {
            let farewell = async {
                loop {
                    match heard.recv().await {
                        Some(Command::End(ending, decided)) => return Some((ending, decided)),
                        Some(_) => {}
                        None => return None,
                    }
                }
            };
            if let Ok(end) = tokio::time::timeout(FAREWELL, farewell).await {
                if let Some((ending, _)) = end {
                    self.ended(Stage::Up, ending);
                }
                return false;
            }
        }
        let loss = self.story().loss(error);
        let members = self.state.explain_loss(&self.softphone);
        let report = self.softphone.report(None);
        self.state.auto_ice.count(|counts| counts.lost += 1);
        let mut lost = json!(loss);
        if let serde_json::Value::Object(lost) = &mut lost {
            lost.extend(members);
        }
        self.tell("lost", lost, Some(report));
        true
    }

    fn tell(&self, kind: &'static str, what: serde_json::Value, report: Option<serde_json::Value>) {
        let start = self.moments.sent.map_or_else(SystemTime::now, |(_, at)| at);
        self.ice.push(Told {
            kind,
            call_name: &self.call.name,
            dialog: self.dialog.as_deref(),
            place: &self.place.name,
            role: self.call.role,
            start,
            what,
            notes: &self.notes,
            report,
        });
    }
}

/// Resolves at `deadline`; never where there is none.
async fn sleep_until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Barrier, mpsc};

    use futures_util::FutureExt as _;
    use serde_json::Value;

    use super::super::super::{Engine, Milestone, OperationKey};
    use super::*;
    use crate::peer::SessionConfig;

    const PATIENCE: Duration = Duration::from_secs(60);

    fn eventually(mut holds: impl FnMut() -> bool) {
        let until = Instant::now() + PATIENCE;
        while !holds() {
            assert!(Instant::now() < until, "not within {PATIENCE:?}");
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Keeps every worker of the engine busy until the returned senders are dropped.
    fn starve(engine: &Engine) -> Vec<mpsc::Sender<()>> {
        let workers = engine.runtime.metrics().num_workers();
        let all = Arc::new(Barrier::new(workers + 1));
        let busy = (0..workers).map(|_| {
            let (release, released) = mpsc::channel::<()>();
            let all = Arc::clone(&all);
            engine.runtime.spawn(async move {
                all.wait();
                let _disconnected = released.recv_timeout(PATIENCE);
            });
            release
        });
        let busy = busy.collect();
        all.wait();
        busy
    }

    #[test]
    fn a_call_that_was_up_before_its_end_is_told_so_by_a_generator_that_had_no_time_to_see_it() {
        let (engine, far) = (Engine::start().expect("an engine"), tokio::runtime::Runtime::new().expect("a runtime"));
        let scope = engine.open_scope(None).expect("a scope");
        let none = OperationKey::default();
        let config = json!({"server": "127.0.0.1"}).to_string();
        let offer = engine.auto_ice_offer(scope, none, "mine", config.as_bytes(), PATIENCE).expect("an offer");
        let (peer, answer) = far.block_on(async {
            let peer =
                Session::new(SessionConfig { trickle: false, ..SessionConfig::default() }).await.expect("a peer");
            peer.stop_audio();
            let answer = peer.create_answer(&offer).await.expect("an answer");
            (peer, answer)
        });
        engine.auto_ice_apply(scope, none, "mine", "answer", answer, PATIENCE).expect("applied");
        far.block_on(peer.connected()).expect("connected");
        let session = engine.find_session(scope, "mine").expect("a scope").expect("the call's session");
        engine.await_milestone(session, none, Milestone::Connected, PATIENCE).expect("connected");
        let calls = Arc::clone(&engine.state.tables().scope(scope).expect("a scope").auto_ice);
        let busy = starve(&engine);
        peer.start_audio();
        eventually(|| peer.wire().rtp_sent >= 3);
        let (sent, ended) = mpsc::channel();
        std::thread::scope(|threads| {
            let ending = threads.spawn(|| {
                far.block_on(async {
                    let mut ending = std::pin::pin!(calls.end());
                    // The first poll gives the order; the workers are busy.
                    assert!(ending.as_mut().now_or_never().is_none(), "nobody is there to end the call");
                    sent.send(()).expect("awaited");
                    ending.await;
                });
            });
            ended.recv_timeout(PATIENCE).expect("the order to end is given");
            drop(busy);
            ending.join().expect("ended");
        });
        let told: Vec<Value> = engine.take_auto_ice(scope);
        let codes: Vec<&Value> = told.iter().map(|told| &told["outcome"]["code"]).collect();
        assert_eq!(codes, [&json!("200")], "{told:#?}");
        far.block_on(peer.close(Duration::from_secs(2)));
    }
}
