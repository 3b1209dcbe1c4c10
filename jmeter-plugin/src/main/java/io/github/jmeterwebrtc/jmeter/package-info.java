/** JMeter elements for WebSockets and WebRTC calls, and what the jar does on its own. */
package io.github.jmeterwebrtc.jmeter;
