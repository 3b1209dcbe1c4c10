/** Sample results and the {@code webrtc_*} columns: one class builds every result. Plain values, nothing to close. */
package io.github.jmeterwebrtc.jmeter.result;
