//! Why something failed: facts in, a verdict out.
//!
//! Pure: this room reads no clock, no `/proc` and no socket, waits for nothing and keeps nothing, so there is nothing to undo
//! on drop or cancel. A verdict may be asked for at any time; of a session that goes on it speaks only of what will not heal.
//!
//! Guarantees:
//! - a fact of the wire or the kernel that names a cause goes before what a rule makes likely, and that before what fits
//!   several causes; among equals the first layer of a call goes first; the others go along ([`Verdict::also`]);
//! - the one exception: what explains exactly the fact that leads goes before it (a second login, before the close that it
//!   brought);
//! - a healthy session, and a lost packet, give no verdict; a WebSocket's end never becomes an ICE cause;
//! - evidence is bounded and holds no secret.

mod cause;
mod consent;
mod dtls;
pub mod facts;
mod generator;
mod ice;
mod media;
mod names;
mod servers;
mod signaling;
mod verdict;

#[cfg(test)]
mod cases;

pub use cause::{Cause, Layer, document};
pub use verdict::{Confidence, Evidence, Verdict};

use facts::{End, SessionFacts, SocketFacts, Step};

use crate::socket;

/// Why a session or call failed, was lost, or will fail; `None` when nothing is wrong or nothing can be said yet.
pub fn diagnose(facts: &SessionFacts) -> Option<Verdict> {
    let mut findings = Vec::new();
    match &facts.end {
        End::Cancelled => {
            findings.push(Verdict::certain(Cause::Cancelled).at(facts.now_us, "ended by our own side").into());
            return verdict::settle(findings);
        }
        End::EndedByPeer { reason } => {
            signaling::ended_by_peer(reason.as_deref(), facts, &mut findings);
            if facts.dtls_connected_us.is_some() {
                consent::find(facts, &mut findings);
            } else if ice::has_spent_its_checks(facts) {
                // Whoever cannot connect hangs up as well, and may do so first.
                before_ice(facts, &mut findings);
            }
        }
        End::HungUp => {
            media::accounts(facts, &mut findings);
            if !findings.is_empty() {
                generator::receive_buffer(facts, &mut findings);
            }
        }
        End::SetUp(Step::Config) => {
            let refused = facts.configured.refused.clone();
            findings.push(Verdict::certain(Cause::Config).maybe(refused).into());
        }
        End::SetUp(Step::Bind) => generator::bind(facts, &mut findings),
        End::SetUp(Step::Signaling) => signaling::find(facts, &mut findings),
        End::SetUp(Step::Description) => {
            let rejected = facts.signaling.rejected.clone();
            findings.push(Verdict::certain(Cause::SdpRejected).maybe(rejected).into());
        }
        End::SetUp(Step::Ice) => before_ice(facts, &mut findings),
        End::SetUp(Step::Dtls) => {
            dtls::find(facts, &mut findings);
            generator::refusals(facts, &mut findings);
        }
        End::SetUp(Step::Media) => {
            media::none_in(facts, &mut findings);
            generator::refusals(facts, &mut findings);
            generator::receive_buffer(facts, &mut findings);
        }
        End::Lost => {
            consent::find(facts, &mut findings);
            servers::find(facts, &mut findings);
            generator::refusals(facts, &mut findings);
        }
        End::Open => so_far(facts, &mut findings),
    }
    generator::starved(&facts.generator, &mut findings);
    verdict::settle(findings)
}

fn before_ice(facts: &SessionFacts, findings: &mut Vec<verdict::Finding>) {
    names::of_ice_servers(facts, findings);
    servers::find(facts, findings);
    generator::refusals(facts, findings);
    ice::find(facts, findings);
    if !findings.is_empty() {
        signaling::closed_meanwhile(facts, findings);
        generator::receive_buffer(facts, findings);
    }
}

/// What can be said of a session that goes on.
fn so_far(facts: &SessionFacts, findings: &mut Vec<verdict::Finding>) {
    if facts.dtls_connected_us.is_some() {
        return consent::find(facts, findings);
    }
    if facts.ice_connected_us.is_some() {
        return dtls::find(facts, findings);
    }
    let mut found = Vec::new();
    ice::find(facts, &mut found);
    // What servers say matters once ICE has nothing else to go on.
    if !found.is_empty() {
        before_ice(facts, findings);
    }
}

/// Why a WebSocket could not be opened, could not be used, or ended; `None` while it is open.
pub fn diagnose_socket(facts: &SocketFacts) -> Option<Verdict> {
    let mut findings = Vec::new();
    signaling::of_socket(facts, &mut findings);
    generator::starved(&facts.generator, &mut findings);
    verdict::settle(findings)
}

/// The word for how a WebSocket ended, from its end alone.
pub fn cause_of_close(cause: &socket::CloseCause) -> Cause {
    cause_of_socket_error(&socket::SocketError::Closed { cause: cause.clone() })
}

/// The word for why a WebSocket could not be opened or used, from the error alone.
pub fn cause_of_socket_error(error: &socket::SocketError) -> Cause {
    let facts = SocketFacts { error: Some(error.clone()), ..SocketFacts::default() };
    diagnose_socket(&facts).map_or(Cause::EngineFailed, |verdict| verdict.cause)
}

/// The word for why there is no UDP socket, from the errno of its bind alone; `None` = the system gave none.
pub fn cause_of_bind_error(errno: Option<i32>) -> Cause {
    let facts = SessionFacts { bind_error: Some((errno, String::new())), ..SessionFacts::default() };
    let mut findings = Vec::new();
    generator::bind(&facts, &mut findings);
    verdict::settle(findings).map_or(Cause::EngineFailed, |verdict| verdict.cause)
}
