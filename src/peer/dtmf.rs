//! DTMF of a session, both ways, in the words of W3C `RTCDTMFSender`.
//!
//! Dropping the future of [`Session::insert_dtmf`] ends the dialling with the tone under way; closing the session, muting it and
//! putting it on hold end it at once.
use tokio::sync::oneshot;

use super::{ConnectionState, Session};
use crate::media::telephone_event::Dial;
use crate::media::{Dialled, Dtmf, TelephoneEvents};

/// Why DTMF was not sent as telephone events.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DtmfError {
    /// Nothing is negotiated for it.
    #[error("telephone-event (RFC 4733) is not in both sides' descriptions of the audio line")]
    NotNegotiated,
    /// The other side does not list the event (`a=fmtp`).
    #[error("the other side's telephone-event does not take '{digit}'")]
    NotTaken {
        /// The first digit it does not take.
        digit: char,
    },
    /// The other side does not want to hear us, or our own description says that we do not send.
    #[error("nothing is sent on the audio line now: its direction is {direction}")]
    OnHold {
        /// W3C `currentDirection`.
        direction: &'static str,
    },
    /// There is no way to the other side.
    #[error("the session is {}, not connected", .state.name())]
    NotConnected {
        /// State now.
        state: ConnectionState,
    },
    /// Closing, muting, holding, or another dialling ended it.
    #[error("{} of {tones} tones were sent, then the dialling was ended: {why}", .sent.tones)]
    Ended {
        /// What was sent until then.
        sent: Dialled,
        /// Tones that were to be sent.
        tones: usize,
        /// What ended it, as far as it shows.
        why: &'static str,
    },
}

impl Session {
    /// How the other side takes DTMF as telephone events now (W3C `canInsertDTMF`).
    ///
    /// # Errors
    /// [`DtmfError`], why it does not take `dtmf`.
    pub fn can_insert_dtmf(&self, dtmf: &Dtmf) -> Result<TelephoneEvents, DtmfError> {
        let events = self.telephone_events().ok_or(DtmfError::NotNegotiated)?;
        if let Some(digit) = events.refuses(dtmf) {
            return Err(DtmfError::NotTaken { digit });
        }
        if self.talker().is_held() {
            let direction = self.current_direction().map_or("not negotiated", |direction| direction.name());
            return Err(DtmfError::OnHold { direction });
        }
        match self.connection_state() {
            ConnectionState::Connected => Ok(events),
            state => Err(DtmfError::NotConnected { state }),
        }
    }

    /// Sends `dtmf` as telephone events (RFC 4733) and resolves after the gap behind its last tone. Audio is suspended during a
    /// tone; a session whose audio is stopped sends the tones alone. One that comes while another dials waits for its turn.
    ///
    /// # Errors
    /// As [`Self::can_insert_dtmf`], before any packet; [`DtmfError::Ended`].
    pub async fn insert_dtmf(&self, dtmf: &Dtmf) -> Result<Dialled, DtmfError> {
        let _turn = self.dialling().lock().await;
        let events = self.can_insert_dtmf(dtmf)?;
        let (done, told) = oneshot::channel();
        self.start_dial(|codec| Dial::new(dtmf, events, codec.clock_rate(), done));
        self.note_dtmf("telephone-event");
        // A dial that ends always tells; one that is gone with its session has sent what it had sent.
        let dialled = told.await.unwrap_or_default();
        if dialled.complete {
            return Ok(dialled);
        }
        let why = match self.talker().is_held() {
            true => "the line was put on hold",
            false => "the audio was stopped, or the session closed",
        };
        Err(DtmfError::Ended { sent: dialled, tones: dtmf.tones(), why })
    }

    /// The tones that the other side has sent as telephone events, in their order, at most 256.
    pub fn dtmf_heard(&self) -> String {
        self.tones_heard()
    }
}
