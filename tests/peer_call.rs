//! A call between two sessions: connecting and talking.
mod peer_support;

use std::time::Duration;

use jmeter_webrtc::peer::ConnectionState;
use peer_support::*;

#[tokio::test]
async fn two_sessions_that_trickle_connect_and_hear_each_other() {
    within(async {
        let (one, other) = connected(|_| {}).await;
        let (heard, heard_too) = tokio::join!(one.first_rtp(), other.first_rtp());
        heard.expect("audio");
        heard_too.expect("audio");
        tokio::time::sleep(Duration::from_millis(400)).await;
        let (left, right) = drained(&one, &other).await;
        assert!(left.packets_sent > 10 && right.packets_sent > 10);
        assert_eq!(left.packets_lost, i64::try_from(left.socket_drops).expect("few"));
        assert_eq!(one.connection_state(), ConnectionState::Connected);
        close(&one, &other).await;
        assert_eq!(one.connection_state(), ConnectionState::Closed);
    })
    .await;
}

#[tokio::test]
async fn two_sessions_with_complete_descriptions_connect() {
    within(async {
        let (one, other) = connected(|config| config.trickle = false).await;
        close(&one, &other).await;
    })
    .await;
}
