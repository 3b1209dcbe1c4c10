/** The lab server as an element of a plan; it ends with the test. */
package io.github.jmeterwebrtc.jmeter.lab;
