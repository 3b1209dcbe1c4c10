/** Softphones of a profile: registering and unregistering them. Their state lives in the thread's scope, not in the samplers. */
package io.github.jmeterwebrtc.jmeter.softphone;
