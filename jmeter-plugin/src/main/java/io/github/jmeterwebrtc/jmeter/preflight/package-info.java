/** The check before a test: whether this machine and the servers it needs will carry it. */
package io.github.jmeterwebrtc.jmeter.preflight;
