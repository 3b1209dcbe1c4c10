/** The plan that JMeter is running, looked at as a whole: where it carries session descriptions, and what is said about that. Nothing here touches the engine. */
package io.github.jmeterwebrtc.jmeter.plan;
