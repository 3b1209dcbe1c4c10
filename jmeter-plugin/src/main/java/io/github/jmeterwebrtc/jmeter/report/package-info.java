/** Graphs of the HTML dashboard: registered when a plan with WebRTC elements is loaded, tolerant of results without our columns. */
package io.github.jmeterwebrtc.jmeter.report;
