/** Calls: placing and answering, waiting for media, checking them, hanging up. Their state lives in the thread's scope, not in the samplers. */
package io.github.jmeterwebrtc.jmeter.call;
