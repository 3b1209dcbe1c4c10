/** Settings of calls, merged into samplers by JMeter and checked by field name before any packet leaves. */
package io.github.jmeterwebrtc.jmeter.config;
